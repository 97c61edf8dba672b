"""The program that serves a mount ends when it shall, whatever it waits for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datalad_s3ext.fs import mounted
from datalad_s3ext.server.process import identity, wait_until
from tests.integration.fs.test_mount import Mount, folder, mount, ok, pytestmark, umount
from tests.support.repos import AnnexRepo

__all__ = ["folder", "mount", "pytestmark"]
SOON_S = 15
"""Much less than the minute after which a server is given up."""


@dataclass(frozen=True)
class Silent:
    """A data set whose only file lies at a server that takes requests and never answers."""

    repo: AnnexRepo
    server: socket.socket


@pytest.fixture
def silent(annex: AnnexRepo) -> Iterator[Silent]:
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = server.getsockname()[1]
        key = f"SHA256-s1000000--{'0' * 64}"
        annex.annex("registerurl", key, f"http://127.0.0.1:{port}/file")
        annex.annex("fromkey", "--force", key, "far")
        annex.run("git", "commit", "-q", "-m", "far")
        yield Silent(annex, server)


def test_told_to_end_while_a_read_waits(mount: Mount, silent: Silent, folder: Path) -> None:
    pid = ok(mount(silent.repo))["pid"]
    with subprocess.Popen(["cat", str(folder / "far")], stderr=subprocess.PIPE) as reader:
        waiting, _ = silent.server.accept()
        with waiting:
            os.kill(pid, signal.SIGTERM)
            ended = wait_until(lambda: identity(pid) is None, SOON_S)
            if not ended:
                os.kill(pid, signal.SIGKILL)
            reader.communicate(timeout=SOON_S)

    assert ended
    assert reader.returncode == 1
    assert mounted.state_of(folder) == "none"


def test_unmounted_when_the_reader_has_gone(mount: Mount, silent: Silent, folder: Path) -> None:
    pid = ok(mount(silent.repo))["pid"]
    with subprocess.Popen(["cat", str(folder / "far")]) as reader:
        waiting, _ = silent.server.accept()
        with waiting:
            reader.kill()
            reader.wait(SOON_S)
            done = umount(folder)
            ended = wait_until(lambda: identity(pid) is None, SOON_S)
            if not ended:
                os.kill(pid, signal.SIGKILL)

    assert ok(done)["message"] == "unmounted"
    assert ended


def test_open_files_keep_what_was_taken_out_of_sight(
    mount: Mount, in_bucket: AnnexRepo, folder: Path
) -> None:
    pid = ok(mount(in_bucket))["pid"]
    with (folder / "data/big.dat").open("rb"):
        ok(umount(folder, force=True))
        later = ok(mount(in_bucket))["pid"]
        os.kill(pid, signal.SIGTERM)  # which must not take off the later one
        assert wait_until(lambda: identity(pid) is None, SOON_S)

    assert mounted.state_of(folder) == "ours"
    assert identity(later) is not None


def test_in_the_foreground_ctrl_c_ends_it_while_a_read_waits(
    mount: Mount, silent: Silent, folder: Path
) -> None:
    del mount  # which takes the mount off
    command = [f"{Path(sys.executable).parent}/datalad", "s3-mount", str(folder), "--foreground"]
    with (
        subprocess.Popen(
            command, cwd=silent.repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as program,
    ):  # fmt: skip
        assert program.stdout is not None
        assert "shows commit" in program.stdout.readline()
        with subprocess.Popen(["cat", str(folder / "far")], stderr=subprocess.DEVNULL) as reader:
            waiting, _ = silent.server.accept()
            with waiting:
                os.killpg(program.pid, signal.SIGINT)
                try:
                    _, said = program.communicate(timeout=SOON_S)
                finally:
                    os.killpg(program.pid, signal.SIGKILL) if program.poll() is None else None
                reader.wait(SOON_S)

    assert mounted.state_of(folder) == "none"
    assert "Traceback" not in said
    assert program.returncode == 0
