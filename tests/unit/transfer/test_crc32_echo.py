"""A server that takes the CRC32 of a part for nothing is found out, and its parts are compared otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from datalad_s3ext.errors import IntegrityError, TransientError
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import Body, PartReceipt, RangeReader, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.journal import Journals
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.upload import upload_file
from tests.support.raw_server import RawServer, answer, opened

PART, PARTS = 1000, 10
CRC = b"\x12\x34\x56\x78"


class Ignoring(MemoryStore):
    """Stores what it gets, whatever CRC32 comes along, and does not tell that back.

    Parameters
    ----------
    tells
        Parts have their MD5 for an ETag, which is known.
    whole
        The ETag of the object, where it is not the usual one.
    """

    def __init__(self, *, tells: bool = False, whole: str | None = None) -> None:
        super().__init__()
        self.tells, self.whole = tells, whole
        self.damages: set[int] = set()
        self.loses: set[int] = set()
        self.kinds: set[str] = set()
        self.reads = 0

    def upload_part(
        self, name: str, upload_id: str, number: int, body: Body, size_bytes: int, *,
        md5: bytes | None = None, crc32: bytes | None = None,
    ) -> PartReceipt:  # fmt: skip
        if number in self.loses:
            raise TransientError("the network is gone")
        self.kinds.add("md5" if md5 else "crc32")
        data = bytearray(body.read(size_bytes))
        data[0] ^= number in self.damages
        receipt = super().upload_part(name, upload_id, number, BytesIO(bytes(data)), size_bytes)
        return replace(receipt, crc32=crc32, is_echoed=crc32 is None, etag_is_md5=self.tells)

    def complete_upload(self, name: str, upload_id: str, parts: Sequence[PartReceipt]) -> Stored:
        stored = super().complete_upload(name, upload_id, parts)
        return stored if self.whole is None else Stored(self.whole)

    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> RangeReader:
        self.reads += 1
        return super().get(name, start=start, length=length, if_match=if_match)


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


def rules(*, etags: bool | None = None) -> UploadRules:
    limits = Upload(min_part=1, multipart_etag_is_md5_of_md5s=etags, verified_checksums=("CRC32",))
    return UploadRules.of(limits, place="here", part_size=PART)


def send(store: MemoryStore, path: Path, pool: Pool, rules: UploadRules) -> None:
    journals = Journals(path.parent / "journals")
    upload_file(store, "name", path, rules, pool, Progress(lambda _: None), journals)


def content(store: Ignoring) -> bytes:
    with store.get("name") as reader:
        return reader.read(10**9)


@pytest.mark.parametrize("number", [1, PARTS])
@pytest.mark.parametrize("etags", [True, None, False])
@pytest.mark.parametrize(
    ("tells", "whole"), [(True, None), (False, None), (False, "opaque"), (False, "f" * 32 + "-10")]
)
def test_damage_is_found_and_nothing_is_left(
    tells: bool, whole: str | None, etags: bool | None, number: int, path: Path, pool: Pool
) -> None:
    store = Ignoring(tells=tells, whole=whole)
    store.damages = {number}

    with pytest.raises(IntegrityError, match="damaged"):
        send(store, path, pool, rules(etags=etags))

    assert list(store.list()) == []
    assert list(store.list_uploads()) == []


@pytest.mark.parametrize(
    ("tells", "whole", "reads"),
    [(True, None, 0), (True, "opaque", 0), (False, None, 0), (False, "opaque", PARTS)],
)
def test_the_object_is_read_only_where_no_etag_is_proof(
    tells: bool, whole: str | None, reads: int, path: Path, pool: Pool
) -> None:
    store = Ignoring(tells=tells, whole=whole)

    send(store, path, pool, rules())

    assert store.reads == reads
    assert content(store) == path.read_bytes()


def test_the_next_upload_goes_with_md5(path: Path, pool: Pool) -> None:
    store, shared = Ignoring(tells=True), rules()
    send(store, path, pool, shared)
    first, store.kinds = store.kinds, set()

    send(store, path, pool, shared)

    assert (first, store.kinds) == ({"crc32"}, {"md5"})


def test_a_part_that_nobody_compared_is_not_taken_over_by_the_next_try(path: Path, pool: Pool) -> None:
    store = Ignoring()
    store.damages, store.loses = {1}, {7}
    with pytest.raises(TransientError):
        send(store, path, pool, rules())
    store.damages, store.loses = set(), set()

    send(store, path, pool, rules())

    assert content(store) == path.read_bytes()


def test_some_parts_compared_and_some_not(path: Path, pool: Pool) -> None:
    class Wavering(Ignoring):
        def upload_part(self, *arguments: object, **digests: object) -> PartReceipt:
            receipt = super().upload_part(*arguments, **digests)  # type: ignore[arg-type]
            return replace(receipt, is_echoed=receipt.number > 5)

    store = Wavering(whole="opaque")
    store.damages = {3}

    with pytest.raises(IntegrityError, match="damaged"):
        send(store, path, pool, rules())


# -- over S3 --------------------------------------------------------------------------------------


def part_at(*headers: str) -> PartReceipt:
    with RawServer() as server:
        server.connections = [[answer("200 OK", b"", *headers)]]
        return opened(server.url).upload_part("n", "id", 1, BytesIO(b"bytes"), 5, crc32=CRC)


def test_the_echo_in_an_answer_is_proof() -> None:
    receipt = part_at("ETag: e", "x-amz-checksum-crc32: EjRWeA==")

    assert receipt.is_echoed


def test_an_answer_without_is_none() -> None:
    receipt = part_at("ETag: 4b3a6218bb3e3a7303e8a171a60fcf92")

    assert not receipt.is_echoed
    assert receipt.etag_is_md5


def test_another_crc32_than_was_sent_is_damage() -> None:
    with pytest.raises(IntegrityError, match="AAAAAA=="):
        part_at("ETag: e", "x-amz-checksum-crc32: AAAAAA==")
