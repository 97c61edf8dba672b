"""From a local file to an object: one PUT when small, parallel parts when large.

What is promised: when `upload_file` returns, the server has confirmed every byte; when it raises, no
object is left that is present and wrong, and no unfinished multipart upload that nobody knows of.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from datalad_s3ext.store.base import ObjectStore, Stored
from datalad_s3ext.transfer.fingerprint import Fingerprint
from datalad_s3ext.transfer.journal import Journals
from datalad_s3ext.transfer.plan import Span, cut, part_bytes
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.slices import FileSlice
from datalad_s3ext.transfer.source import Source, UploadRules
from datalad_s3ext.transfer.verify import confirm_size, read_back


def upload_file(
    store: ObjectStore,
    name: str,
    path: Path,
    rules: UploadRules,
    pool: Pool,
    progress: Progress,
    journals: Journals | None = None,
    key: str = "",
) -> Stored:
    """Store the file `path` as the object `name`, replacing any other, and return its receipt.

    The version in the receipt is the one that holds the content, whatever others store meanwhile.

    Parameters
    ----------
    journals
        Where to write down what is under way, so that a later call goes on with an upload that
        ended early. Without, it is taken back.
    key
        The git-annex key of the content, where `name` may be given to another one later.

    Raises
    ------
    IntegrityError
        When what the server has is not what was sent; the wrong object was deleted.
    S3xError
        Any other fault; nothing was stored.
    """
    source = Source.of(path, key)
    piece = part_bytes(source.size_bytes, rules.limits, rules.part_size)
    if source.size_bytes <= min(piece, rules.limits.max_put):
        stored = _put_whole(store, name, source, rules, progress)
    else:
        from datalad_s3ext.transfer.parted import PartedUpload

        with journals.open(name) if journals is not None else nullcontext() as journal:
            upload = PartedUpload(store, name, source, rules, pool, progress, journal)
            stored = upload.run(cut(source.size_bytes, piece))
    progress.finish()
    return stored


def _put_whole(
    store: ObjectStore, name: str, source: Source, rules: UploadRules, progress: Progress
) -> Stored:
    with source.opened() as file:
        body = FileSlice(file, 0, source.size_bytes, on_send=progress.add_and_report)
        digest = body.fingerprint()
        stored = store.put(name, body, source.size_bytes, md5=digest.md5, options=rules.options)
        body.sent()
    if not rules.etags.is_proof(stored.etag, digest.value.hex()):
        confirm_size(store, name, source.size_bytes, version_id=stored.version_id)
    if rules.etags.raises_doubt(stored.etag, digest.value.hex()):
        read_back(store, name, [Span(1, 0, source.size_bytes)], [digest])
        rules.etags.learn_that_it_means_nothing()
    _check_what_was_sent(store, name, source, digest)
    return stored


def _check_what_was_sent(store: ObjectStore, name: str, source: Source, digest: Fingerprint) -> None:
    """Delete the object when the file was given other content while it was sent.

    A file that was only touched is no reason: the object may be the only copy that is left.
    """
    if Source.of(source.path, source.key) == source:
        return
    with source.opened() as file:
        size_bytes = Source.of(source.path).size_bytes
        if FileSlice(file, 0, size_bytes).fingerprint() == digest:
            return
    store.delete(name)
    source.check_unchanged()
