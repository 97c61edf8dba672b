"""What is known of unfinished uploads, on disk, so that the next try goes on with them.

One file for each object, locked while an upload works with it: a line about the upload, then a line for
each part that the server has confirmed. Lines are only appended; one that a crash has torn is ignored.
The format is public: ``"format": 1`` in the first line, see docs/reference/journal.rst.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

FORMAT = 1
KEEP_S = 7 * 24 * 3600
"""An upload that nobody took up again for a week is taken back: its parts cost money."""


@dataclass(frozen=True)
class Begun:
    """An upload that was begun, and what it was cut from."""

    place: str
    """Endpoint and bucket."""
    name: str
    upload_id: str
    size_bytes: int
    part_bytes: int

    def with_id(self, upload_id: str) -> Begun:
        """Return the same, under the server's id."""
        return replace(self, upload_id=upload_id)

    def fits(self, other: Begun) -> bool:
        """Tell whether `other` would cut the same object in the same way."""
        mine, its = asdict(self), asdict(other)
        return all(mine[key] == its[key] for key in mine if key != "upload_id")


@dataclass(frozen=True)
class Confirmed:
    """A part that the server has confirmed."""

    number: int
    md5: str
    etag: str


class Journal:
    """The file of one object, open and locked. `note` may be called from any thread."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._number = number
        self._lock = threading.Lock()

    def read(self) -> tuple[Begun, dict[int, Confirmed]] | None:
        """Return what an earlier process has written; ``None`` when there is nothing of use."""
        rows = list(_rows(self._path))
        try:
            head = rows[0]
            if head.pop("format") != FORMAT:
                return None
            parts = [Confirmed(**row) for row in rows[1:]]
            return Begun(**head), {part.number: part for part in parts}
        except (IndexError, KeyError, TypeError):
            return None

    def begin(self, upload: Begun) -> None:
        """Begin anew with `upload`; on disk before this returns."""
        os.ftruncate(self._number, 0)
        self._append({"format": FORMAT, **asdict(upload)})
        os.fsync(self._number)

    def note(self, part: Confirmed) -> None:
        """Take note of a part."""
        with self._lock:
            self._append(asdict(part))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close and unlock."""
        os.close(self._number)

    def forget(self) -> None:
        """Remove the file: nothing is left to go on with."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _append(self, row: dict[str, Any]) -> None:
        os.write(self._number, (json.dumps(row) + "\n").encode())


class Journals:
    """The folder of all journals of one repository and remote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Journal | None]:
        """Yield the journal of an object; ``None`` where none can be kept or another process has it."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        path = self._folder / f"{digest}.jsonl"
        number = _locked(path)
        if number is None:
            yield None
            return
        with Journal(path, number) as journal:
            yield journal

    def stale(self, *, now_s: float | None = None) -> list[Journal]:
        """Return the journals that nobody has touched for `KEEP_S`; those in use are left out."""
        found = []
        for path in sorted(self._folder.glob("*.jsonl")):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < (now_s or time.time()) - KEEP_S:
                    number = _locked(path)
                    if number is not None:
                        found.append(Journal(path, number))
        return found


def _locked(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            return  # torn: what comes behind is not known to be whole either
        if not line.endswith(b"\n") or not isinstance(row, dict):
            return
        yield row
