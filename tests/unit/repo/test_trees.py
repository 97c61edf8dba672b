"""Keys behind the files of a tree, and where git-annex keeps their content and logs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.keys import chunk_key
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import (
    as_file_name,
    key_of_link,
    key_of_pointer,
    lower_folder,
    mixed_folder,
)
from datalad_s3ext.repo.trees import Entry, Trees
from datalad_s3ext.repo.whereabouts import Whereabouts

KEY = "SHA256E-s3--ab.dat"


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (b"../.git/annex/objects/X9/6J/SHA256E-s3--ab.dat/SHA256E-s3--ab.dat", KEY),
        (b"../.git/modules/sub/annex/objects/a/b/URL--http&c%%x%y&a&s/URL--http&c%%x%y&a&s", "URL--http://x/y&%"),
        (b"folder/file", None),
        (b"annex/objects/x", None),
        (b".git/annex/objects/a/b/nokey", None),
    ],
)  # fmt: skip
def test_links(target: bytes, key: str | None) -> None:
    assert key_of_link(target) == key


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"/annex/objects/SHA256E-s3--ab.dat\n", KEY),
        (b"/annex/objects/SHA256E-s3--ab.dat", KEY),
        (b"/annex/objects/SHA256E-s3--ab.dat\r\n", KEY),
        (b"/annex/objects/SHA256E-s3--ab.dat\n/annex/other\n", KEY),
        (b"/annex/objects/SHA256E-s3--ab.dat\nsomething else\n", None),
        (b"/annex/objects/SHA256E-s3--ab.dat\n" + b"/annex/x\n" * 5000, None),
        (b"text about /annex/objects/SHA256E-s3--ab.dat\n", None),
        (b"", None),
    ],
)
def test_pointers(content: bytes, key: str | None) -> None:
    assert key_of_pointer(content) == key


@pytest.mark.annex
def test_folders_and_names_are_those_of_git_annex() -> None:
    keys = ["SHA256E-s3--ab.dat", "URL--http://x.org/a&b%c:d", "WORM-s5-m7--ü", "MD5-s0--" + "f" * 32]
    lines = "\n".join(keys)
    for folder, variable in ((mixed_folder, "hashdirmixed"), (lower_folder, "hashdirlower")):
        done = subprocess.run(
            ["git", "annex", "examinekey", "--batch", f"--format=${{{variable}}}${{file}}\\n"],
            input=lines, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = [line.split("/")[:2] for line in done.stdout.splitlines()]
        assert [folder(key).split("/") for key in keys] == found
    assert as_file_name(keys[1]) == "URL--http&c%%x.org%a&ab&sc&cd"
    assert chunk_key(KEY, 1000, 3) == "SHA256E-s3-S1000-C3--ab.dat"


@pytest.fixture
def objects(tmp_path: Path) -> GitObjects:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return GitObjects(tmp_path / ".git")


def test_objects_that_are_not_there(objects: GitObjects) -> None:
    assert objects.read("main:file") is None
    assert objects.read("0" * 40) is None
    assert objects.read("main\nHEAD") is None
    assert list(objects.read_many([])) == []
    with pytest.raises(LocalError, match=r"git lacks|missing"):
        list(objects.read_many(["0" * 40] * 20))
    with pytest.raises(LocalError):
        Trees(objects).entries("0" * 40)
    with pytest.raises(LocalError):
        Trees(objects).contents([Entry(0o100644, "1" * 40)])


def test_a_repository_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="git cannot read"):
        GitObjects(tmp_path / "nothing").read("HEAD")


def test_the_newest_line_of_all_branches_and_the_journal_counts(objects: GitObjects) -> None:
    folder = f"{lower_folder(KEY)}/{KEY}"
    _commit(objects, "refs/heads/git-annex", {
        f"{folder}.log": "1s 1 a\n5s 0 b\n3s 1 b\n1s 1 c\n",
        f"{folder}.log.web": "1s 1 http://a\n2s 0 http://a\n1s 1 http://b c\n",
        f"{folder}.log.cnk": "1s a:1000 3\n1s b:500 6\n2s b:500 0\nrubbish\n",
    })  # fmt: skip
    _commit(objects, "refs/remotes/origin/git-annex", {f"{folder}.log": "2s 0 a\n1s 1 d\n"})
    journal = objects.git_dir / "annex" / "journal"
    journal.mkdir(parents=True)
    (journal / f"{folder}.log".replace("/", "_")).write_text("9s X c\n9s 1 e\n")
    known = Whereabouts(objects)

    assert known.locations(KEY) == {"d", "e"}
    assert known.urls(KEY) == ["http://b c"]
    assert known.chunks(KEY, "a") == [(1000, 3)]
    assert known.chunks(KEY, "b") == []


def _commit(objects: GitObjects, ref: str, files: dict[str, str]) -> None:
    stream = f"commit {ref}\ncommitter T <t@e> 1 +0000\ndata 0\n"
    for name, text in files.items():
        stream += f"M 100644 inline {name}\ndata {len(text)}\n{text}\n"
    command = ["git", f"--git-dir={objects.git_dir}", "fast-import", "--quiet"]
    subprocess.run(command, input=stream.encode(), check=True)
