"""A repository of another user may name programs to run: it is read when git itself reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.integration.fs.test_s3_cat import cat
from tests.support.repos import AnnexRepo

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
OTHER = 1234


@pytest.fixture
def foreign(tmp_path: Path) -> AnnexRepo:
    """Return a repository that belongs to another user."""
    repo = AnnexRepo(tmp_path / "repo")
    repo.path.mkdir()
    repo.run("git", "init", "-q")
    (repo.path / "file").write_bytes(b"content")
    repo.run("git", "add", "file")
    repo.run("git", "commit", "-q", "-m", "file")
    subprocess.run(["chown", "-R", f"{OTHER}:{OTHER}", str(repo.path)], check=True)
    return repo


@pytest.mark.parametrize("is_bare", [False, True])
def test_it_is_refused_as_git_does(foreign: AnnexRepo, is_bare: bool) -> None:
    path = foreign.path / ".git" if is_bare else foreign.path
    assert "dubious ownership" in foreign.run("git", "status", check=False).stderr

    with pytest.raises(ConfigError) as caught:
        AnnexFileSystem(str(path))

    assert "belongs to another user" in str(caught.value)
    assert f"git config --global --add safe.directory {foreign.path}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commands_say_so(foreign: AnnexRepo) -> None:
    (record,) = cat(foreign, "file")

    assert record["status"] == "error"
    assert "belongs to another user" in record["message"]


def test_whom_git_trusts_is_trusted(foreign: AnnexRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(foreign.path))

    assert AnnexFileSystem(str(foreign.path)).cat_file("file") == b"content"


def test_who_became_root_by_sudo_reads_what_is_theirs(
    foreign: AnnexRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(OTHER))

    assert AnnexFileSystem(str(foreign.path)).cat_file("file") == b"content"
