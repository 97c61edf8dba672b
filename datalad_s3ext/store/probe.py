"""Can this bucket be used? Found out by using it, before anything is recorded about it."""

from __future__ import annotations

import copy
import io
import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from datalad_s3ext.errors import (
    AccessDenied,
    BucketNotFound,
    IntegrityError,
    ObjectNotFound,
    S3xError,
    TransientError,
    one_line,
)
from datalad_s3ext.store.base import ObjectStore

PROBE_BYTES = 1024

_MAY_HAVE_ARRIVED = (TransientError, IntegrityError)  # the answer was lost, or does not fit
_RANGE = (100, 300)  # some bytes in the middle: start, length
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeReport:
    """What was proven."""

    bucket_created: bool
    readable: bool
    writable: bool
    """False also when writing was not tried."""
    round_trip_s: float
    """How long one small request took."""


def probe(
    store: ObjectStore,
    *,
    prefix: str = "",
    may_create_bucket: bool,
    writable: bool = True,
    known_name: str = "",
) -> ProbeReport:
    """Prove that `store` keeps and returns bytes, or raise the error that says why not.

    One object below `prefix` with an unlikely name is written, described, read back whole and in
    part, and deleted, also when something fails in between. Its name appears in no error: those
    speak of a test object. With ``writable=False`` nothing is
    written: the bucket is listed or, where that is denied, the object `known_name` is looked for.

    Raises
    ------
    BucketNotFound
        The bucket is missing and shall not or may not be created.
    AccessDenied
        The keys may not write, read or delete; or may not create the missing bucket.
    IntegrityError
        What came back is not what was sent.
    NotS3
        Something else answers at the endpoint.
    """
    created = ensure_bucket(store, may_create=may_create_bucket)
    try:
        seconds = _write_and_read(store, prefix) if writable else _look(store, prefix, known_name)
    except S3xError as error:
        if not created:
            raise
        raise about_new_bucket(error, store.bucket) from error
    return ProbeReport(created, readable=True, writable=writable, round_trip_s=seconds)


def ensure_bucket(store: ObjectStore, *, may_create: bool) -> bool:
    """Create the bucket when it is missing and `may_create` is set; tell whether it was created.

    Keys that may not ask about the bucket are given the benefit of the doubt: using it will tell.

    Raises
    ------
    BucketNotFound
        It is missing and shall not be created.
    AccessDenied
        It is missing and may not be created.
    """
    try:
        if store.bucket_exists():
            return False
    except AccessDenied:
        # keys made for one bucket's objects may not ask about the bucket: use it and see
        return False
    ask = f"ask the owner of the account to create bucket {store.bucket!r}, or pick another name"
    if not may_create:
        raise BucketNotFound(f"there is no bucket {store.bucket!r}", remedy=ask)
    try:
        store.create_bucket()
    except AccessDenied as error:
        raise AccessDenied(
            f"there is no bucket {store.bucket!r}, and these keys may not create it",
            remedy=ask,
            http_status=error.http_status,
            code=error.code,
            request_id=error.request_id,
        ) from error
    return True


def retold(error: S3xError, what: str, remedy: str) -> S3xError:
    """Return an error of the same kind, with all its details, that says it in other words."""
    other = copy.copy(error)
    other.what, other.remedy = one_line(what), one_line(remedy)
    other.args = (other.what,)
    return other


def about_new_bucket(error: S3xError, bucket: str) -> S3xError:
    """Return `error`, telling also that `bucket` was created before it happened."""
    note = f"bucket {bucket!r} was created before this and is still there, without content"
    return retold(error, error.what, f"{error.remedy}; {note}" if error.remedy else note)


def _write_and_read(store: ObjectStore, prefix: str) -> float:
    name = f"{prefix}.datalad-s3ext-probe-{secrets.token_hex(16)}"
    try:
        return _round_trip(store, name)
    except S3xError as error:
        # the name means nothing to the person who reads this
        what = error.what.replace(f"cannot store {name!r} in", "cannot write a test object to")
        raise retold(error, what.replace(repr(name), "the test object"), error.remedy) from error


def _round_trip(store: ObjectStore, name: str) -> float:
    data = secrets.token_bytes(PROBE_BYTES)
    try:
        store.put(name, io.BytesIO(data), len(data))
    except BaseException as error:
        if isinstance(error, _MAY_HAVE_ARRIVED) or not isinstance(error, S3xError):
            _clean_up(store, name)
        raise
    try:
        began = time.monotonic()
        info = store.head(name)
        seconds = time.monotonic() - began
        _require(info.size_bytes == len(data), "states another size than was sent")
        _require(_read(store, name) == data, "returned other bytes than were sent")
        start, length = _RANGE
        part = _read(store, name, start, length)
        _require(part == data[start : start + length], "returned another range than asked for")
        store.delete(name)
        _require(not _is_there(store, name), "still has an object that was deleted")
    except BaseException:
        _clean_up(store, name)
        raise
    return seconds


def _look(store: ObjectStore, prefix: str, known_name: str) -> float:
    began = time.monotonic()
    try:
        next(store.list(prefix), None)
    except AccessDenied:
        if not known_name:
            raise
        began = time.monotonic()
        with suppress(ObjectNotFound):  # a certain "no such object" is no refusal
            store.head(known_name)
    return time.monotonic() - began


def _read(store: ObjectStore, name: str, start: int = 0, length: int | None = None) -> bytes:
    pieces = []
    with store.get(name, start=start, length=length) as reader:
        while piece := reader.read(PROBE_BYTES):
            pieces.append(piece)
    return b"".join(pieces)


def _is_there(store: ObjectStore, name: str) -> bool:
    try:
        store.head(name)
    except ObjectNotFound:
        return False
    except AccessDenied:
        # without the right to list, an absent object is denied: nothing else can be found out
        return False
    return True


def _require(is_right: bool, otherwise: str) -> None:
    if not is_right:
        raise IntegrityError(
            f"the store {otherwise}",
            remedy="check host and port, look for a proxy, and choose the right provider",
        )


def _clean_up(store: ObjectStore, name: str) -> None:
    try:
        store.delete(name)
    except S3xError as error:
        _log.warning("the test object %s may have been left behind: %s", name, error)
