"""The tutorial about reading is run, every block of it; what it shows must come out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "read-lazily.rst"
BLOCK = re.compile(r"\.\. code-block:: (console|pycon)\n\n((?:    .*\n|\n)+)")
MISSING_FUSE = shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK)
RUN_DOCTEST = (
    "import doctest, sys; sys.exit(doctest.testfile(sys.argv[1], module_relative=False,"
    " optionflags=doctest.ELLIPSIS | doctest.REPORT_ONLY_FIRST_FAILURE).failed > 0)"
)


@dataclass
class Step:
    """Commands, or what is typed in one session of Python."""

    kind: str
    text: str


def steps(section: str) -> list[Step]:
    """Return what a part of the page says to do; commands end a session of Python."""
    found: list[Step] = []
    for kind, indented in BLOCK.findall(section):
        text = re.sub(r"^    ", "", indented, flags=re.MULTILINE).strip("\n") + "\n"
        if kind == "pycon" and found and found[-1].kind == "pycon":
            found[-1].text += text
        else:
            found.append(Step(kind, text))
    return found


def sections() -> dict[str, str]:
    """Return the parts of the page by their titles."""
    pieces = re.split(r"^(.+)\n-{4,}\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"Install": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the page."""

    folder: Path
    home: Path

    def follow(self, title: str) -> str:
        """Do what a section says; return what the commands printed."""
        return "".join(self._do(step) for step in steps(sections()[title]))

    def _do(self, step: Step) -> str:
        if step.kind == "console":
            script = "\n".join(line.removeprefix("$ ") for line in step.text.splitlines())
            return self._run(["bash", "-euo", "pipefail", "-c", script], script)
        session = self.folder / "session.txt"
        session.write_text(step.text, encoding="utf-8")
        return self._run([sys.executable, "-c", RUN_DOCTEST, str(session)], step.text)

    def _run(self, command: list[str], shown: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
            env={**os.environ, "HOME": str(self.home), "S3EXT_SERVER_HOME": str(self.home / "server")},
        )  # fmt: skip
        assert done.returncode == 0, f"{shown}\n\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Follow the page up to where the bucket is public and cloned."""
    folder = tmp_path_factory.mktemp("tutorial")
    home = tmp_path_factory.mktemp("reader")
    found = Reader(folder, home)
    try:
        found.follow("A data set in a public bucket")
        yield found
    finally:
        if (folder / "mnt").is_mount():
            subprocess.run(["fusermount3", "-uz", folder / "mnt"], check=True)
        found.follow("Clean up")


@pytest.mark.annex
@pytest.mark.server
def test_the_notebook(reader: Reader) -> None:
    reader.follow("Anonymous reads")
    reader.follow("Reads with a profile")

    objects = reader.folder / "reader" / ".git" / "annex" / "objects"
    assert not [file for file in objects.rglob("*") if file.is_file()]


@pytest.mark.annex
@pytest.mark.server
@pytest.mark.skipif(MISSING_FUSE, reason="this machine has no FUSE: install fuse3, and have /dev/fuse")
def test_the_mount(reader: Reader) -> None:
    shutil.rmtree(reader.home / ".cache", ignore_errors=True)

    output = reader.follow("Through a mount")

    assert "# Climate\n" in output
    assert "tas.nc" in output
    assert "unmounted" in output


def test_no_section_is_forgotten() -> None:
    assert list(sections()) == [
        "Install", "A data set in a public bucket", "Anonymous reads", "Reads with a profile",
        "Through a mount", "Clean up",
    ]  # fmt: skip
    assert PAGE.read_text(encoding="utf-8").count("code-block") == len(
        [block for text in sections().values() for block in BLOCK.findall(text)]
    )
