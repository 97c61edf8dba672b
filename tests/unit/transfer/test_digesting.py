"""Downloads that are verified while they come: nothing wrong stays in the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, TransientError
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.download import download_file
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress

RANGE = 1000
SIZE = 20 * RANGE + 7


class Expected:
    """Remembers what it saw, and wants it to be `content`."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.seen = b"of an earlier file"

    def begin(self) -> None:
        self.seen = b""

    def update(self, data: bytes | memoryview) -> None:
        self.seen += bytes(data)

    def check(self) -> None:
        if self.seen != self.content:
            raise IntegrityError("not the content")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=4, memory_bytes=3 * RANGE, buffer_bytes=RANGE)
    yield pool
    pool.close()


def fetch(
    store: MemoryStore, path: Path, pool: Pool, content: bytes, *, size_is_known: bool = True
) -> list[int]:
    told: list[int] = []
    expected = len(content) if size_is_known else None
    progress = Progress(told.append, every_s=0)
    digest = Expected(content)
    try:
        download_file(
            store, "name", path, expected_bytes=expected, pool=pool, progress=progress, digest=digest
        )
    finally:
        assert told == sorted(told)
    assert digest.seen == content
    return told


def store_with(content: bytes, store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    store.put("name", BytesIO(content), len(content))
    return store


@pytest.mark.parametrize("size_is_known", [True, False])
@pytest.mark.parametrize("size", [0, 1, RANGE, RANGE + 1, SIZE])
def test_every_byte_is_seen_in_order(
    tmp_path: Path, pool: Pool, size: int, size_is_known: bool
) -> None:
    content = os.urandom(size)

    fetch(store_with(content), tmp_path / "f", pool, content, size_is_known=size_is_known)

    assert (tmp_path / "f").read_bytes() == content


@pytest.mark.parametrize("size_is_known", [True, False])
@pytest.mark.parametrize("have", [1, RANGE, 7 * RANGE + 3, SIZE - 1, SIZE, SIZE + 1])
def test_what_an_earlier_try_left_is_seen_too(
    tmp_path: Path, pool: Pool, have: int, size_is_known: bool
) -> None:
    content = os.urandom(SIZE)
    (tmp_path / "f").write_bytes((content + b"x")[:have])

    told = fetch(store_with(content), tmp_path / "f", pool, content, size_is_known=size_is_known)

    assert (tmp_path / "f").read_bytes() == content
    assert told[-1] == SIZE


@pytest.mark.parametrize("have", [0, 7 * RANGE, SIZE])
def test_a_wrong_byte_anywhere_empties_the_file(tmp_path: Path, pool: Pool, have: int) -> None:
    content = os.urandom(SIZE)
    damaged = bytearray(content)
    damaged[5 * RANGE] ^= 1
    (tmp_path / "f").write_bytes(damaged[:have])

    with pytest.raises(IntegrityError, match="not the content"):
        fetch(store_with(bytes(damaged)), tmp_path / "f", pool, content)

    assert (tmp_path / "f").read_bytes() == b""


def test_a_damaged_beginning_costs_one_more_try_and_no_more(tmp_path: Path, pool: Pool) -> None:
    content = os.urandom(SIZE)
    (tmp_path / "f").write_bytes(b"\0" * RANGE)
    store = store_with(content)

    with pytest.raises(IntegrityError):
        fetch(store, tmp_path / "f", pool, content)
    fetch(store, tmp_path / "f", pool, content)

    assert (tmp_path / "f").read_bytes() == content


class Fragile(MemoryStore):
    """Fails at the range that begins at `fails_at`."""

    fails_at = 7 * RANGE

    def get(self, name: str, *, start: int = 0, **kw: Any) -> RangeReader:
        if start == self.fails_at:
            raise TransientError("the network is gone")
        return super().get(name, start=start, **kw)


def test_a_broken_transfer_keeps_its_beginning_and_is_verified_as_a_whole(
    tmp_path: Path, pool: Pool
) -> None:
    content = os.urandom(SIZE)
    store = store_with(content, Fragile())
    with pytest.raises(TransientError):
        fetch(store, tmp_path / "f", pool, content)
    assert (tmp_path / "f").read_bytes() == content[: 7 * RANGE]

    store.fails_at = -1
    fetch(store, tmp_path / "f", pool, content)

    assert (tmp_path / "f").read_bytes() == content
