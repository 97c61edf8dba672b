from __future__ import annotations

import io

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.memory import MemoryStore
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
