"""Renames by copy in the store in memory, and around it stores that misbehave."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from types import MappingProxyType

import pytest

from datalad_s3ext.errors import (
    AccessDenied,
    IntegrityError,
    ObjectNotFound,
    TransientError,
    Unsupported,
    UploadNotFound,
)
from datalad_s3ext.providers.schema import Capabilities, Upload
from datalad_s3ext.store.base import DEFAULT_PUT, ObjectInfo, PartReceipt, PutOptions, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.copy import Copying, rename_object
from datalad_s3ext.transfer.pool import Cancelled, Pool
from datalad_s3ext.transfer.source import UploadRules

LIMIT = 1000
LIMITS = Upload(min_part=1, max_put=LIMIT, etag_is_md5=True, multipart_etag_is_md5_of_md5s=True)
ANY = Capabilities()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=4)
    yield pool
    pool.close()


def filled(store: MemoryStore, size: int) -> bytes:
    data = os.urandom(size)
    options = PutOptions(metadata={"lab": "vision"}, storage_class="STANDARD_IA")
    store.put("old", BytesIO(data), size, options=options)
    return data


def rename(
    store: MemoryStore, pool: Pool, *, size: int | None = None, able: Capabilities = ANY,
    limits: Upload = LIMITS,
) -> None:  # fmt: skip
    how = Copying(store, UploadRules.of(limits), able, pool)
    rename_object(how, "old", "new", expected_bytes=size)


def content(store: MemoryStore, name: str) -> bytes:
    with store.get(name) as reader:
        return reader.read(10**9)


def names(store: MemoryStore) -> list[str]:
    return [info.name for info in store.list()]


@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1, 7 * LIMIT, 7 * LIMIT + 1])
def test_every_size_is_renamed_whole(pool: Pool, size: int) -> None:
    store = MemoryStore()
    data = filled(store, size)

    rename(store, pool, size=size)

    assert names(store) == ["new"]
    assert content(store, "new") == data
    info = store.head("new")
    assert (dict(info.metadata), info.storage_class) == ({"lab": "vision"}, "STANDARD_IA")
    assert ("-" in info.etag) == (size > LIMIT)
    assert list(store.list_uploads()) == []


def test_parts_are_copied_side_by_side(pool: Pool) -> None:
    together = threading.Barrier(4, timeout=10)

    class Meeting(MemoryStore):
        def copy_part(self, *asked: object) -> PartReceipt:
            together.wait()
            return super().copy_part(*asked)  # type: ignore[arg-type]

    store = Meeting()
    filled(store, 4 * LIMIT)

    rename(store, pool)

    assert names(store) == ["new"]


def test_a_copy_in_parts_announces_no_checksums_that_it_does_not_have(pool: Pool) -> None:
    """AWS would refuse to complete it."""
    announced: list[bool] = []

    class Noting(MemoryStore):
        def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
            announced.append(options.part_crc32)
            return super().create_upload(name, options=options)

    store = Noting()
    filled(store, 4 * LIMIT)

    rename(store, pool, limits=replace(LIMITS, verified_checksums=("CRC32",)))

    assert announced == [False]


@pytest.mark.parametrize(("known", "parts"), [(True, 4), (None, 0), (False, 0)])
def test_parts_are_used_before_they_must_be_where_they_work(
    pool: Pool, known: bool | None, parts: int
) -> None:
    store = MemoryStore()
    data = filled(store, LIMIT)
    able = Capabilities(upload_part_copy=known)
    how = Copying(store, UploadRules.of(LIMITS), able, pool, part_bytes=LIMIT // 4)

    rename_object(how, "old", "new", expected_bytes=None)

    assert content(store, "new") == data
    assert store.head("new").etag.partition("-")[2] == (str(parts) if parts else "")


@pytest.mark.parametrize("size", [5, 5 * LIMIT])
def test_an_object_of_the_wrong_size_stays(pool: Pool, size: int) -> None:
    store = MemoryStore()
    filled(store, size)

    with pytest.raises(IntegrityError):
        rename(store, pool, size=size + 1)

    assert names(store) == ["old"]


def test_what_is_not_there_is_not_renamed(pool: Pool) -> None:
    store = MemoryStore()

    with pytest.raises(ObjectNotFound):
        rename(store, pool)

    assert names(store) == []


def test_a_name_stays_when_it_is_the_new_one(pool: Pool) -> None:
    store = MemoryStore()
    data = filled(store, 5)
    how = Copying(store, UploadRules.of(LIMITS), ANY, pool)

    rename_object(how, "old", "old", expected_bytes=5)

    assert content(store, "old") == data


class Counting(MemoryStore):
    """Counts questions, and tells another ETag of a copy than the object has when a test says so."""

    heads = 0
    tells_other_etag = False

    def head(self, name: str) -> ObjectInfo:
        self.heads += 1
        return super().head(name)

    def copy(self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT) -> Stored:
        stored = super().copy(source, target, options=options)
        return Stored("other") if self.tells_other_etag else stored


@pytest.mark.parametrize("tells_other_etag", [False, True])
def test_what_is_passing_is_not_asked_for_again(pool: Pool, tells_other_etag: bool) -> None:
    store = Counting()
    data = filled(store, 5)
    store.tells_other_etag = tells_other_etag
    how = Copying(store, UploadRules.of(LIMITS), ANY, pool)

    rename_object(how, "old", "passing", expected_bytes=5, is_passing=True)
    rename_object(how, "passing", "new", expected_bytes=5)

    assert names(store) == ["new"]
    assert content(store, "new") == data
    assert how.passing == {}
    assert tells_other_etag or store.heads == 1


class Whole(MemoryStore):
    """Copies any size by one request, and nothing in parts."""

    def copy_part(self, *_: object) -> PartReceipt:
        raise Unsupported("no")


@pytest.mark.parametrize("able", [ANY, Capabilities(upload_part_copy=False)])
def test_a_service_without_copies_in_parts_is_asked_for_one_of_the_whole(
    pool: Pool, able: Capabilities
) -> None:
    store = Whole()
    data = filled(store, 3 * LIMIT)

    rename(store, pool, able=able)

    assert names(store) == ["new"]
    assert content(store, "new") == data
    assert list(store.list_uploads()) == []


def test_a_service_that_cannot_copy_is_not_asked(pool: Pool) -> None:
    store = MemoryStore()
    filled(store, 5)

    with pytest.raises(Unsupported):
        rename(store, pool, able=Capabilities(copy=False))

    assert names(store) == ["old"]


def test_nothing_is_left_where_a_copy_was_taken_for_an_upload_of_nothing(pool: Pool) -> None:
    class Mistaking(Whole):
        def copy(self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT) -> Stored:
            self.put(target, BytesIO(), 0, options=options)
            raise Unsupported("took it for something else")

    store = Mistaking()
    filled(store, 5)

    with pytest.raises(Unsupported):
        rename(store, pool)

    assert names(store) == ["old"]


class Damaging(MemoryStore):
    """Copies other bytes."""

    damage = staticmethod(lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    told_etag = ""

    def copy(self, source: ObjectInfo, target: str, *, options: PutOptions = DEFAULT_PUT) -> Stored:
        data = self.damage(content(self, source.name))
        stored = self.put(target, BytesIO(data), len(data), options=options)
        return Stored(self.told_etag or stored.etag)


@pytest.mark.parametrize("known", [True, None])
def test_a_damaged_copy_is_found_out_and_removed(pool: Pool, known: bool | None) -> None:
    store = Damaging()
    filled(store, 50)

    with pytest.raises(IntegrityError, match="damaged"):
        rename(store, pool, limits=Upload(max_put=LIMIT, etag_is_md5=known))

    assert names(store) == ["old"]


def test_a_short_copy_is_found_out_and_removed(pool: Pool) -> None:
    store = Damaging()
    store.damage = lambda data: data[:-1]  # type: ignore[method-assign]
    filled(store, 50)

    with pytest.raises(IntegrityError, match="49 bytes"):
        rename(store, pool, limits=Upload(max_put=LIMIT, etag_is_md5=False))

    assert names(store) == ["old"]


def test_etags_that_mean_nothing_cost_one_reading(pool: Pool) -> None:
    """As in a bucket that encrypts each object with a key of its own."""
    store = Damaging()
    store.damage = lambda data: data  # type: ignore[method-assign]
    store.told_etag = "0" * 32
    data = filled(store, 50)
    reads: list[str] = []
    inner = store.get
    store.get = lambda name, **asked: reads.append(name) or inner(name, **asked)  # type: ignore
    rules = UploadRules.of(LIMITS)
    how = Copying(store, rules, ANY, pool)

    rename_object(how, "old", "new", expected_bytes=50)
    assert sorted(reads) == ["new", "old", "old"]  # one "old" is Damaging's own
    rename_object(how, "new", "old", expected_bytes=50)

    assert len(reads) == 4
    assert content(store, "old") == data


class Faulty(MemoryStore):
    """Raises what a test says, on one kind of request."""

    faults: Mapping[str, BaseException] = MappingProxyType({})

    def _meet(self, request: str) -> None:
        if error := self.faults.get(request):
            raise error

    def copy_part(self, *asked: object) -> PartReceipt:
        if asked[-1] == 2:
            self._meet("copy_part")
        return super().copy_part(*asked)  # type: ignore[arg-type]

    def complete_upload(self, *asked: object) -> Stored:  # type: ignore[override]
        stored = super().complete_upload(*asked)  # type: ignore[arg-type]
        self._meet("complete_upload")
        return stored

    def delete(self, name: str) -> None:
        self._meet("delete")
        super().delete(name)


@pytest.mark.parametrize("error", [TransientError("cut"), AccessDenied("no"), Cancelled()])
def test_a_copy_that_fails_leaves_the_old_name_and_no_parts(pool: Pool, error: Exception) -> None:
    store = Faulty()
    data = filled(store, 5 * LIMIT)
    store.faults = {"copy_part": error}

    with pytest.raises(type(error)):
        rename(store, pool)

    assert names(store) == ["old"]
    assert content(store, "old") == data
    assert list(store.list_uploads()) == []


def test_a_lost_answer_to_the_completion_is_no_failure(pool: Pool) -> None:
    store = Faulty()
    data = filled(store, 5 * LIMIT)
    store.faults = {"complete_upload": UploadNotFound("gone")}

    rename(store, pool)

    assert names(store) == ["new"]
    assert content(store, "new") == data


def test_an_object_that_was_there_is_not_taken_for_the_copy(pool: Pool) -> None:
    class Losing(MemoryStore):
        def complete_upload(self, *_: object) -> Stored:  # type: ignore[override]
            raise UploadNotFound("gone")

    store = Losing()
    filled(store, 5 * LIMIT)
    store.put("new", BytesIO(bytes(5 * LIMIT)), 5 * LIMIT)

    with pytest.raises(UploadNotFound):
        rename(store, pool)

    assert names(store) == ["new", "old"]


def test_both_names_stay_when_the_old_one_cannot_be_removed(pool: Pool) -> None:
    """One of them may be the only copy there is."""
    store = Faulty()
    data = filled(store, 5)
    store.faults = {"delete": AccessDenied("no")}

    with pytest.raises(AccessDenied):
        rename(store, pool)

    assert content(store, "new") == content(store, "old") == data
