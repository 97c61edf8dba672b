"""The same data set reads the same, wherever and in whatever layout its content lies."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.integration.fs.scenes import BIG, FILES, ODD
from tests.support.repos import AnnexRepo

pytestmark = [pytest.mark.server, pytest.mark.annex]
FOLDERS = {"data", "data/deep", "data/deep/er"}


class ReadingSuite:
    """What every data set of the same files must answer; subclasses say which."""

    @pytest.fixture
    def fs(self) -> AnnexFileSystem:
        raise NotImplementedError

    def test_lists_and_sizes_need_no_content(self, fs: AnnexFileSystem) -> None:
        found = fs.find("", detail=True)

        assert {name: len(content) for name, content in FILES.items()} | {"link.dat": len(BIG)} == {
            name: row["size"] for name, row in found.items()
        }
        assert {"file"} == {row["type"] for row in found.values()}
        assert found["plain.txt"]["key"] is None
        assert found["data/big.dat"]["key"].startswith("SHA256E-s1300000--")
        assert found["unlocked.dat"]["key"].startswith("SHA256E-s300000--")

    def test_folders(self, fs: AnnexFileSystem) -> None:
        found = fs.find("", withdirs=True)

        assert set(found) - set(FILES) - {"link.dat", ""} == FOLDERS
        assert all(fs.isdir(name) for name in FOLDERS)
        assert not fs.isfile("data")
        assert {"data/big.dat", "data/deep", "data/notes.md", ODD} == set(fs.ls("data", detail=False))
        assert sum(map(len, FILES.values())) + len(BIG) == fs.du("")
        assert fs.glob("d*/b*.dat") == ["data/big.dat"]

    def test_whole_files(self, fs: AnnexFileSystem) -> None:
        assert fs.cat(list(FILES)) == FILES
        assert fs.cat_file("link.dat") == BIG

    @pytest.mark.parametrize(
        ("start", "end"), [(0, 1), (5, 5), (299_999, 300_002), (899_000, -1), (-7, None), (10**7, None)]
    )
    def test_parts(self, fs: AnnexFileSystem, start: int, end: int | None) -> None:
        assert BIG[start:end] == fs.cat_file("data/big.dat", start, end)

    def test_many_parts_at_once(self, fs: AnnexFileSystem) -> None:
        starts = list(range(0, 1_200_000, 50_000))
        ends = [start + 60_000 for start in starts]

        found = fs.cat_ranges(["data/big.dat"] * len(starts), starts, ends)

        assert [BIG[start:end] for start, end in zip(starts, ends, strict=True)] == found

    def test_an_open_file(self, fs: AnnexFileSystem) -> None:
        with fs.open("data/big.dat") as file:
            assert BIG[:10] == file.read(10)
            file.seek(600_000)
            assert BIG[600_000:900_000] == file.read(300_000)
            file.seek(-100, 2)
            assert BIG[-100:] == file.read()
            file.seek(3)
            assert BIG[3:] == file.read()
        with fs.open("plain.txt", "r") as text:
            assert text.read() == "in git\n"

    def test_files_are_copied(self, fs: AnnexFileSystem, tmp_path: Path) -> None:
        fs.get("data", str(tmp_path / "copy"), recursive=True)

        assert (tmp_path / "copy" / "big.dat").read_bytes() == BIG
        assert (tmp_path / "copy" / "deep" / "er" / "small.dat").read_bytes() == b"small"

    def test_a_mapping(self, fs: AnnexFileSystem) -> None:
        mapping = fs.get_mapper("data")

        assert mapping["deep/er/small.dat"] == b"small"
        assert "nothing" not in mapping
        with pytest.raises(KeyError):
            mapping["nothing"]

    def test_a_pickled_copy(self, fs: AnnexFileSystem) -> None:
        copy = pickle.loads(pickle.dumps(fs))

        assert copy == fs
        assert BIG[7:9] == copy.cat_file("data/big.dat", 7, 9)

    def test_what_is_not_there(self, fs: AnnexFileSystem) -> None:
        assert not fs.exists("data/nothing")
        with pytest.raises(FileNotFoundError):
            fs.cat_file("data/nothing")
        with pytest.raises(IsADirectoryError):
            fs.cat_file("data")


LAYOUTS = [("seaweed", "plain"), ("seaweed", "chunked"), ("seaweed", "exported")]
MORE_LAYOUTS = [("rclone", "plain"), ("moto", "plain"), ("seaweed", "built_in")]


@pytest.fixture(
    params=[*LAYOUTS, *(pytest.param(one, marks=pytest.mark.thorough) for one in MORE_LAYOUTS)],
    ids="-".join,
)
def repo(request: pytest.FixtureRequest, scenes: Callable[[str, str], AnnexRepo]) -> AnnexRepo:
    return scenes(*request.param)


class TestLayouts(ReadingSuite):
    """Content in a bucket only, on each server and in each layout."""

    @pytest.fixture
    def fs(self, repo: AnnexRepo) -> AnnexFileSystem:
        return AnnexFileSystem(str(repo.path), "v1")


class TestContentThatIsHere(ReadingSuite):
    """Content in the clone; no remote at all."""

    @pytest.fixture(scope="class")
    @classmethod
    def repo(cls, tmp_path_factory: pytest.TempPathFactory) -> AnnexRepo:
        from tests.integration.fs.scenes import fill

        repo = AnnexRepo.create(tmp_path_factory.mktemp("here") / "repo")
        fill(repo)
        return repo

    @pytest.fixture
    def fs(self, repo: AnnexRepo) -> AnnexFileSystem:
        return AnnexFileSystem(str(repo.path), "v1")


class TestBareRepository(ReadingSuite):
    """No work tree; the remote is enabled in a bare clone."""

    @pytest.fixture(scope="class")
    @classmethod
    def bare(
        cls, tmp_path_factory: pytest.TempPathFactory, scenes: Callable[[str, str], AnnexRepo]
    ) -> AnnexRepo:
        source = scenes("seaweed", "plain")
        path = tmp_path_factory.mktemp("bare") / "repo.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(source.path), str(path)], check=True)
        copy = AnnexRepo(path, dict(source.env))
        copy.annex("init", "-q", "bare")
        copy.annex("enableremote", "s3")
        return copy

    @pytest.fixture
    def fs(self, bare: AnnexRepo) -> AnnexFileSystem:
        return AnnexFileSystem(str(bare.path), "v1")


class TestSubdataset(ReadingSuite):
    """The files lie in a subdataset; the superdataset is asked."""

    @pytest.fixture(scope="class")
    @classmethod
    def parent(
        cls, tmp_path_factory: pytest.TempPathFactory, scenes: Callable[[str, str], AnnexRepo]
    ) -> AnnexRepo:
        source = scenes("seaweed", "plain")
        parent = AnnexRepo.create(tmp_path_factory.mktemp("parent") / "repo")
        parent.run("git", "submodule", "--quiet", "add", str(source.path), "sub")
        sub = AnnexRepo(parent.path / "sub", dict(source.env))
        sub.run("git", "config", "remote.origin.annex-ignore", "true")
        sub.annex("init", "-q", "sub")
        sub.annex("enableremote", "s3")
        parent.run("git", "commit", "-q", "-m", "subdataset")
        return parent

    @pytest.fixture
    def fs(self, parent: AnnexRepo) -> AnnexFileSystem:
        return Below(str(parent.path))

    def test_a_url_leads_into_it(self, parent: AnnexRepo) -> None:
        with fsspec.open(f"annex://{parent.path}@main/sub/data/deep/er/small.dat") as file:
            assert file.read() == b"small"


class Below(AnnexFileSystem):
    """The same file system, with the folder ``sub`` as its top."""

    def node(self, path: str):
        return self.snapshot.find(f"sub/{self._strip_protocol(path)}")
