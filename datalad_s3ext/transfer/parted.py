"""One multipart upload: parts side by side, going on where an earlier try ended."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    LocalError,
    NotS3,
    ObjectNotFound,
    S3xError,
    TransientError,
    Unsupported,
    UploadNotFound,
)
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, PartReceipt, Stored
from datalad_s3ext.transfer.fingerprint import Fingerprint, Kind
from datalad_s3ext.transfer.journal import Begun, Confirmed, Journal
from datalad_s3ext.transfer.plan import Span
from datalad_s3ext.transfer.pool import Cancelled, Pool
from datalad_s3ext.transfer.progress import REPORT_EVERY_S, Progress
from datalad_s3ext.transfer.slices import FileSlice
from datalad_s3ext.transfer.source import Source, UploadRules
from datalad_s3ext.transfer.taking_back import take_back
from datalad_s3ext.transfer.verify import confirm_size, etag_of_parts, is_stored, read_back

lgr = logging.getLogger(__name__)

_FINAL = (
    AccessDenied, ConfigError, IntegrityError, LocalError, NotS3, Unsupported, UploadNotFound,
)  # fmt: skip
"""Reasons for which an upload ends that another try would meet again."""

Sent = Future[tuple[Fingerprint, PartReceipt]]
GIVE_UP_S = 5.0
"""How long an upload that failed waits for its parts under way before it is left or taken back."""


class PartedUpload:
    """One object on its way, part by part. Used by one thread; its parts go through the pool."""

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        source: Source,
        rules: UploadRules,
        pool: Pool,
        progress: Progress,
        journal: Journal | None = None,
    ) -> None:
        self._store = store
        self._name = name
        self._source = source
        self._rules = rules
        self._kind = rules.part_kind
        self._pool = pool
        self._progress = progress
        self._journal = journal
        self._upload_id = ""
        self._noted: Mapping[int, Confirmed] = {}
        self._at_server: Mapping[int, PartReceipt] = {}

    def run(self, spans: Sequence[Span]) -> Stored:
        """Send what is not there yet, make the object appear, and return its receipt.

        When it fails for a reason that may pass, and there is a journal, the parts stay for the next
        try; else they are taken back.
        """
        self._begin(spans)
        try:
            with self._pool.sending.transfer():
                digests, receipts = self._send_all(spans)
            self._source.check_unchanged()
            stored = self._complete(spans, digests, receipts)
        except BaseException as error:
            if self._journal is None or not may_go_on_later(error):
                self._take_back(error)
            raise
        if self._journal is not None:
            self._journal.forget()
        confirm_size(self._store, self._name, self._source.size_bytes, version_id=stored.version_id)
        self._judge(spans, digests, receipts, stored.etag)
        return stored

    # -- beginning, or going on -----------------------------------------------------------------

    def _begin(self, spans: Sequence[Span]) -> None:
        upload = Begun(
            self._rules.place, self._name, "", self._source.size_bytes, spans[0].size_bytes,
            self._source.identity,
        )  # fmt: skip
        if self._journal is not None and self._take_up(self._journal, upload, spans):
            return
        began = time.monotonic()
        options = replace(self._rules.options, part_crc32=self._kind == "crc32")
        self._upload_id = self._store.create_upload(self._name, options=options)
        self._pool.sending.note_answer(time.monotonic() - began)
        if self._journal is not None and not self._journal.begin(upload.with_id(self._upload_id)):
            self._journal.forget()
            self._journal = None  # nobody could go on with it: it is taken back when it fails

    def _take_up(self, journal: Journal, upload: Begun, spans: Sequence[Span]) -> bool:
        """Go on with an earlier upload of the same bytes; one of other bytes is taken back.

        While that is not possible, the journal is left to it: its id must not be lost.
        """
        found = journal.read()
        if found is None:
            return False
        earlier, noted = found
        if not earlier.fits(upload) or not self._has_same_bytes(noted, spans):
            if not (earlier.is_at(upload.place) and take_back(self._store, earlier)):
                self._journal = None
            return False
        try:
            parts = self._store.list_parts(self._name, earlier.upload_id)
        except UploadNotFound:
            return False
        self._upload_id, self._noted = earlier.upload_id, noted
        self._at_server = {part.number: part for part in parts}
        return True

    def _has_same_bytes(self, noted: Mapping[int, Confirmed], spans: Sequence[Span]) -> bool:
        """Compare one part; the others are compared when their turn comes."""
        first = next((span for span in spans if span.number in noted), None)
        return first is None or self._digest_of(first).text == noted[first.number].digest

    def _digest_of(self, span: Span, kind: Kind | None = None) -> Fingerprint:
        with self._source.opened() as file:
            return FileSlice(file, span.start, span.size_bytes).fingerprint(kind or self._kind)

    # -- the parts ------------------------------------------------------------------------------

    def _send_all(self, spans: Sequence[Span]) -> tuple[list[Fingerprint], list[PartReceipt]]:
        """Keep no more parts under way than is our share: other jobs want their turn, too."""
        waiting = deque(spans)
        under_way: set[Sent] = set()
        done: list[tuple[Fingerprint, PartReceipt]] = []
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._pool.sending.share:
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

    def _send(self, span: Span) -> tuple[Fingerprint, PartReceipt]:
        self._pool.check()
        with self._source.opened() as file:
            body = FileSlice(file, span.start, span.size_bytes, on_send=self._progress.add)
            with self._pool.hashing:
                digest = body.fingerprint(self._kind)
            receipt = self._receipt_from_before(span, digest)
            if receipt is None:
                receipt = self._store.upload_part(
                    self._name, self._upload_id, span.number, body, span.size_bytes,
                    md5=digest.md5, crc32=digest.crc32,
                )  # fmt: skip
                if not receipt.is_echoed:
                    digest = self._compared_by_md5(span, receipt)
                elif self._journal is not None:
                    self._journal.note(Confirmed(span.number, digest.text, receipt.etag))
                self._pool.sending.note(span.size_bytes)
            body.sent()
        return digest, receipt

    def _compared_by_md5(self, span: Span, receipt: PartReceipt) -> Fingerprint:
        """Return the MD5 of a part whose CRC32 the server has not told back: who knows if it looked.

        Such a part is not noted in the journal either: a later try has to compare it again.
        """
        self._rules.crc32.learn_that_it_is_ignored()
        digest = self._digest_of(span, "md5")
        if receipt.etag_is_md5 and receipt.etag.lower() != digest.value.hex():
            raise IntegrityError(
                f"part {span.number} of {self._name} arrived damaged: the server has {receipt.etag},"
                f" sent was {digest.value.hex()}",
                remedy="run the command again",
            )
        return digest

    def _receipt_from_before(self, span: Span, digest: Fingerprint) -> PartReceipt | None:
        """Return the receipt of an earlier try, if the server still has just these bytes."""
        there, noted = self._at_server.get(span.number), self._noted.get(span.number)
        if there is None or there.size_bytes != span.size_bytes:
            return None
        is_noted = noted is not None and (noted.etag, noted.digest) == (there.etag, digest.text)
        if is_noted or there.etag == (digest.md5 or self._digest_of(span, "md5").value).hex():
            return replace(there, crc32=digest.crc32)
        return None

    # -- the end --------------------------------------------------------------------------------

    def _complete(
        self, spans: Sequence[Span], digests: Sequence[Fingerprint], receipts: Sequence[PartReceipt]
    ) -> Stored:
        """Make the object appear."""
        try:
            return self._store.complete_upload(self._name, self._upload_id, receipts)
        except UploadNotFound:
            # The answer to a first completion may have been lost and the request sent again.
            found = self._found(spans, digests)
            if found is None:
                raise
            return Stored(etag_of_parts(digests) or "", found.version_id)

    def _judge(
        self, spans: Sequence[Span], digests: Sequence[Fingerprint], receipts: Sequence[PartReceipt],
        etag: str,
    ) -> None:  # fmt: skip
        """Read the object where nothing else proves that it is what was sent; delete it if it is not.

        An ETag that differs from the usual one speaks against it; without one, so does a part that
        nobody is known to have compared.
        """
        if any(digest.md5 for digest in digests):
            digests = [
                digest if digest.md5 else self._digest_of(span, "md5")
                for span, digest in zip(spans, digests, strict=True)
            ]
        expected = etag_of_parts(digests)
        if etag == expected:
            return
        raises_doubt = bool(expected) and self._rules.multipart_etags.raises_doubt(etag, expected or "")
        if raises_doubt or not all(part.is_echoed or part.etag_is_md5 for part in receipts):
            read_back(self._store, self._name, spans, digests)
        if raises_doubt:
            self._rules.multipart_etags.learn_that_it_means_nothing()

    def _found(self, spans: Sequence[Span], digests: Sequence[Fingerprint]) -> ObjectInfo | None:
        """Return the object if it is what was sent. Where its ETag does not say so, it is read."""
        try:
            found = self._store.head(self._name)
            if found.size_bytes != self._source.size_bytes:
                return None
            md5s = digests if etag_of_parts(digests) else [self._digest_of(s, "md5") for s in spans]
            if found.etag == etag_of_parts(md5s):
                return found
            is_ours = is_stored(self._store, self._name, spans, md5s) and self._is_still(found)
        except ObjectNotFound:
            return None
        return found if is_ours else None

    def _is_still(self, found: ObjectInfo) -> bool:
        """Tell whether what was read is the version that the server had described before."""
        is_told = found.version_id is not None
        return not is_told or self._store.head(self._name).version_id == found.version_id

    def _take_back(self, error: BaseException) -> None:
        try:
            self._store.abort_upload(self._name, self._upload_id)
        except S3xError as refused:
            lgr.warning("parts of %s are left at the server: %s", self._name, refused)
            if isinstance(error, S3xError):
                error.remedy += "; parts that were sent are left at the server, and may be billed"
        else:
            if self._journal is not None:
                self._journal.forget()


def may_go_on_later(error: BaseException) -> bool:
    """Tell whether trying again later makes sense: after a loss of network, keys or process it does."""
    if isinstance(error, Cancelled | TransientError):
        return True
    return not isinstance(error, _FINAL)
