"""Receipts of uploads and copies in a bucket that keeps versions, while somebody else writes there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, UploadNotFound
from datalad_s3ext.providers.schema import Capabilities, Upload
from datalad_s3ext.store.base import ObjectInfo, RangeReader, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.pinned import Pinned
from datalad_s3ext.transfer.copy import Copying, rename_object
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.upload import upload_file

PART = 1000
LIMITS = Upload(
    min_part=1, max_put=PART, part_etag_is_md5=True, multipart_etag_is_md5_of_md5s=True,
    etag_is_md5=True,
)  # fmt: skip
UNKNOWN = Upload(min_part=1, max_put=PART)
SIZES = [PART, 3 * PART]
"""One request, and several parts."""


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=4)
    yield pool
    pool.close()


class Contended(MemoryStore):
    """Somebody else stores an object under each name as soon as one has been stored there."""

    def __init__(self) -> None:
        super().__init__()
        self.enable_versioning()
        self.theirs: bytes | None = None
        self.etag: str | None = None
        """What HEAD tells instead of the object's own."""
        self.forgets = False
        """Completed uploads are unknown."""

    def head(self, name: str) -> ObjectInfo:
        found = super().head(name)
        return found if self.etag is None else replace(found, etag=self.etag)

    def put(self, name: str, *args: Any, **kw: Any) -> Stored:
        stored = super().put(name, *args, **kw)
        self.contend(name)
        return stored

    def copy(self, source: ObjectInfo, target: str, **kw: Any) -> Stored:
        stored = super().copy(source, target, **kw)
        self.contend(target)
        return stored

    def complete_upload(self, name: str, upload_id: str, parts: Any) -> Stored:
        stored = super().complete_upload(name, upload_id, parts)
        self.contend(name)
        if self.forgets:
            raise UploadNotFound("no such upload")
        return stored

    def contend(self, name: str) -> None:
        if self.theirs is not None:
            super().put(name, BytesIO(self.theirs), len(self.theirs))


def write(folder: Path, size: int) -> Path:
    path = folder / "content"
    path.write_bytes(os.urandom(size))
    return path


def upload(store: MemoryStore, path: Path, pool: Pool, limits: Upload = LIMITS) -> Stored:
    rules = UploadRules.of(limits, part_size=PART)
    return upload_file(store, "name", path, rules, pool, Progress(lambda _: None))


def content(store: MemoryStore, name: str, stored: Stored) -> bytes:
    with store.get(Pinned(name, version_id=stored.version_id)) as reader:
        return reader.read(10**9)


def newest(store: MemoryStore, name: str) -> bytes:
    with store.get(name) as reader:
        return reader.read(10**9)


@pytest.mark.parametrize("size", SIZES)
def test_the_receipt_names_the_version_with_what_was_sent(
    tmp_path: Path, pool: Pool, size: int
) -> None:
    store, path = Contended(), write(tmp_path, size)
    store.theirs = bytes(size)

    stored = upload(store, path, pool)

    assert content(store, "name", stored) == path.read_bytes()
    assert newest(store, "name") == bytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_somebody_else_has_stored_is_not_deleted_for_its_size(
    tmp_path: Path, pool: Pool, size: int
) -> None:
    store = Contended()
    store.theirs = b"theirs"

    with pytest.raises(IntegrityError, match="replaced by somebody else"):
        upload(store, write(tmp_path, size), pool, UNKNOWN)

    assert newest(store, "name") == b"theirs"


@pytest.mark.parametrize("etag", [None, "opaque"])
def test_a_lost_completion_is_found_with_its_version(
    tmp_path: Path, pool: Pool, etag: str | None
) -> None:
    store, path = Contended(), write(tmp_path, 3 * PART)
    store.forgets, store.etag = True, etag

    stored = upload(store, path, pool)

    assert content(store, "name", stored) == path.read_bytes()


def test_somebody_elses_version_is_not_taken_for_a_lost_completion(tmp_path: Path, pool: Pool) -> None:
    """It is stored after the object has been read, and found right."""

    class Late(Contended):
        def get(self, name: str, **kw: Any) -> RangeReader:
            reader = super().get(name, **kw)
            if kw["start"] == 2 * PART:
                self.put(name, BytesIO(bytes(3 * PART)), 3 * PART)
            return reader

    store = Late()
    store.forgets, store.etag = True, "opaque"

    with pytest.raises(UploadNotFound):
        upload(store, write(tmp_path, 3 * PART), pool)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("forgets", [False, True])
def test_a_copy_is_known_by_its_version(pool: Pool, size: int, forgets: bool) -> None:
    """Also where the answer to the completion was lost and nobody else has written."""
    store, data = Contended(), os.urandom(size)
    old = store.put("old", BytesIO(data), size)
    store.forgets, store.theirs = forgets, None if forgets else bytes(size)
    limits = replace(LIMITS, max_put=PART - 1 if size > PART else PART)
    how = Copying(store, UploadRules.of(limits), Capabilities(), pool)

    renamed = rename_object(how, "old", "passing", expected_bytes=size, is_passing=True)

    assert renamed.source.version_id == old.version_id
    assert content(store, "passing", renamed.copy) == data
    assert how.passing["passing"].version_id == renamed.copy.version_id
    assert content(store, "old", old) == data
    assert [info.name for info in store.list()] == ["passing"]
