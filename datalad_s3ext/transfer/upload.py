"""From a local file to an object: one PUT when small, parallel parts when large.

What is promised: when `upload_file` returns, the server has confirmed every byte; when it raises, no
object is left that is present and wrong, and no unfinished multipart upload.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from datalad_s3ext.errors import LocalError, ObjectNotFound, S3xError, UploadNotFound
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import DEFAULT_PUT, ObjectStore, PartReceipt, PutOptions
from datalad_s3ext.transfer.plan import Span, cut, part_bytes
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import REPORT_EVERY_S, Progress
from datalad_s3ext.transfer.slices import FileSlice
from datalad_s3ext.transfer.verify import EtagTrust, confirm_size, multipart_etag, read_back

lgr = logging.getLogger(__name__)

Sent = Future[tuple[bytes, PartReceipt]]
GIVE_UP_S = 5.0
"""How long an upload that failed waits for its parts under way before it is taken back anyway."""


@dataclass(frozen=True)
class Source:
    """The local file of an upload as it was when the upload began."""

    path: Path
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at the file.

        Raises
        ------
        LocalError
            When it cannot be read.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise LocalError(f"cannot read {path}: {error.strerror}") from error
        return cls(path, found.st_size, found.st_mtime_ns)

    def check_unchanged(self) -> None:
        """Raise `LocalError` when the file is no longer what it was."""
        if Source.of(self.path) != self:
            raise LocalError(
                f"{self.path} changed while it was uploaded; nothing was stored",
                remedy="run the command again when nothing writes to the file",
            )


@dataclass(frozen=True)
class UploadRules:
    """How the objects of one bucket are stored; made once per process by :meth:`of`."""

    limits: Upload
    """What the provider allows."""
    etags: EtagTrust
    """Of objects stored by one PUT."""
    multipart_etags: EtagTrust
    part_size: int | None = None
    """Bytes of a part; by default chosen from the file's size."""
    options: PutOptions = DEFAULT_PUT

    @classmethod
    def of(
        cls, limits: Upload, *, part_size: int | None = None, options: PutOptions = DEFAULT_PUT
    ) -> UploadRules:
        """Return the rules for a provider with these `limits`."""
        return cls(
            limits,
            EtagTrust(known_to_be_md5=limits.etag_is_md5),
            EtagTrust(known_to_be_md5=limits.multipart_etag_is_md5_of_md5s),
            part_size,
            options,
        )


def upload_file(
    store: ObjectStore, name: str, path: Path, rules: UploadRules, pool: Pool, progress: Progress
) -> None:
    """Store the file `path` as the object `name`, replacing any other.

    Raises
    ------
    IntegrityError
        When what the server has is not what was sent; the wrong object was deleted.
    S3xError
        Any other fault; nothing was stored.
    """
    source = Source.of(path)
    piece = part_bytes(source.size_bytes, rules.limits, rules.part_size)
    if source.size_bytes <= min(piece, rules.limits.max_put):
        _put_whole(store, name, source, rules, progress)
    else:
        parts = cut(source.size_bytes, piece)
        _PartedUpload(store, name, source, rules, pool, progress).run(parts)
    progress.report(now=True)


def _put_whole(
    store: ObjectStore, name: str, source: Source, rules: UploadRules, progress: Progress
) -> None:
    with _opened(source) as file:
        body = FileSlice(file, 0, source.size_bytes, on_send=progress.add)
        digest = body.md5()
        stored = store.put(name, body, source.size_bytes, md5=digest, options=rules.options)
        body.sent()
    if not rules.etags.is_proof(stored.etag, digest.hex()):
        confirm_size(store, name, source.size_bytes)
    if rules.etags.raises_doubt(stored.etag, digest.hex()):
        read_back(store, name, [Span(1, 0, source.size_bytes)], [digest])
        rules.etags.learn_that_it_means_nothing()
    _check_what_was_sent(store, name, source, digest)


def _check_what_was_sent(store: ObjectStore, name: str, source: Source, digest: bytes) -> None:
    """Delete the object when the file was given other content while it was sent.

    A file that was only touched is no reason: the object may be the only copy that is left.
    """
    if Source.of(source.path) == source:
        return
    with _opened(source) as file:
        size_bytes = Source.of(source.path).size_bytes
        if FileSlice(file, 0, size_bytes).md5() == digest:
            return
    store.delete(name)
    source.check_unchanged()


class _PartedUpload:
    """One multipart upload, from its beginning to the whole object or to nothing."""

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        source: Source,
        rules: UploadRules,
        pool: Pool,
        progress: Progress,
    ) -> None:
        self._store = store
        self._name = name
        self._source = source
        self._rules = rules
        self._pool = pool
        self._progress = progress
        self._upload_id = ""

    def run(self, spans: Sequence[Span]) -> None:
        """Send the parts and complete; abort when anything goes wrong."""
        self._upload_id = self._store.create_upload(self._name, options=self._rules.options)
        try:
            digests, receipts = self._send_all(spans)
            self._source.check_unchanged()
            etag = self._complete(digests, receipts)
        except BaseException as error:
            self._take_back(error)
            raise
        confirm_size(self._store, self._name, self._source.size_bytes)
        if self._rules.multipart_etags.raises_doubt(etag, multipart_etag(digests)):
            read_back(self._store, self._name, spans, digests)
            self._rules.multipart_etags.learn_that_it_means_nothing()

    def _take_back(self, error: BaseException) -> None:
        try:
            self._store.abort_upload(self._name, self._upload_id)
        except S3xError as refused:
            lgr.warning("parts of %s are left at the server: %s", self._name, refused)
            if isinstance(error, S3xError):
                error.remedy += "; parts that were sent are left at the server, and may be billed"

    def _send_all(self, spans: Sequence[Span]) -> tuple[list[bytes], list[PartReceipt]]:
        """Keep as many parts under way as there are connections: other jobs want their turn, too."""
        waiting = deque(spans)
        under_way: set[Sent] = set()
        done: list[tuple[bytes, PartReceipt]] = []
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._pool.connections:
                    under_way.add(self._submit(waiting.popleft()))
                finished, under_way = wait(under_way, REPORT_EVERY_S, FIRST_COMPLETED)
                done += [future.result() for future in finished]
                self._progress.report()
                self._pool.check()
        finally:
            wait([future for future in under_way if not future.cancel()], GIVE_UP_S)
        done.sort(key=lambda sent: sent[1].number)
        return [digest for digest, _ in done], [receipt for _, receipt in done]

    def _submit(self, span: Span) -> Sent:
        return self._pool.submit(lambda: self._send(span))

    def _send(self, span: Span) -> tuple[bytes, PartReceipt]:
        self._pool.check()
        with _opened(self._source) as file:
            body = FileSlice(file, span.start, span.size_bytes, on_send=self._progress.add)
            digest = body.md5()
            receipt = self._store.upload_part(
                self._name, self._upload_id, span.number, body, span.size_bytes, md5=digest
            )
            body.sent()
        return digest, receipt

    def _complete(self, digests: Sequence[bytes], receipts: Sequence[PartReceipt]) -> str:
        """Make the object appear and return its ETag, perhaps ``""``."""
        try:
            return self._store.complete_upload(self._name, self._upload_id, receipts).etag
        except UploadNotFound:
            # The answer to a first completion may have been lost and the request sent again.
            if self._etag_of_object() == (expected := multipart_etag(digests)):
                return expected
            raise

    def _etag_of_object(self) -> str | None:
        try:
            return self._store.head(self._name).etag
        except ObjectNotFound:
            return None


def _opened(source: Source) -> BinaryIO:
    try:
        return source.path.open("rb", buffering=0)
    except OSError as error:
        raise LocalError(f"cannot read {source.path}: {error.strerror}") from error
