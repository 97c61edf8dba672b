"""A preset, and a list of presets, as text for people. Presets are plain dicts here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datalad_s3ext.units import human_size

WIDTH = 100
_HEAD = ("ID", "NAME", "KIND", "ENDPOINT", "CONFIDENCE")
_WIDEST = 40  # of a cell: so the table fits into 128 columns
_CAPABILITIES = {
    "conditional_put": "writes only if absent",
    "versioning": "object versions",
    "object_lock": "object lock",
    "object_acl": "access rules per object",
    "anonymous_read": "reading without keys",
    "requester_pays": "requester pays",
    "session_tokens": "temporary keys",
    "copy": "server-side copy",
    "upload_part_copy": "server-side copy in parts",
}
_TO_BE_GIVEN = "(give --endpoint)"
_KEYS_UNKNOWN = "not known: ask the provider for an access key and a secret key for S3"
_KNOWN = {True: "yes", False: "no", None: "unknown"}


def table(presets: list[dict[str, Any]]) -> list[str]:
    """Return the lines of an aligned table, its head first."""
    rows = [_HEAD, *map(_row, presets)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(preset: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        preset["id"],
        _cut(preset["name"]),
        preset["kind"],
        _cut(_form(preset).removeprefix("https://")),
        "unconfirmed" if preset["endpoint"]["unconfirmed"] else preset["evidence"]["confidence"],
    )


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def endpoint_form(rule: Mapping[str, Any]) -> str:
    """Return in a few words where the endpoint comes from."""
    if rule["env"]:
        return f"${rule['env'][0]}"
    if rule["local_server"]:
        return "(datalad s3-serve)"
    if rule["by_sdk"]:
        return "(by region)"
    return str(rule["template"] or rule["default"] or _TO_BE_GIVEN)


def _form(preset: Mapping[str, Any]) -> str:
    by_region = any(row["endpoint"] for row in preset["regions"])
    form = endpoint_form(preset["endpoint"])
    return "(by region)" if by_region and form == _TO_BE_GIVEN else form


def _needs_region(preset: Mapping[str, Any]) -> bool:
    varies = "{region}" in (preset["endpoint"]["template"] or "") or _form(preset) == "(by region)"
    return varies and not preset["region"]["default"]


def explanation(
    preset: Mapping[str, Any], origin: str, path: str, measured: Sequence[str] = ()
) -> list[str]:
    """Return the lines that tell a person what the preset says, and what was measured besides."""
    software = f", runs {preset['software']}" if preset["software"] else ""
    lines = [f"{preset['name']} ({preset['kind']}{software})"]
    sections = [*_sections(preset, origin, path), ("Measured with s3-doctor --save", measured)]
    for title, paragraphs in sections:
        if paragraphs:
            lines += ["", title]
        for paragraph in paragraphs:
            lines += textwrap.wrap(
                paragraph, WIDTH, initial_indent="  ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    # not wrapped: made to be copied
    return [*lines, "", "Next", f"  {next_command(preset)}"]


def next_command(preset: Mapping[str, Any]) -> str:
    """Return the command that sets up a remote with this preset; capitals are to be replaced."""
    rule, words = preset["endpoint"], [f"datalad s3-setup {preset['id']} --bucket NAME"]
    words += [f"{variable}=VALUE" for variable in rule["variables"]]
    if _needs_region(preset):
        words.append("--region REGION")
    if _form(preset) == _TO_BE_GIVEN:
        words.append("--endpoint URL")
    return " ".join(words)


def _sections(preset: Mapping[str, Any], origin: str, path: str) -> Iterator[tuple[str, list[str]]]:
    guide, evidence = preset["help"], preset["evidence"]
    yield "Endpoint", _endpoint(preset)
    yield "Regions", _regions(preset)
    yield "How to get keys", [guide["keys"] or _KEYS_UNKNOWN, *_given(guide["console"])]
    yield "Notes", [*_given(preset["bucket"]["note"]), *guide["notes"]]
    yield "Requests", _requests(preset)
    yield "Limits", _limits(preset)
    yield (
        "Capabilities",
        [f"{words}: {_KNOWN[preset['capabilities'][name]]}" for name, words in _CAPABILITIES.items()],
    )
    yield "URL of a public object", _given(guide["public_url"])
    yield "Documentation", _given(guide["docs"])
    yield f"Sources (checked {evidence['checked']})", evidence["sources"]
    yield "Confidence", _confidence(evidence)
    where = {"packaged": "comes with this program", "user": "your own preset"}
    yield "Preset file", [f"{path} ({where.get(origin, 'comes with the dataset')})"]


def _endpoint(preset: Mapping[str, Any]) -> list[str]:
    rule = preset["endpoint"]
    lines = [f"environment variable {name}" for name in rule["env"]]
    lines += _given(rule["template"]) + _given(rule["default"])
    lines += [f"{name}: {question}" for name, question in rule["variables"].items()]
    doubt = ["unconfirmed: compare it with what the provider says"] if rule["unconfirmed"] else []
    return [*(lines or [_form(preset)]), *doubt, *_given(rule["note"])]


def _requests(preset: Mapping[str, Any]) -> list[str]:
    rule, listing = preset["requests"], preset["listing"]
    fallback = f", or {rule['signature_fallback']}" if rule["signature_fallback"] else ""
    return [
        f"{rule['addressing']} style, signature {rule['signature']}{fallback}; lists with version "
        f"{listing['version']} of the request",
    ]


def _regions(preset: Mapping[str, Any]) -> list[str]:
    default = preset["region"]["default"]
    rows = preset["regions"]
    lines = [f"default: {default}"] if default else []
    if any(row["place"] for row in rows):
        lines += [f"{row['id']}  {row['place'] or ''}".rstrip() for row in rows]
    elif [row["id"] for row in rows] != [default]:
        lines += _given(", ".join(row["id"] for row in rows))
    return lines


def _limits(preset: Mapping[str, Any]) -> list[str]:
    limits = preset["upload"]
    equal = ", all of one size" if limits["equal_parts"] else ""
    lines = [
        f"largest object: {human_size(limits['max_object'])}",
        f"largest single upload: {human_size(limits['max_put'])}; above that in up to"
        f" {limits['max_parts']} parts of {human_size(limits['min_part'])} to"
        f" {human_size(limits['max_part'])}{equal} (done for you)",
    ]
    frozen = [row["name"] for row in preset["storage_classes"] if row["restore_needed"]]
    if frozen:
        lines.append(f"storage classes that need a restore before reading: {', '.join(frozen)}")
    return lines


def _confidence(evidence: Mapping[str, Any]) -> list[str]:
    unverified = ", ".join(evidence["unverified"])
    more = [f"from general knowledge, not from the sources: {unverified}"] if unverified else []
    return [evidence["confidence"], *more]


def _given(text: str | None) -> list[str]:
    return [text] if text else []
