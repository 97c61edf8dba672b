"""What the git-annex branch says of one key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.repo.key_logs import content_ids, key_of_file, recorded_versions

KEY = "SHA256E-s3--ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.txt"
U = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def journal(repo: Path, ending: str, text: str) -> None:
    folder = repo / ".git" / "annex" / "journal"
    folder.mkdir(parents=True, exist_ok=True)
    name = subprocess.run(
        ["git", "annex", "examinekey", "--format=${hashdirlower}", KEY],
        cwd=repo, capture_output=True, text=True, check=True,
    ).stdout.replace("/", "_")  # fmt: skip
    (folder / f"{name}{KEY}{ending}").write_text(text)


def test_content_identifiers_are_read(repo: Path) -> None:
    journal(repo, ".log.cid", f"1s {U} etag=ab size=3:!YTpi\n2s other version=x size=3\n")

    assert content_ids(repo / ".git", KEY) == {"etag=ab size=3", "a:b", "version=x size=3"}
    assert content_ids(repo / ".git", "MD5-s0--x") == set()


def test_versions_of_built_in_s3_are_read_without_those_taken_back(repo: Path) -> None:
    lines = [
        f"1s {U}:V +v1#p/f +!djIjYSBi",
        f"2s {U}:V +v3#p/f",
        "3s 99999999-2222-3333-4444-555555555555:V +other#p/f",
        f"4s {U}:V -v1#p/f",
        f"5s {U}:x +no#version author +v9#q",
    ]
    journal(repo, ".log.rmet", "\n".join(lines) + "\n")

    assert recorded_versions(repo / ".git", KEY, U) == [("p/f", "v3"), ("a b", "v2")]


def test_the_key_of_a_temporary_file_is_told() -> None:
    assert key_of_file(Path("/x/URL--http&c%%a&sb&a")) == "URL--http://a%b&"
