"""What every ObjectStore must do, whatever is behind it.

A subclass named ``Test…`` has a fixture ``store``: an empty bucket that no other test uses. Names a
server cannot keep, which it must then refuse and never fold into others, stand in `REFUSED_NAMES`.
"""

from __future__ import annotations

import hashlib
import io
import os

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectStore, PutOptions

PART_BYTES = 5 * 1024 * 1024  # the least that AWS and moto take for all parts but the last

NAMES = [
    "plain",
    "a b",
    "ü/日本",
    "quotes'\"",
    "p+l%us&am?q=#",
    "%2F",
    ".hidden/.x",
    "...",
    "a//b",
    "x\ty",
    "~t!*()",
    "SHA256E-s3--" + "0" * 64 + ".tar.gz",
]


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


def put(store: ObjectStore, name: str, data: bytes) -> str:
    return store.put(name, io.BytesIO(data), len(data), md5=md5(data)).etag


def content(store: ObjectStore, name: str, **asked: int) -> bytes:
    with store.get(name, **asked) as reader:
        pieces = []
        while piece := reader.read(65536):
            pieces.append(piece)
    return b"".join(pieces)


def names(store: ObjectStore, prefix: str = "", start_after: str = "") -> list[str]:
    return [info.name for info in store.list(prefix, start_after=start_after)]


class StoreSuite:
    __test__ = False

    REFUSED_NAMES: frozenset[str] = frozenset()
    FOLDED_NAMES: frozenset[str] = frozenset()
    """Names the server keeps but lists otherwise: a known fault of it, shown here."""
    REPLACES_PARTS = True
    COPIES_PARTS = True
    COPIES_ON_CONDITION = True
    UPLOAD_GONE: type[errors.S3xError] = errors.UploadNotFound
    """What sending a part to an aborted upload raises."""

    def test_bytes_come_back(self, store: ObjectStore) -> None:
        data = os.urandom(100_000)
        etag = put(store, "object", data)

        assert data == content(store, "object")
        assert (100_000, etag) == (store.head("object").size_bytes, store.head("object").etag)

    def test_large_body_is_streamed(self, store: ObjectStore) -> None:
        data = os.urandom(3 * 1024 * 1024)
        put(store, "object", data)

        assert md5(data) == md5(content(store, "object"))

    def test_only_the_announced_bytes_are_sent(self, store: ObjectStore) -> None:
        body = io.BytesIO(b"headerpayloadtrailer")
        body.seek(6)
        store.put("object", body, 7, md5=md5(b"payload"))

        assert content(store, "object") == b"payload"

    def test_empty_object(self, store: ObjectStore) -> None:
        put(store, "empty", b"")

        assert store.head("empty").size_bytes == 0
        assert content(store, "empty") == b""
        with pytest.raises(errors.IntegrityError):
            store.get("empty", start=0, length=10)

    @pytest.mark.parametrize("name", NAMES)
    def test_odd_name(self, store: ObjectStore, name: str) -> None:
        if name in self.REFUSED_NAMES:
            with pytest.raises(errors.S3xError):
                put(store, name, b"odd")
            return
        put(store, name, b"odd")

        assert content(store, name) == b"odd"
        assert store.head(name).name == name
        assert (names(store) == [name]) != (name in self.FOLDED_NAMES)
        store.delete(name)
        with pytest.raises(errors.ObjectNotFound):
            store.head(name)

    def test_metadata_and_type(self, store: ObjectStore) -> None:
        options = PutOptions(metadata={"origin": "here"}, content_type="text/html")
        store.put("page", io.BytesIO(b"<html/>"), 7, options=options)

        assert content(store, "page") == b"<html/>"
        assert dict(store.head("page").metadata) == {"origin": "here"}

    def test_overwrite(self, store: ObjectStore) -> None:
        put(store, "object", b"first")
        put(store, "object", b"second!")

        assert content(store, "object") == b"second!"

    def test_ranges(self, store: ObjectStore) -> None:
        put(store, "object", b"0123456789")

        assert content(store, "object", start=3) == b"3456789"
        assert content(store, "object", start=3, length=2) == b"34"
        assert content(store, "object", start=0, length=10) == b"0123456789"
        assert content(store, "object", start=8, length=100) == b"89"

    def test_reader_states_what_it_has(self, store: ObjectStore) -> None:
        etag = put(store, "object", b"0123456789")

        with store.get("object", start=3, length=2) as reader:
            assert (reader.start, reader.length) == (3, 2)
            assert (reader.info.size_bytes, reader.info.etag) == (10, etag)

    @pytest.mark.parametrize("start", [10, 11])
    def test_range_past_the_end(self, store: ObjectStore, start: int) -> None:
        put(store, "object", b"0123456789")

        with pytest.raises(errors.IntegrityError):
            store.get("object", start=start)

    def test_condition(self, store: ObjectStore) -> None:
        etag = put(store, "object", b"first")
        with store.get("object", if_match=etag) as reader:
            assert reader.read(5) == b"first"
        put(store, "object", b"second")

        with pytest.raises(errors.ObjectChanged):
            store.get("object", start=1, length=2, if_match=etag)

    def test_absent_object(self, store: ObjectStore) -> None:
        with pytest.raises(errors.ObjectNotFound):
            store.head("absent")
        with pytest.raises(errors.ObjectNotFound):
            store.get("absent")

    def test_delete(self, store: ObjectStore) -> None:
        put(store, "object", b"x")
        store.delete("object")
        store.delete("object")
        store.delete("never there")

        assert names(store) == []

    def test_copy_keeps_bytes_and_metadata(self, store: ObjectStore) -> None:
        data = os.urandom(70_000)
        options = PutOptions(metadata={"origin": "here"}, content_type="text/html")
        store.put("a b/ü+%", io.BytesIO(data), len(data), md5=md5(data), options=options)

        stored = store.copy(store.head("a b/ü+%"), "copy/日 本+%")

        assert content(store, "copy/日 本+%") == content(store, "a b/ü+%") == data
        found = store.head("copy/日 本+%")
        assert stored.etag == found.etag
        assert found.metadata["origin"] == "here"

    def test_copy_replaces(self, store: ObjectStore) -> None:
        put(store, "source", b"new")
        put(store, "target", b"much older")

        store.copy(store.head("source"), "target")

        assert content(store, "target") == b"new"

    def test_copy_of_nothing(self, store: ObjectStore) -> None:
        put(store, "gone", b"x")
        info = store.head("gone")
        store.delete("gone")

        with pytest.raises(errors.ObjectNotFound):
            store.copy(info, "target")
        with pytest.raises(errors.ObjectNotFound):
            store.head("target")

    def test_copy_of_an_empty_object(self, store: ObjectStore) -> None:
        put(store, "empty", b"")

        store.copy(store.head("empty"), "target")

        assert store.head("target").size_bytes == 0

    def test_copy_of_what_was_replaced(self, store: ObjectStore) -> None:
        put(store, "source", b"old")
        info = store.head("source")
        put(store, "source", b"new!")

        if not self.COPIES_ON_CONDITION:
            store.copy(info, "target")
            assert content(store, "target") == b"new!"
            return
        with pytest.raises(errors.ObjectChanged):
            store.copy(info, "target")
        with pytest.raises(errors.ObjectNotFound):
            store.head("target")

    def test_copy_in_parts(self, store: ObjectStore) -> None:
        data = os.urandom(PART_BYTES + 1000)
        put(store, "source", data)
        source = store.head("source")
        upload = store.create_upload("target")
        spans = [(1, 0, PART_BYTES), (2, PART_BYTES, 1000)]

        if not self.COPIES_PARTS:
            with pytest.raises(errors.Unsupported):
                store.copy_part(source, 0, PART_BYTES, "target", upload, 1)
            store.abort_upload("target", upload)
            return
        parts = [store.copy_part(source, s, n, "target", upload, i) for i, s, n in spans]
        store.complete_upload("target", upload, parts)

        assert [part.size_bytes for part in parts] == [PART_BYTES, 1000]
        assert md5(content(store, "target")) == md5(data)

    def test_list_over_pages(self, store: ObjectStore) -> None:
        expected = [f"n/{number:02}" for number in range(7)]
        for name in expected:
            put(store, name, b"x")
        put(store, "other", b"yy")

        assert names(store, "n/") == expected
        assert names(store) == [*expected, "other"]
        assert [info.size_bytes for info in store.list("o")] == [2]

    def test_list_after_a_name(self, store: ObjectStore) -> None:
        for name in "abcde":
            put(store, name, b"x")

        assert names(store, start_after="b") == ["c", "d", "e"]

    def test_list_of_nothing(self, store: ObjectStore) -> None:
        assert names(store) == []
        assert names(store, "prefix/") == []

    def test_damaged_body_is_refused(self, store: ObjectStore) -> None:
        with pytest.raises(errors.IntegrityError):
            store.put("object", io.BytesIO(b"sent"), 4, md5=md5(b"meant"))

        assert names(store) == []
        with pytest.raises(errors.ObjectNotFound):
            store.head("object")

    @pytest.mark.parametrize("size", [10, 2 * 1024 * 1024])
    def test_short_body_is_a_local_error(self, store: ObjectStore, size: int) -> None:
        with pytest.raises(errors.LocalError):
            store.put("object", io.BytesIO(b"x" * (size - 1)), size)

        assert names(store) == []

    def test_parts_in_any_order(self, store: ObjectStore) -> None:
        first, second, last = os.urandom(PART_BYTES), os.urandom(PART_BYTES), b"tail"
        upload = store.create_upload("big")
        receipts = [
            store.upload_part("big", upload, number, io.BytesIO(data), len(data), md5=md5(data))
            for number, data in ((3, last), (1, first), (2, second))
        ]

        assert [p.number for p in store.list_parts("big", upload)] == [1, 2, 3]
        assert set(store.list_parts("big", upload)) == set(receipts)
        store.complete_upload("big", upload, receipts)
        assert md5(content(store, "big")) == md5(first + second + last)
        assert store.head("big").size_bytes == 2 * PART_BYTES + 4
        assert list(store.list_uploads()) == []

    def test_replaced_part(self, store: ObjectStore) -> None:
        upload = store.create_upload("big")
        store.upload_part("big", upload, 1, io.BytesIO(b"old"), 3)
        if not self.REPLACES_PARTS:
            with pytest.raises(errors.Unsupported):
                store.upload_part("big", upload, 1, io.BytesIO(b"newer"), 5)
            return
        receipt = store.upload_part("big", upload, 1, io.BytesIO(b"newer"), 5)

        # a server that lists both contents leaves the store in doubt
        assert list(store.list_parts("big", upload)) in ([receipt], [])
        store.complete_upload("big", upload, [receipt])
        assert content(store, "big") == b"newer"

    def test_damaged_part_is_refused(self, store: ObjectStore) -> None:
        upload = store.create_upload("big")

        with pytest.raises(errors.IntegrityError):
            store.upload_part("big", upload, 1, io.BytesIO(b"sent"), 4, md5=md5(b"meant"))

    def test_unfinished_uploads(self, store: ObjectStore) -> None:
        uploads = {(f"in/{n}", store.create_upload(f"in/{n}")) for n in range(3)}
        store.create_upload("out")
        for name, upload in uploads:
            store.upload_part(name, upload, 1, io.BytesIO(b"x"), 1)

        assert set(store.list_uploads("in/")) == uploads
        assert names(store) == []

    def test_abort(self, store: ObjectStore) -> None:
        upload = store.create_upload("big")
        store.upload_part("big", upload, 1, io.BytesIO(b"x"), 1)
        store.abort_upload("big", upload)
        store.abort_upload("big", upload)

        assert list(store.list_uploads()) == []
        with pytest.raises(errors.UploadNotFound):
            store.list_parts("big", upload)
        with pytest.raises(self.UPLOAD_GONE):
            store.upload_part("big", upload, 1, io.BytesIO(b"x"), 1)

    def test_bucket(self, store: ObjectStore) -> None:
        store.create_bucket()

        assert store.bucket_exists()
