"""From one bucket to another as a stream: how an upload ends."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from datalad_s3ext.errors import TransientError, UploadNotFound
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import PartReceipt, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.across import MULTIPART_FROM_BYTES, Digest, End, stream
from datalad_s3ext.transfer.source import UploadRules

SIZE = MULTIPART_FROM_BYTES + 1
NEW, OLD = bytes(SIZE), b"1" * SIZE


class Losing(MemoryStore):
    """Completes an upload, or does not, and in any case says that there is none."""

    def __init__(self, *, completes: bool, error: Exception) -> None:
        super().__init__()
        self.completes = completes
        self.error = error

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        if self.completes:
            super().complete_upload(name, upload_id, parts)
        raise self.error


def streamed(target: MemoryStore) -> None:
    source = MemoryStore()
    source.put("a", io.BytesIO(NEW), SIZE)
    stream(source, source.head("a"), End(target, UploadRules.of(Upload())), "a", Digest())


def content(store: MemoryStore) -> bytes:
    with store.get("a") as reader:
        return b"".join(iter(lambda: reader.read(1 << 20), b""))


def test_a_completion_whose_answer_was_lost_is_one() -> None:
    target = Losing(completes=True, error=UploadNotFound("gone"))

    streamed(target)

    assert content(target) == NEW


@pytest.mark.parametrize("error", [TransientError("busy"), UploadNotFound("gone")])
def test_one_that_fails_leaves_no_parts_and_what_was_there(error: Exception) -> None:
    target = Losing(completes=False, error=error)
    target.put("a", io.BytesIO(OLD), SIZE)

    with pytest.raises(type(error)):
        streamed(target)

    assert list(target.list_uploads()) == []
    assert content(target) == OLD
