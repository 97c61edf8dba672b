"""Having git-annex and the remote restore archived files, and reading what they report."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO, Any, Literal

from datalad_s3ext.errors import LocalError, S3xError, one_line
from datalad_s3ext.remote import watching
from datalad_s3ext.repo import annex

Step = Literal["absent", "error", "archived", "asked", "under way", "readable"]
WORST_FIRST: tuple[Step, ...] = ("error", "absent", "archived", "asked", "under way", "readable")
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
FAULT_LIMIT = 5
LANES = 6
"""So many git-annex at once ask about files: each waits for the service most of the time."""
FILES_PER_LANE = 20
"""Fewer are not worth starting one."""
_NOT_YET = frozenset({"asked", "under way", "archived"})
_UNKNOWN = "the remote gave no answer; see what `git annex checkpresentkey` says"


@dataclass(frozen=True)
class Order:
    """What the command was asked for; ``None`` is what the git configuration says."""

    days: int | None = None
    tier: str | None = None
    look_only: bool = False

    @property
    def environment(self) -> dict[str, str | None]:
        """Return the variables that tell the remote."""
        return {
            watching.DAYS: str(self.days) if self.days else None,
            watching.TIER: self.tier,
            watching.LOOK_ONLY: "1" if self.look_only else None,
        }


@dataclass(frozen=True)
class File:
    """A file of the work tree whose content the remote holds."""

    name: str
    key: str


@dataclass(frozen=True)
class Found:
    """What became of the content of one file."""

    file: File
    step: Step
    storage_class: str | None = None
    objects: int = 0
    """How many hold the content: more than one when it lies in chunks."""
    expected_by: str | None = None
    """ISO, UTC; when the last of them can be read at the latest, where that is known."""
    until: str | None = None
    """ISO, UTC; when the first of the restored copies goes away."""
    message: str = ""
    classes: Sequence[str] = field(default=())


def files_in(root: Path, remote: str, paths: Sequence[str]) -> list[File]:
    """Return the files below `paths` whose content `remote` holds as far as git-annex knows.

    Raises
    ------
    AnnexError
        When a path is none of the data set.
    """
    listed = annex.run_annex(root, "find", f"--in={remote}", "--json", "--", *paths)
    rows = (json.loads(line) for line in listed.splitlines() if line)
    return [File(row["file"], row["key"]) for row in rows]


def restored(
    root: Path,
    remote: str,
    files: Sequence[File],
    order: Order,
    *,
    files_per_lane: int = FILES_PER_LANE,
) -> Iterator[Found]:
    """Have each of `files` restored, and yield what became of it at once; many go side by side.

    Raises
    ------
    LocalError
        When git-annex ends before it has said something about all of them.
    """
    count = min(LANES, -(-len(files) // files_per_lane))
    if count < 2:
        yield from _in_lane(root, remote, files, order)
        return
    found: SimpleQueue[Found | S3xError | None] = SimpleQueue()
    stopped = Event()

    def run(own: Sequence[File]) -> None:
        try:
            for one in _in_lane(root, remote, own, order):
                found.put(one)
                if stopped.is_set():
                    break
        except S3xError as error:
            found.put(error)
        finally:
            found.put(None)

    for number in range(count):
        Thread(target=run, args=(files[number::count],), daemon=True).start()
    try:
        yield from _until_ended(found, count)
    finally:
        stopped.set()


def _until_ended(found: SimpleQueue[Found | S3xError | None], count: int) -> Iterator[Found]:
    """Yield what `count` lanes find; raise the error of one when all have ended."""
    error: S3xError | None = None
    while count:
        one = found.get()
        if one is None:
            count -= 1
        elif isinstance(one, S3xError):
            error = one
        else:
            yield one
    if error is not None:
        raise error


def _in_lane(root: Path, remote: str, files: Sequence[File], order: Order) -> Iterator[Found]:
    with tempfile.TemporaryDirectory(prefix="s3-restore-") as folder:
        report = Path(folder, "report")
        report.touch()
        environment = {watching.REPORT_FILE: str(report), **order.environment}
        with report.open(encoding="utf-8") as rows, _asking(root, remote, environment) as process:
            for file in files:
                _ask(process, file.key, remote)
                yield _found(file, [json.loads(row) for row in rows.readlines()])


def wait_for(
    look: Callable[[Sequence[File]], Iterator[Found]],
    waiting: Sequence[File],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Found]:
    """Yield the files that have become readable, or turned out not to, until none is left.

    A fault may pass while one waits for hours: it counts when it has come `FAULT_LIMIT` times in a row.
    """
    pause = FIRST_WAIT_S
    faults: Counter[File] = Counter()
    while waiting:
        sleep(pause)
        pause = min(pause * 2, LONGEST_WAIT_S)
        still: list[File] = []
        for found in look(waiting):
            faults[found.file] = faults[found.file] + 1 if found.step == "error" else 0
            if found.step in _NOT_YET or 0 < faults[found.file] < FAULT_LIMIT:
                still.append(found.file)
            else:
                yield found
        waiting = still


def _asking(root: Path, remote: str, environment: Mapping[str, str | None]) -> subprocess.Popen[str]:
    wanted: dict[str, str | None] = {**os.environ, **environment}
    try:
        return subprocess.Popen(
            ["git", "annex", "checkpresentkey", "--batch", remote],
            cwd=root,
            env={name: value for name, value in wanted.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:
        raise LocalError(f"git-annex cannot be started in {root}: {error.strerror}") from error


def _ask(process: subprocess.Popen[str], key: str, remote: str) -> None:
    """Return when git-annex has looked for `key`; its answer says less than the report."""
    given: IO[str] | None = process.stdin
    if given is None or process.stdout is None:
        raise AssertionError("pipes were asked for")
    try:
        given.write(f"{key}\n")
        given.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        raise LocalError(
            f"git-annex ended while it looked for content in {remote}",
            remedy=f"try it: git annex checkpresentkey {key} {remote}",
        )


def _found(file: File, rows: Sequence[Mapping[str, Any]]) -> Found:
    if not rows:
        return Found(file, "error", message=_UNKNOWN)
    worst = min(rows, key=lambda row: WORST_FIRST.index(row["step"]))
    stored = [row for row in rows if row["step"] not in ("absent", "error")]
    return Found(
        file,
        worst["step"],
        storage_class=worst.get("storage_class"),
        objects=len(stored),
        expected_by=max(filter(None, (row.get("expected_by") for row in stored)), default=None),
        until=min(filter(None, (row.get("until") for row in stored)), default=None),
        message=one_line(str(worst.get("message", ""))),
        classes=sorted({row["storage_class"] for row in stored}),
    )
