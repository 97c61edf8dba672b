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
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from datalad_s3ext.errors import Unsupported

if TYPE_CHECKING:
    from datalad_s3ext.store.archive import Tier

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
CHECKSUMS = ("SHA256", "SHA1", "CRC64NVME", "CRC32C", "CRC32")
"""What services may keep of an object's content, the one that says most first."""
CUSTOMER = "customer"
"""Encrypted with a key that goes with each request (SSE-C)."""


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
    sha256: bytes | None = None
    """Of the whole object, where the server has it and `ObjectStore.describe` asked."""
    checksums: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    """All of the whole object that the server told then, in base64, by their names in `CHECKSUMS`."""
    encryption: str | None = None
    """How the server encrypts it, where `describe` asked: S3's word for it, or `CUSTOMER`."""
    restore: str | None = None
    """The server's words about bringing an archived object back; see :mod:`.archive`."""
    archive_status: str | None = None
    """The archive that an object of class INTELLIGENT_TIERING has been moved to."""
    bucket: str | None = None
    """Another bucket of the same service, to be copied from; ``None``: the store's own."""


@dataclass(frozen=True)
class Stored:
    """The server's receipt for an object."""

    etag: str
    """``""`` where the answer does not tell it, which only that to `complete_upload` may leave out."""
    version_id: str | None = None
    """Of just this object, whatever others have stored under its name since. ``None``: not told."""


@dataclass(frozen=True)
class PartReceipt:
    """One part of a multipart upload that the server has."""

    number: int
    """Counted from 1."""
    size_bytes: int
    etag: str
    crc32: bytes | None = None
    """What was sent along, to be named again when the upload is completed."""
    is_echoed: bool = field(default=True, compare=False)
    """The server has told the same CRC32 back, so it has compared it; true also where none was sent."""
    etag_is_md5: bool = field(default=False, compare=False)
    """The ETag is known to be the MD5 of the bytes that the server has."""


@dataclass(frozen=True)
class PutOptions:
    """What an object is stored with, besides its bytes."""

    storage_class: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    tagging: str | None = None
    """URL-encoded, ``a=1&b=2``."""
    sse: str | None = None
    sse_kms_key_id: str | None = None
    bucket_key: bool = False
    """Encrypt with a key of the bucket, derived from the KMS key: fewer requests to KMS."""
    acl: str | None = None
    content_type: str = "application/octet-stream"
    content_disposition: str | None = None
    cache_control: str | None = None
    sha256: bytes | None = None
    """Of the object, 32 bytes: the server refuses other content. Sent by `ObjectStore.put` only."""
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

    def describe(self, name: str) -> ObjectInfo:
        """Describe an object as `head` does, with checksum and encryption where the server tells."""
        return self.head(name)

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

    def list_versions(
        self,
        prefix: str = "",  # noqa: ARG002
        *,
        start_after: str = "",  # noqa: ARG002
    ) -> Iterator[ObjectInfo]:
        """Yield what `list` yields, with the id of each object's newest version where it has one.

        Raises
        ------
        Unsupported
            The store knows no versions.
        """
        raise Unsupported(f"no versions are known of the objects in bucket {self.bucket!r}")

    def restore(self, name: str, *, days: int | None, tier: Tier) -> bool:  # noqa: ARG002
        """Ask for a readable copy of an archived object; tell whether it was not asked for before.

        Parameters
        ----------
        days
            How long the copy shall stay; ``None`` for objects that are moved back instead.
        tier
            How fast, at which price.

        Raises
        ------
        Unsupported
            The service has no archive, or the object is in none.
        """
        raise Unsupported(f"{name!r} cannot be restored: this service has no archive")

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

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:  # noqa: ARG002
        """Return the ids of the unfinished uploads of just this name that nothing was sent to yet.

        Only those that were begun at most `age_s` seconds ago by the server's own clock. Of an upload
        whose beginning the server does not tell, nothing is said.
        """
        return ()

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

    def versioning(self) -> bool:
        """Tell whether the bucket keeps old versions of its objects."""
        return False

    def enable_versioning(self) -> None:
        """Have the bucket keep old versions of its objects.

        Raises
        ------
        Unsupported
            The service does not keep any.
        """
        raise Unsupported(f"bucket {self.bucket!r} cannot keep old versions")

    def confirm_s3(self) -> None:
        """Make sure that an S3 service answers, whatever it says about this bucket.

        Raises
        ------
        NotS3
            Something else answers.
        """
        return

    def connect_ahead(self) -> None:  # noqa: B027 - a store without connections has nothing to do
        """Have one more connection ready for the next request. No fault of it is raised."""

    def close(self) -> None:  # noqa: B027 - most stores hold nothing that needs freeing
        """Free connections."""
