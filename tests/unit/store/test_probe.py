from __future__ import annotations

import io
import logging

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectInfo, RangeReader
from datalad_s3ext.store.memory import MemoryReader, MemoryStore
from datalad_s3ext.store.probe import probe


class NoBucketRights(MemoryStore):
    """Keys for objects only, as Cloudflare gives out."""

    def bucket_exists(self) -> bool:
        raise errors.AccessDenied("no")

    def create_bucket(self) -> None:
        raise errors.AccessDenied("no")


def test_good_store() -> None:
    store = MemoryStore()
    report = probe(store, prefix="p/", may_create_bucket=False)

    assert (report.bucket_created, report.readable, report.writable) == (False, True, True)
    assert list(store.list()) == []


def test_missing_bucket_is_created_only_if_allowed() -> None:
    store = MemoryStore(exists=False)
    with pytest.raises(errors.BucketNotFound, match="ask the owner"):
        probe(store, may_create_bucket=False)
    assert not store.bucket_exists()

    assert probe(store, may_create_bucket=True).bucket_created


def test_keys_that_may_not_ask_about_the_bucket() -> None:
    assert probe(NoBucketRights(), may_create_bucket=True).writable


def test_keys_that_may_not_create() -> None:
    class MayNotCreate(MemoryStore):
        def create_bucket(self) -> None:
            raise errors.AccessDenied("no", code="AccessDenied")

    with pytest.raises(errors.AccessDenied, match="may not create it; ask the owner"):
        probe(MayNotCreate(exists=False), may_create_bucket=True)


class WrongSize(MemoryStore):
    def head(self, name: str) -> ObjectInfo:
        found = super().head(name)
        return ObjectInfo(found.name, found.size_bytes + 85, found.etag)


class WrongBytes(MemoryStore):
    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> RangeReader:
        return MemoryReader(self.head(name), bytes(length or 1024), start)


class KeepsAll(MemoryStore):
    def delete(self, name: str) -> None:
        pass


@pytest.mark.parametrize(
    ("store", "text"),
    [(WrongSize(), "another size"), (WrongBytes(), "other bytes"), (KeepsAll(), "deleted")],
)
def test_store_that_lies(store: MemoryStore, text: str) -> None:
    with pytest.raises(errors.IntegrityError, match=text):
        probe(store, may_create_bucket=False)
    assert list(store.list()) == [] or isinstance(store, KeepsAll)


def test_reading_only_writes_nothing() -> None:
    class ReadOnly(MemoryStore):
        def put(self, *_: object, **__: object) -> None:  # type: ignore[override]
            pytest.fail("wrote")

    report = probe(ReadOnly(), may_create_bucket=False, writable=False)

    assert (report.readable, report.writable) == (True, False)


def test_reading_where_listing_is_denied() -> None:
    class NoList(MemoryStore):
        def list(self, prefix: str = "", *, start_after: str = "") -> object:  # type: ignore[override]
            raise errors.AccessDenied("no")

    store = NoList()
    store.put("p/annex-uuid", io.BytesIO(b"x"), 1)

    report = probe(
        store, prefix="p/", may_create_bucket=False, writable=False, known_name="p/annex-uuid"
    )
    assert report.readable


class RefusesToWrite(MemoryStore):
    """The put fails; what arrived nobody knows."""

    def __init__(self, kind: type[errors.S3xError]) -> None:
        super().__init__()
        self.kind = kind
        self.deleted: list[str] = []

    def put(self, name: str, *_: object, **__: object) -> None:  # type: ignore[override]
        raise self.kind(f"cannot store {name!r} in bucket 'memory': so it is", request_id="REQ1")

    def delete(self, name: str) -> None:
        self.deleted.append(name)
        raise self.kind(f"cannot delete {name!r} in bucket 'memory': so it is")


@pytest.mark.parametrize("kind", [errors.AccessDenied, errors.CredentialsError, errors.ConfigError])
def test_a_refused_write_leaves_nothing_to_clean_up(
    kind: type[errors.S3xError], caplog: pytest.LogCaptureFixture
) -> None:
    store = RefusesToWrite(kind)

    with caplog.at_level(logging.WARNING), pytest.raises(kind) as caught:
        probe(store, may_create_bucket=False)

    assert caught.value.what == "cannot write a test object to bucket 'memory': so it is"
    assert caught.value.request_id == "REQ1"
    assert (store.deleted, caplog.text) == ([], "")


@pytest.mark.parametrize("kind", [errors.TransientError, errors.IntegrityError])
def test_a_write_that_may_have_arrived_is_cleaned_up(
    kind: type[errors.S3xError], caplog: pytest.LogCaptureFixture
) -> None:
    store = RefusesToWrite(kind)

    with pytest.raises(kind):
        probe(store, may_create_bucket=False)

    assert len(store.deleted) == 1
    assert "may have been left behind" in caplog.text


def test_no_error_names_the_probe_object() -> None:
    class MayNotRead(MemoryStore):
        def get(self, name: str, **_: object) -> RangeReader:  # type: ignore[override]
            raise errors.AccessDenied(f"cannot read {name!r} in bucket 'memory': denied")

    with pytest.raises(errors.AccessDenied, match="cannot read the test object in bucket 'memory'"):
        probe(MayNotRead(), may_create_bucket=False)


def test_a_bucket_created_for_a_probe_that_fails_is_named() -> None:
    store = RefusesToWrite(errors.AccessDenied)
    store.bucket_exists = lambda: False  # type: ignore[method-assign]
    store.create_bucket = lambda: None  # type: ignore[method-assign]

    with pytest.raises(errors.AccessDenied, match=r"was created before this and is still there"):
        probe(store, may_create_bucket=True)
