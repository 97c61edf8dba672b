"""Telling git-annex, key by key, what a remote has, or has lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from datalad_s3ext.errors import LocalError, one_line
from datalad_s3ext.repo import annex


class Recorder:
    """Tells git-annex of keys that a remote has, or has lost; safe in threads."""

    def __init__(self, path: Path, uuid: str) -> None:
        self._path = path
        self._uuid = uuid
        self._lock = Lock()
        self._process = subprocess.Popen(
            ["git", "annex", "setpresentkey", "--batch"], cwd=path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape",
            start_new_session=True,  # a Ctrl-C is for us: what is copied shall still be recorded
        )  # fmt: skip

    def __call__(self, key: str, *, is_present: bool = True) -> None:
        """Record that the remote has `key`, or that it certainly has not.

        Raises
        ------
        LocalError
            When git-annex does not confirm it.
        """
        state = "1" if is_present else "0"
        if key.split() != [key]:  # old keys have blanks, which a batch does not take
            annex.run_annex(self._path, "setpresentkey", "--", key, self._uuid, state)
            return
        process = self._process
        with self._lock:
            try:
                if process.stdin is None or process.stdout is None:
                    raise BrokenPipeError
                process.stdin.write(f"{key} {self._uuid} {state}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError as error:
                raise LocalError(f"git-annex does not record what was copied: {error}") from error
        if not answer.rstrip().endswith("ok"):
            raise LocalError("git-annex does not record what was copied")

    def end(self) -> None:
        """Have git-annex write down what it was told."""
        _, said = self._process.communicate()
        if self._process.returncode:
            raise LocalError(f"git-annex has not recorded what was copied: {one_line(said)}")


@contextmanager
def recorder(path: Path, uuid: str) -> Iterator[Recorder]:
    """Yield what records that the remote `uuid` has a key; all is written down at the end."""
    found = Recorder(path, uuid)
    try:
        yield found
    finally:
        found.end()
