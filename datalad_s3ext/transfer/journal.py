"""What is known of unfinished uploads, on disk, so that the next try goes on with them.

One file for each object, locked while an upload works with it: a line about the upload, then a line for
each part that the server has confirmed. Lines are only appended; one that was torn, by a crash or by a
full disk, is cut off before the next.
The format is public: ``"format": 1`` in the first line, see docs/reference/journal.rst.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

lgr = logging.getLogger(__name__)

FORMAT = 1
KEEP_S = 7 * 24 * 3600
"""An upload that nobody took up again for a week is taken back: its parts cost money."""
_OURS = re.compile(r"[0-9a-f]{64}\.jsonl")


@dataclass(frozen=True)
class Begun:
    """An upload that was begun, and what it was cut from."""

    place: str
    """Endpoint and bucket; behind a blank, how the object is stored."""
    name: str
    upload_id: str
    size_bytes: int
    part_bytes: int
    source: str = ""
    """The git-annex key, where the name does not tell it, and when the file was last changed. Digests
    of parts do not tell files apart: the CRC32 of a block that ends with its own is always the same."""

    def with_id(self, upload_id: str) -> Begun:
        """Return the same, under the server's id."""
        return replace(self, upload_id=upload_id)

    def is_at(self, place: str) -> bool:
        """Tell whether the upload was begun at the endpoint and in the bucket of `place`."""
        return self.place.partition(" ")[0] == place.partition(" ")[0]

    def fits(self, other: Begun) -> bool:
        """Tell whether `other` would cut the same object in the same way."""
        mine, its = asdict(self), asdict(other)
        return all(mine[key] == its[key] for key in mine if key != "upload_id")


@dataclass(frozen=True)
class Confirmed:
    """A part that the server has confirmed."""

    number: int
    digest: str
    """Of the bytes sent: ``md5:`` or ``crc32:`` and hexadecimal digits."""
    etag: str


class Journal:
    """The file of one object, open and locked. `note` may be called from any thread, and at any time.

    A part that is still under way when the upload has been given up is noted no more: the number of
    the closed file may be another file's by then. A note that cannot be written is left out: without
    it the part is sent again.
    """

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._number: int | None = number
        self._whole_bytes = os.fstat(number).st_size
        """Where the next line belongs: behind the last that is whole."""
        self._lock = threading.Lock()

    def read(self) -> tuple[Begun, dict[int, Confirmed]] | None:
        """Return what an earlier process has written; ``None`` when there is nothing of use."""
        lines = list(_whole_lines(self._content()))
        self._whole_bytes = sum(map(len, lines))
        rows = [json.loads(line) for line in lines]
        try:
            head = rows[0]
            if head.pop("format") != FORMAT:
                return None
            parts = [Confirmed(**row) for row in rows[1:]]
            return Begun(**head), {part.number: part for part in parts}
        except (IndexError, KeyError, TypeError):
            return None

    def begin(self, upload: Begun) -> bool:
        """Begin anew with `upload`; tell whether that is on disk."""
        with self._lock:
            self._whole_bytes = 0
            return self._append({"format": FORMAT, **asdict(upload)}, durably=True)

    def note(self, part: Confirmed) -> None:
        """Take note of a part."""
        with self._lock:
            self._append(asdict(part))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close and unlock."""
        with self._lock:
            if self._number is not None:
                os.close(self._number)
            self._number = None

    def forget(self) -> None:
        """Remove the file: nothing is left to go on with. One that cannot be removed does no harm."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _append(self, row: dict[str, Any], *, durably: bool = False) -> bool:
        if self._number is None:
            return False
        line = (json.dumps(row) + "\n").encode()
        try:
            os.ftruncate(self._number, self._whole_bytes)
            if os.write(self._number, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durably:
                os.fsync(self._number)
        except OSError as error:
            lgr.warning("no note of the upload could be taken in %s: %s", self._path, error)
            return False
        self._whole_bytes += len(line)
        return True

    def _content(self) -> bytes:
        with self._lock:
            if self._number is None:
                return b""
            return os.pread(self._number, os.fstat(self._number).st_size, 0)


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
            if not _OURS.fullmatch(path.name):
                continue
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
        # whoever had the lock before may have removed the file since it was opened here
        is_same = os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        is_same = False
    if not is_same:
        os.close(number)
        return None
    return number


def _whole_lines(content: bytes) -> Iterator[bytes]:
    for line in content.splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            return  # torn: what comes behind is not known to be whole either
        if not line.endswith(b"\n") or not isinstance(row, dict):
            return
        yield line
