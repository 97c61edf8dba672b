"""Where content is said to be: the logs of the git-annex branch, read for one key at a time.

Every line has a time stamp; of several lines about one thing the newest counts, so the lines of all
branches that git-annex would merge, and of its journal, can be read together.
Source: git-annex's page "internals".
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from time import monotonic

from datalad_s3ext.errors import LocalError, one_line
from datalad_s3ext.repo.branch_files import BRANCH, journaled
from datalad_s3ext.repo.forks import renew_at_fork
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import as_file_name, lower_folder

WEB = "00000000-0000-0000-0000-000000000001"
"""The UUID of git-annex's special remote ``web``."""
_BRANCHES_KEPT_S = 2.0
_NUMBER = re.compile(r"[0-9]{1,18}")


class Whereabouts:
    """The location, web and chunk logs of one repository. Safe in threads."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._lock = Lock()
        self._branches: tuple[str, ...] = ()
        self._looked = -_BRANCHES_KEPT_S
        renew_at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._lock = Lock()

    def locations(self, key: str) -> frozenset[str]:
        """Return the UUIDs of the repositories and remotes that have the content of `key`."""
        newest = _newest(self._lines(key, ".log"), lambda words: words[2] if len(words) > 2 else None)
        return frozenset(uuid for uuid, words in newest.items() if words[1] == "1")

    def urls(self, key: str) -> list[str]:
        """Return the URLs on the web from which the content of `key` can be had, in a stable order."""
        newest = _newest(self._lines(key, ".log.web"), lambda words: " ".join(words[2:]) or None)
        return sorted(url for url, words in newest.items() if words[1] == "1")

    def chunks(self, key: str, uuid: str) -> list[tuple[int, int]]:
        """Return (chunk size, number of chunks) for each way in which the remote `uuid` has `key`."""
        newest = _newest(self._lines(key, ".log.cnk"), lambda words: words[1])
        found = []
        for what, words in newest.items():
            owner, _, size = what.rpartition(":")
            if owner == uuid and len(words) > 2 and all(map(_NUMBER.fullmatch, (size, words[2]))):
                found.append((int(size), int(words[2])))
        return [(size, count) for size, count in found if size and count]

    def log(self, name: str) -> str:
        """Return a log that is not about one key: this clone's own, else those of its siblings."""
        branches = self._known_branches()
        if BRANCH in branches:
            branches = (BRANCH,)
        found = (self._objects.read(f"{branch}:{name}") for branch in branches)
        return "\n".join(_text(one.data) for one in found if one is not None)

    def _lines(self, key: str, suffix: str) -> Iterator[str]:
        path = f"{lower_folder(key)}/{as_file_name(key)}{suffix}"
        newest = journaled(self._objects.git_dir, path)
        for branch in self._known_branches():
            found = self._objects.read(f"{branch}:{path}")
            if found is not None:
                yield from _text(found.data).splitlines()
        yield from _text(newest).splitlines()

    def _known_branches(self) -> tuple[str, ...]:
        with self._lock:
            if monotonic() - self._looked >= _BRANCHES_KEPT_S:
                self._branches = tuple(annex_branches(self._objects.git_dir))
                self._looked = monotonic()
            return self._branches


def annex_branches(git_dir: Path) -> list[str]:
    """Return the git-annex branches of the repository and its siblings."""
    listed = subprocess.run(
        ["git", f"--git-dir={git_dir}", "for-each-ref", "--format=%(refname)",
         BRANCH, "refs/remotes/*/git-annex"],
        capture_output=True, text=True, errors="surrogateescape", check=False,
    )  # fmt: skip
    if listed.returncode:
        raise LocalError(f"git failed: {one_line(listed.stderr)}")
    return listed.stdout.split()


def _newest(lines: Iterable[str], name: Callable[[list[str]], str | None]) -> dict[str, list[str]]:
    """Return the words of the newest line about each thing; `name` tells what a line is about."""
    newest: dict[str, tuple[float, list[str]]] = {}
    for line in lines:
        words = line.split(" ")
        what = name(words) if len(words) > 1 else None
        age = _seconds(words[0])
        if what is not None and (what not in newest or newest[what][0] <= age):
            newest[what] = (age, words)
    return {what: words for what, (_, words) in newest.items()}


def _seconds(stamp: str) -> float:
    try:
        return float(stamp.removesuffix("s"))
    except ValueError:
        return 0.0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
