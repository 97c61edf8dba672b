"""Parts that do not belong together are never handed out, or kept, as one content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import ObjectChanged
from datalad_s3ext.fs.cache import BlockCache, DiskBlocks
from datalad_s3ext.fs.checking import WholeCheck
from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.fs.fetching import Fetching
from datalad_s3ext.fs.filesystem import _appearing
from datalad_s3ext.fs.options import BLOCK_BYTES, CacheOptions, Options
from datalad_s3ext.fs.reading import _content_of
from datalad_s3ext.fs.sources import Arrived, ChunkedSource, ObjectSource, Source, ignore
from datalad_s3ext.repo.digests import key_digest
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.store.base import ObjectInfo

CONTENT = bytes(range(256)) * (3 * BLOCK_BYTES // 256)


class Given(Source):
    """Has the bytes that it is given, and fails when it is told to."""

    label = "given"

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.error: ObjectChanged | None = None

    def fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:
        if self.error is not None:
            raise self.error
        view[:] = self.content[start : start + len(view)]
        arrived(len(view))

    def size(self) -> int:
        return len(self.content)


@pytest.fixture
def cache(tmp_path: Path) -> BlockCache:
    return BlockCache(CacheOptions(folder=tmp_path / "blocks"))


def fetching(source: Source, cache: BlockCache) -> Fetching:
    key = f"SHA256-s{len(CONTENT)}--{hashlib.sha256(CONTENT).hexdigest()}"
    digest = key_digest(parse_key(key), key)
    assert digest is not None
    check = WholeCheck(digest, 3, lambda number: cache.get("c" * 40, number, BLOCK_BYTES))
    return Fetching("file", "c" * 40, len(CONTENT), lambda: [source], cache, check)


def kept(cache: BlockCache) -> list[int]:
    assert cache.disk is not None
    cache.disk.flush()
    cache.memory.drop("c" * 40)
    return [number for number in range(3) if cache.get("c" * 40, number, BLOCK_BYTES) is not None]


def test_nothing_stays_of_content_that_is_damaged(cache: BlockCache) -> None:
    damaged = fetching(Given(b"!" + CONTENT[1:]), cache)

    with pytest.raises(ContentUnavailable, match="its checksum differs"):
        damaged.read_exactly(0, len(CONTENT))
    assert kept(cache) == []
    with pytest.raises(ContentUnavailable, match="its checksum differs"):
        damaged.read(0, 10)
    damaged.prefetch(0, len(CONTENT))
    wait(damaged._coming.values())
    assert kept(cache) == []


def test_nothing_stays_of_an_object_that_was_replaced(cache: BlockCache) -> None:
    source = Given(CONTENT)
    reading = fetching(source, cache)
    reading.read(0, 10)
    source.error = ObjectChanged("file was replaced")

    with pytest.raises(ContentUnavailable, match="was replaced"):
        reading.read(2 * BLOCK_BYTES, len(CONTENT))
    assert kept(cache) == []


class Answer:
    """An answer with one byte."""

    def __init__(self, etag: str) -> None:
        self.info = ObjectInfo("name", 1, etag)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def readinto(self, view: memoryview) -> int:
        view[:1] = b"x"
        return 1


class Careless:
    """A place whose server ignores If-Match, as `rclone serve s3` does."""

    label = "careless"

    def __init__(self, etags: Iterator[str]) -> None:
        self._etags = etags

    def read(self, request: Callable[[Any], Any]) -> Any:
        return request(self)

    def get(self, name: str, **_: object) -> Answer:
        del name
        return Answer(next(self._etags))


def test_an_object_that_changes_is_noticed_whatever_the_server_thinks_of_if_match() -> None:
    source = ObjectSource(Careless(iter(["one", "", "one", "two"])), ["name"], 1)  # type: ignore[arg-type]
    for _ in range(3):
        source.fill(0, memoryview(bytearray(1)))

    with pytest.raises(ObjectChanged, match="was replaced while it was read"):
        source.fill(0, memoryview(bytearray(1)))


def test_what_is_still_to_be_written_is_dropped_too(tmp_path: Path) -> None:
    disk = DiskBlocks(tmp_path / "x", 10**6)
    for number in range(60):
        disk.put("abcd", number, bytes(1000))
    disk.drop("abcd")
    disk.flush()

    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_many_processes_keep_to_one_bound(tmp_path: Path) -> None:
    several = [DiskBlocks(tmp_path / "x", 100_000) for _ in range(4)]
    for number in range(95):
        for which, disk in enumerate(several):
            disk.put(f"abc{which}", number, bytes(1000))
            disk.flush()

    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 115_000


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    disk = DiskBlocks(tmp_path / "x", 10**6)
    disk.put("abcd", 1, b"content")
    disk.flush()
    assert disk.get("abcd", 1, 7) == b"content"
    (tmp_path / "x").chmod(0o777)

    other = DiskBlocks(tmp_path / "x", 10**6)
    other.put("abcd", 2, b"content")
    other.flush()
    assert [other.get("abcd", number, 7) for number in (1, 2)] == [None, None]


def test_what_may_change_and_what_one_remote_says_are_kept_apart(tmp_path: Path) -> None:
    class Repository:
        git_dir = tmp_path

    def name(key: str, remote: str | None = None) -> str:
        return _content_of(Repository(), key, Options(remote=remote))  # type: ignore[arg-type]

    assert name("SHA256--a") == name("SHA256--a") != name("SHA256--a", "s3")
    assert name("URL--http&c%%x") != name("URL--http&c%%x")


def test_a_copy_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"before")

    def half() -> None:
        with _appearing(place) as target:
            target.write(b"half")
            raise OSError("broke off")

    with pytest.raises(OSError, match="broke off"):
        half()
    assert [place.read_bytes(), *tmp_path.iterdir()] == [b"before", place]

    with _appearing(place) as target:
        target.write(b"whole")
    assert [place.read_bytes(), *tmp_path.iterdir()] == [b"whole", place]
    with _appearing(Path("/dev/null")) as target:
        target.write(b"nowhere")
    assert Path("/dev/null").is_char_device()


OUT_OF_ORDER = (2, 0, 1)


def without_memory(content: bytes) -> Fetching:
    """Return what reads `content`, three blocks of which no one stays."""
    cache = BlockCache(CacheOptions(memory_bytes=0, disk_bytes=0))
    return fetching(Given(content), cache)


def read_blocks(reading: Fetching, *numbers: int) -> None:
    for number in numbers:
        reading.read(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)


@pytest.mark.parametrize("begun", [(), (2,), OUT_OF_ORDER, (0, 1), (1, 2, 1)])
def test_whoever_reads_in_order_has_it_verified_though_nothing_fits_into_memory(
    begun: tuple[int, ...],
) -> None:
    good, damaged = without_memory(CONTENT), without_memory(CONTENT[:-1] + b"!")
    read_blocks(good, *begun)
    read_blocks(damaged, *begun)

    with pytest.raises(ContentUnavailable, match="its checksum differs"):
        read_blocks(damaged, 0, 1, 2)
    read_blocks(good, 0, 1, 2)
    assert good._check is not None
    assert good._check.is_good


@pytest.fixture
def forgetful(tmp_path: Path) -> BlockCache:
    """A cache with room for one block."""
    return BlockCache(CacheOptions(folder=tmp_path, memory_bytes=BLOCK_BYTES, disk_bytes=0))


def test_a_second_reading_must_be_of_the_same_content(forgetful: BlockCache) -> None:
    source = Given(CONTENT)
    reading = fetching(source, forgetful)
    assert reading.read(0, len(CONTENT)) == CONTENT
    source.content = CONTENT[:5000] + b"!" + CONTENT[5001:]

    with pytest.raises(ContentUnavailable, match="read twice, and has changed"):
        reading.read(0, len(CONTENT))
    assert reading.has_failed


def test_what_had_to_give_way_is_verified_when_it_is_read_in_order(forgetful: BlockCache) -> None:
    damaged = fetching(Given(CONTENT[:-1] + b"!"), forgetful)
    damaged.read(BLOCK_BYTES, 2 * BLOCK_BYTES)
    damaged.read(2 * BLOCK_BYTES, len(CONTENT) - 1)  # noted out of order, and forgotten

    assert damaged.read(0, BLOCK_BYTES) == CONTENT[:BLOCK_BYTES]
    damaged.read(BLOCK_BYTES, 2 * BLOCK_BYTES)
    with pytest.raises(ContentUnavailable, match="its checksum differs"):
        damaged.read(2 * BLOCK_BYTES, len(CONTENT))


def test_all_parts_of_a_chunk_are_of_one_state() -> None:
    place = Careless(iter(["one", "another", "two"]))
    source = ChunkedSource(place, str, 1, 2)  # type: ignore[arg-type]
    source.fill(0, memoryview(bytearray(2)))

    with pytest.raises(ObjectChanged, match="was replaced while it was read"):
        source.fill(0, memoryview(bytearray(1)))
