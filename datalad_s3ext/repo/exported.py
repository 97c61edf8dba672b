"""Names that git-annex does not tell as they are.

A line of its protocol cannot hold a line break, so git-annex leaves line breaks out of the names of an
exported tree. The files ``q<line break>q`` and ``qq`` then have one name. Only the tree itself tells
them apart, and which tree is being exported stands in ``export.log`` of the git-annex branch; while
git-annex is at work its newest state lies in the journal.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.branch_files import committed, journal_file, journaled

LOG = "export.log"
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Shortened:
    """The names of exported trees that reach a special remote without their line breaks."""

    current: Mapping[str, str] = field(default_factory=lambda: NONE)
    """Of the newest tree: from the name that git-annex sends to one with line breaks."""
    ever: Mapping[str, str] = field(default_factory=lambda: NONE)
    """The same of all trees: git-annex removes and renames what earlier ones hold."""
    twins: frozenset[str] = frozenset()
    """Names in `ever` that another file of the newest tree really has."""


class ExportedTrees:
    """What is known of the trees exported to one remote; looked up again when git-annex begins another.

    Safe in threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._state: object = None
        self._found = Shortened()

    def shortened(self, git_dir: Path, uuid: str) -> Shortened:
        """Return the shortened names in the trees exported to the remote `uuid`, and the one under way.

        A tree that this clone does not have counts as one without such names.
        """
        journal = journal_file(git_dir, LOG)
        with self._lock:
            state = (journal, uuid, _state_of(journal))
            if state != self._state:
                self._found = _look(git_dir, exported_trees(git_dir, uuid))
                self._state = state
            return self._found


def exported_trees(git_dir: Path, uuid: str) -> list[str]:
    """Return the ids of the trees that were exported to the remote `uuid`, the newest first.

    A line of the log names the tree that is there, then those that were begun, the newest of them
    first: while git-annex still removes what the new tree lacks, that one is the second.
    """
    mine = _rows(git_dir, uuid)
    return list(dict.fromkeys(tree for row in mine for tree in [*row[3:], row[2]]))


def complete_tree(git_dir: Path, uuid: str) -> str | None:
    """Return the id of the tree that was exported last to the remote `uuid`, completely."""
    mine = _rows(git_dir, uuid)
    return mine[0][2] if mine else None


def _rows(git_dir: Path, uuid: str) -> list[list[str]]:
    """Return the words of the log's lines about the remote `uuid`, the newest line first."""
    lines = [*journaled(git_dir, LOG).splitlines(), *committed(git_dir, LOG).splitlines()]
    rows = [line.decode("ascii", "replace").split(" ") for line in lines]
    mine = [row for row in rows if len(row) > 2 and row[1].endswith(f":{uuid}")]
    return sorted(mine, key=lambda row: _seconds(row[0]), reverse=True)


def _look(git_dir: Path, trees: list[str]) -> Shortened:
    broken = [
        {
            name.replace("\n", ""): name
            for name in _names(git_dir, tree, must_exist=tree == trees[0])
            if "\n" in name
        }
        for tree in trees
    ]
    ever = {short: name for names in reversed(broken) for short, name in names.items()}
    if not ever:
        return Shortened()
    return Shortened(broken[0], ever, frozenset(ever).intersection(_names(git_dir, trees[0])))


def _names(git_dir: Path, tree: str, *, must_exist: bool = False) -> list[str]:
    command = ("ls-tree", "-r", "-z", "--full-tree", "--name-only", tree)
    listed = _git(git_dir, *command, must_work=must_exist)
    return listed.decode("utf-8", "surrogateescape").split("\0")


def _git(git_dir: Path, *arguments: str, must_work: bool = False) -> bytes:
    """Return what git prints; nothing when it fails, unless it must not.

    Raises
    ------
    LocalError
        When git cannot be started, or fails and must not.
    """
    try:
        command = ["git", f"--git-dir={git_dir}", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise LocalError(f"git cannot be asked for the exported tree: {error}") from error
    if done.returncode and must_work:
        raise LocalError(f"git cannot read the exported tree: {done.stderr.decode(errors='replace')}")
    return b"" if done.returncode else done.stdout


def _seconds(stamp: str) -> float:
    try:
        return float(stamp.removesuffix("s"))
    except ValueError:
        return 0.0


def _state_of(journal: Path) -> tuple[int, int] | None:
    try:
        found = journal.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
