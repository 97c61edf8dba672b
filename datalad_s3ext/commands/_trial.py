"""Trying a changed remote before anybody's repository knows of it.

A trial is an empty repository beside the real one, whose git-annex branch already has the change. There
git-annex itself enables the remote, looks for content, fetches some and compares it with the keys:
chunks, encryption and trees of files included. What it notes there is thrown away with it.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from datalad_s3ext.commands._datasets import enable
from datalad_s3ext.errors import ConfigError, IntegrityError, LocalError, one_line
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.branch_files import BRANCH
from datalad_s3ext.repo.exported import exported_trees
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.units import MIB

FETCHED = 3
SMALL_BYTES = 16 * MIB


@dataclass(frozen=True)
class Sample:
    """Some keys of those that a remote is believed to have."""

    looked_for: Sequence[str] = ()
    fetched: Sequence[str] = ()
    """Those whose content is compared with the key: the smallest ones, and none that is large."""


def draw_sample(repo: Path, remote: SpecialRemote, count: int) -> Sample:
    """Return up to `count` keys that the location log says are in `remote`, drawn by chance.

    Raises
    ------
    AnnexError
        When git-annex cannot list them.
    """
    keys = _keys_of(repo, remote)
    drawn = random.sample(keys, min(count, len(keys)))
    sizes = {key: parse_key(key).size_bytes for key in drawn}
    small = [key for key in drawn if (sizes[key] or SMALL_BYTES + 1) <= SMALL_BYTES]
    return Sample(drawn, sorted(small, key=lambda key: sizes[key] or 0)[-FETCHED:])


def _keys_of(repo: Path, remote: SpecialRemote) -> list[str]:
    """Return what should be in `remote`; of a tree of files, only what is in the newest one.

    Of earlier trees built-in S3 with ``versioning=yes`` has all, but no remote from outside can say so.
    """
    if remote.parameters.get("exporttree", "no") not in {"yes", "true"}:
        return annex.run_annex(repo, "findkeys", f"--in={remote.uuid}").splitlines()
    return keys_in_newest_tree(repo, remote)


def keys_in_newest_tree(repo: Path, remote: SpecialRemote) -> list[str]:
    """Return the keys of files in the newest tree that should be in `remote`.

    Raises
    ------
    AnnexError
        When git-annex cannot list them.
    """
    git_dir = remotes.git_folder(repo)
    trees = exported_trees(git_dir, remote.uuid)
    if not trees:
        return []
    shown = "--format=${key}\\n"
    return annex.run_annex(
        repo, "find", f"--in={remote.uuid}", f"--branch={trees[0]}", shown
    ).splitlines()


@dataclass
class Trial:
    """The repository beside `repo` in which a remote is tried; a context manager."""

    repo: Path
    commit: str
    """On top of the git-annex branch of `repo`, with the change."""
    env: Mapping[str, str | None]
    config: Mapping[str, str]
    """Git configuration that counts here as if it stood in the repository."""
    _folder: TemporaryDirectory[str] = field(init=False, repr=False)

    def __enter__(self) -> Self:
        """Make the repository."""
        self._folder = TemporaryDirectory(prefix="s3x-trial-")
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Throw the repository away."""
        self._remove()

    @property
    def path(self) -> Path:
        """Return where it is."""
        return Path(self._folder.name)

    def enable(self, remote_id: str) -> str:
        """Have git-annex enable the remote here; return its name.

        Raises
        ------
        S3xError
            Git-annex's reason why not.
        """
        known = remotes.special_remotes(self.path)
        (remote,) = (one for one in known if one.id == remote_id)
        enable(self.path, remote, known, {}, self.env, self.config)
        return remote.name

    def check(self, name: str, sample: Sample) -> None:
        """Make sure that the remote `name` has the keys of `sample`, and fetches the right content.

        Raises
        ------
        IntegrityError
            When one is not there, or its content is another; also when that cannot be found out.
        """
        missing = self._missing(name, sample.looked_for)
        if missing:
            raise IntegrityError(
                f"{len(missing)} of {len(sample.looked_for)} keys that should be there were not found, "
                f"such as {missing[0]}{self._why_not(name, missing[0])}",
                remedy="check endpoint, bucket and prefix, where a folder ends with /; `git annex fsck "
                "--fast --from` the remote corrects what is believed of it",
            )
        for key in sample.fetched:
            try:
                self._annex("get", "--quiet", f"--from={name}", f"--key={key}")
            except annex.AnnexError as error:
                raise IntegrityError(f"the content of {key} cannot be had: {error.what}") from error

    def _missing(self, name: str, keys: Iterable[str]) -> list[str]:
        asked = list(keys)
        if not asked:
            return []
        text = "".join(f"{key}\n" for key in asked)
        answers = self._annex("checkpresentkey", "--batch", name, stdin=text).split()
        if len(answers) != len(asked):
            raise ConfigError("git-annex has not said of all keys whether they are there")
        return [key for key, answer in zip(asked, answers, strict=True) if answer != "1"]

    def _why_not(self, name: str, key: str) -> str:
        """Return git-annex's reason, if it has one: in a batch it tells absent and unknown alike."""
        try:
            self._annex("checkpresentkey", key, name)
        except annex.AnnexError as error:
            return "" if error.what.endswith(annex.failure_text(())) else f" ({error.what})"
        return ""

    def _annex(self, *arguments: str, stdin: str = "") -> str:
        env = {**self.env, **annex.config_environment(self.config, os.environ)}
        return annex.run_annex(self.path, *arguments, env=env, stdin=stdin)

    def _make(self) -> None:
        objects = remotes.git_folder(self.repo).absolute() / "objects"
        self._git("init", "--quiet", "--bare", ".")
        (self.path / "objects" / "info" / "alternates").write_text(f"{objects}\n")
        self._git("update-ref", BRANCH, self.commit)
        self._annex("init", "--quiet", "--no-autoenable", "trial")

    def _git(self, *arguments: str) -> None:
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LocalError(f"git cannot make a repository for a trial: {one_line(done.stderr)}")

    def _remove(self) -> None:
        for folder, _, _ in os.walk(self.path):  # git-annex takes the right to write from its objects
            os.chmod(folder, 0o700)
        self._folder.cleanup()
