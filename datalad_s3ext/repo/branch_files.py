"""Files of the git-annex branch, and their newest lines, which may still lie in git-annex's journal.

Who wants both reads the journal first: git-annex commits it, and only then removes it. Source:
https://git-annex.branchable.com/internals/
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.folders import annex_folder

BRANCH = "refs/heads/git-annex"
_NO_SUCH_FILE = (errno.ENOENT, errno.ENAMETOOLONG)
_JOURNALS = ("journal", "journal-private")  # the latter is what annex.private keeps from the branch


def journal_file(git_dir: Path, path: str) -> Path:
    """Return where git-annex keeps what it has not committed yet of the branch's file `path`."""
    return annex_folder(git_dir) / _JOURNALS[0] / _flat(path)


def journaled(git_dir: Path, path: str) -> bytes:
    """Return what has not been committed yet of the branch's file `path`; nothing when there is none.

    Raises
    ------
    LocalError
        When it is there and cannot be read.
    """
    try:
        return b"".join(_content(annex_folder(git_dir) / name / _flat(path)) for name in _JOURNALS)
    except OSError as error:
        raise LocalError(f"git-annex's journal cannot be read: {error}") from error


def committed(git_dir: Path, path: str) -> bytes:
    """Return a file of the branch; nothing when there is none.

    Raises
    ------
    LocalError
        When git cannot be asked, or cannot read it.
    """
    try:
        done = subprocess.run(
            ["git", f"--git-dir={git_dir}", "cat-file", "--batch"],
            input=f"{BRANCH}:{path}\n".encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise LocalError(f"git cannot be asked for {path}: {error}") from error
    if done.returncode:
        raise LocalError(
            f"git cannot read the git-annex branch: {done.stderr.decode(errors='replace')}"
        )
    head, _, body = done.stdout.partition(b"\n")
    words = head.split(b" ")
    return body[: int(words[2])] if len(words) == 3 and words[1] == b"blob" else b""


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            return b""
        raise


def _flat(path: str) -> str:
    return path.replace("_", "__").replace("/", "_")
