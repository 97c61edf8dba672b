"""What the service really does, beside what its preset says: requests whose answer is known before."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.doctor import checksums
from datalad_s3ext.doctor.bench import Bench, Measured, md5_of, why
from datalad_s3ext.doctor.findings import Finding, ok, skipped, unknown, warning
from datalad_s3ext.doctor.parts import multipart
from datalad_s3ext.doctor.service import ask_as_anybody
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.doctor.workplace import Workplace
from datalad_s3ext.errors import S3xError
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.store.diagnose import Inquiry, Reply
from datalad_s3ext.store.s3_answers import bare_etag

STAGE = "capabilities"
_BYTES = 100  # enough to tell things apart; CRCs are computed bit by bit
_ODD_NAME = "a blank+plus&amp;ä~%20"
_PAGE = 2
_NOT_NOW = frozenset({0, 408, 429})
"""No answer at all, one that gave up, or too many requests."""


def capabilities(examination: Examination) -> Iterator[Finding]:
    """Measure, compare with the preset, and note the values in the examination."""
    inquiry = examination.inquiry
    can_write = examination.subject.writable and not isinstance(examination.identity, Anonymous)
    if inquiry is None or not examination.subject.bucket:
        return
    if not can_write:
        yield skipped(STAGE, "capabilities are measured with keys that may write into the bucket")
        return
    provider = examination.subject.connection.provider
    with Workplace(inquiry, examination.subject.prefix) as workplace:
        data = secrets.token_bytes(_BYTES)
        stored = workplace.put("object", data)
        if not stored.done:
            yield unknown(STAGE, f"nothing was measured, for no object could be stored: {why(stored)}")
            return
        bench = Bench(examination, workplace, data, bare_etag(str(stored.data.get("ETag") or "")))
        for measure in MEASUREMENTS:
            for measured in measure(bench):
                if measured.value is not None:
                    examination.measured[measured.field] = measured.value
                yield _compared(provider, measured)


def _compared(provider: Provider, measured: Measured) -> Finding:
    facts: dict[str, object] = {"capability": measured.field, "measured": measured.value}
    if measured.value is None:
        return unknown(STAGE, measured.text, capability=measured.field)
    if "." not in measured.field:
        return ok(STAGE, measured.text, **facts)
    table, _, name = measured.field.partition(".")
    stated = getattr(getattr(provider, table), name)
    facts["preset"] = list(stated) if isinstance(stated, tuple) else stated
    if _claims_more(stated, measured.value):
        said = ", ".join(stated) if isinstance(stated, tuple) else stated
        return warning(
            STAGE,
            f"{measured.text}; the preset {provider.id} says otherwise ({measured.field} = {said})",
            "keep what was measured with --save: transfers to this endpoint follow it then",
            **facts,
        )
    return ok(STAGE, measured.text, **facts)


def _claims_more(stated: object, found: object) -> bool:
    """Tell whether a preset promises what was found not to hold; promising less is safe."""
    if isinstance(stated, tuple) and isinstance(found, list):
        return not set(stated) <= set(found)
    if isinstance(stated, bool) and isinstance(found, bool):
        return stated and not found
    if isinstance(stated, int) and isinstance(found, int):
        return stated > found
    return stated == "when_supported" and found == "when_required"


# -- the measurements ------------------------------------------------------------------------------


def _listing(bench: Bench) -> Iterator[Measured]:
    names = sorted([f"list/{number}" for number in range(4)] + [f"list/{_ODD_NAME}"])
    wanted = [bench.workplace.name(name) for name in names]
    try:
        for name in names:
            _require_answer(bench.workplace.put(name, b""))
        version, found = _first_that_works(bench, wanted, url_encoding=True)
        if not (is_encoded := version is not None):
            version, found = _first_that_works(bench, wanted, url_encoding=False)
    except _NoAnswer as error:
        yield Measured("listing.version", None, f"lists: {why(error.reply)}")
        return
    text = {2: "lists come complete and in order, page by page (version 2)",
            1: "lists of version 2 are not complete or not in order; version 1 works"}  # fmt: skip
    yield Measured(
        "listing.version", version, text.get(version or 0, "no listing over pages could be had")
    )
    if version is not None:
        is_good = is_encoded and found == wanted
        words = "come back" if is_good else "do not come back"
        text_of_names = f"odd names (blank, +, &, %) {words} from a list as they were stored"
        yield Measured("listing.url_encoding", is_good, f"{text_of_names}, when it is URL-encoded")


def _first_that_works(
    bench: Bench, wanted: list[str], *, url_encoding: bool
) -> tuple[Literal[1, 2] | None, list[str]]:
    """Return the version of lists that gives all plain names page by page, and all that it gives."""
    plain = [name for name in wanted if _ODD_NAME not in name]
    with closing(_asking(bench, "listing", url_encoding=url_encoding)) as inquiry:
        versions: tuple[Literal[1, 2], ...] = (2, 1)
        for version in versions:
            found = _pages(bench, inquiry, version)
            if found is not None and [name for name in found if name in plain] == plain:
                return version, found
    return None, []


def _asking(bench: Bench, table: str, **values: object) -> Inquiry:
    """Return another inquiry, as if the preset had said `values` in `table`."""
    subject = bench.examination.subject
    provider = subject.connection.provider
    changed: Any = {table: replace(getattr(provider, table), **values)}
    connection = replace(subject.connection, provider=replace(provider, **changed))
    extras = bench.examination.extras
    return Inquiry(connection, bench.examination.identity, subject.bucket, extras=extras)


class _NoAnswer(Exception):
    """The service was busy or silent, which is neither yes nor no: what is saved counts for long."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(why(reply))
        self.reply = reply


def _require_answer(reply: Reply) -> None:
    if not (reply.done or _is_refused(reply) or reply.status == 501):
        raise _NoAnswer(reply)


def _pages(bench: Bench, inquiry: Inquiry, version: int) -> list[str] | None:
    """Return all names as listed by pages of two; ``None`` when refused or without end."""
    names: list[str] = []
    after: dict[str, str] = {}
    prefix = bench.workplace.name("list/")
    for _ in range(6):
        operation = "list_objects" if version == 1 else "list_objects_v2"
        reply = inquiry.ask(operation, Prefix=prefix, MaxKeys=_PAGE, **after)
        if not reply.done:
            _require_answer(reply)
            return None
        names += [str(row["Key"]) for row in reply.data.get("Contents", [])]
        if not reply.data.get("IsTruncated"):
            return names
        if version == 1:
            after = {"Marker": names[-1]} if names else {}
        else:
            after = {"ContinuationToken": str(reply.data.get("NextContinuationToken"))}
    return None


def _ranges(bench: Bench) -> Iterator[Measured]:
    reply = bench.read(Range="bytes=10-19")
    is_good = reply.done and reply.data.get("Body") == bench.data[10:20]
    words = "parts of objects can be read" if is_good else "a part of an object cannot be read"
    yield Measured("ranges", is_good if reply.status else None, f"{words} (Range)")


def _conditions(bench: Bench) -> Iterator[Measured]:
    reply = bench.read(IfMatch='"00000000000000000000000000000000"')
    if reply.done or reply.status == 412:
        words = "is heeded" if reply.status == 412 else "is ignored"
        yield Measured("if_match", reply.status == 412, f"If-Match {words} when reading")
    else:
        yield Measured("if_match", None, f"If-Match when reading is refused: {why(reply)}")
    again = bench.workplace.put("object", b"other", IfNoneMatch="*")
    if again.done:
        bench.workplace.put("object", bench.data)
        text = "If-None-Match is ignored: two writers at once would not notice each other"
        yield Measured("capabilities.conditional_put", False, text)
    elif again.status == 412:
        text = "If-None-Match is heeded: an object can be written only if it is not there"
        yield Measured("capabilities.conditional_put", True, text)
    elif again.status in (400, 409, 501):
        text = f"If-None-Match is refused: {why(again)}"
        yield Measured("capabilities.conditional_put", False, text)
    else:
        yield Measured("capabilities.conditional_put", None, f"If-None-Match: {why(again)}")


def _checksums(bench: Bench) -> Iterator[Measured]:
    accepted, verified = [], []
    for name in checksums.DIGESTS:
        right = bench.workplace.put("checksum", bench.data, **checksums.parameter(name, bench.data))
        if not right.done:
            continue
        accepted.append(name)
        wrong = bench.workplace.put("checksum", bench.data, **checksums.parameter(name, b"other"))
        if _is_refused(wrong):
            verified.append(name)
    yield Measured("checksums_accepted", accepted, f"checksums that are taken: {_listed(accepted)}")
    text = f"checksums that are verified (wrong ones are refused): {_listed(verified)}"
    if "CRC32" in verified and not _verifies_parts(bench, "CRC32"):
        verified.remove("CRC32")
        text += "; CRC32 not in uploads in parts"
    yield Measured("upload.verified_checksums", verified, text)


def _verifies_parts(bench: Bench, name: str) -> bool:
    """Tell whether the checksum `name` of a part was seen to be verified, and the whole to appear."""
    _, upload_id = bench.workplace.begin_upload("sum", ChecksumAlgorithm=name)
    if not upload_id:
        return False
    where = {"Key": bench.workplace.name("sum"), "UploadId": upload_id, "PartNumber": 1}
    wrong, right = (
        bench.inquiry.ask("upload_part", **where, Body=bench.data, **checksums.parameter(name, data))
        for data in (b"other", bench.data)
    )
    if not right.done or not _is_refused(wrong):
        return False
    row = {"PartNumber": 1, "ETag": right.data.get("ETag"), **checksums.parameter(name, bench.data)}
    return bench.workplace.complete("sum", upload_id, [row]).done


def _is_refused(reply: Reply) -> bool:
    """Tell whether the service did not want just this request, rather than any at the moment."""
    return 400 <= reply.status < 500 and reply.status not in _NOT_NOW


def _automatic_checksums(bench: Bench) -> Iterator[Measured]:
    field = "requests.checksum_mode"
    try:
        other = _asking(bench, "requests", checksum_mode="when_supported")
    except S3xError as error:
        yield Measured(field, None, f"the library's own checksums could not be tried: {error.what}")
        return
    try:
        stored = bench.workplace.put("trailer", bench.data, by=other)
    finally:
        other.close()
    came = bench.inquiry.ask("get_object", Key=bench.workplace.name("trailer"))
    if stored.done and came.done and came.data.get("Body") == bench.data:
        text = "the checksums that S3 libraries add by themselves (since 2025) are taken"
        yield Measured(field, "when_supported", text)
    elif stored.done or 400 <= stored.status < 500 or stored.status == 501:
        reason = "the object came back changed" if stored.done else why(stored)
        text = f"the checksums that S3 libraries add by themselves (since 2025) are not taken: {reason}"
        yield Measured(field, "when_required", text)
    else:
        yield Measured(field, None, f"the library's own checksums: {why(stored)}")


def _etags(bench: Bench) -> Iterator[Measured]:
    is_md5 = bench.etag.lower() == md5_of(bench.data).hex()
    words = "is the MD5 of its bytes" if is_md5 else "is not the MD5 of its bytes"
    yield Measured("upload.etag_is_md5", is_md5, f"the ETag of an object {words}")


def _links(bench: Bench) -> Iterator[Measured]:
    extras = bench.examination.extras
    if extras.customer_key is not None or extras.requester_pays:
        text = "links that end by themselves (presigned) were not tried: here requests need headers"
        yield Measured("links", None, text)
        return
    link = bench.inquiry.link_to(bench.workplace.name("object"))
    status, body = _fetched(bench, link)
    works = status == 200 and body == bench.data
    words = "work" if works else f"do not work (status {status})"
    yield Measured(
        "links", works if status else None, f"links that end by themselves (presigned) {words}"
    )
    status, body = _fetched(bench, link.partition("?")[0])
    is_public = status == 200 and body == bench.data
    words = "everybody can read this bucket" if is_public else "only who has keys can read this bucket"
    value = is_public if status else None
    yield Measured("public", value, words if status else "whether everybody can read is not known")


def _fetched(bench: Bench, url: str) -> tuple[int, bytes]:
    """Return status and body of a GET without keys; status 0 when nothing came."""
    import urllib3

    try:
        answer = ask_as_anybody(bench.examination, url)
    except urllib3.exceptions.HTTPError:
        return 0, b""
    return answer.status, answer.body


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


MEASUREMENTS: tuple[Callable[[Bench], Iterator[Measured]], ...] = (
    _listing, _ranges, _conditions, _checksums, _automatic_checksums, _etags, multipart, _links,
)  # fmt: skip
