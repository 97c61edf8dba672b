"""Data sets made to harm whoever reads them: names that lead elsewhere, keys that are none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.support.repos import AnnexRepo

FILE, LINK, TREE, SUBDATASET = "100644", "120000", "40000", "160000"


@pytest.fixture
def repo(tmp_path: Path) -> AnnexRepo:
    found = AnnexRepo(tmp_path / "repo")
    found.path.mkdir()
    found.run("git", "init", "-q")
    return found


def write(repo: AnnexRepo, kind: str, data: bytes) -> str:
    """Have git keep an object without a look at it, as one that was fetched with fsck off."""
    command = ["git", "hash-object", "-w", "-t", kind, "--stdin", "--literally"]
    done = subprocess.run(command, cwd=repo.path, input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


def tree(repo: AnnexRepo, *entries: tuple[str, bytes, str]) -> str:
    rows = (mode.encode() + b" " + name + b"\0" + bytes.fromhex(id) for mode, name, id in entries)
    return write(repo, "tree", b"".join(rows))


def commit(repo: AnnexRepo, top: str) -> AnnexFileSystem:
    found = repo.run("git", "commit-tree", "-m", "hostile", top).stdout.strip()
    return AnnexFileSystem(str(repo.path), found)


@pytest.mark.parametrize(
    "name", [b"..", b".", b"", b"out/../../evil", b".git", b".GIT", b"git~1", b"a/b", b"/etc"]
)
def test_names_that_no_file_can_have_are_refused(repo: AnnexRepo, name: bytes, tmp_path: Path) -> None:
    evil = write(repo, "blob", b"evil")
    below = tree(repo, (FILE, b"x", evil))
    deep = tree(repo, (TREE, b"er", below), (FILE, b"evil", evil))
    link = write(repo, "blob", b"deep/er")
    top = tree(
        repo, (TREE, b"deep", deep), (LINK, b"out", link), (TREE if name == b".." else FILE, name,
        below if name == b".." else evil),
    )  # fmt: skip
    fs = commit(repo, top)

    with pytest.raises(LocalError, match="which no file can have; do not use this data set"):
        fs.ls("")
    with pytest.raises(LocalError):
        fs.get("", str(tmp_path / "into" / "copy"), recursive=True)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "pointer",
    [
        b"/annex/objects/SHA256E-s" + b"9" * 5000 + b"--" + b"0" * 64 + b"\n",
        b"/annex/objects/SHA256E-s" + b"9" * 30 + b"--" + b"0" * 64 + b"\n",
        b"/annex/objects/SHA256E-s5--..%..%..%etc%passwd\n",
        b"/annex/objects/..--\n",
    ],
)
@pytest.mark.parametrize("mode", [FILE, LINK])
def test_keys_that_are_none_do_no_harm(repo: AnnexRepo, pointer: bytes, mode: str) -> None:
    blob = write(repo, "blob", pointer if mode == FILE else b"x" + pointer.rstrip(b"\n"))
    fs = commit(repo, tree(repo, (FILE, b"good", write(repo, "blob", b"good")), (mode, b"odd", blob)))

    assert {"good", "odd"} == set(fs.ls("", detail=False))
    assert (fs.info("odd")["size"] or 0) < 2**63
    with pytest.raises(OSError, match="odd is not here"):
        fs.cat_file("odd")
    assert fs.cat_file("good") == b"good"


def test_no_key_holds_a_zero(repo: AnnexRepo) -> None:
    pointer = b"/annex/objects/SHA256E-s5--a\0b\n"
    blob, link = write(repo, "blob", pointer), write(repo, "blob", b"x" + pointer)
    fs = commit(repo, tree(repo, (FILE, b"file", blob), (LINK, b"link", link)))

    assert {row["name"]: row["type"] for row in fs.ls("")} == {"file": "file", "link": "link"}
    assert pointer == fs.cat_file("file")


@pytest.mark.parametrize("data", [b"100644 name", b"junk", b"abc name\0" + bytes(20)])
def test_damaged_trees_are_told(repo: AnnexRepo, data: bytes) -> None:
    with pytest.raises(LocalError, match="is damaged"):
        commit(repo, write(repo, "tree", data)).ls("")


def test_a_folder_that_looks_like_a_repository_is_none(repo: AnnexRepo) -> None:
    """Its configuration, which came with the clone, could name commands to run."""
    inner = repo.path / "inner"
    subprocess.run(["git", "init", "-q", "--bare", str(inner)], check=True)
    (repo.path / "inner" / "file").write_text("of the outer one")
    repo.run("git", "add", ".")
    repo.run("git", "commit", "-q", "-m", "inner")
    id = repo.run("git", "rev-parse", "HEAD").stdout.strip()

    from datalad_s3ext.fs.dataset import Dataset
    from datalad_s3ext.fs.urls import split_url

    assert Dataset.at(repo.path).subdataset("inner") is None
    assert split_url(f"annex://{inner}/file").repo == str(repo.path)
    fs = commit(repo, tree(repo, (SUBDATASET, b"inner", id)))
    with pytest.raises(FileNotFoundError, match="not installed"):
        fs.ls("inner")
