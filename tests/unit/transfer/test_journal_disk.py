"""On a full disk the journal may be lost, an upload not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datalad_s3ext.transfer.journal import Journals

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(10_000))
    return path


LIMITED = """
import resource, sys
from pathlib import Path
from datalad_s3ext.transfer.journal import Begun, Confirmed, Journals

def allow(size_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
"""
NOTES = """
with Journals(Path(sys.argv[1])).open("name") as journal:
    assert journal.begin(Begun("here", "name", "id-1", 10_000, 1000))
    journal.note(Confirmed(1, "aa", "bb"))
    (file,) = Path(sys.argv[1]).iterdir()
    allow(file.stat().st_size + 20)
    journal.note(Confirmed(2, "aa", "bb"))
    journal.note(Confirmed(3, "aa", "bb"))
    allow(resource.RLIM_INFINITY)
    journal.note(Confirmed(4, "aa", "bb"))
"""
UPLOADS = """
import tests.unit.transfer.test_journal_trouble as here

folder, path = map(Path, sys.argv[1:3])
store, pool, journals = here.Faulty(), here.Pool(connections=1), Journals(folder)
store.fails_from = {fails_from}
allow({limit})
try:
    here.send(store, path, pool, journals)
except here.TransientError:
    print("failed", len(store.unfinished()), len(list(folder.iterdir())))
else:
    print("stored", here.content(store) == path.read_bytes(), len(list(folder.iterdir())))
pool.close()
"""


def in_a_process(script: str, *arguments: Path) -> str:
    """Run a script in a process of its own: its limit would hit everybody's files here."""
    command = [sys.executable, "-c", LIMITED + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_notes_that_found_no_room_hide_none_that_do(folder: Path) -> None:
    in_a_process(NOTES, folder)

    with Journals(folder).open("name") as journal:
        assert journal is not None
        found = journal.read()

    assert found is not None
    assert sorted(found[1]) == [1, 4]


@pytest.mark.parametrize("limit", [0, 50, 200], ids=["nothing", "half a line", "some lines"])
def test_a_full_disk_does_not_stop_an_upload(path: Path, folder: Path, limit: int) -> None:
    shown = in_a_process(UPLOADS.format(fails_from=None, limit=limit), folder, path)

    assert shown == "stored True 0"


@pytest.mark.parametrize("limit", [0, 50])
def test_an_upload_that_could_not_be_written_down_is_taken_back_when_it_fails(
    path: Path, folder: Path, limit: int
) -> None:
    shown = in_a_process(UPLOADS.format(fails_from=5, limit=limit), folder, path)

    assert shown == "failed 0 0"
