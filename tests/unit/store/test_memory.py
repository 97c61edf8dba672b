from __future__ import annotations

import io

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.pinned import Pinned
from datalad_s3ext.store.retrying import Retrying
from tests.conformance.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    __test__ = True

    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


class TestRetryingMemoryStore(StoreSuite):
    __test__ = True

    @pytest.fixture
    def store(self) -> ObjectStore:
        return Retrying(MemoryStore(), sleep=lambda _: pytest.fail("nothing to wait for"))


def test_etags_are_those_of_aws() -> None:
    store = MemoryStore()
    stored = store.put("a", io.BytesIO(b"hello"), 5)
    upload = store.create_upload("b")
    part = store.upload_part("b", upload, 1, io.BytesIO(b"hello"), 5)
    whole = store.complete_upload("b", upload, [part])

    assert stored.etag == "5d41402abc4b2a76b9719d911017c592"
    assert whole.etag == "62109206880d38a4010a98e11243924a-1"


def test_missing_bucket() -> None:
    store = MemoryStore(exists=False)

    assert not store.bucket_exists()
    with pytest.raises(errors.BucketNotFound):
        store.head("a")
    with pytest.raises(errors.BucketNotFound):
        list(store.list())
    store.create_bucket()
    with pytest.raises(errors.ObjectNotFound):
        store.head("a")


def test_old_versions_are_kept_when_that_was_asked_for() -> None:
    store = MemoryStore()
    before = store.put("a", io.BytesIO(b"before"), 6)
    store.enable_versioning()
    first = store.put("a", io.BytesIO(b"1"), 1)
    second = store.copy(store.head("a"), "a")
    store.delete("a")
    assert list(store.list_versions()) == []
    third = store.put("a", io.BytesIO(b"3"), 1)

    assert before.version_id is None
    assert store.head("a").version_id == third.version_id
    assert [info.version_id for info in store.list_versions()] == [third.version_id]
    assert [info.version_id for info in store.list()] == [None]
    store.delete(Pinned("a", version_id=third.version_id))
    with pytest.raises(errors.ObjectNotFound):
        store.head("a")
    for receipt in (first, second):
        with store.get(Pinned("a", version_id=receipt.version_id)) as reader:
            assert reader.read(9) == b"1"


def test_an_etag_that_is_demanded_must_be_the_objects() -> None:
    store = MemoryStore()
    store.put("a", io.BytesIO(b"1"), 1)

    with pytest.raises(errors.ObjectChanged):
        store.get(Pinned("a", etag="0" * 32))
