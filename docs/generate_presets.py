"""Write the reference page of presets from the presets themselves.

Called when the documentation is built; by hand: ``python docs/generate_presets.py FOLDER``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from datalad_s3ext.providers.load import PACKAGED, load_file
from datalad_s3ext.providers.schema import Provider, StorageClass
from datalad_s3ext.units import human_size

PAGE = "presets.rst"
_KINDS = {
    "academic": "Academic sites",
    "cloud": "Clouds",
    "self-hosted": "Servers that you or your institution run",
}
_INTRODUCTION = """\
Presets
=======

What ``datalad s3-setup ID`` and the remote's parameter ``provider=ID`` know about each service:
{count} presets. ``datalad s3-providers ID`` shows the same on the command line, ``datalad
s3-providers WORD`` finds the services that have a word in name, software or places.

This page is generated from the preset files. What is not listed is not known; limits of uploads
are then those of Amazon S3. *Unconfirmed* hosts rest on a single source of little weight: compare
them with what the provider says.
"""


def write_presets(target: Path) -> None:
    """Write the page about all packaged presets into the folder `target`, making it if need be."""
    target.mkdir(parents=True, exist_ok=True)
    providers = [load_file(path) for path in sorted(PACKAGED.glob("*.toml"))]
    lines = [_INTRODUCTION.format(count=len(providers))]
    for kind, title in _KINDS.items():
        lines += _part(title, [one for one in providers if one.kind == kind])
    (target / PAGE).write_text("\n".join(lines), encoding="utf-8")


def _part(title: str, providers: list[Provider]) -> Iterator[str]:
    yield from (title, "-" * len(title), "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 25 45 30", "")
    yield from ("   * - ID", "     - Name", "     - Confidence")
    for one in providers:
        doubt = "unconfirmed host" if one.endpoint.unconfirmed else one.evidence.confidence
        yield from (f"   * - :ref:`{one.id} <preset-{one.id}>`", f"     - {_escaped(one.name)}")
        yield f"     - {doubt}"
    yield ""
    for one in providers:
        yield from _section(one)


def _section(provider: Provider) -> Iterator[str]:
    title = f"{provider.id}: {provider.name}"
    yield from (f".. _preset-{provider.id}:", "", title, "~" * len(title), "")
    for name, texts in _facts(provider):
        yield from _field(name, texts)
    if provider.help.notes:
        yield ""
        yield from (f"* {_escaped(note)}" for note in provider.help.notes)
    yield ""


def _facts(provider: Provider) -> Iterator[tuple[str, list[str]]]:
    guide, evidence = provider.help, provider.evidence
    yield "Software", _given(provider.software)
    yield "Endpoint", _endpoint(provider)
    yield "Default region", _given(provider.region.default)
    yield "Regions", _given(", ".join(region.id for region in provider.regions))
    yield "Signed for", _given(provider.region.signing)
    yield "Requests", [_requests(provider)]
    yield "Uploads", _uploads(provider)
    yield "Storage classes", _given(", ".join(map(_storage_class, provider.storage_classes)))
    yield "Buckets", _buckets(provider)
    for answer, known in (("Can", True), ("Cannot", False)):
        names = [name for name, value in vars(provider.capabilities).items() if value is known]
        yield answer, _given(", ".join(name.replace("_", " ") for name in names))
    yield "Keys", _given(guide.keys)
    yield "Console", _given(guide.console)
    yield "Public object", _given(guide.public_url)
    yield "Documentation", _given(guide.docs)
    yield "Checked", [f"{evidence.checked}, confidence {evidence.confidence}"]
    yield "Sources", list(evidence.sources)
    yield "Not verified", _given(", ".join(evidence.unverified))


def _endpoint(provider: Provider) -> list[str]:
    rule = provider.endpoint
    own = [row.endpoint for row in provider.regions if row.endpoint]
    return [
        *(f"${name}" for name in rule.env),
        *_given(rule.template),
        *_given(rule.default),
        *_given(f"one for each region: {', '.join(own)}" if own else None),
        *_given("found by the SDK from the region" if rule.by_sdk else None),
        *_given("unconfirmed" if rule.unconfirmed else None),
        *_given(rule.note),
    ]


def _requests(provider: Provider) -> str:
    rule, listing = provider.requests, provider.listing
    fallback = f" (or {rule.signature_fallback})" if rule.signature_fallback else ""
    encoding = "" if listing.url_encoding else " without encoded names"
    trailers = ", checksum trailers" if rule.checksum_mode == "when_supported" else ""
    return (
        f"{rule.addressing} style, signature {rule.signature}{fallback}, ListObjects version "
        f"{listing.version}{encoding}{trailers}"
    )


def _uploads(provider: Provider) -> list[str]:
    upload = provider.upload
    parts = (
        f"{upload.max_parts:,} parts of {human_size(upload.min_part)} to {human_size(upload.max_part)}"
    )
    equal = ", all of one size" if upload.equal_parts else ""
    etags = {
        "one request": upload.etag_is_md5,
        "a part": upload.part_etag_is_md5,
        "several parts": upload.multipart_etag_is_md5_of_md5s,
    }
    lines = [
        f"objects up to {human_size(upload.max_object)}; {human_size(upload.max_put)} in one request, "
        f"up to {parts}{equal}"
    ]
    for words, known in (("tells the MD5", True), ("does not tell the MD5", False)):
        names = [name for name, value in etags.items() if value is known]
        lines += _given(f"ETag {words} for {', '.join(names)}" if names else None)
    checked = ", ".join(upload.verified_checksums)
    return [*lines, *_given(f"checksums that it verifies: {checked}" if checked else None)]


def _storage_class(one: StorageClass) -> str:
    return f"{one.name} (needs a restore)" if one.restore_needed else one.name


def _buckets(provider: Provider) -> list[str]:
    rule = provider.bucket
    made = {True: "can be made", False: "cannot be made", None: None}[rule.create]
    needs = {
        "none": None,
        "region": "a new one needs its region as LocationConstraint",
        "region-unless-us-east-1": "a new one needs its region as LocationConstraint, but in us-east-1",
    }[rule.location_constraint]
    return [*_given(made), *_given(needs), *_given(rule.note)]


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
