"""What every object store promises to the layers above.

An :class:`ObjectStore` is one bucket. It knows nothing of annex keys, data sets or files. All its
methods may be called from any thread. They raise only errors of :mod:`datalad_s3ext.errors`:
`ObjectNotFound` and `BucketNotFound` when the server is *certain*, `TransientError` when trying
again makes sense, `NotS3` when what answers is no S3 service. Nothing is retried here: see
:mod:`datalad_s3ext.store.retrying`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, runtime_checkable

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class Body(Protocol):
    """Bytes to send: a seekable binary stream positioned at its start. It may be read twice."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to `offset`."""

    def tell(self) -> int:
        """Return the position."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a server says about an object without sending it."""

    name: str
    size_bytes: int
    etag: str
    """Without quotes; a multipart ETag has the form ``<hex>-<parts>``."""
    version_id: str | None = None
    storage_class: str | None = None
    last_modified: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)


@dataclass(frozen=True)
class Stored:
    """The server's receipt for an object or a part."""

    etag: str
    version_id: str | None = None


@dataclass(frozen=True)
class PartReceipt:
    """One part of a multipart upload that the server has."""

    number: int
    """Counted from 1."""
    size_bytes: int
    etag: str
    crc32: bytes | None = None
    """What was sent along, to be named again when the upload is completed."""


@dataclass(frozen=True)
class PutOptions:
    """What an object is stored with, besides its bytes."""

    storage_class: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    tagging: str | None = None
    """URL-encoded, ``a=1&b=2``."""
    sse: str | None = None
    sse_kms_key_id: str | None = None
    acl: str | None = None
    content_type: str = "application/octet-stream"
    part_crc32: bool = False
    """Parts of an upload will be sent with their CRC32."""


DEFAULT_PUT = PutOptions()


class RangeReader(ABC):
    """An open answer to a GET. Use it as a context manager; leaving it frees the connection."""

    info: ObjectInfo
    """Of the whole object."""
    start: int
    """Offset of the first byte that `read` will return, as the *server* states it."""
    length: int
    """How many bytes the server announced for this answer."""

    @abstractmethod
    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; ``b""`` at the end.

        Raises
        ------
        TransientError
            When the connection broke or the body ended before `length` bytes.
        """

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view` with what comes; return how many bytes, 0 at the end.

        Raises
        ------
        TransientError
            As `read` does.
        """
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @abstractmethod
    def close(self) -> None:
        """Give the connection back, or drop it when bytes are left on it."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class ObjectStore(ABC):
    """One bucket of an S3-compatible service."""

    bucket: str

    # -- objects ------------------------------------------------------------------------------

    @abstractmethod
    def head(self, name: str) -> ObjectInfo:
        """Describe an object.

        Raises
        ------
        ObjectNotFound
            Only when the answer was a certain "no such object".
        AccessDenied
            Also for an object that may not exist, when the keys may not list the bucket.
        """

    @abstractmethod
    def get(
        self,
        name: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> RangeReader:
        """Open `length` bytes from offset `start` on (to the end when ``None``).

        The answer is checked: a server that ignores the range, answers another one, or ignores
        `if_match` is found out.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        ObjectChanged
            Its ETag is not `if_match`.
        IntegrityError
            The server answered with a range other than the one asked for.
        """

    @abstractmethod
    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store `size_bytes` bytes of `body` as the object `name`, replacing any other.

        When `md5` (16 bytes) is given it is sent along, and the server refuses other bytes.
        """

    @abstractmethod
    def copy(
        self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT
    ) -> Stored:  # fmt: skip
        """Have the server copy an object, by one request, to the name `target`, replacing any other.

        Metadata and storage class are those of the source; the rest is as `options` say. What the
        copy holds is not checked here, beyond its being one.

        Raises
        ------
        ObjectNotFound
            The source is gone.
        ObjectChanged
            Its ETag is no longer that of `source`.
        Unsupported
            The server cannot copy. One that took the request for something else may have left an
            object without bytes at `target`.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove an object. That it was not there is success."""

    @abstractmethod
    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin with `prefix`, over all pages, in server order.

        Raises
        ------
        IntegrityError
            When the server repeats a page: without this guard such a listing never ends.
        """

    # -- multipart uploads --------------------------------------------------------------------

    @abstractmethod
    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload and return its id."""

    @abstractmethod
    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part; the same number again replaces it.

        `md5` (16 bytes) or `crc32` (4 bytes, big-endian) is sent along, and the server refuses other
        bytes. A CRC32 needs `PutOptions.part_crc32`, given to `create_upload`.
        """

    @abstractmethod
    def copy_part(
        self, source: ObjectInfo, start: int, length: int, target: str, upload_id: str, number: int
    ) -> PartReceipt:
        """Have the server take `length` bytes of an object from `start` on as one part of `target`.

        Raises as `copy` does; what cannot be copied has left no object.
        """

    @abstractmethod
    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts the server has, in order.

        Raises
        ------
        UploadNotFound
            The upload is gone.
        """

    @abstractmethod
    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear, whole."""

    @abstractmethod
    def abort_upload(self, name: str, upload_id: str) -> None:
        """Throw the parts away. That the upload is gone is success."""

    @abstractmethod
    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield (name, upload id) of every unfinished upload below `prefix`."""

    # -- the bucket ---------------------------------------------------------------------------

    @abstractmethod
    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there.

        Raises
        ------
        AccessDenied
            The keys may not ask: the answer is not known.
        """

    @abstractmethod
    def create_bucket(self) -> None:
        """Create the bucket. One that exists and belongs to the caller is success."""

    def confirm_s3(self) -> None:
        """Make sure that an S3 service answers, whatever it says about this bucket.

        Raises
        ------
        NotS3
            Something else answers.
        """
        return

    def close(self) -> None:  # noqa: B027 - most stores hold nothing that needs freeing
        """Free connections."""
