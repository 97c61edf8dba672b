"""Files that vanish, lines that are torn, servers that refuse: no upload is lost sight of."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.errors import AccessDenied, TransientError
from datalad_s3ext.providers.schema import Upload
from datalad_s3ext.store.base import PartReceipt
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.transfer.journal import Begun, Confirmed, Journal, Journals
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
THIRD = Confirmed(3, "aa", "bb")
MORE_THAN_A_WEEK_S = 8 * 24 * 3600


class Faulty(MemoryStore):
    """Loses the network from one part on, and refuses to abort, while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_from: int | None = None
        self.refuses_to_abort = False
        self.sent: list[int] = []

    def upload_part(self, name: str, upload_id: str, number: int, *args: Any, **kw: Any) -> PartReceipt:
        if self.fails_from is not None and number >= self.fails_from:
            raise TransientError("the network is gone")
        self.sent.append(number)
        return super().upload_part(name, upload_id, number, *args, **kw)

    def abort_upload(self, name: str, upload_id: str) -> None:
        if self.refuses_to_abort:
            raise AccessDenied("AbortMultipartUpload is not allowed")
        super().abort_upload(name, upload_id)

    def unfinished(self) -> list[str]:
        return [upload_id for _, upload_id in self.list_uploads()]


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=1)  # parts go one after the other
    yield pool
    pool.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def journals(folder: Path) -> Journals:
    return Journals(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(PARTS * PART))
    return path


def send(store: MemoryStore, path: Path, pool: Pool, journals: Journals) -> None:
    upload_file(store, "name", path, RULES, pool, Progress(lambda _: None), journals)


def send_until(part: int, store: Faulty, path: Path, pool: Pool, journals: Journals) -> None:
    store.fails_from = part
    with pytest.raises(TransientError):
        send(store, path, pool, journals)
    store.fails_from = None


def content(store: MemoryStore) -> bytes:
    with store.get("name") as reader:
        return reader.read(10**6)


def make_old(file: Path) -> None:
    then = time.time() - MORE_THAN_A_WEEK_S
    os.utime(file, (then, then))


def written(journals: Journals) -> tuple[Begun, dict[int, Confirmed]] | None:
    with journals.open("name") as journal:
        assert journal is not None
        return journal.read()


def open_files(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open, removed ones included."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name for name in found if name.startswith(str(folder))]


# -- the file and its lock -------------------------------------------------------------------------


def test_no_file_stays_open(folder: Path, journals: Journals) -> None:
    with journals.open("name") as journal, journals.open("name"):
        assert journal is not None
        journal.begin(BEGUN)
        assert len(open_files(folder)) == 1
    (file,) = folder.iterdir()
    make_old(file)
    take_back_stale(MemoryStore(), "elsewhere", journals)

    assert open_files(folder) == []


def test_a_part_that_arrives_late_is_not_noted_in_another_file(
    tmp_path: Path, journals: Journals
) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        journal.begin(BEGUN)
    with (tmp_path / "other").open("w+b") as other:  # gets the number of the file just closed
        journal.note(THIRD)
        assert os.fstat(other.fileno()).st_size == 0
        assert not journal.begin(BEGUN)
        assert os.fstat(other.fileno()).st_size == 0
        assert journal.read() is None
    assert written(journals) == (BEGUN, {})


@pytest.mark.parametrize("is_there_again", [False, True])
def test_a_file_that_was_removed_before_it_was_locked_is_not_used(
    folder: Path, journals: Journals, monkeypatch: pytest.MonkeyPatch, is_there_again: bool
) -> None:
    """Who had the lock has completed the upload; perhaps a third has begun another."""
    flock = fcntl.flock

    def late(number: int, how: int) -> None:
        (file,) = folder.iterdir()
        file.unlink()
        if is_there_again:
            file.touch()
        flock(number, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        with journals.open("name") as journal:
            assert journal is None

    with journals.open("name") as journal:
        assert journal is not None


def test_what_is_read_is_the_file_that_is_locked(folder: Path, journals: Journals) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        journal.begin(BEGUN)
        (file,) = folder.iterdir()
        file.unlink()
        file.write_text("of somebody else\n")

        assert journal.read() == (BEGUN, {})


def test_an_upload_in_use_is_not_stale(folder: Path, journals: Journals) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        journal.begin(BEGUN)
        (file,) = folder.iterdir()
        make_old(file)

        assert Journals(folder).stale() == []

    (stale,) = Journals(folder).stale()
    with stale:
        assert stale.read() == (BEGUN, {})


def test_a_file_that_cannot_be_removed_does_not_spoil_an_upload(
    folder: Path, journals: Journals
) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        (file,) = folder.iterdir()
        file.unlink()
        file.mkdir()

        journal.forget()

    assert file.is_dir()


def test_who_begins_anew_drops_what_was_noted(journals: Journals) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        journal.begin(BEGUN)
        journal.note(THIRD)

    with journals.open("name") as journal:
        assert journal is not None
        journal.read()
        journal.begin(BEGUN.with_id("id-2"))

    assert written(journals) == (BEGUN.with_id("id-2"), {})


# -- torn lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b'{"number": 2, "md', b"\0\0\0\0", b'{"number": 2}', b"x\n"])
def test_a_torn_line_does_not_hide_what_is_noted_later(
    folder: Path, journals: Journals, torn: bytes
) -> None:
    with journals.open("name") as journal:
        assert journal is not None
        journal.begin(BEGUN)
        journal.note(Confirmed(1, "cc", "dd"))
    (file,) = folder.iterdir()
    with file.open("ab") as appended:
        appended.write(torn)

    with journals.open("name") as journal:
        assert journal is not None
        journal.read()
        journal.note(THIRD)

    assert written(journals) == (BEGUN, {1: Confirmed(1, "cc", "dd"), 3: THIRD})


def test_after_a_crash_and_another_loss_only_what_is_missing_is_sent(
    path: Path, pool: Pool, folder: Path, journals: Journals
) -> None:
    store = Faulty()
    send_until(4, store, path, pool, journals)
    (file,) = folder.iterdir()
    with file.open("ab") as appended:
        appended.write(b'{"number": 9, "m')
    send_until(7, store, path, pool, journals)
    found = written(journals)

    send(store, path, pool, journals)

    assert found is not None
    assert sorted(found[1]) == [1, 2, 3, 4, 5, 6]
    assert store.sent == list(range(1, PARTS + 1))
    assert content(store) == path.read_bytes()


# -- uploads that cannot be taken back -------------------------------------------------------------


def test_a_stale_upload_is_forgotten_only_when_it_is_gone(
    path: Path, pool: Pool, folder: Path, journals: Journals
) -> None:
    store = Faulty()
    send_until(5, store, path, pool, journals)
    (file,) = folder.iterdir()
    make_old(file)
    store.refuses_to_abort = True
    take_back_stale(store, "here", journals)
    assert file.exists()
    assert len(store.unfinished()) == 1

    store.refuses_to_abort = False
    take_back_stale(store, "here", journals)

    assert not file.exists()
    assert store.unfinished() == []


def test_an_earlier_upload_that_cannot_be_taken_back_is_not_forgotten(
    path: Path, pool: Pool, folder: Path, journals: Journals
) -> None:
    store = Faulty()
    send_until(5, store, path, pool, journals)
    (earlier,) = store.unfinished()
    path.write_bytes(os.urandom(PARTS * PART))
    store.refuses_to_abort = True

    send(store, path, pool, journals)

    assert content(store) == path.read_bytes()
    found = written(journals)
    assert found is not None
    assert found[0].upload_id == earlier
    store.refuses_to_abort = False
    (file,) = folder.iterdir()
    make_old(file)
    take_back_stale(store, "here", journals)
    assert store.unfinished() == []


def test_two_uploads_that_fail_leave_none_that_nobody_knows_of(
    path: Path, pool: Pool, journals: Journals
) -> None:
    """The first refuses to go; the second must go when it fails, as nothing could be noted of it."""
    store = Faulty()
    send_until(5, store, path, pool, journals)
    (earlier,) = store.unfinished()
    path.write_bytes(os.urandom(PARTS * PART))
    abort, refused = store.abort_upload, []

    def abort_others(name: str, upload_id: str) -> None:
        if upload_id == earlier:
            refused.append(upload_id)
            raise AccessDenied("not allowed")
        abort(name, upload_id)

    store.abort_upload = abort_others  # type: ignore[method-assign]
    send_until(5, store, path, pool, journals)

    assert refused == [earlier]
    assert store.unfinished() == [earlier]


def test_a_note_is_added_to_a_journal_that_was_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Journal(file, os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)) as journal:
        journal.begin(BEGUN)
    with Journal(file, os.open(file, os.O_RDWR | os.O_APPEND)) as journal:
        journal.note(THIRD)

        assert journal.read() == (BEGUN, {3: THIRD})
