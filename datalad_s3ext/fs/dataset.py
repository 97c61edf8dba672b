"""One repository: its commits, the content that lies in it, and its subdatasets."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datalad_s3ext.errors import ConfigError, LocalError, S3xError, one_line
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
        self.git_dir = _git_dir(path)
        self.objects = GitObjects(self.git_dir)
        self.trees = Trees(self.objects)
        self.whereabouts = Whereabouts(self.objects)

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
        return _commit(found.id, found.data)

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
        in_tree, kept = self.path / path, self.git_dir / "modules" / path
        if self.path != self.git_dir and is_work_tree(in_tree):
            return Dataset.at(in_tree)
        return Dataset.at(kept) if is_repository(kept) else None


_DATASETS: ProcessWide[Path, Dataset] = ProcessWide()
_UNSAFE = re.compile(r"--add safe\.directory (.+)")
"""What git says of repositories whose settings and hooks are another user's."""
_COMMITTER = re.compile(rb"committer .*> (-?\d{1,11}) [-+]\d+")


def _commit(commit_id: str, data: bytes) -> Commit:
    lines = data.partition(b"\n\n")[0].split(b"\n")
    made = next(filter(None, map(_COMMITTER.fullmatch, lines)), None)
    tree = lines[0].removeprefix(b"tree ").decode("ascii", "replace")
    return Commit(commit_id, tree, int(made[1]) if made else 0)


def find_top(path: Path, *, is_file: bool = False) -> Path:
    """Return the repository that `path` is, or lies in.

    What lies in a work tree and looks like a bare repository may have come with a clone, and name
    commands that git would run. It counts only when `path` is just that, and not `is_file`.

    Raises
    ------
    ConfigError
        When there is none.
    """
    here = Path(os.path.abspath(path.expanduser()))
    if is_work_tree(here) or (is_repository(here) and not is_file):
        return here
    bare = None
    for folder in here.parents:
        if is_work_tree(folder):
            is_in_git = bare is not None and bare.is_relative_to(folder / ".git")
            return bare if bare is not None and is_in_git else folder
        if bare is None and is_repository(folder):
            bare = folder
    if bare is not None:
        return bare
    raise ConfigError(f"{path} is no data set", remedy="give the folder of a git repository: repo=PATH")


def is_work_tree(path: Path) -> bool:
    """Tell whether `path` is the top of a work tree."""
    return (path / ".git").exists()


def is_repository(path: Path) -> bool:
    """Tell whether `path` is the top of a work tree, or a bare repository."""
    if is_work_tree(path):
        return True
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _git_dir(path: Path) -> Path:
    """Return where git keeps the repository at `path`, which it must be willing to read.

    Everything else is asked with ``--git-dir``, and then git does not look whose the repository is.
    """
    command = [
        "git", "-c", "safe.bareRepository=all", "-C", str(path), "rev-parse", "--path-format=absolute",
        "--git-common-dir",
    ]  # fmt: skip
    elsewhere = {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"}
    own = {name: value for name, value in os.environ.items() if name not in elsewhere}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="surrogateescape", check=False,
            env={**own, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise LocalError(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        raise _refused(path, done.stderr)
    return Path(done.stdout.removesuffix("\n")).resolve()


def _refused(path: Path, said: str) -> S3xError:
    named = _UNSAFE.search(said)
    if named is not None:
        return ConfigError(
            f"{path} belongs to another user, so git does not read it",
            remedy=f"if you trust its owner: git config --global --add safe.directory {named[1]}",
        )
    if "not a git repository" in said:
        return ConfigError(
            f"{path} is no git repository", remedy="give the folder of a data set: repo=PATH"
        )
    return LocalError(f"git cannot read {path}: {one_line(said)}")
