"""Downloads from the store in memory: whatever happens, the file is a valid beginning."""

import os
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, LocalError, ObjectNotFound, TransientError
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.download import download_file
from datalad_s3ext.transfer.pool import Cancelled, Pool
from datalad_s3ext.transfer.progress import Progress

RANGE = 1000


@pytest.fixture
def pool():
    pool = Pool(connections=4, memory_bytes=3 * RANGE, buffer_bytes=RANGE)
    yield pool
    pool.close()


def filled(size: int, store: MemoryStore | None = None) -> tuple[MemoryStore, bytes]:
    store = store or MemoryStore()
    content = os.urandom(size)
    store.put("name", BytesIO(content), size)
    return store, content


def fetch(store: MemoryStore, path: Path, pool: Pool, expected: int | None) -> list[int]:
    told: list[int] = []
    download_file(
        store,
        "name",
        path,
        expected_bytes=expected,
        pool=pool,
        progress=Progress(told.append, every_s=0),
    )
    return told


SIZES = [0, 1, RANGE - 1, RANGE, RANGE + 1, 20 * RANGE, 20 * RANGE + 7]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_arrives(tmp_path: Path, pool: Pool, size: int, known: bool) -> None:
    store, content = filled(size)

    told = fetch(store, tmp_path / "f", pool, size if known else None)

    assert (tmp_path / "f").read_bytes() == content
    assert told == sorted(told)
    assert told[-1:] == ([size] if size else [])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("have", [0, 1, RANGE, 7 * RANGE + 3, 20 * RANGE - 1, 20 * RANGE])
def test_it_goes_on_where_the_file_ends(tmp_path: Path, pool: Pool, have: int, known: bool) -> None:
    store, content = filled(20 * RANGE)
    (tmp_path / "f").write_bytes(content[:have])

    told = fetch(store, tmp_path / "f", pool, len(content) if known else None)

    assert (tmp_path / "f").read_bytes() == content
    is_whole = known and have == len(content)  # then nothing went on
    assert told[-1:] == ([] if is_whole else [len(content)])


@pytest.mark.parametrize("known", [True, False])
def test_a_file_longer_than_the_object_begins_anew(tmp_path: Path, pool: Pool, known: bool) -> None:
    store, content = filled(5 * RANGE)
    (tmp_path / "f").write_bytes(os.urandom(6 * RANGE))

    fetch(store, tmp_path / "f", pool, len(content) if known else None)

    assert (tmp_path / "f").read_bytes() == content


def test_what_is_not_there_is_said_and_the_file_is_left_alone(tmp_path: Path, pool: Pool) -> None:
    (tmp_path / "f").write_bytes(b"begun")

    with pytest.raises(ObjectNotFound):
        fetch(MemoryStore(), tmp_path / "f", pool, 100)

    assert (tmp_path / "f").read_bytes() == b"begun"


def test_an_object_of_another_size_is_refused_before_a_byte_is_written(
    tmp_path: Path, pool: Pool
) -> None:
    store, _ = filled(5 * RANGE)

    with pytest.raises(IntegrityError, match="5000 bytes"):
        fetch(store, tmp_path / "f", pool, 6 * RANGE)

    assert (tmp_path / "f").read_bytes() == b""


class Fragile(MemoryStore):
    """Fails at the range that begins at `fails_at`."""

    fails_at = 7 * RANGE

    def get(self, name: str, *, start: int = 0, **kw: Any) -> RangeReader:
        if start == self.fails_at:
            raise TransientError("the network is gone")
        return super().get(name, start=start, **kw)


def test_a_broken_transfer_leaves_a_valid_beginning_and_gives_memory_back(
    tmp_path: Path, pool: Pool
) -> None:
    store, content = filled(20 * RANGE, Fragile())

    with pytest.raises(TransientError):
        fetch(store, tmp_path / "f", pool, len(content))

    got = (tmp_path / "f").read_bytes()
    assert content.startswith(got)
    assert len(got) == 7 * RANGE
    assert all(pool.buffers.take() is not None for _ in range(3))


def test_an_object_replaced_meanwhile_is_noticed(tmp_path: Path, pool: Pool) -> None:
    class Replacing(MemoryStore):
        def get(self, name: str, *, start: int = 0, **kw: Any) -> RangeReader:
            if start == 7 * RANGE:
                self.put("name", BytesIO(b"x" * 20 * RANGE), 20 * RANGE)
            return super().get(name, start=start, **kw)

    store, content = filled(20 * RANGE, Replacing())

    with pytest.raises(Exception, match=r"(?i)changed|replaced|etag"):
        fetch(store, tmp_path / "f", pool, len(content))

    assert content.startswith((tmp_path / "f").read_bytes())


def test_several_downloads_share_the_memory_without_standstill(tmp_path: Path, pool: Pool) -> None:
    store, content = filled(50 * RANGE)
    jobs = [
        threading.Thread(
            target=fetch, args=(store, tmp_path / f"f{n}", pool, len(content)), daemon=True
        )
        for n in range(6)
    ]

    for job in jobs:
        job.start()
    for job in jobs:
        job.join(30)

    assert not any(job.is_alive() for job in jobs)
    assert all((tmp_path / f"f{n}").read_bytes() == content for n in range(6))


def test_a_full_disk_is_said_with_a_remedy(tmp_path: Path, pool: Pool) -> None:
    store, content = filled(20 * RANGE)

    with pytest.raises(LocalError, match=r"No space left on device.*free space"):
        fetch(store, Path("/dev/full"), pool, len(content))


def test_a_cancelled_process_stops(tmp_path: Path, pool: Pool) -> None:
    store, content = filled(20 * RANGE)
    pool.cancel()

    with pytest.raises(Cancelled):
        fetch(store, tmp_path / "f", pool, len(content))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, pool: Pool) -> None:
    store, content = filled(10)

    with pytest.raises(LocalError, match="cannot write"):
        fetch(store, tmp_path / "missing" / "f", pool, len(content))
