"""What the location log says is read as git-annex itself reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.locations import Amount, annex_uuid, read_locations
from tests.support.repos import AnnexRepo

pytestmark = pytest.mark.annex


@pytest.fixture
def repo(annex: AnnexRepo, tmp_path: Path) -> AnnexRepo:
    """A data set with a directory as special remote, in which a part of its files is."""
    (tmp_path / "there").mkdir()
    where = f"directory={tmp_path}/there"
    annex.annex("initremote", "there", "type=directory", where, "encryption=none")
    for name, content in {"a": b"1", "b": b"22", "c&d %:": b"333", "e_f/g": b"4444"}.items():
        annex.add(name, content)
    annex.annex("unlock", "b")
    annex.run("git", "commit", "-aqm", "unlocked")
    annex.annex("copy", "--quiet", "--to", "there", "a", "b", "c&d %:")
    return annex


def info(repo: AnnexRepo) -> tuple[int, str]:
    found = json.loads(repo.annex("info", "--bytes", "--json", "there").stdout)
    return found["remote annex keys"], found["remote annex size"]


def test_it_says_what_git_annex_says(repo: AnnexRepo) -> None:
    found, uuid, here = read_locations(repo.path), repo.uuid("there"), annex_uuid(repo.path)
    missing = repo.annex("find", "--not", "--in=there", "--format=${key}\\n").stdout.split()

    assert found.there(uuid) == Amount(keys=3, bytes=6)
    assert info(repo) == (3, "6")
    assert found.missing(uuid) == Amount(keys=1, bytes=4)
    assert [key for key in found.current if uuid not in found.present[key]] == missing
    assert found.missing(uuid, but_in=here) == Amount(keys=1, bytes=4)


def test_the_newest_word_counts_and_other_branches_do_not(repo: AnnexRepo) -> None:
    uuid, here = repo.uuid("there"), annex_uuid(repo.path)
    repo.annex("drop", "--quiet", "--from", "there", "a")
    repo.annex("drop", "--quiet", "b")
    repo.run("git", "rm", "-q", "c&d %:")
    repo.run("git", "commit", "-qm", "gone")

    found = read_locations(repo.path)

    assert found.there(uuid) == Amount(keys=2, bytes=5)
    assert info(repo) == (2, "5")
    assert found.missing(uuid) == Amount(keys=2, bytes=5)
    assert found.missing(here or "") == Amount(keys=1, bytes=2)


def test_what_is_not_committed_yet_counts(repo: AnnexRepo) -> None:
    key = repo.annex("lookupkey", "e_f/g").stdout.strip()
    before = repo.run("git", "rev-parse", "git-annex").stdout

    repo.run("git", "config", "annex.alwayscommit", "false")
    repo.annex("setpresentkey", key, repo.uuid("there"), "1")

    assert repo.run("git", "rev-parse", "git-annex").stdout == before
    assert read_locations(repo.path).there(repo.uuid("there")) == Amount(keys=4, bytes=10)


def test_a_log_that_is_no_text_stops_nothing(annex: AnnexRepo) -> None:
    """Logs come in from other clones."""
    journal = annex.path / ".git" / "annex" / "journal"
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "aaa_bbb_SHA256-s1--x.log").write_bytes(b"1s 1 \xff\n\xff\n2s 1 here\n")

    assert read_locations(annex.path).there("here") == Amount(keys=1, bytes=1)


def test_keys_that_tell_no_size_are_counted_apart(repo: AnnexRepo) -> None:
    url = "https://example.org/a_b/c?d=%20&e"
    repo.annex("fromkey", "--force", "--quiet", f"URL--{url}", "from-the-web")
    repo.run("git", "commit", "-qm", "url")

    assert read_locations(repo.path).missing(repo.uuid("there")) == Amount(2, 4, of_unknown_size=1)


def test_a_data_set_without_anything(annex: AnnexRepo) -> None:
    found = read_locations(annex.path)

    assert (found.present, found.current) == ({}, frozenset())


def test_a_repository_that_cannot_be_read_is_an_error(repo: AnnexRepo) -> None:
    tree = repo.run("git", "ls-tree", "-r", "git-annex").stdout.splitlines()
    sha = next(line for line in tree if line.endswith(".log") and "SHA256E" in line).split()[2]
    (repo.path / ".git" / "objects" / sha[:2] / sha[2:]).unlink()

    with pytest.raises(LocalError, match="git fsck"):
        read_locations(repo.path)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        read_locations(tmp_path)
