"""Files of the git-annex branch, and what is not in it yet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.branch_files import committed, journal_file, journaled

LOG = "aaa/bbb/a_key.log"


@pytest.fixture
def git_dir(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path], check=True)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_what_is_nowhere_is_empty(git_dir: Path) -> None:
    assert (journaled(git_dir, LOG), committed(git_dir, LOG)) == (b"", b"")


def test_underscores_and_slashes_are_told_apart(git_dir: Path) -> None:
    write(git_dir / "annex/journal/aaa_bbb_a__key.log", "1s 1 uuid\n")
    assert journaled(git_dir, LOG) == b"1s 1 uuid\n"


def test_what_annex_private_keeps_to_this_clone_counts_too(git_dir: Path) -> None:
    write(journal_file(git_dir, LOG), "1s 1 public\n")
    write(git_dir / "annex/journal-private/aaa_bbb_a__key.log", "2s 1 private\n")
    assert journaled(git_dir, LOG) == b"1s 1 public\n2s 1 private\n"


def test_a_journal_that_cannot_be_read_is_not_an_empty_one(git_dir: Path) -> None:
    journal_file(git_dir, LOG).mkdir(parents=True)
    with pytest.raises(LocalError, match="journal cannot be read"):
        journaled(git_dir, LOG)


def test_a_branch_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot read the git-annex branch"):
        committed(tmp_path / "no repository", LOG)
