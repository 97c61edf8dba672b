"""Git's objects, read without a checkout: one long-lived process for single ones, one run for many."""

from __future__ import annotations

import os
import subprocess
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock

from datalad_s3ext.errors import LocalError, one_line
from datalad_s3ext.repo.forks import renew_at_fork

_ONE = ["cat-file", "--batch"]
_MANY = ["cat-file", "--batch", "--buffer"]
_ENDING_S = 1.0
MOST_PROCESSES = 64
"""Of git, each with three pipes, that one process keeps; more only while they are all in use."""
_SIZES = ["cat-file", "--batch-check=%(objectsize)", "--buffer"]


@dataclass(frozen=True, slots=True)
class GitObject:
    """What git keeps under an id."""

    id: str
    kind: str
    """``commit``, ``tree``, ``blob`` or ``tag``."""
    data: bytes


class GitObjects:
    """Read-only access to the objects of one repository. Safe in threads, and in forked processes."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._lock = RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        renew_at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._lock = RLock()

    def read(self, name: str) -> GitObject | None:
        """Return the object `name`, an id or any expression of git; ``None`` when there is none.

        Raises
        ------
        LocalError
            When git fails.
        """
        if "\n" in name:
            return None
        with self._lock:
            process = self._running()
            try:
                return self._ask(process, name)
            except (OSError, ValueError) as error:
                reason = self._reason(error)
                self.close()
                raise LocalError(f"git cannot read {self.git_dir}: {reason}") from error
            except BaseException:  # an interrupted answer would be taken for the next one's
                self.close()
                raise

    def read_many(self, ids: Sequence[str]) -> Iterator[GitObject]:
        """Yield the objects of `ids`, in order; all must exist."""
        answer = memoryview(self._run(_MANY, ids))
        position = 0
        for _ in ids:
            end = position + bytes(answer[position : position + 200]).index(b"\n")
            name, kind, size = _head(bytes(answer[position:end]), self.git_dir)
            position = end + 1 + size
            yield GitObject(name, kind, bytes(answer[end + 1 : position]))
            position += 1

    def sizes(self, ids: Sequence[str]) -> list[int]:
        """Return how many bytes the objects of `ids` have, in order; all must exist."""
        lines = self._run(_SIZES, ids).split()
        if len(lines) != len(ids):
            raise LocalError(f"git lacks objects of {self.git_dir}", remedy="run: git fsck")
        return [int(line) for line in lines]

    def close(self) -> None:
        """End the process of git; the next question starts another one."""
        process, self._process = self._process, None
        if process is not None and self._pid == os.getpid():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):  # what was to be written is of no use any more
                        stream.close()

    def close_if_unused(self) -> bool:
        """End the process of git, unless somebody waits for an answer of it; tell whether it ended."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self.close()
        finally:
            self._lock.release()
        return True

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._pid != os.getpid():
            try:
                self._process = subprocess.Popen(
                    self._command(_ONE), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, cwd="/",
                )  # fmt: skip
            except OSError as error:
                raise LocalError(f"git cannot be started: {error.strerror}") from error
            self._pid = os.getpid()
            _STARTED.note(self)
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], name: str) -> GitObject | None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("no pipe")
        process.stdin.write(os.fsencode(name) + b"\n")
        process.stdin.flush()
        head = process.stdout.readline()
        if not head:
            raise ValueError("git ended")
        if head.endswith((b" missing\n", b" ambiguous\n")):
            return None
        found, kind, size = _head(head.rstrip(b"\n"), self.git_dir)
        data = process.stdout.read(size)
        if process.stdout.read(1) != b"\n":
            raise ValueError("the answer ended early")
        return GitObject(found, kind, data)

    def _run(self, arguments: Sequence[str], ids: Sequence[str]) -> bytes:
        if not ids:
            return b""
        try:
            done = subprocess.run(
                self._command(arguments), input="\n".join(ids).encode() + b"\n",
                capture_output=True, check=False, cwd="/",
            )  # fmt: skip
        except OSError as error:
            raise LocalError(f"git cannot be started: {error.strerror}") from error
        if done.returncode:
            raise LocalError(f"git cannot read {self.git_dir}: {one_line(done.stderr.decode())}")
        return done.stdout

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return ["git", f"--git-dir={self.git_dir}", *arguments]

    def _reason(self, error: Exception) -> str:
        process = self._process
        if process is None or process.stderr is None:
            return str(error)
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            return str(error)
        return one_line(process.stderr.read().decode(errors="replace")) or str(error)


class _Started:
    """Which repositories have a process of git: not all of a thousand subdatasets at once."""

    def __init__(self) -> None:
        self.after_fork()
        renew_at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._lock = Lock()
        self._order: dict[int, weakref.ref[GitObjects]] = {}

    def note(self, started: GitObjects) -> None:
        """Add one; those that were started first are ended when there are too many."""
        with self._lock:
            self._order.pop(id(started), None)
            self._order[id(started)] = weakref.ref(started)
            spare = list(self._order.items())[:-MOST_PROCESSES]
        for name, known in spare:
            other = known()
            if other is None or other.close_if_unused():
                with self._lock:
                    self._order.pop(name, None)


_STARTED = _Started()


def _head(line: bytes, git_dir: Path) -> tuple[str, str, int]:
    """Return id, kind and size in the first line of an answer."""
    words = line.decode("ascii", "replace").split(" ")
    if len(words) != 3 or not words[2].isdigit():
        raise LocalError(
            f"an object is missing in {git_dir}: {one_line(' '.join(words))}", remedy="run: git fsck"
        )
    return words[0], words[1], int(words[2])
