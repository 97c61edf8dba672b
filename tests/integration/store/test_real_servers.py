"""The conformance suite on real servers, and what only they can show."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import pytest

from datalad_s3ext import errors
from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.probe import probe
from datalad_s3ext.store.s3 import S3Store
from tests.conformance.store_suite import StoreSuite, names, put
from tests.integration.store.conftest import store_at
from tests.support.servers import Endpoint

pytestmark = pytest.mark.server


class RealServer(StoreSuite):
    @pytest.fixture
    def store(self, server: Endpoint, bucket_name: str) -> Iterator[ObjectStore]:
        store = store_at(server, bucket_name)
        store.create_bucket()
        yield store
        store.close()


class TestSeaweed(RealServer):
    __test__ = True
    FOLDED_NAMES = frozenset({"a//b"})  # listed as a/b

    @pytest.fixture
    def server(self, seaweed: Endpoint) -> Endpoint:
        return seaweed


class TestRclone(RealServer):
    __test__ = True
    REFUSED_NAMES = frozenset({"a//b"})
    REPLACES_PARTS = False  # it streams them through
    COPIES_PARTS = False  # it takes each for a part without bytes
    COPIES_ON_CONDITION = False

    @pytest.fixture
    def server(self, rclone: Endpoint) -> Endpoint:
        return rclone


class TestMoto(RealServer):
    __test__ = True
    UPLOAD_GONE = errors.TransientError  # a bare 500
    COPIES_ON_CONDITION = False

    @pytest.fixture
    def server(self, moto: Endpoint) -> Endpoint:
        return moto


@pytest.fixture
def store(endpoint: Endpoint, bucket_name: str) -> Iterator[S3Store]:
    store = store_at(endpoint, bucket_name)
    store.create_bucket()
    yield store
    store.close()


def test_list_version_1(endpoint: Endpoint, store: S3Store) -> None:
    expected = [f"n/{number} +" for number in range(5)]
    for name in expected:
        put(store, name, b"x")
    old = store_at(endpoint, store.bucket, list_version=1)

    assert names(old, "n/") == expected
    assert names(old, "n/", start_after=expected[2]) == expected[3:]


def test_every_server_is_believed(store: S3Store) -> None:
    store.confirm_s3()


def test_missing_bucket_is_not_an_absent_object(endpoint: Endpoint) -> None:
    store = store_at(endpoint, "no-such-bucket")

    assert store.bucket_exists() is False
    with pytest.raises(errors.BucketNotFound):
        store.head("object")
    with pytest.raises(errors.BucketNotFound):
        store.get("object")


def test_wrong_secret(endpoint: Endpoint, store: S3Store) -> None:
    if endpoint.kind == "moto":
        pytest.skip("moto takes any keys")
    wrong = Keys(endpoint.access_key_id, "x" * 40, source="environment variables")
    stranger = store_at(endpoint, store.bucket, identity=wrong)

    with pytest.raises(errors.CredentialsError, match="environment variables") as caught:
        list(stranger.list())
    assert "x" * 40 not in str(caught.value)
    with pytest.raises(errors.AccessDenied):
        stranger.head("object")


def test_unknown_key(endpoint: Endpoint, store: S3Store) -> None:
    if endpoint.kind == "moto":
        pytest.skip("moto takes any keys")
    unknown = dataclasses.replace(endpoint, access_key_id="AKIAUNKNOWN123456789")
    with pytest.raises(errors.CredentialsError, match="does not know the access key id"):
        store_at(unknown, store.bucket).get("object")


def test_nobody(endpoint: Endpoint, store: S3Store) -> None:
    if endpoint.kind == "moto":
        pytest.skip("moto takes any keys")
    with pytest.raises((errors.AccessDenied, errors.CredentialsError)):
        list(store_at(endpoint, store.bucket, identity=Anonymous()).list())


def test_probe_creates_uses_and_leaves_nothing(endpoint: Endpoint, bucket_name: str) -> None:
    store = store_at(endpoint, bucket_name)

    first = probe(store, prefix="data/", may_create_bucket=True)
    second = probe(store, prefix="data/", may_create_bucket=False)
    reading = probe(store, may_create_bucket=False, writable=False)

    assert (first.bucket_created, second.bucket_created) == (True, False)
    assert (second.writable, reading.readable, reading.writable) == (True, True, False)
    assert 0 < first.round_trip_s < 5
    assert names(store) == []


def test_probe_of_a_missing_bucket_says_what_to_do(endpoint: Endpoint) -> None:
    store = store_at(endpoint, "no-such-bucket")

    with pytest.raises(errors.BucketNotFound, match="create bucket 'no-such-bucket', or pick"):
        probe(store, may_create_bucket=False)


def test_body_that_fails_is_a_local_error(store: S3Store) -> None:
    class BadDisk(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(errors.LocalError, match="Input/output error"):
        store.put("object", BadDisk(), 3 * 1024 * 1024)


def test_body_may_stop_the_upload_with_our_own_error(store: S3Store) -> None:
    class Stopping(io.BytesIO):
        passes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            # the first reading is for the signature, the second for the network
            if self.tell() == 0:
                self.passes += 1
            if self.passes == 2 and self.tell() > 0:
                raise errors.ObjectChanged("the caller gave up")
            return super().read(size)

    with pytest.raises(errors.ObjectChanged, match="gave up"):
        store.put("object", Stopping(bytes(3 * 1024 * 1024)), 3 * 1024 * 1024)
