"""What is written down about unfinished uploads, and what is made of it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import IntegrityError, S3xError, TransientError
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import PartReceipt
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.journal import KEEP_S, Begun, Confirmed, Journals
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.taking_back import take_back_stale
from datalad_s3ext.transfer.upload import upload_file

PART = 1000
PARTS = 10
RULES = UploadRules.of(
    Upload(min_part=1, multipart_etag_is_md5_of_md5s=True), place="here", part_size=PART
)
BEGUN = Begun("here", "name", "id-1", 10_000, PART)

FORMAT_1 = b"""\
{"format": 1, "place": "here", "name": "name", "upload_id": "id-1", "size_bytes": 10000, "part_bytes": 1000}
{"number": 2, "digest": "aa", "etag": "bb"}
"""


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=2)
    yield pool
    pool.close()


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path / "journals")


class Losing(MemoryStore):
    """Loses the network at one part; counts the parts it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_at: int | None = 7
        self.error: S3xError = TransientError("the network is gone")
        self.taken: list[int] = []

    def upload_part(self, name: str, upload_id: str, number: int, *args: Any, **kw: Any) -> PartReceipt:
        if number == self.fails_at:
            raise self.error
        self.taken.append(number)
        return super().upload_part(name, upload_id, number, *args, **kw)


def send(
    store: MemoryStore, path: Path, pool: Pool, journals: Journals, rules: UploadRules = RULES
) -> list[int]:
    told: list[int] = []
    upload_file(store, "name", path, rules, pool, Progress(told.append, every_s=0), journals)
    return told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(PARTS * PART))
    return path


@pytest.fixture
def half(path: Path, pool: Pool, journals: Journals) -> Losing:
    """Return a store that has lost the network in the middle of an upload."""
    store = Losing()
    with pytest.raises(TransientError):
        send(store, path, pool, journals)
    assert len(list(store.list_uploads())) == 1
    store.fails_at = None
    return store


def content(store: MemoryStore) -> bytes:
    with store.get("name") as reader:
        return reader.read(10**6)


def test_only_what_is_missing_is_sent(half: Losing, path: Path, pool: Pool, journals: Journals) -> None:
    before, half.taken = half.taken, []

    told = send(half, path, pool, journals)

    assert content(half) == path.read_bytes()
    assert sorted(before + half.taken) == list(range(1, PARTS + 1))
    assert told[-1] == PARTS * PART
    assert list(half.list_uploads()) == []


def test_other_bytes_begin_anew_and_the_old_parts_go(
    half: Losing, path: Path, pool: Pool, journals: Journals
) -> None:
    path.write_bytes(os.urandom(PARTS * PART))
    half.taken = []

    send(half, path, pool, journals)

    assert content(half) == path.read_bytes()
    assert len(half.taken) == PARTS
    assert list(half.list_uploads()) == []


def test_a_single_part_that_differs_is_sent_again(
    half: Losing, path: Path, pool: Pool, journals: Journals
) -> None:
    changed = bytearray(path.read_bytes())
    last = max(half.taken)
    changed[(last - 1) * PART] ^= 1
    path.write_bytes(changed)
    half.taken = []

    send(half, path, pool, journals)

    assert content(half) == bytes(changed)
    assert last in half.taken


def test_another_part_size_begins_anew(
    half: Losing, path: Path, pool: Pool, journals: Journals
) -> None:
    rules = UploadRules.of(Upload(min_part=1), place="here", part_size=2 * PART)

    send(half, path, pool, journals, rules)

    assert content(half) == path.read_bytes()
    assert list(half.list_uploads()) == []


def test_an_upload_that_the_server_has_forgotten_begins_anew(
    half: Losing, path: Path, pool: Pool, journals: Journals
) -> None:
    for name, upload_id in list(half.list_uploads()):
        half.abort_upload(name, upload_id)

    send(half, path, pool, journals)

    assert content(half) == path.read_bytes()


def test_a_failure_that_will_not_pass_leaves_nothing(
    path: Path, pool: Pool, journals: Journals, tmp_path: Path
) -> None:
    store = Losing()
    store.error = IntegrityError("wrong")

    with pytest.raises(IntegrityError):
        send(store, path, pool, journals)

    assert list(store.list_uploads()) == []
    assert list((tmp_path / "journals").iterdir()) == []


def test_two_processes_do_not_work_on_one_upload(journals: Journals) -> None:
    with (
        journals.open("name") as mine,
        journals.open("name") as other,
        journals.open("another") as free,
    ):
        assert mine is not None
        assert other is None
        assert free is not None


def test_files_of_format_1_are_understood(journals: Journals, tmp_path: Path) -> None:
    with journals.open("name"):
        pass
    (file,) = (tmp_path / "journals").iterdir()
    file.write_bytes(FORMAT_1)

    with journals.open("name") as journal:
        assert journal is not None
        assert journal.read() == (BEGUN, {2: Confirmed(2, "aa", "bb")})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", None),
        (b"not json\n", None),
        (b"[]\n", None),
        (FORMAT_1.replace(b'"format": 1', b'"format": 2'), None),
        (FORMAT_1.replace(b'"place"', b'"palace"'), None),
        (FORMAT_1 + b'{"number": 3, "md', (BEGUN, {2: Confirmed(2, "aa", "bb")})),
        (FORMAT_1.rstrip(b"\n"), (BEGUN, {})),
    ],
)
def test_what_a_crash_has_torn_is_not_believed(
    journals: Journals, tmp_path: Path, text: bytes, expected: object
) -> None:
    with journals.open("name"):
        pass
    (file,) = (tmp_path / "journals").iterdir()
    file.write_bytes(text)

    with journals.open("name") as journal:
        assert journal is not None
        assert journal.read() == expected


def test_after_a_week_the_parts_are_taken_back(
    half: Losing, journals: Journals, tmp_path: Path
) -> None:
    (file,) = (tmp_path / "journals").iterdir()
    take_back_stale(half, "here", journals)
    assert len(list(half.list_uploads())) == 1
    old = time.time() - KEEP_S - 1
    os.utime(file, (old, old))

    take_back_stale(half, "elsewhere", journals)
    assert len(list(half.list_uploads())) == 1
    take_back_stale(half, "here", journals)

    assert list(half.list_uploads()) == []
    assert not file.exists()


def test_without_a_writable_folder_uploads_work_all_the_same(
    path: Path, pool: Pool, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    store = MemoryStore()

    send(store, path, pool, Journals(tmp_path / "file" / "journals"))

    assert content(store) == path.read_bytes()
