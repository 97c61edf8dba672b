"""A bucket in memory: the reference for what every store does, for tests and dry runs."""

from __future__ import annotations

import hashlib
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from types import MappingProxyType

from datalad_s3ext.errors import (
    BucketNotFound,
    IntegrityError,
    LocalError,
    ObjectChanged,
    ObjectNotFound,
    UploadNotFound,
)
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
from datalad_s3ext.store.pinned import etag_of, version_of


@dataclass(frozen=True)
class _Object:
    info: ObjectInfo
    data: bytes


@dataclass
class _Upload:
    name: str
    options: PutOptions
    began: float = field(default_factory=time.monotonic)
    parts: dict[int, tuple[PartReceipt, bytes]] = field(default_factory=dict)


class MemoryReader(RangeReader):
    """Bytes of an object as it was when opened."""

    def __init__(self, info: ObjectInfo, data: bytes, start: int) -> None:
        self.info = info
        self.start = start
        self.length = len(data)
        self._data = data
        self._position = 0

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; ``b""`` at the end."""
        piece = self._data[self._position : self._position + max(0, size_bytes)]
        self._position += len(piece)
        return piece

    def close(self) -> None:
        """Do nothing."""


class MemoryStore(ObjectStore):
    """An :class:`.base.ObjectStore` that forgets everything when it is dropped.

    It behaves like AWS: ETags are MD5, of the parts' MD5 for a multipart upload; lists are in the
    order of the names' UTF-8 bytes; old versions are kept once `enable_versioning` was called. One lock
    covers all state, so any thread may call any method.
    """

    def __init__(self, bucket: str = "memory", *, exists: bool = True) -> None:
        self.bucket = bucket
        self._exists = exists
        self._objects: dict[str, list[_Object | None]] = {}
        """What each name has stood for, the newest last; ``None`` where it was deleted."""
        self._keeps_versions = False
        self._uploads: dict[str, _Upload] = {}
        self._ids = count(1)
        self._lock = threading.RLock()

    # -- objects ------------------------------------------------------------------------------

    def head(self, name: str) -> ObjectInfo:
        """Describe an object."""
        return self._object(name).info

    def get(
        self,
        name: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> RangeReader:
        """Open `length` bytes from offset `start` on (to the end when ``None``)."""
        if start < 0 or (length is not None and length < 1):
            raise ValueError(f"no range: start={start}, length={length}")
        found = self._object(name)
        if_match = etag_of(name) if if_match is None else if_match
        if if_match is not None and if_match != found.info.etag:
            raise ObjectChanged(f"{name!r} was replaced in the meantime")
        is_range = start > 0 or length is not None
        if is_range and start >= len(found.data):
            raise IntegrityError(f"{name!r} is shorter than expected")
        end = len(found.data) if length is None else start + length
        return MemoryReader(found.info, found.data[start:end], start)

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        """Store `size_bytes` bytes of `body` as the object `name`, replacing any other."""
        data, etag = _received(name, body, size_bytes, md5)
        with self._lock:
            self._require_bucket()
            return self._store(name, data, etag, options)

    def copy(
        self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT
    ) -> Stored:  # fmt: skip
        """Copy an object to the name `target`, replacing any other."""
        with self._lock:
            data = self._unchanged(source).data
            return self._store(target, data, _md5_of(data).hex(), _kept(source, options))

    def delete(self, name: str) -> None:
        """Remove an object. That it was not there is success."""
        with self._lock:
            self._require_bucket()
            history, version_id = self._objects.get(name, []), version_of(name)
            if version_id is not None:
                history[:] = [
                    one for one in history if one is None or one.info.version_id != version_id
                ]
            elif self._keeps_versions and history:
                history.append(None)
            else:
                history.clear()

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects below `prefix` as they are when the list begins."""
        for info in self.list_versions(prefix, start_after=start_after):
            yield replace(info, version_id=None)

    def list_versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the newest version of each of these objects."""
        with self._lock:
            self._require_bucket()
            newest = (history[-1] for history in self._objects.values() if history)
            infos = [found.info for found in newest if found is not None]
        after = start_after.encode()
        for info in sorted(infos, key=lambda info: info.name.encode()):
            if info.name.startswith(prefix) and info.name.encode() > after:
                yield info

    # -- multipart uploads --------------------------------------------------------------------

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        """Begin a multipart upload and return its id."""
        with self._lock:
            self._require_bucket()
            upload_id = f"upload-{next(self._ids)}"
            self._uploads[upload_id] = _Upload(name, options)
        return upload_id

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        """Send one part; the same number again replaces it."""
        data, etag = _received(name, body, size_bytes, md5)
        if crc32 is not None and int.from_bytes(crc32) != zlib.crc32(data):
            raise IntegrityError(f"{name} arrived damaged")
        receipt = PartReceipt(number, size_bytes, etag, crc32)
        with self._lock:
            self._upload(name, upload_id).parts[number] = (receipt, data)
        return receipt

    def copy_part(
        self, source: ObjectInfo, start: int, length: int, target: str, upload_id: str, number: int
    ) -> PartReceipt:
        """Take a range of an object as one part of `target`."""
        with self._lock:
            data = self._unchanged(source).data[start : start + length]
            receipt = PartReceipt(number, length, _md5_of(data).hex())
            self._upload(target, upload_id).parts[number] = (receipt, data)
        return receipt

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:
        """Return the parts received so far, in order."""
        with self._lock:
            parts = self._upload(name, upload_id).parts
            return [parts[number][0] for number in sorted(parts)]

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        """Make the object appear, whole."""
        with self._lock:
            upload = self._upload(name, upload_id)
            have = [upload.parts.get(part.number) for part in sorted(parts, key=_number)]
            chosen = [pair for pair in have if pair is not None]
            wanted = [part.etag for part in sorted(parts, key=_number)]
            if not parts or wanted != [receipt.etag for receipt, _ in chosen]:
                raise IntegrityError(f"the parts of {name!r} are not the ones that were sent")
            digests = b"".join(bytes.fromhex(receipt.etag) for receipt, _ in chosen)
            etag = f"{_md5_of(digests).hex()}-{len(chosen)}"
            stored = self._store(name, b"".join(data for _, data in chosen), etag, upload.options)
            del self._uploads[upload_id]
        return stored

    def abort_upload(self, name: str, upload_id: str) -> None:  # noqa: ARG002
        """Throw the parts away. That the upload is gone is success."""
        with self._lock:
            self._require_bucket()
            self._uploads.pop(upload_id, None)

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield (name, upload id) of every unfinished upload below `prefix`."""
        with self._lock:
            self._require_bucket()
            rows = [(upload.name, upload_id) for upload_id, upload in self._uploads.items()]
        yield from sorted(row for row in rows if row[0].startswith(prefix))

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
        """Return the ids of young uploads of `name` that nothing was sent to yet."""
        began_after = time.monotonic() - age_s
        with self._lock:
            return [
                upload_id
                for upload_id, upload in self._uploads.items()
                if upload.name == name and upload.began >= began_after and not upload.parts
            ]

    # -- the bucket ---------------------------------------------------------------------------

    def bucket_exists(self) -> bool:
        """Tell whether the bucket is there."""
        return self._exists

    def create_bucket(self) -> None:
        """Create the bucket, or leave it as it is."""
        self._exists = True

    def versioning(self) -> bool:
        """Tell whether old versions are kept."""
        return self._keeps_versions

    def enable_versioning(self) -> None:
        """Keep old versions from now on."""
        self._keeps_versions = True

    # -- private: called with or without the lock, which is re-entrant -----------------------------

    def _require_bucket(self) -> None:
        if not self._exists:
            raise BucketNotFound(f"there is no bucket {self.bucket!r}", code="NoSuchBucket")

    def _object(self, name: str) -> _Object:
        with self._lock:
            self._require_bucket()
            history, version_id = self._objects.get(name, []), version_of(name)
            if version_id is None:
                found = history[-1] if history else None
            else:
                ours = (one for one in history if one and one.info.version_id == version_id)
                found = next(ours, None)
        if found is None:
            raise ObjectNotFound(f"there is no object {name!r} in bucket {self.bucket!r}")
        return found

    def _unchanged(self, source: ObjectInfo) -> _Object:
        found = self._object(source.name)
        if found.info.etag != source.etag:
            raise ObjectChanged(f"{source.name!r} was replaced in the meantime")
        return found

    def _upload(self, name: str, upload_id: str) -> _Upload:
        self._require_bucket()
        upload = self._uploads.get(upload_id)
        if upload is None or upload.name != name:
            raise UploadNotFound(f"the multipart upload of {name!r} is gone")
        return upload

    def _store(self, name: str, data: bytes, etag: str, options: PutOptions) -> Stored:
        stored = Stored(etag, f"version-{next(self._ids)}" if self._keeps_versions else None)
        info = ObjectInfo(
            name=name,
            size_bytes=len(data),
            etag=etag,
            version_id=stored.version_id,
            storage_class=options.storage_class,
            last_modified=datetime.now(UTC),
            metadata=MappingProxyType(dict(options.metadata)),
        )
        history = self._objects.setdefault(name, [])
        if not self._keeps_versions:
            history.clear()
        history.append(_Object(info, data))
        return stored


def _kept(source: ObjectInfo, options: PutOptions) -> PutOptions:
    return replace(options, metadata=source.metadata, storage_class=source.storage_class)


def _received(name: str, body: Body, size_bytes: int, md5: bytes | None) -> tuple[bytes, str]:
    data = body.read(size_bytes) if size_bytes else b""
    if len(data) != size_bytes:
        raise LocalError(f"the bytes to send ended after {len(data)} of {size_bytes}")
    digest = _md5_of(data)
    if md5 is not None and md5 != digest:
        raise IntegrityError(f"{name!r} arrived damaged", code="BadDigest", http_status=400)
    return data, digest.hex()


def _md5_of(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _number(part: PartReceipt) -> int:
    return part.number
