"""From one bucket to another: by the server where both are one service's, else as a stream.

Either way nothing is kept on this machine, and when a function here returns, the object is at the
target, whole. When it raises, the target has no object under that name that is wrong.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from datalad_s3ext.errors import (
    IntegrityError,
    LocalError,
    ObjectNotFound,
    S3xError,
    UploadNotFound,
)
from datalad_s3ext.providers.schema import Capabilities
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, PartReceipt
from datalad_s3ext.transfer.copy import Copying, copy_object
from datalad_s3ext.transfer.journal import Begun, Journal, Journals
from datalad_s3ext.transfer.likeness import Likeness, likeness
from datalad_s3ext.transfer.plan import Span, cut, part_bytes
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.taking_back import take_back
from datalad_s3ext.transfer.verify import EtagTrust, confirm_size, multipart_etag
from datalad_s3ext.units import MIB

PARTS_AHEAD = 4
"""So many parts of one object are in memory at once, and under way."""
MULTIPART_FROM_BYTES = 16 * MIB
_BY_COPY = "s3-copy"
"""Source in the journal: what no upload of a file fits, so that it takes these parts back, too."""


@dataclass(frozen=True)
class End:
    """One side of a copy."""

    store: ObjectStore
    rules: UploadRules


class Judge(Protocol):
    """Takes the bytes of an object in order, and objects at the end when they are wrong."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""

    def check(self) -> None:
        """Raise `IntegrityError` when what was taken is not what it should be."""


class Digest(Judge):
    """Takes all for right."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""

    def check(self) -> None:
        """Find nothing wrong."""


def copy_at_server(
    source: ObjectInfo, target: End, name: str, abilities: Capabilities, pool: Pool
) -> tuple[ObjectInfo, Likeness]:
    """Have the service copy `source`, which names its bucket, to the object `name`.

    `source` should be what `ObjectStore.describe` says of it. Returned is what it says of the copy, and
    whether, and by what, both are the same.

    Raises
    ------
    Unsupported, AccessDenied, NotFound
        The service cannot, or the keys of the target may not read the source.
    IntegrityError
        The copy has another size or checksum; it was removed.
    """
    quiet = replace(target.rules, etags=EtagTrust(known_to_be_md5=False))
    wanted = replace(source, storage_class=target.rules.options.storage_class)
    copy_object(Copying(target.store, quiet, abilities, pool), wanted, name)
    found = target.store.describe(name)
    answer = likeness(source, found, target.rules.etags)
    if answer.is_same is not False:
        return found, answer
    target.store.delete(name)
    raise IntegrityError(
        f"the service's copy of {source.name} has another {answer.by} and was deleted again",
        remedy="run the command again with --way stream",
    )


def confirm_copy(
    source: ObjectStore, info: ObjectInfo, target: ObjectStore, name: str, digest: Judge | None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:  # fmt: skip
    """Read the object `name` of the target, whole, and compare it; delete it when it is wrong.

    It is compared with what `digest` expects, without one with the object of the source, which is
    read, too.

    Raises
    ------
    IntegrityError
        It is not what it should be.
    """
    try:
        compare_copy(source, info, target, name, digest, on_bytes)
    except IntegrityError as error:
        target.delete(name)
        raise IntegrityError(
            f"{name}, read back, is not what it should be and was deleted again",
            remedy="run the command again, with --way stream",
        ) from error


def compare_copy(
    source: ObjectStore, info: ObjectInfo, target: ObjectStore, name: str, digest: Judge | None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:  # fmt: skip
    """Do the same and leave the object, which may be anybody's, as it is."""
    expected = digest or _Reference(source, info, on_bytes)
    for data in _all_of(target, name):
        expected.update(data)
        on_bytes(len(data))
    expected.check()


class _Reference(Judge):
    """Compares what it takes with an object elsewhere."""

    def __init__(self, source: ObjectStore, info: ObjectInfo, on_bytes: Callable[[int], None]) -> None:
        self._source, self._info, self._on_bytes = source, info, on_bytes
        self._hash = hashlib.sha256()

    def update(self, data: bytes, /) -> None:
        self._hash.update(data)

    def check(self) -> None:
        wanted = hashlib.sha256()
        for data in _all_of(self._source, self._info.name, self._info.etag):
            wanted.update(data)
            self._on_bytes(len(data))
        if wanted.digest() != self._hash.digest():
            raise IntegrityError(f"the copy of {self._info.name} differs from it")


def _all_of(store: ObjectStore, name: str, if_match: str | None = None) -> Iterator[bytes]:
    with store.get(name, if_match=if_match) as answer:
        yield from iter(lambda: answer.read(MIB), b"")


def stream(
    source: ObjectStore, info: ObjectInfo, target: End, name: str, digest: Judge,
    on_bytes: Callable[[int], None] = lambda _: None, journals: Journals | None = None,
) -> None:  # fmt: skip
    """Read an object and store it as `name` elsewhere, in pieces that are compared on the way.

    `digest` sees all bytes before the object appears at the target. With `journals`, parts that a
    process left there that was killed are taken back by the next one that sends this object.

    Raises
    ------
    IntegrityError
        What was read is not what it should be, or what was stored is not what was read.
    S3xError
        Any other fault. Nothing was stored.
    """
    piece = part_bytes(info.size_bytes, target.rules.limits, target.rules.part_size)
    if info.size_bytes <= min(max(piece, MULTIPART_FROM_BYTES), target.rules.limits.max_put):
        data = _read(source, info, Span(1, 0, info.size_bytes))
        digest.update(data)
        digest.check()
        _put(target, name, data)
        on_bytes(len(data))
    else:
        _Parts(source, info, target, name, digest, on_bytes).run(cut(info.size_bytes, piece), journals)
    confirm_size(target.store, name, info.size_bytes)


def _read(source: ObjectStore, info: ObjectInfo, span: Span) -> bytes:
    if not span.size_bytes:
        return b""
    with source.get(info.name, start=span.start, length=span.size_bytes, if_match=info.etag) as answer:
        data = b"".join(iter(lambda: answer.read(MIB), b""))
    if len(data) != span.size_bytes:
        raise IntegrityError(f"{info.name} came with {len(data)} bytes instead of {span.size_bytes}")
    return data


def _put(target: End, name: str, data: bytes) -> None:
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    body = io.BytesIO(data)
    stored = target.store.put(name, body, len(data), md5=md5, options=target.rules.options)
    trust = target.rules.etags
    if trust.raises_doubt(stored.etag, md5.hex()):
        with target.store.get(name) as answer:
            if b"".join(iter(lambda: answer.read(MIB), b"")) != data:
                target.store.delete(name)
                raise IntegrityError(f"{name} arrived damaged and was deleted again")
        trust.learn_that_it_means_nothing()


@dataclass(frozen=True)
class _Parts:
    """A large object on its way; used by one thread, whose helpers read ahead and send."""

    source: ObjectStore
    info: ObjectInfo
    target: End
    name: str
    digest: Judge
    on_bytes: Callable[[int], None]

    def run(self, spans: list[Span], journals: Journals | None) -> None:
        with journals.open(self.name) if journals is not None else nullcontext() as journal:
            if journal is not None and not self._is_free(journal):
                journal = None  # the id of the earlier upload must not be lost
            self._run(spans, journal)
            if journal is not None:
                journal.forget()

    def _is_free(self, journal: Journal) -> bool:
        """Take back what a process that was killed has left; tell whether nothing is left."""
        found = journal.read()
        if found is None:
            return True
        is_here = found[0].is_at(self.target.rules.place)
        return is_here and take_back(self.target.store, found[0])

    def _note(self, journal: Journal | None, upload_id: str, span: Span) -> None:
        if journal is not None:
            place, size = self.target.rules.place, self.info.size_bytes
            journal.begin(Begun(place, self.name, upload_id, size, span.size_bytes, _BY_COPY))

    def _run(self, spans: list[Span], journal: Journal | None) -> None:
        options = replace(self.target.rules.options, part_crc32=False)
        store = self.target.store
        upload_id = store.create_upload(self.name, options=options)
        try:
            self._note(journal, upload_id, spans[0])
            with ThreadPoolExecutor(2 * PARTS_AHEAD) as helpers:
                receipts = self._send_all(spans, upload_id, helpers)
            self.digest.check()
            etag = self._complete(spans, upload_id, receipts)
        except BaseException:
            self._abort(upload_id)
            if journal is not None:
                journal.forget()
            raise
        expected = multipart_etag([bytes.fromhex(one.etag) for one in receipts if _is_md5(one.etag)])
        if self.target.rules.multipart_etags.raises_doubt(etag, expected):
            if not self._is_there(spans):
                store.delete(self.name)
                raise IntegrityError(f"{self.name} arrived damaged and was deleted again")
            self.target.rules.multipart_etags.learn_that_it_means_nothing()

    def _complete(self, spans: list[Span], upload_id: str, receipts: list[PartReceipt]) -> str:
        """Make the object appear and return its ETag, ``""`` when that is not told."""
        try:
            return self.target.store.complete_upload(self.name, upload_id, receipts).etag
        except UploadNotFound:
            # the answer to a first completion may have been lost, and the request sent again
            if self._is_there(spans):
                return ""
            raise

    def _send_all(
        self, spans: list[Span], upload_id: str, helpers: ThreadPoolExecutor
    ) -> list[PartReceipt]:
        sent: deque[Future[PartReceipt]] = deque()
        receipts: list[PartReceipt] = []
        for span, data in self._in_order(spans, helpers):
            self.digest.update(data)
            sent.append(helpers.submit(self._send, upload_id, span, data))
            if len(sent) >= PARTS_AHEAD:
                receipts.append(sent.popleft().result())
        return receipts + [future.result() for future in sent]

    def _in_order(self, spans: list[Span], helpers: ThreadPoolExecutor) -> Iterator[tuple[Span, bytes]]:
        ahead: deque[tuple[Span, Future[bytes]]] = deque()
        for span in spans:
            ahead.append((span, helpers.submit(_read, self.source, self.info, span)))
            if len(ahead) >= PARTS_AHEAD:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()

    def _send(self, upload_id: str, span: Span, data: bytes) -> PartReceipt:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        receipt = self.target.store.upload_part(
            self.name, upload_id, span.number, io.BytesIO(data), len(data), md5=md5
        )
        self.on_bytes(len(data))
        return receipt

    def _is_there(self, spans: list[Span]) -> bool:
        """Compare both objects piece by piece."""
        try:
            copy = self.target.store.head(self.name)
        except ObjectNotFound:
            return False
        return copy.size_bytes == self.info.size_bytes and all(
            _read(self.source, self.info, span) == _read(self.target.store, copy, span)
            for span in spans
        )

    def _abort(self, upload_id: str) -> None:
        try:
            self.target.store.abort_upload(self.name, upload_id)
        except S3xError as error:
            raise LocalError(f"parts of {self.name} are left at the target: {error}") from error


def _is_md5(etag: str) -> bool:
    return len(etag) == 32 and all(one in "0123456789abcdef" for one in etag)
