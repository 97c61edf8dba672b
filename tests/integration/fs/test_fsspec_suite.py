"""fsspec's own suite for file systems, as far as one that changes nothing can answer it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from datalad_s3ext.fs.faults import ReadOnly
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.support.repos import AnnexRepo

pytestmark = [pytest.mark.annex]
SCENARIOS = {
    "bulk": "_bulk_operations_scenario_0",
    "glob": "_glob_edge_cases_files",
    "prefix": "_dir_and_file_with_same_name_prefix",
    "hashed": "_10_files_with_hashed_names",
}


class AnnexFixtures(AbstractFixtures):
    """The scenarios of the suite, committed beforehand."""

    @pytest.fixture(scope="class")
    @classmethod
    def committed(cls, tmp_path_factory: pytest.TempPathFactory) -> AnnexRepo:
        repo = AnnexRepo.create(tmp_path_factory.mktemp("suite") / "repo")
        local = LocalFileSystem(auto_mkdir=True)
        for name, build in SCENARIOS.items():
            getattr(cls(), build)(local, os.path.join, str(repo.path / name))
        repo.annex("add", ".")
        repo.run("git", "commit", "-q", "-m", "scenarios")
        return repo

    @pytest.fixture
    def fs(self, committed: AnnexRepo) -> AnnexFileSystem:
        return AnnexFileSystem(str(committed.path))

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self) -> str:
        return "bulk/source"

    @pytest.fixture
    def fs_glob_edge_cases_files(self) -> str:
        return "glob/source"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self) -> str:
        return "prefix/source"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self) -> str:
        return "hashed/source"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestGet(AnnexFixtures, AbstractGetTests):
    """Copying to this machine."""

    def test_get_directory_recursive(self, fs: AnnexFileSystem, tmp_path: Path) -> None:  # type: ignore[override]
        """Do what the suite's test does, which makes its files by the file system under test."""
        target = tmp_path / "target"

        fs.get("prefix/source/subdir", str(target), recursive=True)
        fs.get("prefix/source/subdir", str(target), recursive=True)

        assert {"subdir", "subfile.txt"} == {one.name for one in target.iterdir()}
        assert (target / "subdir" / "subfile.txt").is_file()


WRITES: dict[str, Callable[[Any, Path], object]] = {
    "pipe": lambda fs, _: fs.pipe("new", b"x"),
    "pipe_file": lambda fs, _: fs.pipe_file("new", b"x"),
    "put": lambda fs, here: fs.put(str(here), "new"),
    "open": lambda fs, _: fs.open("new", "wb"),
    "open exclusively": lambda fs, _: fs.open("new", "xb"),
    "append": lambda fs, _: fs.open("bulk/source/file1", "ab"),
    "rm": lambda fs, _: fs.rm("bulk", recursive=True),
    "rm_file": lambda fs, _: fs.rm_file("bulk/source/file1"),
    "mv": lambda fs, _: fs.mv("bulk/source/file1", "new"),
    "copy": lambda fs, _: fs.copy("bulk/source/file1", "new"),
    "mkdir": lambda fs, _: fs.mkdir("new"),
    "makedirs": lambda fs, _: fs.makedirs("new/er"),
    "touch": lambda fs, _: fs.touch("new"),
    "upload": lambda fs, here: fs.upload(str(here), "new"),
    "mapping": lambda fs, _: fs.get_mapper("").__setitem__("new", b"x"),
    "transaction": lambda fs, _: fs.write_text("new", "x"),
}


class TestWrites(AnnexFixtures):
    """Whatever would change the commit is refused in words."""

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_it_is_refused(
        self, fs: AnnexFileSystem, write: Callable[[Any, Path], object], tmp_path: Path
    ) -> None:
        here = tmp_path / "file"
        here.write_bytes(b"x")

        with pytest.raises(ReadOnly, match="cannot be changed: this is a commit of a data set"):
            write(fs, here)
