"""What the service really does, beside what its preset says: requests whose answer is known before."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.doctor import checksums
from datalad_s3ext.doctor.bucket import is_denied
from datalad_s3ext.doctor.findings import Finding, ok, skipped, unknown, warning
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


@dataclass(frozen=True)
class Measured:
    """One capability as it was found."""

    field: str
    """As the preset calls it (``listing.version``), or a name of our own without a dot."""
    value: object
    """``None``: it could not be found out."""
    text: str


@dataclass(frozen=True)
class _Bench:
    """What a measurement works with: a place of its own that holds one object named ``object``."""

    examination: Examination
    workplace: Workplace
    data: bytes
    etag: str

    @property
    def inquiry(self) -> Inquiry:
        return self.workplace.inquiry

    def read(self, **parameters: Any) -> Reply:
        return self.inquiry.ask("get_object", Key=self.workplace.name("object"), **parameters)


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
            yield unknown(STAGE, f"nothing was measured, for no object could be stored: {_why(stored)}")
            return
        bench = _Bench(examination, workplace, data, bare_etag(str(stored.data.get("ETag") or "")))
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


def _listing(bench: _Bench) -> Iterator[Measured]:
    names = sorted([f"list/{number}" for number in range(4)] + [f"list/{_ODD_NAME}"])
    wanted = [bench.workplace.name(name) for name in names]
    try:
        for name in names:
            _require_answer(bench.workplace.put(name, b""))
        version, found = _first_that_works(bench, wanted, url_encoding=True)
        if not (is_encoded := version is not None):
            version, found = _first_that_works(bench, wanted, url_encoding=False)
    except _NoAnswer as error:
        yield Measured("listing.version", None, f"lists: {_why(error.reply)}")
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
    bench: _Bench, wanted: list[str], *, url_encoding: bool
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


def _asking(bench: _Bench, table: str, **values: object) -> Inquiry:
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
        super().__init__(_why(reply))
        self.reply = reply


def _require_answer(reply: Reply) -> None:
    if not (reply.done or _is_refused(reply) or reply.status == 501):
        raise _NoAnswer(reply)


def _pages(bench: _Bench, inquiry: Inquiry, version: int) -> list[str] | None:
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


def _ranges(bench: _Bench) -> Iterator[Measured]:
    reply = bench.read(Range="bytes=10-19")
    is_good = reply.done and reply.data.get("Body") == bench.data[10:20]
    words = "parts of objects can be read" if is_good else "a part of an object cannot be read"
    yield Measured("ranges", is_good if reply.status else None, f"{words} (Range)")


def _conditions(bench: _Bench) -> Iterator[Measured]:
    reply = bench.read(IfMatch='"00000000000000000000000000000000"')
    if reply.done or reply.status == 412:
        words = "is heeded" if reply.status == 412 else "is ignored"
        yield Measured("if_match", reply.status == 412, f"If-Match {words} when reading")
    else:
        yield Measured("if_match", None, f"If-Match when reading is refused: {_why(reply)}")
    again = bench.workplace.put("object", b"other", IfNoneMatch="*")
    if again.done:
        bench.workplace.put("object", bench.data)
        text = "If-None-Match is ignored: two writers at once would not notice each other"
        yield Measured("capabilities.conditional_put", False, text)
    elif again.status == 412:
        text = "If-None-Match is heeded: an object can be written only if it is not there"
        yield Measured("capabilities.conditional_put", True, text)
    elif again.status in (400, 409, 501):
        text = f"If-None-Match is refused: {_why(again)}"
        yield Measured("capabilities.conditional_put", False, text)
    else:
        yield Measured("capabilities.conditional_put", None, f"If-None-Match: {_why(again)}")


def _checksums(bench: _Bench) -> Iterator[Measured]:
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


def _verifies_parts(bench: _Bench, name: str) -> bool:
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


def _automatic_checksums(bench: _Bench) -> Iterator[Measured]:
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
        why = "the object came back changed" if stored.done else _why(stored)
        text = f"the checksums that S3 libraries add by themselves (since 2025) are not taken: {why}"
        yield Measured(field, "when_required", text)
    else:
        yield Measured(field, None, f"the library's own checksums: {_why(stored)}")


def _etags(bench: _Bench) -> Iterator[Measured]:
    is_md5 = bench.etag.lower() == _md5(bench.data).hex()
    words = "is the MD5 of its bytes" if is_md5 else "is not the MD5 of its bytes"
    yield Measured("upload.etag_is_md5", is_md5, f"the ETag of an object {words}")


def _multipart(bench: _Bench) -> Iterator[Measured]:
    begun, upload_id = bench.workplace.begin_upload("parts")
    if not begun.done:
        yield Measured("upload.part_etag_is_md5", None, f"uploads in parts: {_why(begun)}")
        return
    where = {"Key": bench.workplace.name("parts"), "UploadId": upload_id}
    parts = [
        bench.inquiry.ask("upload_part", **where, PartNumber=number, Body=bench.data)
        for number in (1, 2)
    ]
    if not all(part.done for part in parts):
        yield Measured("upload.part_etag_is_md5", None, f"uploads in parts: {_why(parts[-1])}")
        return
    etags = [str(part.data.get("ETag") or "") for part in parts]
    yield _part_etag(bench, etags)
    source = {"Bucket": bench.inquiry.bucket, "Key": bench.workplace.name("object")}
    copied = bench.inquiry.ask("upload_part_copy", **where, PartNumber=3, CopySource=source)
    yield _part_copy(copied)
    rows = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    done = bench.workplace.complete("parts", upload_id, rows)
    yield _small_parts(done)
    if not done.done:
        rows = rows[:1]
        done = bench.workplace.complete("parts", upload_id, rows)
    if done.done:
        yield _whole_etag(bench, done, len(rows))


def _part_etag(bench: _Bench, etags: list[str]) -> Measured:
    is_md5 = bare_etag(etags[0]).lower() == _md5(bench.data).hex()
    words = "is the MD5 of its bytes" if is_md5 else "is not the MD5 of its bytes"
    return Measured("upload.part_etag_is_md5", is_md5, f"the ETag of a part {words}")


def _part_copy(copied: Reply) -> Measured:
    field = "capabilities.upload_part_copy"
    if copied.done:
        return Measured(field, True, "large objects can be copied inside the service, in parts")
    if 400 <= copied.status < 500 or copied.status == 501:
        value = None if is_denied(copied) else False
        return Measured(field, value, f"copying in parts is refused: {_why(copied)}")
    return Measured(field, None, f"copying in parts: {_why(copied)}")


def _small_parts(done: Reply) -> Measured:
    if done.done:
        return Measured("small_parts", True, "parts may be smaller than 5 MiB")
    if done.code == "EntityTooSmall":
        return Measured("small_parts", False, "parts must have 5 MiB or more, but for the last")
    return Measured("small_parts", None, f"two small parts: {_why(done)}")


def _whole_etag(bench: _Bench, done: Reply, count: int) -> Measured:
    wanted = f"{_md5(_md5(bench.data) * count).hex()}-{count}"
    is_md5 = bare_etag(str(done.data.get("ETag") or "")).lower() == wanted
    words = "is" if is_md5 else "is not"
    text = f"the ETag of an object uploaded in parts {words} the MD5 of their MD5s"
    return Measured("upload.multipart_etag_is_md5_of_md5s", is_md5, text)


def _links(bench: _Bench) -> Iterator[Measured]:
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


def _fetched(bench: _Bench, url: str) -> tuple[int, bytes]:
    """Return status and body of a GET without keys; status 0 when nothing came."""
    import urllib3

    try:
        answer = ask_as_anybody(bench.examination, url)
    except urllib3.exceptions.HTTPError:
        return 0, b""
    return answer.status, answer.body


def _why(reply: Reply) -> str:
    """Return in few words why something was refused."""
    words = ": ".join(text for text in (reply.code, reply.said) if text)
    return words or (f"status {reply.status}" if reply.status else "no answer")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


MEASUREMENTS: tuple[Callable[[_Bench], Iterator[Measured]], ...] = (
    _listing, _ranges, _conditions, _checksums, _automatic_checksums, _etags, _multipart, _links,
)  # fmt: skip
