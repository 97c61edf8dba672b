"""Branches of a repository and what a merge has changed, by git."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from datalad_s3ext.errors import ConfigError, LocalError

_ADJUSTED = re.compile(r"adjusted/(.+)\([^()]*\)")


def branch_of(repo: Path) -> str:
    """Return the branch that is checked out; of an adjusted one, that which it is made of.

    Raises
    ------
    ConfigError
        None is.
    """
    try:
        name = _git(repo, "symbolic-ref", "--short", "HEAD").strip()
    except LocalError as error:
        raise ConfigError(
            f"no branch is checked out in {repo}", remedy="check one out: git checkout main"
        ) from error
    adjusted = _ADJUSTED.fullmatch(name)
    return adjusted[1] if adjusted else name


def commit_of(repo: Path, ref: str) -> str | None:
    """Return the id of the commit that `ref` names; ``None`` when there is no such ref."""
    try:
        return _git(repo, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").strip()
    except LocalError:
        return None


def is_merged(repo: Path, commit: str) -> bool:
    """Tell whether what is checked out contains `commit`."""
    try:
        _git(repo, "merge-base", "--is-ancestor", commit, "HEAD")
    except LocalError:
        return False
    return True


def start_at(repo: Path, ref: str) -> None:
    """Begin the branch of a repository without commits at `ref`."""
    _git(repo, "merge", "--quiet", ref)


def conflicts(repo: Path) -> list[str]:
    """Return the files at which a merge stopped; none when it did not."""
    rows = _git(repo, "diff", "--name-only", "--diff-filter=U", "-z").split("\0")
    return list(dict.fromkeys(name for name in rows if name))


def abort_merge(repo: Path) -> None:
    """Take a merge back that stopped at conflicts; that there is none is no error."""
    if commit_of(repo, "MERGE_HEAD") is not None:
        _git(repo, "merge", "--abort")


def changes(repo: Path, before: str | None) -> Iterator[str]:
    """Yield how each file differs from the commit `before`: ``A``, ``M``, ``T`` or ``D``."""
    if commit_of(repo, "HEAD") in (before, None):
        return
    if before is None:
        listed = _git(repo, "ls-tree", "-r", "-z", "--full-tree", "--name-only", "HEAD")
        yield from ("A" for name in listed.split("\0") if name)
        return
    rows = _git(repo, "diff", "--no-renames", "--name-status", "-z", before, "HEAD").split("\0")
    yield from (status for status in rows[:-1:2])


def _git(repo: Path, *arguments: str) -> str:
    """Return what git prints.

    Raises
    ------
    LocalError
        When it cannot be started, or fails.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=repo, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="surrogateescape", check=False,
        )  # fmt: skip
    except OSError as error:
        raise LocalError(f"git cannot be started in {repo}: {error}") from error
    if done.returncode:
        raise LocalError(
            f"git {arguments[0]} failed: {done.stderr or done.stdout or 'no reason given'}"
        )
    return done.stdout
