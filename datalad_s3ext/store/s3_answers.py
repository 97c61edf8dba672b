"""Reading answers of a server that may not be an S3 service, or not a good one. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datalad_s3ext.errors import IntegrityError, NotS3
from datalad_s3ext.store.base import NO_HEADERS, ObjectInfo, PutOptions

Answer = Mapping[str, Any]

_MD5 = re.compile(r"[0-9a-f]{32}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class ServedRange:
    """Which bytes of an object an answer holds."""

    start: int
    length: int
    object_bytes: int


def headers_of(answer: Answer) -> Mapping[str, str]:
    """Return the HTTP headers, names in lower case."""
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", NO_HEADERS)
    return headers


def bare_etag(etag: str) -> str:
    """Return an ETag without quotes and without the weak mark of a proxy that compresses."""
    return etag.removeprefix("W/").strip('"')


def required_etag(answer: Answer, place: str) -> str:
    """Return the ETag of an answer that must have one.

    Raises
    ------
    NotS3
        When it has none: every S3 service sends one, a web server that says 200 to all does not.
    """
    etag = bare_etag(str(answer.get("ETag") or ""))
    if not etag:
        raise not_s3(place, "its answer has no ETag")
    return etag


def not_s3(place: str, evidence: str) -> NotS3:
    """Return the error for something that answers and is no S3 service."""
    return NotS3(
        f"{place} answers, but not like an S3 service: {evidence}",
        remedy="check host and port: a console, portal or proxy may stand there",
    )


def info_of_head(name: str, answer: Answer, place: str) -> ObjectInfo:
    """Return what an answer to HEAD says."""
    if answer.get("ContentLength") is None:
        raise not_s3(place, "its answer states no size")
    return _info(name, int(answer["ContentLength"]), required_etag(answer, place), answer)


def info_of_get(name: str, size_bytes: int, answer: Answer, place: str) -> ObjectInfo:
    """Return what an answer to GET says about the whole object of `size_bytes`."""
    return _info(name, size_bytes, required_etag(answer, place), answer)


def info_of_row(row: Answer) -> ObjectInfo:
    """Return what one row of a list says; some services leave out the ETag."""
    return ObjectInfo(
        name=str(row["Key"]),
        size_bytes=int(row.get("Size") or 0),
        etag=bare_etag(str(row.get("ETag") or "")),
        storage_class=row.get("StorageClass"),
        last_modified=row.get("LastModified"),
    )


def served_range(answer: Answer, start: int, length: int | None) -> ServedRange:
    """Return which bytes the answer holds, after checking that these were asked for.

    The status is not looked at: ``rclone serve s3`` sends a right range with 200 instead of 206. A body
    in chunks states no length: that of the range counts.

    Raises
    ------
    IntegrityError
        When the server ignored the range or sent another one.
    """
    content_length = answer.get("ContentLength")
    stated = answer.get("ContentRange")
    if stated is None:
        return _whole_object(content_length, start, length)
    match = _CONTENT_RANGE.fullmatch(str(stated).strip())
    if match is None:
        raise IntegrityError(f"the server states the range {stated!r}, which means nothing")
    first, last, size = (int(text) for text in match.groups())
    expected_end = size if length is None else min(start + length, size)
    served = ServedRange(first, last + 1 - first, size)
    if first != start or last + 1 != expected_end or content_length not in (None, served.length):
        raise IntegrityError(
            f"asked for {length or 'all'} bytes from {start}, the server sends {stated!r}"
            f" in {content_length} bytes"
        )
    return served


def is_md5(etag: str) -> bool:
    """Tell whether `etag` has the form of an MD5 digest."""
    return _MD5.fullmatch(etag.lower()) is not None


def is_younger_than(age_s: float, began: datetime | None, answer: Answer) -> bool:
    """Tell whether the time `began` that `answer` states lies at most `age_s` before its own date."""
    if began is None:
        return False

    from email.utils import parsedate_to_datetime

    try:
        now = parsedate_to_datetime(headers_of(answer)["date"])
        return (now - began).total_seconds() <= age_s
    except (KeyError, ValueError, TypeError):
        return False


def is_kms(options: PutOptions, answer: Answer) -> bool:
    """Tell whether the server encrypts with a managed or a given key, so that no ETag is an MD5."""
    if answer.get("SSECustomerAlgorithm"):
        return True
    used = (options.sse, answer.get("ServerSideEncryption"))
    return bool(options.sse_kms_key_id) or any(str(sse).startswith("aws:kms") for sse in used)


def _whole_object(content_length: int | None, start: int, length: int | None) -> ServedRange:
    """Accept an answer without a range only if the whole object is what was asked for."""
    if content_length is None:
        raise IntegrityError("the server does not state how much it sends")
    is_range = start > 0 or length is not None
    covers_all = start == 0 and (length is None or length >= content_length > 0)
    if is_range and not covers_all:
        raise IntegrityError(
            f"the server ignores ranges: asked for {length or 'all'} bytes from {start}, it sends"
            f" {content_length} bytes from the start"
        )
    return ServedRange(0, content_length, content_length)


def _info(name: str, size_bytes: int, etag: str, answer: Answer) -> ObjectInfo:
    return ObjectInfo(
        name=name,
        size_bytes=size_bytes,
        etag=etag,
        version_id=answer.get("VersionId"),
        storage_class=answer.get("StorageClass"),
        last_modified=answer.get("LastModified"),
        # names are HTTP headers: Amazon sends them in lower case, others as they like
        metadata={name.lower(): text for name, text in (answer.get("Metadata") or {}).items()},
        restore=answer.get("Restore"),
        archive_status=answer.get("ArchiveStatus"),
    )
