"""Changing what the git-annex branch records of a special remote, where `enableremote` refuses to.

git-annex changes no ``type`` of a remote that exists. But it merges whatever a sibling's git-annex
branch says, and of several lines of ``remote.log`` about one remote the newest counts. So a change is
a commit on top of the branch, offered to git-annex as if a sibling had made it.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from datalad_s3ext.errors import LocalError, one_line
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.annex import merge_branch
from datalad_s3ext.repo.branch_files import BRANCH, journal_file

LOG = "remote.log"
_OFFERED = "refs/remotes/s3x-change/git-annex"


def commit_parameters(repo: Path, remote_id: str, parameters: Mapping[str, str]) -> str:
    """Return a new commit on the git-annex branch in which the remote has just `parameters`.

    The branch itself is left as it is: see :func:`take_over`.

    Raises
    ------
    LocalError
        When git fails, or git-annex has not yet written down what it knows of remotes.
    """
    if journal_file(remotes.git_folder(repo), LOG).exists():
        raise LocalError(
            "git-annex has changes of remotes that are not in its branch yet",
            remedy="write them down first: git annex merge",
        )
    old = _git(repo, "cat-file", "blob", f"{BRANCH}:{LOG}")
    blob = _git(repo, "hash-object", "-w", "--stdin", stdin=changed_log(old, remote_id, parameters))
    listed = _git(repo, "ls-tree", "-z", BRANCH).split("\0")
    rows = [row for row in listed if row and not row.endswith(f"\t{LOG}")]
    rows.append(f"100644 blob {blob.strip()}\t{LOG}")
    tree = _git(repo, "mktree", "-z", stdin="\0".join(rows) + "\0").strip()
    message = f"change special remote {remote_id}"
    return _git(repo, "commit-tree", tree, "-p", BRANCH, "-m", message).strip()


def take_over(repo: Path, commit: str) -> None:
    """Have git-annex merge `commit` into its branch.

    Raises
    ------
    LocalError, AnnexError
        When git or git-annex fails.
    """
    _git(repo, "update-ref", _OFFERED, commit)
    try:
        merge_branch(repo)
    finally:
        _git(repo, "update-ref", "-d", _OFFERED)


def changed_log(log: str, remote_id: str, parameters: Mapping[str, str]) -> str:
    """Return the text of remote.log with `parameters` for one remote, newer than what it says."""
    kept = [line for line in log.splitlines() if line.split(" ")[0] != remote_id]
    stamps = [remotes.timestamp_of(line) for line in log.splitlines() if line not in kept]
    stamp = math.ceil(max([time.time(), *(found + 1 for found in stamps)]))  # git-annex writes seconds
    words = [f"{name}={escape(value)}" for name, value in sorted(parameters.items())]
    return "\n".join([*kept, " ".join([remote_id, *words, f"timestamp={stamp}s"])]) + "\n"


def escape(value: str) -> str:
    """Write white space and ``&`` as git-annex does: ``&<code>;``."""
    return "".join(f"&{ord(one)};" if one.isspace() or one == "&" else one for one in value)


def _git(repo: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=repo, input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        why = one_line(done.stderr.decode(errors="replace"))
        raise LocalError(f"git {arguments[0]} failed: {why}")
    return done.stdout.decode("utf-8", "surrogateescape")
