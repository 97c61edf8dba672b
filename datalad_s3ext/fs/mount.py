"""A commit of a data set as a read-only mount: ordinary paths, bytes fetched as they are read.

The only place that imports a FUSE binding, and the program behind ``datalad s3-mount``::

    python -m datalad_s3ext.fs.mount '{"folder": "/mnt/x", "repo": "/data/set", "ref": "<commit>", ...}'

libfuse calls from as many threads as there are requests. No lock is held while content is fetched.
"""

from __future__ import annotations

import errno
import functools
import gc
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from datalad_s3ext.errors import LocalError, S3xError
from datalad_s3ext.fs.attributes import Attributes, Folders
from datalad_s3ext.fs.checking import Verdict
from datalad_s3ext.fs.ending import end_at_once
from datalad_s3ext.fs.mounted import FSNAME
from datalad_s3ext.fs.reading import Reader, RemoteReader
from datalad_s3ext.units import MIB

lgr = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])

KEEP_S = 365 * 24 * 3600.0
"""How long the kernel may believe names and attributes: a commit does not change."""
NOT_SO_FAR_BYTES = 2 * MIB
"""The kernel sends the requests of one reader side by side, so they come out of order by so much."""
MOST_AHEAD_BYTES = 32 * MIB
LOOKED_AT = 200_000
"""Names that are read from git at the beginning, while nobody waits: some seconds of work."""
THREADS = 256
"""So many requests may wait at the same time; threads are made when they are needed."""
READS = 64
"""So many of them may be reads; the kernel has 12, if nobody asks for more."""
COLLECTED_TOGETHER = 100_000
"""New objects between two searches for garbage: names that are kept for good are searched in vain."""
_BOUNDS_THREADS = (3, 12)
"""Since then libfuse has at most 10, unless it is told."""
_READDIRPLUS_AUTO = 1 << 14
_WITH_ATTRIBUTES = 1
_BLOCK_BYTES = 512
_ENDED_BY_SIGNAL = 8


class Handle:
    """An open file. Safe in threads; only the decision what to fetch ahead is made one at a time."""

    def __init__(self, reader: Reader, ahead_bytes: int) -> None:
        self.reader = reader
        self._usual = ahead_bytes
        self._lock = Lock()
        self._reached = 0
        self._in_row = 0
        self._until = 0

    def read(self, start: int, size_bytes: int) -> bytes:
        """Return the bytes from `start` on, fewer than `size_bytes` at the end of the file."""
        end = min(start + size_bytes, self.reader.size_bytes)
        if start >= end:
            return b""
        if not isinstance(self.reader, RemoteReader):
            return self.reader.read(start, end)
        begin, until = self._ahead(start, end)
        if until > begin:
            self.reader.fetching.prefetch(begin, until)
        return self.reader.fetching.read(start, end)

    def _ahead(self, start: int, end: int) -> tuple[int, int]:
        """Return what to fetch beyond what is asked for; twice as much each time it is half used."""
        size = self.reader.size_bytes
        with self._lock:
            if abs(start - self._reached) > NOT_SO_FAR_BYTES:
                self._in_row, self._until = 0, end
            self._in_row += end - start
            self._reached = max(end, self._reached) if self._in_row > end - start else end
            window = min(max(2 * self._in_row, self._usual), MOST_AHEAD_BYTES)
            if self._in_row < MIB or self._until - self._reached > window // 2 or self._until >= size:
                return (0, 0)
            begin, self._until = max(self._until, end), min(self._reached + window, size)
            return (begin, self._until)


def _told(method: F) -> F:
    """Turn our errors into those that the kernel knows, and note their text."""

    @functools.wraps(method)
    def wrapped(self: Commit, path: str, *arguments: Any) -> Any:
        try:
            return method(self, path, *arguments)
        except S3xError as error:
            lgr.error("%s: %s", path, error)
            number = error.errno if isinstance(error, OSError) else None
            raise OSError(number or errno.EIO, str(error)) from error

    return wrapped  # type: ignore[return-value]


class Commit:
    """The operations that libfuse asks for. Paths begin with a slash."""

    use_ns = True

    def __init__(self, files: Any) -> None:
        self.files = files
        """An :class:`~.filesystem.AnnexFileSystem`."""
        self.folders = Folders(files.snapshot)
        self.time_s = files.snapshot.commit.time_s
        self._handles: dict[int, Handle] = {}
        self._listings: dict[int, Sequence[tuple[str, Attributes]]] = {}
        self._numbers = count(1)
        self._verdicts: dict[str, Verdict] = {}

    def init_with_config(self, connection: Any, config: Any) -> None:
        """Choose how the kernel works: everything may be kept, and folders come with attributes."""
        if connection is not None:
            connection.want &= ~_READDIRPLUS_AUTO
            connection.max_background = connection.congestion_threshold = READS
        if config is not None:
            config.entry_timeout = config.attr_timeout = config.negative_timeout = KEEP_S
            config.kernel_cache = 0  # see `open`
        Thread(target=self._look_around, daemon=True, name="look-around").start()

    def _look_around(self) -> None:
        """Read folders before somebody asks, the top ones first; of this data set, up to a number."""
        pending, seen = deque([""]), 0
        with suppress(S3xError, OSError):  # whoever asks for that folder hears of it
            while pending and seen < LOOKED_AT:
                path = pending.popleft()
                names = self.folders.names(path)
                seen += len(names)
                below = (name for name, found in names.items() if found.node.entry.is_tree)
                pending.extend(f"{path}/{name}".lstrip("/") for name in below)

    @_told
    def getattr(self, path: str, handle: Any = None) -> dict[str, int]:
        """Describe a file or folder, without any request."""
        del handle
        found = self.folders.find(path.strip("/"))
        return {
            "st_mode": found.mode,
            "st_nlink": 2 if found.is_folder else 1,
            "st_size": found.size_bytes,
            "st_blocks": -(-found.size_bytes // _BLOCK_BYTES),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            **dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), self.time_s * 10**9),
        }

    @_told
    def opendir(self, path: str) -> int:
        """Open a folder for reading, which may take several requests."""
        folder = self.folders.find(path.strip("/"))
        number = next(self._numbers)
        below = self.folders.names(path.strip("/")).items()
        self._listings[number] = [(".", folder), ("..", folder), *below]
        return number

    def listing(self, handle: int) -> Sequence[tuple[str, Attributes]]:
        """Return what lies in an open folder, in an order that stays."""
        return self._listings[handle]

    def readdir(self, path: str, handle: int) -> list[str]:
        """Return the names in a folder; the mount itself asks `listing`."""
        del path
        return [name for name, _ in self.listing(handle)]

    def releasedir(self, path: str | None, handle: int) -> int:
        """Close a folder."""
        del path
        self._listings.pop(handle, None)
        return 0

    @_told
    def readlink(self, path: str) -> str:
        """Return where a link leads."""
        target = self.folders.find(path.strip("/")).target
        if target is None:
            raise OSError(errno.EINVAL, "is no link", path)
        return target

    @_told
    def open(self, path: str, info: Any) -> int:
        """Open a file for reading; where its content is found out at the first read."""
        if info.flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "this is a commit of a data set", path)
        found = self.folders.find(path.strip("/"))
        handle = Handle(self.files.reader(path.strip("/")), self.files.options.read_ahead_bytes)
        number = next(self._numbers)
        self._handles[number] = handle
        info.fh = number
        before = self._verdicts.pop(path, None)  # of what the kernel may still have
        info.keep_cache = 1 if before is None or before.error is None else 0
        if isinstance(handle.reader, RemoteReader) and handle.reader.fetching.verdict is not None:
            self._verdicts[path] = handle.reader.fetching.verdict
        info.direct_io = 0 if found.has_size else 1  # else the kernel would stop at a size of 0
        return 0

    @_told
    def read(self, path: str, size_bytes: int, offset: int, info: Any) -> bytes:
        """Return bytes of an open file."""
        del path
        return self._handles[info.fh].read(offset, size_bytes)

    def release(self, path: str, info: Any) -> int:
        """Close a file."""
        del path
        self._handles.pop(info.fh, None)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """Describe the mount: full, so that nobody looks for room."""
        del path
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}


def serve(folder: Path, files: Any, *, foreign_users: bool = False) -> None:
    """Mount `files` on `folder` and answer until it is unmounted, or a signal ends this process.

    Raises
    ------
    LocalError
        When libfuse or the kernel refuses.
    """
    try:
        import mfusepy
    except (ImportError, OSError) as error:
        raise LocalError(
            f"the FUSE binding cannot be loaded: {error}",
            remedy="pip install 'datalad-s3ext[mount]', and apt install fuse3",
        ) from error

    class Mount(mfusepy.FUSE):  # type: ignore[misc]
        """Answers the reading of folders with attributes, which the binding itself does not."""

        def readdir_fuse_3(
            self, path: bytes, buffer: Any, fill: Any, offset: int, info: Any, flags: int
        ) -> int:
            del path
            rows = self.operations.listing(info.contents.fh)
            entry = _entry(mfusepy.c_stat(), self.operations.time_s)
            plus = 2 * (flags & _WITH_ATTRIBUTES)
            for position in range(offset, len(rows)):
                text, found = rows[position]
                entry.st_mode = found.mode
                entry.st_size = found.size_bytes
                entry.st_blocks = -(-found.size_bytes // _BLOCK_BYTES)
                entry.st_nlink = 2 if found.is_folder else 1
                name = text.encode(self.encoding, self.errors)
                # without its position, libfuse 3.14 forgets the attributes, and the kernel asks again
                if fill(buffer, name, entry, position + 1, plus if position > 1 else 0):
                    break
            return 0

    try:
        Mount(
            Commit(files), str(folder), raw_fi=True, foreground=True, ro=True, nosuid=True, nodev=True,
            fsname=f"{files.snapshot.dataset.path}@{files.snapshot.commit.id[:12]}".replace(",", "_"),
            subtype=FSNAME, default_permissions=True, **_threads(mfusepy),
            **({"allow_other": True} if foreign_users else {}),
        )  # fmt: skip
    except RuntimeError as error:
        if error.args != (_ENDED_BY_SIGNAL,):
            raise LocalError(f"FUSE ended with status {error}") from error


def _threads(binding: Any) -> dict[str, int]:
    """Return the option for enough threads: when all wait for content, even names have to."""
    version = binding.fuse_version_major, binding.fuse_version_minor
    return {"max_threads": THREADS} if version >= _BOUNDS_THREADS else {}


def _entry(entry: Any, time_s: int) -> Any:
    entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
    for stamp in (entry.st_atimespec, entry.st_mtimespec, entry.st_ctimespec):
        stamp.tv_sec = time_s
    return entry


def main() -> int:
    """Mount as the only argument says, in JSON; a failure is one line of standard error."""
    from datalad_s3ext.fs.filesystem import AnnexFileSystem

    asked = json.loads(sys.argv[1])
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # the binding would take an older one first
    gc.set_threshold(COLLECTED_TOGETHER)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.ERROR)
    try:
        end_at_once(Path(asked["folder"]))
        files = AnnexFileSystem(repo=asked["repo"], ref=asked["ref"], **asked["options"])
        serve(Path(asked["folder"]), files, foreign_users=asked["foreign_users"])
    except S3xError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
