"""Write the reference page of presets from the presets themselves.

Called when the documentation is built; by hand: ``python docs/generate_presets.py FOLDER``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from datalad_s3ext.providers.load import PACKAGED, load_file
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.units import human_size

PAGE = "presets.rst"
_KNOWN = {True: "yes", False: "no", None: "unknown"}
_INTRODUCTION = """\
Presets
=======

What ``datalad s3-setup ID`` and the remote's parameter ``provider=ID`` know about each service.
``datalad s3-providers ID`` shows the same on the command line. This page is generated from the
preset files; "unknown" means that nobody has shown it yet.
"""


def write_presets(target: Path) -> None:
    """Write the page about all packaged presets into the folder `target`, making it if need be."""
    target.mkdir(parents=True, exist_ok=True)
    providers = [load_file(path) for path in sorted(PACKAGED.glob("*.toml"))]
    page = "\n".join([_INTRODUCTION, *(line for one in providers for line in _section(one))])
    (target / PAGE).write_text(page, encoding="utf-8")


def _section(provider: Provider) -> Iterator[str]:
    title = f"{provider.id}: {provider.name}"
    yield from (f".. _preset-{provider.id}:", "", title, "-" * len(title), "")
    for name, texts in _facts(provider):
        yield from _field(name, texts)
    if provider.help.notes:
        yield ""
        yield from (f"* {_escaped(note)}" for note in provider.help.notes)
    yield ""


def _facts(provider: Provider) -> Iterator[tuple[str, list[str]]]:
    rule, requests, upload = provider.endpoint, provider.requests, provider.upload
    yield "Kind", [provider.kind]
    yield "Software", _given(provider.software)
    yield "Endpoint", [
        *(f"${name}" for name in rule.env), *_given(rule.template), *_given(rule.default),
        *_given(rule.note),
    ]  # fmt: skip
    yield "Default region", _given(provider.region.default)
    yield "Regions", _given(", ".join(region.id for region in provider.regions))
    yield "Requests", [f"{requests.addressing} style, signature {requests.signature}"]
    yield "Listing", [f"ListObjects version {provider.listing.version}"]
    yield "Largest object", [human_size(upload.max_object)]
    yield "Verified checksums", _given(", ".join(upload.verified_checksums))
    for name, known in vars(provider.capabilities).items():
        yield name.replace("_", " ").capitalize(), [_KNOWN[known]]
    yield "Keys", _given(provider.help.keys)
    yield "Documentation", _given(provider.help.docs)
    yield "Checked", [f"{provider.evidence.checked}, confidence {provider.evidence.confidence}"]
    yield "Sources", list(provider.evidence.sources)
    yield "Not verified", _given(", ".join(provider.evidence.unverified))


def _field(name: str, texts: list[str]) -> Iterator[str]:
    if len(texts) == 1:
        yield f":{name}: {_escaped(texts[0])}"
    elif texts:
        yield f":{name}:"
        yield from (f"  * {_escaped(text)}" for text in texts)


def _given(text: str | None) -> list[str]:
    return [text] if text else []


def _escaped(text: str) -> str:
    """Return `text` so that reStructuredText reads it as it stands; a bare URL stays a link."""
    return "".join(f"\\{char}" if char in "\\*`|_" else char for char in text)


if __name__ == "__main__":
    write_presets(Path(sys.argv[1]))
