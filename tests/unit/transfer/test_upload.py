"""Uploads into the store in memory, with faults of a store that misbehaves around it."""

import hashlib
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, LocalError, TransientError, UploadNotFound
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import ObjectInfo, PartReceipt, RangeReader, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.pool import Cancelled, Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.upload import upload_file

LIMITS = Upload(min_part=1, part_etag_is_md5=True, multipart_etag_is_md5_of_md5s=True, etag_is_md5=True)
PART = 1000


@pytest.fixture
def pool():
    pool = Pool(connections=4)
    yield pool
    pool.close()


def write(folder: Path, size: int) -> Path:
    path = folder / "content"
    path.write_bytes(os.urandom(size))
    return path


def upload(store: MemoryStore, path: Path, pool: Pool, limits: Upload = LIMITS) -> list[int]:
    told: list[int] = []
    rules = UploadRules.of(limits, part_size=PART)
    upload_file(store, "name", path, rules, pool, Progress(told.append, every_s=0))
    return told


def read(store: MemoryStore, name: str = "name") -> bytes:
    with store.get(name) as reader:
        return reader.read(10**9)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 10 * PART, 10 * PART + 1])
def test_every_size_arrives_whole(tmp_path: Path, pool: Pool, size: int) -> None:
    store, path = MemoryStore(), write(tmp_path, size)

    upload(store, path, pool)

    assert read(store) == path.read_bytes()
    assert list(store.list_uploads()) == []


def test_a_file_above_the_part_size_goes_in_parts(tmp_path: Path, pool: Pool) -> None:
    store, path = MemoryStore(), write(tmp_path, 3 * PART)
    digests = b"".join(
        hashlib.md5(path.read_bytes()[n : n + PART]).digest() for n in (0, PART, 2 * PART)
    )

    upload(store, path, pool)

    assert store.head("name").etag == f"{hashlib.md5(digests).hexdigest()}-3"


def test_storing_again_replaces(tmp_path: Path, pool: Pool) -> None:
    store = MemoryStore()
    upload(store, write(tmp_path, 5 * PART), pool)
    path = write(tmp_path, 2)

    upload(store, path, pool)

    assert read(store) == path.read_bytes()


def test_a_part_that_fails_for_good_leaves_nothing(tmp_path: Path, pool: Pool) -> None:
    class Failing(MemoryStore):
        def upload_part(
            self, name: str, upload_id: str, number: int, *args: Any, **kw: Any
        ) -> PartReceipt:
            if number == 3:
                raise TransientError("the network is gone")
            return super().upload_part(name, upload_id, number, *args, **kw)

    store = Failing()

    with pytest.raises(TransientError):
        upload(store, write(tmp_path, 10 * PART), pool)

    assert list(store.list()) == []
    assert list(store.list_uploads()) == []


def test_an_object_of_the_wrong_size_is_found_and_deleted(tmp_path: Path, pool: Pool) -> None:
    class Losing(MemoryStore):
        def head(self, name: str) -> ObjectInfo:
            return ObjectInfo(name, super().head(name).size_bytes - 1, "e")

    store = Losing()

    with pytest.raises(IntegrityError, match="instead of"):
        upload(store, write(tmp_path, 10 * PART), pool)

    assert list(store.list()) == []


def test_an_object_that_is_not_there_after_completion_is_found_out(tmp_path: Path, pool: Pool) -> None:
    class Lying(MemoryStore):
        def complete_upload(self, name: str, upload_id: str, parts: Any) -> Stored:
            self.abort_upload(name, upload_id)
            return Stored("")

    with pytest.raises(IntegrityError, match="does not have it"):
        upload(Lying(), write(tmp_path, 10 * PART), pool)


UNKNOWN = Upload(min_part=1)


class Damaging(MemoryStore):
    """Keeps other bytes than it is sent, and says so only in its ETags."""

    def put(self, name: str, body: Any, size_bytes: int, **kw: Any) -> Stored:
        body.read()
        return super().put(name, BytesIO(bytes(size_bytes)), size_bytes)

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Any, size_bytes: int, **kw: Any
    ) -> PartReceipt:
        body.read()
        return super().upload_part(name, upload_id, number, BytesIO(bytes(size_bytes)), size_bytes)


@pytest.mark.parametrize("limits", [LIMITS, UNKNOWN])
@pytest.mark.parametrize("size", [PART, 3 * PART])
def test_damage_that_an_etag_hints_at_is_found_and_deleted(
    tmp_path: Path, pool: Pool, size: int, limits: Upload
) -> None:
    store = Damaging()

    with pytest.raises(IntegrityError, match="damaged"):
        upload(store, write(tmp_path, size), pool, limits)

    assert list(store.list()) == []


class Salting(MemoryStore):
    """Right bytes, but ETags that are no digest of them, as in buckets that encrypt by default."""

    gets = 0

    def put(self, *args: Any, **kw: Any) -> Stored:
        super().put(*args, **kw)
        return Stored("0" * 32)

    def complete_upload(self, *args: Any) -> Stored:
        super().complete_upload(*args)
        return Stored("0" * 32 + "-3")

    def get(self, *args: Any, **kw: Any) -> Any:
        self.gets += 1
        return super().get(*args, **kw)


@pytest.mark.parametrize("size", [PART, 3 * PART])
def test_etags_that_mean_nothing_cost_one_look(tmp_path: Path, pool: Pool, size: int) -> None:
    store, path = Salting(), write(tmp_path, size)
    rules = UploadRules.of(UNKNOWN, part_size=PART)

    for number in range(3):
        upload_file(store, f"name{number}", path, rules, pool, Progress(lambda _: None))

    assert store.gets == size // PART
    assert len(list(store.list())) == 3


class Forgetful(MemoryStore):
    """Makes the object appear, perhaps of other bytes, and does not remember the upload."""

    def __init__(self, etag: str | None = None, instead: bytes | None = None) -> None:
        super().__init__()
        self.etag = etag
        self.instead = instead
        self.gets = 0

    def complete_upload(self, name: str, upload_id: str, parts: Any) -> Stored:
        super().complete_upload(name, upload_id, parts)
        if self.instead is not None:
            self.put(name, BytesIO(self.instead), len(self.instead))
        raise UploadNotFound("no such upload")

    def head(self, name: str) -> ObjectInfo:
        found = super().head(name)
        return found if self.etag is None else replace(found, etag=self.etag)

    def get(self, *args: Any, **kw: Any) -> RangeReader:
        self.gets += 1
        return super().get(*args, **kw)


@pytest.mark.parametrize(
    ("etag", "gets"), [(None, 0), ("opaque", 3), ("", 3), ("0" * 32, 3), ("0" * 32 + "-3", 3)]
)
@pytest.mark.parametrize("limits", [LIMITS, UNKNOWN])
def test_a_completion_whose_answer_was_lost_is_recognised(
    tmp_path: Path, pool: Pool, etag: str | None, gets: int, limits: Upload
) -> None:
    """By its ETag, or by its bytes, each of which is read once."""
    store, path = Forgetful(etag), write(tmp_path, 3 * PART)

    upload(store, path, pool, limits)

    assert read(store) == path.read_bytes()
    assert store.gets - 1 == gets


@pytest.mark.parametrize(("size", "gets"), [(3 * PART, 1), (3 * PART - 1, 0), (3 * PART + 1, 0)])
def test_another_object_in_its_place_is_no_success_and_is_left_alone(
    tmp_path: Path, pool: Pool, size: int, gets: int
) -> None:
    store = Forgetful("opaque", instead=bytes(size))

    with pytest.raises(UploadNotFound):
        upload(store, write(tmp_path, 3 * PART), pool)

    assert store.gets == gets
    assert read(store) == bytes(size)


def test_what_cannot_be_read_back_is_neither_stored_nor_gone(tmp_path: Path, pool: Pool) -> None:
    class Unreadable(Forgetful):
        def get(self, *args: Any, **kw: Any) -> RangeReader:
            raise TransientError("the network is gone")

    store = Unreadable("opaque")

    with pytest.raises(TransientError, match="the network is gone"):
        upload(store, write(tmp_path, 3 * PART), pool)

    assert [info.name for info in store.list()] == ["name"]


def test_an_upload_that_vanished_is_no_success(tmp_path: Path, pool: Pool) -> None:
    class Expired(MemoryStore):
        def complete_upload(self, name: str, upload_id: str, parts: Any) -> Stored:
            raise UploadNotFound("no such upload")

    with pytest.raises(UploadNotFound):
        upload(Expired(), write(tmp_path, 3 * PART), pool)


@pytest.mark.parametrize("size", [PART, 3 * PART])
def test_a_file_that_changes_meanwhile_is_not_stored(tmp_path: Path, pool: Pool, size: int) -> None:
    path = write(tmp_path, size)

    class Touching(MemoryStore):
        def put(self, *args: Any, **kw: Any) -> Stored:
            stored = super().put(*args, **kw)
            path.write_bytes(os.urandom(size))
            return stored

        def upload_part(self, *args: Any, **kw: Any) -> PartReceipt:
            receipt = super().upload_part(*args, **kw)
            path.write_bytes(os.urandom(size))
            return receipt

    store = Touching()

    with pytest.raises((LocalError, IntegrityError), match=r"changed|shorter|MD5"):
        upload(store, path, pool)

    assert list(store.list()) == []
    assert list(store.list_uploads()) == []


def test_progress_never_goes_back_and_ends_at_the_size(tmp_path: Path, pool: Pool) -> None:
    told = upload(MemoryStore(), write(tmp_path, 10 * PART), pool)

    assert told == sorted(told)
    assert told[-1:] in ([], [10 * PART])


@pytest.mark.parametrize("parts", [10, 40])
def test_a_cancelled_process_leaves_no_parts(tmp_path: Path, pool: Pool, parts: int) -> None:
    """However many still wait for a free connection."""

    class Stopping(MemoryStore):
        def upload_part(self, *args: Any, **kw: Any) -> PartReceipt:
            pool.cancel()
            return super().upload_part(*args, **kw)

    store = Stopping()

    with pytest.raises(Cancelled):
        upload(store, write(tmp_path, parts * PART), pool)

    assert list(store.list()) == []
    assert list(store.list_uploads()) == []


def test_no_more_parts_wait_than_there_are_connections(tmp_path: Path, pool: Pool) -> None:
    waiting: list[int] = []

    class Watching(MemoryStore):
        def upload_part(self, *args: Any, **kw: Any) -> PartReceipt:
            waiting.append(pool._workers._work_queue.qsize())
            return super().upload_part(*args, **kw)

    upload(Watching(), write(tmp_path, 100 * PART), pool)

    assert max(waiting) <= pool.connections


def test_a_file_that_was_only_touched_keeps_its_object(tmp_path: Path, pool: Pool) -> None:
    path = write(tmp_path, PART)

    class Touching(MemoryStore):
        def put(self, *args: Any, **kw: Any) -> Stored:
            stored = super().put(*args, **kw)
            os.utime(path, ns=(1, 1))
            return stored

    store = Touching()

    upload(store, path, pool)

    assert read(store) == path.read_bytes()


def test_an_etag_that_is_no_md5_confirms_nothing(tmp_path: Path, pool: Pool) -> None:
    class Lying(MemoryStore):
        def put(self, *args: Any, **kw: Any) -> Stored:
            return Stored("opaque")

    with pytest.raises(IntegrityError, match="does not have it"):
        upload(Lying(), write(tmp_path, PART), pool)


def test_parts_that_cannot_be_taken_back_are_mentioned(tmp_path: Path, pool: Pool) -> None:
    class Stuck(MemoryStore):
        def upload_part(self, *args: Any, **kw: Any) -> PartReceipt:
            raise TransientError("the network is gone")

        def abort_upload(self, *args: Any) -> None:
            raise TransientError("the network is gone")

    with pytest.raises(TransientError, match="parts that were sent are left"):
        upload(Stuck(), write(tmp_path, 3 * PART), pool)


def test_a_missing_file_is_named(tmp_path: Path, pool: Pool) -> None:
    with pytest.raises(LocalError, match="nowhere"):
        upload(MemoryStore(), tmp_path / "nowhere", pool)


def test_a_short_transfer_reports_nothing(tmp_path: Path, pool: Pool) -> None:
    """git-annex takes its time for each report."""
    told: list[int] = []
    progress = Progress(told.append, every_s=60)

    upload_file(MemoryStore(), "name", write(tmp_path, 10), UploadRules.of(LIMITS), pool, progress)

    assert told == []
