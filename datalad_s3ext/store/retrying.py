"""Trying again, in this one place.

:class:`Retrying` is a store around a store. Above it nobody loops over a request; below it nobody
tries twice. What is worth it says the error itself (`retryable`), how long it goes on
:mod:`.patience`, and how many requests at once a server takes :mod:`.gate`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from datalad_s3ext.errors import TransientError
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
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.gate import Gate
from datalad_s3ext.store.lost_uploads import OpenUploads
from datalad_s3ext.store.patience import Patience, RetryPolicy
from datalad_s3ext.store.resuming import Opened, ResumingReader

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.store.archive import Tier
    from datalad_s3ext.store.throttled import Throttle

_T = TypeVar("_T")


def open_patient_store(
    connection: Connection,
    identity: Identity,
    bucket: str,
    *,
    connections: int = 16,
    policy: RetryPolicy | None = None,
    throttle: Throttle | None = None,
    sleep: Callable[[float], None] = time.sleep,
    extras: Extras = NO_EXTRAS,
) -> ObjectStore:
    """Return `bucket` as a store that tries again; this is what every command and remote uses.

    Parameters
    ----------
    throttle
        The bandwidth that this store shares with others of the process; by default there is no limit.
    sleep
        How to wait between two tries; may raise to give up.
    extras
        What goes with every request.

    Raises
    ------
    CredentialsError, ConfigError
        When the keys or a setting are missing or malformed. Nothing has been sent yet.
    """
    from datalad_s3ext.store.s3 import open_store

    policy = policy or RetryPolicy()
    store = open_store(
        connection, identity, bucket, max_connections=connections, read_timeout_s=policy.stall_s,
        extras=extras,
    )  # fmt: skip
    return Retrying(throttle.around(store) if throttle else store, policy, sleep=sleep)


class Retrying(ObjectStore):
    """`inner`, tried again after faults that may pass. As safe in threads as `inner` is.

    What the caller should know:

    * a body to send is moved back to where it stood before each attempt;
    * `get` goes on where a broken body ended, as long as the object is the same;
    * `list` goes on after the last name it has yielded, so it needs a server that lists in order;
    * `delete` is idempotent, and so is `create_bucket`; what a `create_upload` whose reply was lost
      has left behind is taken back, see :mod:`.lost_uploads`;
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
        self._patience = Patience(policy or RetryPolicy(), sleep, clock, draw)
        self._gate = Gate(sleep=sleep, clock=clock)
        self._open_uploads = OpenUploads(inner)

    # -- objects ------------------------------------------------------------------------------

    def head(self, name: str) -> ObjectInfo:
        """Describe an object."""
        return self._try(lambda: self.inner.head(name))

    def describe(self, name: str) -> ObjectInfo:
        """Describe an object with what else the server tells."""
        return self._try(lambda: self.inner.describe(name))

    def get(
        self,
        name: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> RangeReader:
        """Open a range; what is read from it comes over as many connections as it takes."""

        def opened(start: int, length: int | None, if_match: str | None) -> Opened:
            turn = self._gate.enter()
            try:
                reader = self.inner.get(name, start=start, length=length, if_match=if_match)
            except BaseException as error:
                turn.leave(error)
                raise
            return Opened(reader, turn)

        first = self._persist(lambda: opened(start, length, if_match))
        return ResumingReader(first, opened, self._patience.attempts())

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store an object."""
        return self._send(
            body, lambda: self.inner.put(name, body, size_bytes, md5=md5, options=options)
        )

    def copy(
        self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT
    ) -> Stored:  # fmt: skip
        """Have the server copy an object."""
        return self._try(lambda: self.inner.copy(source, target, options=options))

    def delete(self, name: str) -> None:
        """Remove an object. That it was not there, perhaps since the last attempt, is success."""
        self._try(lambda: self.inner.delete(name))

    def restore(self, name: str, *, days: int | None, tier: Tier) -> bool:
        """Ask for a readable copy of an archived object."""
        return self._try(lambda: self.inner.restore(name, days=days, tier=tier))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects below `prefix`, each once."""
        yield from self._listed(self.inner.list, prefix, start_after)

    def list_versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the newest version of each object below `prefix`, each once."""
        yield from self._listed(self.inner.list_versions, prefix, start_after)

    def _listed(
        self, pages: Callable[..., Iterator[ObjectInfo]], prefix: str, start_after: str
    ) -> Iterator[ObjectInfo]:
        attempts = self._patience.attempts()
        while True:
            try:
                for info in pages(prefix, start_after=start_after):
                    attempts = self._patience.attempts()
                    start_after = info.name
                    yield info
            except TransientError as error:
                attempts.wait_or_raise(error)
            else:
                return

    # -- multipart uploads --------------------------------------------------------------------

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload."""
        return self._open_uploads.begin(
            name, lambda: self.inner.create_upload(name, options=options), self._try
        )

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part."""
        with self._open_uploads.used(upload_id):
            return self._send(
                body,
                lambda: self.inner.upload_part(
                    name, upload_id, number, body, size_bytes, md5=md5, crc32=crc32
                ),
            )

    def copy_part(
        self, source: ObjectInfo, start: int, length: int, target: str, upload_id: str, number: int
    ) -> PartReceipt:
        """Have the server copy one part."""
        with self._open_uploads.used(upload_id):
            return self._try(
                lambda: self.inner.copy_part(source, start, length, target, upload_id, number)
            )

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts the server has."""
        return self._try(lambda: self.inner.list_parts(name, upload_id))

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear; see the class for what a lost reply does."""
        stored = self._try(lambda: self.inner.complete_upload(name, upload_id, parts))
        self._open_uploads.end(upload_id)
        return stored

    def abort_upload(self, name: str, upload_id: str) -> None:
        """Throw the parts away."""
        self._try(lambda: self.inner.abort_upload(name, upload_id))
        self._open_uploads.end(upload_id)

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the unfinished uploads, each once; a fault begins the list anew, unseen."""
        seen: set[tuple[str, str]] = set()
        attempts = self._patience.attempts()
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

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
        """Return the ids of young uploads of `name` that nothing was sent to yet."""
        return self._try(lambda: self.inner.empty_uploads(name, age_s))

    # -- the bucket ---------------------------------------------------------------------------

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        return self._try(self.inner.bucket_exists)

    def create_bucket(self) -> None:
        """Create the bucket."""
        self._try(self.inner.create_bucket)

    def versioning(self) -> bool:
        """Tell whether the bucket keeps old versions."""
        return self._try(self.inner.versioning)

    def enable_versioning(self) -> None:
        """Have the bucket keep old versions."""
        self._try(self.inner.enable_versioning)

    def confirm_s3(self) -> None:
        """Make sure that an S3 service answers."""
        self._try(self.inner.confirm_s3)

    def connect_ahead(self) -> None:
        """Have one more connection ready."""
        self.inner.connect_ahead()

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

    def _try(self, request: Callable[[], _T]) -> _T:
        def in_turn() -> _T:
            turn = self._gate.enter()
            try:
                result = request()
            except BaseException as error:
                turn.leave(error)
                raise
            turn.leave()
            return result

        return self._persist(in_turn)

    def _persist(self, attempt: Callable[[], _T]) -> _T:
        attempts = self._patience.attempts()
        while True:
            try:
                return attempt()
            except TransientError as error:
                attempts.wait_or_raise(error)
