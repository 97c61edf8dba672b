"""No faster than the user allows.

git-annex does not pass its ``annex.bwlimit`` on to external programs, so the limit is kept here:
:class:`Throttled` is a store around a store, and :class:`Throttle` holds what all stores, jobs and
connections of a process share. Bodies count, also those of failed attempts; the few hundred bytes of
each request's head do not. Without a limit none of this is in the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

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
from datalad_s3ext.units import KIB

if TYPE_CHECKING:
    from datalad_s3ext.store.archive import Tier

BURST_S = 0.1
"""So much unused time may be made up for: a thread on a busy machine wakes late."""
TURN_S = 0.005
"""How long one connection has the line to itself, so that a small file soon has its turn."""
TURN_LIMITS_BYTES = (256, 256 * KIB)


class TokenBucket:
    """Bytes per second in one direction. Safe in threads.

    Callers are served in the order in which they come, each for as many bytes as it asks for. So
    connections that ask for the same number of bytes at a time share the line evenly.
    """

    def __init__(
        self,
        bytes_per_s: int,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        least, most = TURN_LIMITS_BYTES
        self.turn_bytes = min(max(least, int(bytes_per_s * TURN_S)), most)
        """How many bytes to ask for at a time."""
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, size_bytes: int) -> None:
        """Return when `size_bytes` more bytes may pass. What `sleep` raises comes out."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - BURST_S) + size_bytes / self._bytes_per_s
            wait_s = self._free_at - now
        if wait_s > 0:
            self._sleep(wait_s)


class Throttle:
    """The limits of a process: one for all that goes up, one for all that comes down.

    Parameters
    ----------
    upload, download
        Bytes per second; ``None`` or 0 for no limit.
    sleep
        How to wait for one's turn; may raise to give up.
    """

    def __init__(
        self,
        upload: int | None = None,
        download: int | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.up = TokenBucket(upload, sleep=sleep) if upload else None
        self.down = TokenBucket(download, sleep=sleep) if download else None

    def around(self, store: ObjectStore) -> ObjectStore:
        """Return `store` with these limits: itself when there are none."""
        return Throttled(store, self) if self.up or self.down else store


class Throttled(ObjectStore):
    """`inner`, no faster than `throttle` allows. As safe in threads as `inner` is."""

    def __init__(self, inner: ObjectStore, throttle: Throttle) -> None:
        self.inner = inner
        self.bucket = inner.bucket
        self._throttle = throttle

    def head(self, name: str) -> ObjectInfo:
        """Describe an object."""
        return self.inner.head(name)

    def describe(self, name: str) -> ObjectInfo:
        """Describe an object with what else the server tells."""
        return self.inner.describe(name)

    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> RangeReader:
        """Open a range."""
        reader = self.inner.get(name, start=start, length=length, if_match=if_match)
        return _SlowReader(reader, self._throttle.down) if self._throttle.down else reader

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store an object."""
        return self.inner.put(name, self._slow(body), size_bytes, md5=md5, options=options)

    def copy(
        self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT
    ) -> Stored:  # fmt: skip
        """Have the server copy an object: that needs no bandwidth."""
        return self.inner.copy(source, target, options=options)

    def delete(self, name: str) -> None:
        """Remove an object."""
        self.inner.delete(name)

    def restore(self, name: str, *, days: int | None, tier: Tier) -> bool:
        """Ask for a readable copy of an archived object."""
        return self.inner.restore(name, days=days, tier=tier)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects below `prefix`."""
        return self.inner.list(prefix, start_after=start_after)

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload."""
        return self.inner.create_upload(name, options=options)

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part."""
        return self.inner.upload_part(
            name, upload_id, number, self._slow(body), size_bytes, md5=md5, crc32=crc32
        )

    def copy_part(
        self, source: ObjectInfo, start: int, length: int, target: str, upload_id: str, number: int
    ) -> PartReceipt:
        """Have the server take a part from an object."""
        return self.inner.copy_part(source, start, length, target, upload_id, number)

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts the server has."""
        return self.inner.list_parts(name, upload_id)

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear."""
        return self.inner.complete_upload(name, upload_id, parts)

    def abort_upload(self, name: str, upload_id: str) -> None:
        """Throw the parts away."""
        self.inner.abort_upload(name, upload_id)

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the unfinished uploads."""
        return self.inner.list_uploads(prefix)

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
        """Return the ids of young uploads of `name` that nothing was sent to yet."""
        return self.inner.empty_uploads(name, age_s)

    def list_versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the newest versions below `prefix`."""
        return self.inner.list_versions(prefix, start_after=start_after)

    def versioning(self) -> bool:
        """Tell whether the bucket keeps old versions."""
        return self.inner.versioning()

    def enable_versioning(self) -> None:
        """Have the bucket keep old versions."""
        self.inner.enable_versioning()

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        return self.inner.bucket_exists()

    def create_bucket(self) -> None:
        """Create the bucket."""
        self.inner.create_bucket()

    def confirm_s3(self) -> None:
        """Make sure that an S3 service answers."""
        self.inner.confirm_s3()

    def connect_ahead(self) -> None:
        """Have one more connection ready."""
        self.inner.connect_ahead()

    def close(self) -> None:
        """Free connections."""
        self.inner.close()

    def _slow(self, body: Body) -> Body:
        return _SlowBody(body, self._throttle.up) if self._throttle.up else body


class _SlowBody:
    """A body that is read slowly once it is sent; reading it for a checksum is free."""

    in_pieces = True

    def __init__(self, body: Body, bucket: TokenBucket) -> None:
        self._body = body
        self._bucket = bucket
        self._is_sending = False

    def read(self, size: int = -1, /) -> bytes:
        if not self._is_sending:
            return self._body.read(size)
        turn = self._bucket.turn_bytes
        data = self._body.read(min(size, turn) if size >= 0 else turn)
        self._bucket.take(len(data))
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        return self._body.tell()

    def sending(self) -> None:
        """Note, and pass on, that what is read from now on goes out."""
        self._is_sending = True
        if (sending := getattr(self._body, "sending", None)) is not None:
            sending()


class _SlowReader(RangeReader):
    """An answer that is read slowly: what is not read, TCP lets the server not send."""

    def __init__(self, inner: RangeReader, bucket: TokenBucket) -> None:
        self.info = inner.info
        self.start = inner.start
        self.length = inner.length
        self._inner = inner
        self._bucket = bucket

    def read(self, size_bytes: int) -> bytes:
        data = self._inner.read(min(size_bytes, self._bucket.turn_bytes))
        self._bucket.take(len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        count = self._inner.readinto(view[: self._bucket.turn_bytes])
        self._bucket.take(count)
        return count

    def close(self) -> None:
        self._inner.close()
