"""Parts that go with their CRC32 instead of their MD5: as safe, and resumed as well."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, TransientError, UploadNotFound
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import Body, PartReceipt, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.fingerprint import fingerprint
from datalad_s3ext.transfer.journal import Journals
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.upload import upload_file

PART, PARTS = 1000, 10
CHECKED = Upload(min_part=1, multipart_etag_is_md5_of_md5s=True, verified_checksums=("CRC32",))
UNCHECKED = Upload(min_part=1, multipart_etag_is_md5_of_md5s=True)


class Server(MemoryStore):
    """Notes what is sent along; can lose a part, an answer, or the answer to the completion."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, bytes | None, bytes | None]] = []
        self.loses_part: int | None = None
        self.loses_answer_to: int | None = None
        self.loses_completion = False

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        if number == self.loses_part:
            raise TransientError("the network is gone")
        self.sent.append((number, md5, crc32))
        receipt = super().upload_part(name, upload_id, number, body, size_bytes, md5=md5, crc32=crc32)
        if number == self.loses_answer_to:
            raise TransientError("the network is gone")
        return receipt

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        assert all(part.crc32 for part in parts)
        stored = super().complete_upload(name, upload_id, parts)
        if self.loses_completion:
            raise UploadNotFound("as after a second completion")
        return stored

    @property
    def numbers(self) -> list[int]:
        return sorted(number for number, *_ in self.sent)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=2)
    yield pool
    pool.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(PARTS * PART))
    return path


def send(
    store: MemoryStore, path: Path, pool: Pool, *, limits: Upload = CHECKED, key: str = ""
) -> None:
    rules = UploadRules.of(limits, place="here", part_size=PART)
    journals = Journals(path.parent / "journals")
    upload_file(store, "name", path, rules, pool, Progress(lambda _: None), journals, key)


def content(store: MemoryStore) -> bytes:
    with store.get("name") as reader:
        return reader.read(10**9)


def test_a_crc32_is_sent_where_the_server_checks_it(path: Path, pool: Pool) -> None:
    store, first = Server(), path.read_bytes()[:PART]

    send(store, path, pool)

    assert content(store) == path.read_bytes()
    assert min(store.sent) == (1, None, fingerprint("crc32", [first]).value)


def test_else_an_md5(path: Path, pool: Pool) -> None:
    class Plain(Server):
        def complete_upload(self, *arguments: Any) -> Stored:
            return MemoryStore.complete_upload(self, *arguments)

    store, first = Plain(), path.read_bytes()[:PART]

    send(store, path, pool, limits=UNCHECKED)

    assert sorted(store.sent)[0] == (1, fingerprint("md5", [first]).value, None)


def test_an_interrupted_upload_goes_on(path: Path, pool: Pool) -> None:
    store = Server()
    store.loses_part = 7
    with pytest.raises(TransientError):
        send(store, path, pool)
    before, store.sent, store.loses_part = store.numbers, [], None

    send(store, path, pool)

    assert 7 in store.numbers
    assert sorted(before + store.numbers) == list(range(1, PARTS + 1))
    assert content(store) == path.read_bytes()


def test_a_part_whose_confirmation_was_lost_is_known_by_its_md5(path: Path, pool: Pool) -> None:
    store = Server()
    store.loses_answer_to = 3
    with pytest.raises(TransientError):
        send(store, path, pool)
    store.sent, store.loses_answer_to = [], None

    send(store, path, pool)

    assert 3 not in store.numbers
    assert content(store) == path.read_bytes()


def test_other_bytes_of_the_same_size_begin_anew(path: Path, pool: Pool) -> None:
    store = Server()
    store.loses_part = 7
    with pytest.raises(TransientError):
        send(store, path, pool)
    path.write_bytes(os.urandom(PARTS * PART))
    store.sent, store.loses_part = [], None

    send(store, path, pool)

    assert store.numbers == list(range(1, PARTS + 1))
    assert content(store) == path.read_bytes()
    assert list(store.list_uploads()) == []


def test_a_completion_whose_answer_was_lost_is_found_out(path: Path, pool: Pool) -> None:
    store = Server()
    store.loses_completion = True

    send(store, path, pool)

    assert content(store) == path.read_bytes()


def test_a_completion_that_made_another_object_is_no_success(path: Path, pool: Pool) -> None:
    class Other(Server):
        def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
            super().abort_upload(name, upload_id)
            super().put(name, BytesIO(os.urandom(PARTS * PART)), PARTS * PART)
            raise UploadNotFound("gone")

    with pytest.raises(UploadNotFound):
        send(Other(), path, pool)


def test_bytes_that_change_on_the_way_are_refused(path: Path, pool: Pool) -> None:
    class Damaging(Server):
        def upload_part(self, *arguments: Any, **checksums: Any) -> PartReceipt:
            name, upload_id, number, body, size_bytes = arguments
            data = bytearray(body.read(size_bytes))
            data[0] ^= 1
            arguments = (name, upload_id, number, BytesIO(bytes(data)), size_bytes)
            return super().upload_part(*arguments, **checksums)

    store = Damaging()
    with pytest.raises(IntegrityError):
        send(store, path, pool)

    assert list(store.list()) == []


def sealed(data: bytes) -> bytes:
    """Return a part that ends with the CRC32 of what is before: the CRC32 of it all never changes."""
    return data + zlib.crc32(data).to_bytes(4, "little")


@pytest.mark.parametrize("key", ["", "another"])
def test_parts_with_the_same_crc32_are_not_taken_for_each_other(
    path: Path, pool: Pool, key: str
) -> None:
    path.write_bytes(b"".join(sealed(os.urandom(PART - 4)) for _ in range(PARTS)))
    store = Server()
    store.loses_part = 7
    with pytest.raises(TransientError):
        send(store, path, pool)
    before = path.stat().st_mtime_ns
    path.write_bytes(b"".join(sealed(os.urandom(PART - 4)) for _ in range(PARTS)))
    if key:  # as of a file that was unpacked with the same time
        os.utime(path, ns=(before, before))
    store.sent, store.loses_part = [], None

    send(store, path, pool, key=key)

    assert content(store) == path.read_bytes()


def test_an_object_of_the_same_crc32_is_not_what_was_completed(path: Path, pool: Pool) -> None:
    mine, other = (b"".join(sealed(os.urandom(PART - 4)) for _ in range(PARTS)) for _ in range(2))
    path.write_bytes(mine)

    class Other(Server):
        def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
            super().abort_upload(name, upload_id)
            super().put(name, BytesIO(other), len(other))
            raise UploadNotFound("gone")

    with pytest.raises(UploadNotFound):
        send(Other(), path, pool)
