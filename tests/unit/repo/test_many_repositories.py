"""Reading many repositories at once, as a data set with many subdatasets does."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datalad_s3ext.repo import objects
from datalad_s3ext.repo.objects import GitObjects


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repo")
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=path, input=b"content", check=True)
    return path


CONTENT = "6b584e8ece562ebffc15d38808cd6b98fc3d97ea"


def test_not_all_keep_a_process_of_git(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_PROCESSES", 3)
    several = [GitObjects(repo) for _ in range(8)]

    for _ in range(2):
        assert all(one.read(CONTENT) is not None for one in several)
    assert len([one for one in several if one._process is not None]) <= 3
    for one in several:
        one.close()


def test_a_process_in_use_stays(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_PROCESSES", 1)
    one, other = GitObjects(repo), GitObjects(repo)
    assert one.read(CONTENT) is not None
    with ThreadPoolExecutor(1) as user:
        user.submit(one._lock.acquire).result()
        assert other.read(CONTENT) is not None
        assert one._process is not None
        user.submit(one._lock.release).result()
        other.close()
        assert other.read(CONTENT) is not None
        assert one._process is None
    for found in (one, other):
        found.close()
