"""Trying again, in this one place.

:class:`Retrying` is a store around a store. Above it nobody loops over a request; below it nobody
tries twice. What is worth it says the error itself (`retryable`).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from datalad_s3ext.errors import TransientError, Unreachable
from datalad_s3ext.store.base import (
    DEFAULT_PUT,
    Body,
    ObjectInfo,
    ObjectStore,
    PartReceipt,
    PutOptions,
    RangeReader,
    Stored,
)

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity
    from datalad_s3ext.providers.resolve import Connection

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How patient to be."""

    attempts: int = 5
    """In all, the first one included."""
    unreachable_attempts: int = 3
    """Fewer when there is no connection at all: a wrong host name does not heal."""
    total_s: float = 120.0
    """No new attempt begins later than this after the first one."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    def limit(self, error: TransientError) -> int:
        """Return how many attempts an error of this kind is worth."""
        return self.unreachable_attempts if isinstance(error, Unreachable) else self.attempts

    def wait_s(self, error: TransientError, failed: int, draw: float) -> float:
        """Return how long to wait after `failed` attempts; `draw` is a random number in [0, 1).

        Exponential with full jitter, so that many clients do not come back at once; never shorter
        than the server asked for.
        """
        bound = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failed - 1))
        return max(bound * draw, error.retry_after_s or 0.0)


def open_patient_store(
    connection: Connection,
    identity: Identity,
    bucket: str,
    *,
    connections: int = 16,
    sleep: Callable[[float], None] = time.sleep,
) -> ObjectStore:
    """Return `bucket` as a store that tries again; this is what every command and remote uses.

    Raises
    ------
    CredentialsError, ConfigError
        When the keys or a setting are missing or malformed. Nothing has been sent yet.
    """
    from datalad_s3ext.store.s3 import open_store

    store = open_store(connection, identity, bucket, max_connections=connections)
    return Retrying(store, sleep=sleep)


class Retrying(ObjectStore):
    """`inner`, tried again after faults that may pass. As safe in threads as `inner` is.

    What the caller should know:

    * a body to send is moved back to where it stood before each attempt;
    * `get` goes on where a broken body ended, as long as the object is the same;
    * `list` goes on after the last name it has yielded, so it needs a server that lists in order;
    * `delete` is idempotent, and so is `create_bucket`; a `create_upload` whose reply was lost
      leaves an empty upload behind;
    * `complete_upload` may have succeeded although its reply was lost. Then the next attempt raises
      `UploadNotFound`: ask `head` before believing that the object is not there.
    """

    def __init__(
        self,
        inner: ObjectStore,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.inner = inner
        self.bucket = inner.bucket
        self.policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._draw = draw

    # -- objects ------------------------------------------------------------------------------

    def head(self, name: str) -> ObjectInfo:
        """Describe an object."""
        return self._try(lambda: self.inner.head(name))

    def get(
        self,
        name: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> RangeReader:
        """Open a range; what is read from it comes over as many connections as it takes."""

        def opened(start: int, length: int | None, if_match: str | None) -> RangeReader:
            return self.inner.get(name, start=start, length=length, if_match=if_match)

        first = self._try(lambda: opened(start, length, if_match))
        return _ResumingReader(first, opened, lambda: _Attempts(self))

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store an object."""
        return self._send(
            body, lambda: self.inner.put(name, body, size_bytes, md5=md5, options=options)
        )

    def delete(self, name: str) -> None:
        """Remove an object. That it was not there, perhaps since the last attempt, is success."""
        self._try(lambda: self.inner.delete(name))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects below `prefix`, each once."""
        attempts = _Attempts(self)
        while True:
            try:
                for info in self.inner.list(prefix, start_after=start_after):
                    attempts = _Attempts(self)
                    start_after = info.name
                    yield info
            except TransientError as error:
                attempts.wait_or_raise(error)
            else:
                return

    # -- multipart uploads --------------------------------------------------------------------

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload."""
        return self._try(lambda: self.inner.create_upload(name, options=options))

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part."""
        return self._send(
            body,
            lambda: self.inner.upload_part(name, upload_id, number, body, size_bytes, md5=md5),
        )

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts the server has."""
        return self._try(lambda: self.inner.list_parts(name, upload_id))

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear; see the class for what a lost reply does."""
        return self._try(lambda: self.inner.complete_upload(name, upload_id, parts))

    def abort_upload(self, name: str, upload_id: str) -> None:
        """Throw the parts away."""
        self._try(lambda: self.inner.abort_upload(name, upload_id))

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the unfinished uploads, each once; a fault begins the list anew, unseen."""
        seen: set[tuple[str, str]] = set()
        attempts = _Attempts(self)
        while True:
            try:
                for row in self.inner.list_uploads(prefix):
                    if row not in seen:
                        seen.add(row)
                        yield row
            except TransientError as error:
                attempts.wait_or_raise(error)
            else:
                return

    # -- the bucket ---------------------------------------------------------------------------

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        return self._try(self.inner.bucket_exists)

    def create_bucket(self) -> None:
        """Create the bucket."""
        self._try(self.inner.create_bucket)

    def confirm_s3(self) -> None:
        """Make sure that an S3 service answers."""
        self._try(self.inner.confirm_s3)

    def close(self) -> None:
        """Free connections."""
        self.inner.close()

    # -- private ------------------------------------------------------------------------------

    def _send(self, body: Body, attempt: Callable[[], _T]) -> _T:
        start = body.tell()

        def rewound() -> _T:
            body.seek(start)
            return attempt()

        return self._try(rewound)

    def _try(self, attempt: Callable[[], _T]) -> _T:
        attempts = _Attempts(self)
        while True:
            try:
                return attempt()
            except TransientError as error:
                attempts.wait_or_raise(error)


class _Attempts:
    """How often one request has failed, and since when."""

    def __init__(self, store: Retrying) -> None:
        self._store = store
        self._failed = 0
        self._began = store._clock()

    def wait_or_raise(self, error: TransientError) -> None:
        """Wait for the next attempt, or raise `error` when there shall be none."""
        store = self._store
        self._failed += 1
        wait = store.policy.wait_s(error, self._failed, store._draw())
        spent = store._clock() - self._began
        is_last = self._failed >= store.policy.limit(error)
        if not error.retryable or is_last or spent + wait > store.policy.total_s:
            raise error
        _log.info("attempt %d failed, next in %.1f s: %s", self._failed, wait, error)
        store._sleep(wait)


class _ResumingReader(RangeReader):
    """A range read to its end over several answers: each begins where the one before broke off."""

    def __init__(
        self,
        first: RangeReader,
        opened: Callable[[int, int | None, str | None], RangeReader],
        attempts: Callable[[], _Attempts],
    ) -> None:
        self.info = first.info
        self.start = first.start
        self.length = first.length
        self._reader: RangeReader | None = first
        self._opened = opened
        self._attempts = attempts
        self._position = 0

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; a broken connection is replaced by another."""
        data = self._go_on(lambda answer: answer.read(size_bytes)) or b""
        self._position += len(data)
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view`; a broken connection is replaced by another."""
        count = self._go_on(lambda answer: answer.readinto(view)) or 0
        self._position += count
        return count

    def _go_on(self, read: Callable[[RangeReader], _T]) -> _T | None:
        attempts: _Attempts | None = None
        while True:
            try:
                return read(self._answer())
            except TransientError as error:
                self.close()
                if self._position >= self.length:
                    return None
                attempts = attempts or self._attempts()
                attempts.wait_or_raise(error)

    def close(self) -> None:
        """Close the answer that is open."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _answer(self) -> RangeReader:
        if self._reader is None:
            start, left = self.start + self._position, self.length - self._position
            self._reader = self._opened(start, left, self.info.etag)
        return self._reader
