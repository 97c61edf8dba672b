"""One file system in many threads and processes: nothing waits for ever, nothing gets lost."""

from __future__ import annotations

import faulthandler
import multiprocessing
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.integration.fs.scenes import BIG
from tests.support.repos import AnnexRepo

pytestmark = [pytest.mark.server, pytest.mark.annex]
OBJECT = "data/big.dat"
MANY = 100
"""More than there are threads."""
WAIT_S = 15


def in_fork(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked process; fail when that hangs."""
    context = multiprocessing.get_context("fork")
    answers: Any = context.Queue()
    process = context.Process(target=lambda: answers.put(work()))
    process.start()
    try:
        return answers.get(timeout=WAIT_S)
    finally:
        process.kill()
        process.join()


def test_many_files_are_copied_at_once(tmp_path: Path) -> None:
    repo = AnnexRepo(tmp_path / "repo")
    repo.path.mkdir()
    repo.run("git", "init", "-q")
    for number in range(MANY):
        (repo.path / f"{number}.txt").write_text(str(number))
    repo.run("git", "add", ".")
    repo.run("git", "commit", "-q", "-m", "many")

    def copy() -> int:
        faulthandler.dump_traceback_later(WAIT_S / 2)
        AnnexFileSystem(str(repo.path)).get("", str(tmp_path / "copy"), recursive=True)
        return len(list((tmp_path / "copy").iterdir()))

    assert in_fork(copy) == MANY


def test_an_open_file_can_be_pickled(in_bucket: AnnexRepo) -> None:
    with AnnexFileSystem(str(in_bucket.path)).open(OBJECT, block_size=0) as file:
        file.seek(1000)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert BIG[1000:1010] == copy.read(10)
            assert copy.blocksize == 0


def test_an_open_file_goes_on_in_a_forked_process(in_bucket: AnnexRepo) -> None:
    with AnnexFileSystem(str(in_bucket.path)).open(OBJECT) as file:
        assert BIG[:10] == file.read(10)
        fetching = file._reader.fetching
        with fetching._lock:  # as another thread may hold it in the moment of the fork
            fetching._coming.update(dict.fromkeys((3, 4)))  # and fetch just these

            assert BIG[10:] == in_fork(file.read)


def test_locks_of_other_threads_stay_in_the_parent(in_bucket: AnnexRepo) -> None:
    fs = AnnexFileSystem(str(in_bucket.path))
    dataset = fs.snapshot.dataset
    with dataset.objects._lock, dataset.trees._lock, dataset.whereabouts._lock:
        assert BIG[:10] == in_fork(lambda: fs.cat_file(OBJECT, 0, 10))


GET = """
import sys
from datalad_s3ext.fs.filesystem import AnnexFileSystem
AnnexFileSystem(sys.argv[1]).get("far", sys.argv[2])
"""


def test_a_copy_from_a_silent_server_ends_with_ctrl_c_and_leaves_nothing(
    annex: AnnexRepo, tmp_path: Path
) -> None:
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    key = f"SHA256-s1000--{'0' * 64}"
    target = tmp_path / "target"
    target.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        annex.annex("registerurl", key, f"http://127.0.0.1:{silent.getsockname()[1]}/file")
        annex.annex("fromkey", "--force", key, "far")
        annex.run("git", "commit", "-q", "-m", "far")
        command = [sys.executable, "-c", GET, str(annex.path), str(target / "far")]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
            waiting, _ = silent.accept()
            with waiting:
                begun = list(target.iterdir())
                program.send_signal(signal.SIGINT)
                try:
                    _, said = program.communicate(timeout=WAIT_S)
                finally:
                    program.kill()

    assert begun, "nothing was written aside"
    assert list(target.iterdir()) == []
    assert said.rstrip().endswith(b"KeyboardInterrupt"), said
