"""`make demo`: what it runs, on small files, and what it does when something fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO = CHECKOUT / "docs" / "demo.py"

FILES = {"large.bin": bytes(range(256)) * 8_000, "a folder/ünïcode 'x'.txt": b"text\n", "empty": b""}

pytestmark = [pytest.mark.annex, pytest.mark.server]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with files of somebody's own."""
    for name, content in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "data"


def run_demo(data: Path, output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo for somebody who has never told git a name."""
    return subprocess.run(
        [sys.executable, str(DEMO), "--data", str(data), "--output", str(output)],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def server_answer(output: Path) -> str:
    done = subprocess.run(
        ["datalad", "s3-serve", "--status", "--home", str(output / "server")],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def failing_datalad(folder: Path, command: str) -> str:
    """Return a PATH on which `datalad COMMAND` fails and every other command is the real one."""
    folder.mkdir()
    script = folder / "datalad"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = {command} ] && exit 3\nexec {shutil.which("datalad")} "$@"\n'
    )
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_demo_brings_every_file_back_and_can_be_repeated(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"

    for _ in range(2):
        done = run_demo(data, output)

        assert done.returncode == 0, done.stdout + done.stderr
        assert "all 3 are identical" in done.stdout
        assert "$ datalad s3-setup local --bucket demo-files" in done.stdout
        assert {name: (output / "clone" / name).read_bytes() for name in FILES} == FILES
        assert "not running" in server_answer(output)
    assert {path.name for path in output.iterdir()} == {"dataset", "clone", "server"}


@pytest.mark.parametrize("command", ["s3-setup", pytest.param("s3-enable", marks=pytest.mark.thorough)])
def test_a_failing_step_is_named_and_the_server_is_stopped(
    data: Path, tmp_path: Path, command: str
) -> None:
    path = failing_datalad(tmp_path / "bin", command)

    done = run_demo(data, tmp_path / "output", PATH=path)

    assert done.returncode == 1
    assert f"DEMO FAILED: `datalad {command} " in done.stderr
    assert "ended with exit code 3" in done.stderr
    assert "not running" in server_answer(tmp_path / "output")


def test_a_file_that_came_back_different_fails_the_demo(data: Path, tmp_path: Path) -> None:
    """A `datalad get` that brings other bytes stands for whatever could go wrong unseen."""
    folder = tmp_path / "bin"
    path = failing_datalad(folder, "get")
    script = folder / "datalad"
    script.write_text(
        script.read_text().replace("exit 3", "{ rm -f empty && echo other > empty; exit 0; }")
    )

    done = run_demo(data, tmp_path / "output", PATH=path)

    assert done.returncode == 1
    assert "DEMO FAILED: 3 of 3 files differ or are missing" in done.stderr


def test_nothing_to_send_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    done = run_demo(tmp_path / "nothing", tmp_path / "output")

    assert done.returncode == 1
    assert f"DEMO FAILED: no files in {tmp_path / 'nothing'}" in done.stderr
