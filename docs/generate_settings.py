"""Write the reference of the remote's parameters from the table that drives the remote."""

from __future__ import annotations

from pathlib import Path

from datalad_s3ext.remote.settings import COMMON, SETTINGS, Setting

SAME = "same meaning"
BUILTIN = {
    "bucket": "required; built-in makes a name up, and writes all names in lower case",
    "host": SAME,
    "port": SAME,
    "protocol": "https when it is not given; built-in takes http",
    "region": "also without ``host``",
    "datacenter": "read as ``region``, with the old names US and EU",
    "requeststyle": "``path``, and also ``virtual``",
    "signature": "v4 when it is not given; built-in takes v2 for all hosts but Amazon's. v2 needs a "
    "word of this clone",
    "partsize": "chosen by size when it is not given, at least the provider's least; built-in then "
    "sends no parts at all",
    "storageclass": "also rules by size; a class that the preset's service lacks is refused",
    "restore": "also all other chunks of the file at once; tier and days as in built-in",
    "fileprefix": SAME,
    "publicurl": "same meaning; without keys, unsigned requests to the service are tried first",
    "x-amz-tagging": "also for objects made of parts",
    "public": "``yes`` is refused: give a policy and ``publicurl``, or ``acl=public-read``",
    "mungekeys": "refused: items of the Internet Archive stay with ``type=S3``",
    "versioning": "git-annex takes this name of no external remote: ``bucketversioning``",
    "x-amz-meta-*": "git-annex takes such names of no external remote: all in one, ``x-amz-meta``. "
    "``datalad s3-setup`` takes both forms",
    "x-archive-meta-*": "as ``x-amz-meta-*``; sent so when an item of the Internet Archive is made",
}
"""What built-in takes (``initremote x type=S3 --whatelse`` of 10.20261026), and how it is here."""


def write_settings(target: Path) -> None:
    """Write one definition for each parameter, and the table, to be included in a page."""
    entries = "\n".join(_entry(setting) for setting in SETTINGS if not setting.instead)
    target.write_text(entries, encoding="utf-8")
    table = target.with_name("remote-parameters-compared.rst")
    table.write_text("\n".join(_table()) + "\n", encoding="utf-8")


def _table() -> list[str]:
    own = {setting.name: setting for setting in SETTINGS}
    names = [*own, *(name for name in BUILTIN if name not in own)]
    rows = [".. list-table::", "    :header-rows: 1", "    :widths: 20 15 65", ""]
    rows += _row("Parameter", "built-in S3", "s3x")
    for name in sorted(names):
        rows += _row(f"``{name}``", "yes" if name in BUILTIN else "no", _here(name, own.get(name)))
    common = ", ".join(f"``{name}``" for name in sorted(COMMON - {"type", "externaltype", "name"}))
    return [*rows, *_row(common, "yes", "git-annex's own; work as everywhere")]


def _here(name: str, setting: Setting | None) -> str:
    if name in BUILTIN:
        return BUILTIN[name]
    return _code(setting.description) if setting else ""


def _row(first: str, *others: str) -> list[str]:
    return [f"    * - {first}", *(f"      - {other}" for other in others)]


def _entry(setting: Setting) -> str:
    lines = [f"``{setting.name}``", f"    {_code(setting.description)}."]
    if setting.default:
        lines.append(f"    Default: {_code(setting.default)}.")
    if setting.example:
        lines.append(f"    Example: ``{setting.name}={setting.example}``")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Return `text`, in which single back quotes mark code, as reStructuredText."""
    return text.replace("`", "``").replace("*", r"\*")
