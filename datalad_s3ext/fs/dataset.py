"""One repository: its commits, the content that lies in it, and its subdatasets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import git

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.folders import annex_folder
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import object_paths
from datalad_s3ext.repo.trees import Trees
from datalad_s3ext.repo.whereabouts import Whereabouts


@dataclass(frozen=True)
class Commit:
    """A state of a data set."""

    id: str
    tree_id: str
    time_s: int
    """When it was made, in seconds since 1970."""


class Dataset:
    """A repository, with or without a work tree. Safe in threads; see `at` for one to share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """Its top folder, or the repository itself when it is bare."""
        opened = _opened(path)
        self.git_dir = Path(opened.common_dir).resolve()
        self.objects = GitObjects(self.git_dir)
        self.trees = Trees(self.objects)
        self.whereabouts = Whereabouts(self.git_dir, self.objects)

    @classmethod
    def at(cls, path: Path) -> Dataset:
        """Return the data set around `path`; the same object for the same repository.

        Raises
        ------
        ConfigError
            There is none.
        """
        top = find_top(path)
        return _DATASETS.get(top, lambda: cls(top))

    def commit(self, ref: str) -> Commit:
        """Return the commit that a branch, a tag or any expression of git means now.

        Raises
        ------
        ConfigError
            None.
        """
        found = None
        if ref and not ref.startswith("-"):
            found = self.objects.read(f"{ref}^{{commit}}")
        if found is None or found.kind != "commit":
            raise ConfigError(
                f"{self.path} has no commit, tag or branch {ref!r}",
                remedy="see git log and git tag; a clone may have to fetch it first",
            )
        head, _, _ = found.data.partition(b"\n\n")
        fields = dict(reversed([line.partition(b" ")[::2] for line in head.split(b"\n")]))
        seconds = fields[b"committer"].split(b" ")[-2]
        return Commit(found.id, fields[b"tree"].decode(), int(seconds))

    @cached_property
    def annex_objects(self) -> Path:
        """Where content lies."""
        return annex_folder(self.git_dir) / "objects"

    def object_file(self, key: str, size_bytes: int | None) -> Path | None:
        """Return the file with the content of `key`, when it is here and has the right size."""
        for path in object_paths(key):
            file = self.annex_objects / path
            try:
                found = file.stat().st_size
            except OSError:
                continue
            if size_bytes in (None, found):
                return file
        return None

    def state(self) -> object:
        """Return something that changes when git's configuration or its branches do."""
        names = ("config", "packed-refs", "refs/heads/git-annex", "reftable/tables.list")
        return tuple(_stamp(self.git_dir / name) for name in names)

    def config(self, name: str) -> str | None:
        """Return a git configuration, from any of git's files."""
        return remotes.get_local(self.path, name)

    def subdataset(self, path: str) -> Dataset | None:
        """Return the subdataset at `path`; ``None`` when it is not installed."""
        if self.path == self.git_dir:
            candidates = [self.git_dir / "modules" / path]
        else:
            candidates = [self.path / path, self.git_dir / "modules" / path]
        for candidate in candidates:
            if is_repository(candidate):
                return Dataset.at(candidate)
        return None


_DATASETS: ProcessWide[Path, Dataset] = ProcessWide()


def find_top(path: Path) -> Path:
    """Return the repository that `path` is, or lies in.

    Raises
    ------
    ConfigError
        When there is none.
    """
    here = Path(os.path.abspath(path.expanduser()))
    for folder in (here, *here.parents):
        if is_repository(folder):
            return folder
    raise ConfigError(f"{path} is no data set", remedy="give the folder of a git repository: repo=PATH")


def is_repository(path: Path) -> bool:
    """Tell whether `path` is the top of a work tree, or a bare repository."""
    if (path / ".git").exists():
        return True
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _opened(path: Path) -> git.Repo:
    try:
        return git.Repo(path)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise ConfigError(
            f"{path} is no git repository", remedy="give the folder of a data set: repo=PATH"
        ) from error
