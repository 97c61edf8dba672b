"""URLs name a repository, a commit and a file."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from datalad_s3ext.fs.urls import Location, split_url
from tests.support.repos import AnnexRepo


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> AnnexRepo:
    """Return a plain git repository with branches of all kinds, in a folder with an @ in its name."""
    path = tmp_path_factory.mktemp("at") / "me@work" / "data"
    path.mkdir(parents=True)
    found = AnnexRepo(path)
    found.run("git", "init", "-q")
    (path / "sub").mkdir()
    (path / "sub" / "a@b.txt").write_text("content")
    found.run("git", "add", ".")
    found.run("git", "commit", "-q", "-m", "first")
    found.run("git", "branch", "topic/one")
    found.run("git", "tag", "v1.0")
    return found


@pytest.mark.parametrize(
    ("end", "ref", "path"),
    [
        ("@v1.0/sub/a@b.txt", "v1.0", "sub/a@b.txt"),
        ("@topic/one/sub", "topic/one", "sub"),
        ("@main", "main", ""),
        ("@main/", "main", ""),
        ("@main~0/sub", "main~0", "sub"),
        ("/sub/a@b.txt", None, "sub/a@b.txt"),
        ("/.datalad/config", None, ".datalad/config"),
        ("", None, ""),
        ("@nothing/sub", "nothing", "sub"),
    ],
)
def test_the_parts_of_a_url(repo: AnnexRepo, end: str, ref: str | None, path: str) -> None:
    assert split_url(f"annex://{repo.path}{end}") == Location(str(repo.path), ref, path)


@pytest.mark.parametrize("path", ["sub/a@b.txt", "/sub/a@b.txt", "annex://sub/a@b.txt", "sub/a@b.txt/"])
def test_paths_within_a_dataset_stay_what_they_are(path: str) -> None:
    assert AnnexFileSystem._strip_protocol(path) == "sub/a@b.txt"


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set lies at"):
        split_url(f"annex://{tmp_path}/file")


def test_a_url_leads_back_to_the_file(repo: AnnexRepo) -> None:
    fs = fsspec.filesystem("annex", repo=str(repo.path))
    url = fs.unstrip_protocol("sub/a@b.txt")

    with fsspec.open(url) as file:
        assert file.read() == b"content"
    assert fs._strip_protocol(url) == "sub/a@b.txt"


def test_a_url_with_storage_options(repo: AnnexRepo) -> None:
    with fsspec.open("annex://sub/a@b.txt", repo=str(repo.path), ref="topic/one") as file:
        assert file.read() == b"content"


def test_a_branch_that_moves_on_is_seen_by_new_file_systems_only(tmp_path: Path) -> None:
    repo = AnnexRepo(tmp_path)
    repo.run("git", "init", "-q")
    repo.run("git", "commit", "-q", "--allow-empty", "-m", "empty")
    before = fsspec.filesystem("annex", repo=str(tmp_path), ref="main")
    (tmp_path / "new").write_text("new")
    repo.run("git", "add", "new")
    repo.run("git", "commit", "-q", "-m", "new")
    after = fsspec.filesystem("annex", repo=str(tmp_path), ref="main")

    assert (before.ls(""), after.ls("", detail=False)) == ([], ["new"])
    assert before != after


def test_links_are_followed_within_the_dataset(tmp_path: Path) -> None:
    repo = AnnexRepo(tmp_path)
    repo.run("git", "init", "-q")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("content")
    for name, target in {"to-file": "folder/file", "to-folder": "folder", "folder/up": "../folder",
                         "out": "/etc/passwd", "out-too": "../x", "round": "round"}.items():  # fmt: skip
        (tmp_path / name).symlink_to(target)
    repo.run("git", "add", ".")
    repo.run("git", "commit", "-q", "-m", "links")
    fs = AnnexFileSystem(str(tmp_path))

    assert fs.cat_file("to-folder/up/up/file") == fs.cat_file("to-file") == b"content"
    types = {row["name"]: (row["type"], row["size"]) for row in fs.ls("")}
    assert types["to-file"] == ("file", 7)
    assert types["to-folder"] == ("link", 6)
    assert types["out"] == ("link", 11)
    for outside in ("out", "out-too", "round", "folder/../../x", "to-file/x"):
        with pytest.raises(OSError, match=r"leads out|is a file"):
            fs.info(outside)
    assert sorted(fs.find("")) == [
        "folder/file",
        "folder/up",
        "out",
        "out-too",
        "round",
        "to-file",
        "to-folder",
    ]
