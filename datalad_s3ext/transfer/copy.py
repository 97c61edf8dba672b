"""From object to object in a bucket, by the server; in parts where one request is too little.

What is promised: when `rename_object` returns, the content lies under the new name, whole, and no more
under the old one. When it raises, it lies under the old name, or the new one, or both.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace

from datalad_s3ext.errors import IntegrityError, ObjectChanged, S3xError, Unsupported, UploadNotFound
from datalad_s3ext.providers.schema import Capabilities
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, PartReceipt, Stored
from datalad_s3ext.transfer.download import check_size
from datalad_s3ext.transfer.plan import Span, cut, part_bytes
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.verify import confirm_size, digest_at_server, multipart_etag
from datalad_s3ext.units import MIB

lgr = logging.getLogger(__name__)

COPY_PART_BYTES = 512 * MIB
"""Servers copy some 100 MB a second: each part is an answer of seconds, and 5 TiB are 10 000 parts."""
CHECK_EVERY_S = 0.5
GIVE_UP_S = 5.0
"""How long a copy that failed waits for its parts under way before it is taken back."""


@dataclass(frozen=True)
class Copying:
    """How objects of one bucket are copied."""

    store: ObjectStore
    rules: UploadRules
    abilities: Capabilities
    """What the service can do, as far as that is known."""
    pool: Pool
    part_bytes: int = COPY_PART_BYTES
    passing: dict[str, ObjectInfo] = field(default_factory=dict)
    """Objects that were given a name for a moment only: the server need not be asked for them again."""


@dataclass(frozen=True)
class Renamed:
    """What a rename has found and made."""

    source: ObjectInfo
    """What the old name stood for."""
    copy: Stored
    """The same content under the new name."""


def rename_object(
    how: Copying, old: str, new: str, *, expected_bytes: int | None, is_passing: bool = False,
    check: Callable[[ObjectInfo], None] = lambda _: None,
) -> Renamed:  # fmt: skip
    """Give the object `old` the name `new`, replacing any other object of that name.

    Parameters
    ----------
    expected_bytes
        The size that the object must have, when that is known.
    is_passing
        It will be renamed again at once.
    check
        Raises for an object that is another one than was meant; not asked of what `how.passing` knows.

    Raises
    ------
    ObjectNotFound
        There is no object `old`.
    IntegrityError
        It has another size, or the copy turned out to be wrong and was removed.
    Unsupported
        The service cannot copy it.
    """
    if how.abilities.copy is False:
        raise Unsupported("this service does not copy objects")
    known = how.passing.pop(old, None)
    source = known or _checked(how.store.describe(old), expected_bytes, check)
    if old == new:
        return Renamed(source, Stored(source.etag, source.version_id))
    try:
        copy = copy_object(how, source, new)
    except ObjectChanged:
        if known is None:
            raise
        # a server may tell another ETag of a copy than it has then
        source = _checked(how.store.describe(old), expected_bytes, check)
        copy = copy_object(how, source, new)
    how.store.delete(old)
    if is_passing and copy.etag:
        how.passing[new] = replace(source, name=new, etag=copy.etag, version_id=copy.version_id)
    return Renamed(source, copy)


def _checked(
    info: ObjectInfo, expected_bytes: int | None, check: Callable[[ObjectInfo], None]
) -> ObjectInfo:
    check_size(info, expected_bytes)
    check(info)
    return info


def copy_object(how: Copying, source: ObjectInfo, target: str) -> Stored:
    """Copy an object, as it is now, to the name `target`; raises as `rename_object` does."""
    if _goes_in_parts(how, source.size_bytes):
        try:
            copy = _Parts(how, source, target).copy()
        except Unsupported as error:
            lgr.info("no copy in parts, so by one request: %s", error)
            copy = _copy_whole(how, source, target)
    else:
        copy = _copy_whole(how, source, target)
    _confirm(how, source, target, copy)
    return copy


def _goes_in_parts(how: Copying, size_bytes: int) -> bool:
    """Parts are asked for where they must be, and where they are known to work and make it faster.

    One request for gigabytes also keeps silent so long that it looks like a connection that broke.
    """
    known = how.abilities.upload_part_copy
    if size_bytes > how.rules.limits.max_put:
        return known is not False
    return known is True and size_bytes > how.part_bytes


def _copy_whole(how: Copying, source: ObjectInfo, target: str) -> Stored:
    try:
        return how.store.copy(source, target, options=how.rules.options)
    except Unsupported:
        _remove_empty(how.store, source, target)
        raise


def _remove_empty(store: ObjectStore, source: ObjectInfo, target: str) -> None:
    """Remove what a server has stored that took a copy for an upload of nothing."""
    with suppress(S3xError):
        if source.size_bytes and not store.head(target).size_bytes:
            store.delete(target)


def _confirm(how: Copying, source: ObjectInfo, target: str, copy: Stored) -> None:
    """Make sure that the copy is one. Where ETags differ that should not, both objects are read."""
    etags = how.rules.etags
    if etags.is_proof(copy.etag, source.etag):
        return
    confirm_size(how.store, target, source.size_bytes, version_id=copy.version_id)
    are_comparable = "-" not in copy.etag + source.etag
    if not (are_comparable and etags.raises_doubt(copy.etag, source.etag)):
        return
    whole = Span(1, 0, source.size_bytes)
    if digest_at_server(how.store, target, whole) != digest_at_server(how.store, source.name, whole):
        how.store.delete(target)
        raise IntegrityError(
            f"the server's copy of {source.name} was damaged and deleted again",
            remedy="run the command again",
        )
    etags.learn_that_it_means_nothing()


class _Parts:
    """One copy in parts. Used by one thread; its parts go through the pool."""

    def __init__(self, how: Copying, source: ObjectInfo, target: str) -> None:
        self._how = how
        self._source = source
        self._target = target
        self._upload_id = ""

    def copy(self) -> Stored:
        """Copy all parts and make the object appear."""
        store, limits = self._how.store, self._how.rules.limits
        wanted = min(self._how.part_bytes, limits.max_part, limits.max_put)
        spans = cut(self._source.size_bytes, part_bytes(self._source.size_bytes, limits, wanted))
        options = replace(
            self._how.rules.options,
            metadata=self._source.metadata,
            storage_class=self._source.storage_class,
            part_crc32=False,  # the server copies: no CRC32 of a part is known here
        )
        self._upload_id = store.create_upload(self._target, options=options)
        try:
            return self._complete(self._copy_all(spans))
        except BaseException:
            self._take_back()
            raise

    def _copy_all(self, spans: Sequence[Span]) -> list[PartReceipt]:
        waiting = deque(spans)
        under_way: set[Future[PartReceipt]] = set()
        done: list[PartReceipt] = []
        pool = self._how.pool
        try:
            while waiting or under_way:
                while waiting and len(under_way) < pool.connections:
                    under_way.add(self._submit(waiting.popleft()))
                finished, under_way = wait(under_way, CHECK_EVERY_S, FIRST_COMPLETED)
                done += [future.result() for future in finished]
                pool.check()
        finally:
            wait([future for future in under_way if not future.cancel()], GIVE_UP_S)
        return sorted(done, key=lambda part: part.number)

    def _complete(self, receipts: Sequence[PartReceipt]) -> Stored:
        store = self._how.store
        try:
            return store.complete_upload(self._target, self._upload_id, receipts)
        except UploadNotFound:
            # the answer to a first completion may have been lost, and the request sent again
            with suppress(ValueError):
                digests = [bytes.fromhex(receipt.etag) for receipt in receipts]
                found = store.head(self._target)
                if found.etag == multipart_etag(digests):
                    return Stored(found.etag, found.version_id)
            raise

    def _submit(self, span: Span) -> Future[PartReceipt]:
        return self._how.pool.submit(
            lambda: self._how.store.copy_part(
                self._source, span.start, span.size_bytes, self._target, self._upload_id, span.number
            )
        )

    def _take_back(self) -> None:
        try:
            self._how.store.abort_upload(self._target, self._upload_id)
        except S3xError as error:
            lgr.warning("parts of %s are left at the server: %s", self._target, error)
