"""Blocks of content that was read: in memory, and on disk for all processes of a user.

A block is named by the repository, the key and its number. A key means the same bytes for ever, so
nothing grows stale. The repository is part of the name because what a remote sends is proven only when
a whole file was read: what one data set's remote claims must not answer for another data set.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock, get_ident

from datalad_s3ext.fs.options import BLOCK_BYTES, CacheOptions
from datalad_s3ext.fs.processwide import ProcessWide

lgr = logging.getLogger(__name__)

_SUM_BYTES = 4
_LOW_WATER = 0.8
_WRITES_WAITING = 64
_LOOKS = 32
"""A process sees what others have written this often while it writes as much as the limit."""
_OF_OTHERS = 0o022
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_THERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A pipe in place of a block would have its reader wait for ever."""


def content_id(git_dir: Path, key: str, *more: str) -> str:
    """Return the name under which the content of `key` is kept; `more` tells it from others."""
    text = "\0".join([str(git_dir), key, *more]).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:40]


class MemoryBlocks:
    """The blocks used last, up to `limit_bytes` bytes. Safe in threads."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = Lock()
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, content: str, number: int) -> bytes | None:
        """Return a block, if it is here."""
        with self._lock:
            block = self._blocks.get((content, number))
            if block is not None:
                self._blocks.move_to_end((content, number))
            return block

    def put(self, content: str, number: int, block: bytes) -> None:
        """Keep a block; those that were not used for longest give way."""
        with self._lock:
            self._remove((content, number))
            self._blocks[content, number] = block
            self._bytes += len(block)
            while self._bytes > self.limit_bytes:
                self._remove(next(iter(self._blocks)))

    def drop(self, content: str) -> None:
        """Forget all blocks of a content."""
        with self._lock:
            for name in [name for name in self._blocks if name[0] == content]:
                self._remove(name)

    def _remove(self, name: tuple[str, int]) -> None:
        old = self._blocks.pop(name, None)
        self._bytes -= len(old or b"")


class DiskBlocks:
    """Blocks in files that appear whole, up to about `limit_bytes` bytes. Shared by processes.

    Nobody waits for anybody: a file is written aside and renamed, and one that vanishes is not there.
    What cannot be read or written is no error, for it can be fetched again. A folder that others can
    write to is not used, and neither is anything but a plain file of this user's.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._unseen_bytes: int | None = None
        self._private: bool | None = None
        self._lock = Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="annex-fs-disk")
        self._waiting = 0

    def get(self, content: str, number: int, size_bytes: int) -> bytes | None:
        """Return a block of `size_bytes` bytes, if it is here and undamaged."""
        path = self._path(content, number)
        if not self._is_private():
            return None
        try:
            data = _content(path, size_bytes + _SUM_BYTES)
        except OSError:
            return None
        block, checksum = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
        return block if len(block) == size_bytes and checksum == _sum(block) else None

    def put(self, content: str, number: int, block: bytes) -> None:
        """Have a block written soon; when the disk is slow, it is not."""
        with self._lock:
            if self._waiting >= _WRITES_WAITING:
                return
            self._waiting += 1
        with suppress(RuntimeError):  # the process is ending
            self._writer.submit(self._write, content, number, block)

    def drop(self, content: str) -> None:
        """Remove all blocks of a content, also those that were put and are not written yet."""
        with suppress(RuntimeError):  # the process is ending
            self._writer.submit(self._remove, content).result()

    def flush(self) -> None:
        """Wait until all that was put before is written."""
        self._writer.submit(int).result()

    def _path(self, content: str, number: int) -> Path:
        return self._folder / content[:2] / content[2:] / str(number)

    def _is_private(self) -> bool:
        """Tell whether nobody else can have put blocks there."""
        if self._private is None:
            try:
                found = self._folder.stat()
            except OSError:
                return False
            self._private = found.st_uid == os.getuid() and not found.st_mode & _OF_OTHERS
            if not self._private:
                lgr.warning("%s is not used as a cache: others can write to it", self._folder)
        return self._private

    def _remove(self, content: str) -> None:
        for path in _files(self._path(content, 0).parent):
            with suppress(OSError):
                path.unlink()

    def _write(self, content: str, number: int, block: bytes) -> None:
        path = self._path(content, number)
        aside = path.with_name(f".{number}.{os.getpid()}.{get_ident()}")
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not self._is_private():
                return
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(aside, _NEW, 0o600), "wb") as file:
                file.write(block + _sum(block))
            aside.replace(path)
            self._make_room(len(block))
        except OSError:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        finally:
            with self._lock:
                self._waiting -= 1

    def _make_room(self, more_bytes: int) -> None:
        if self._unseen_bytes is not None:
            self._unseen_bytes += more_bytes
            if self._unseen_bytes <= self._limit_bytes // _LOOKS:
                return
        files = sorted(self._ages())
        total = sum(size for _, size, _ in files)
        if total > self._limit_bytes:
            for _, size, path in files:
                path.unlink(missing_ok=True)
                total -= size
                if total <= self._limit_bytes * _LOW_WATER:
                    break
        self._unseen_bytes = 0

    def _ages(self) -> Iterator[tuple[float, int, Path]]:
        for file in _files(self._folder):
            with suppress(OSError):
                found = file.lstat()
                yield found.st_mtime, found.st_size, file


class BlockCache:
    """Memory in front of disk. Safe in threads."""

    def __init__(self, options: CacheOptions) -> None:
        self.memory = MemoryBlocks(options.memory_bytes)
        self.disk = (
            DiskBlocks(options.disk_folder, options.disk_bytes) if options.disk_bytes > 0 else None
        )
        self._lock = Lock()
        self._streams = 0

    @classmethod
    def of(cls, options: CacheOptions) -> BlockCache:
        """Return the cache that all readers of this process with these `options` share."""
        return _CACHES.get(options, lambda: cls(options))

    def get(self, content: str, number: int, size_bytes: int) -> bytes | None:
        """Return a block of `size_bytes` bytes, if it is known."""
        block = self.memory.get(content, number)
        if block is not None or self.disk is None:
            return block
        block = self.disk.get(content, number, size_bytes)
        if block is not None:
            self.memory.put(content, number, block)
        return block

    def put(self, content: str, number: int, block: bytes) -> None:
        """Keep a block."""
        self.memory.put(content, number, block)
        if self.disk is not None:
            self.disk.put(content, number, block)

    def drop(self, content: str) -> None:
        """Forget all blocks of a content: they have turned out to be wrong."""
        self.memory.drop(content)
        if self.disk is not None:
            self.disk.drop(content)

    def enter_stream(self, change: int) -> None:
        """Count those who read on and on, so that they share the memory."""
        with self._lock:
            self._streams += change

    @property
    def stream_bytes(self) -> int:
        """How far each of them may read ahead without driving out what the others wait for."""
        return self.memory.limit_bytes // (2 * max(1, self._streams))


_CACHES: ProcessWide[CacheOptions, BlockCache] = ProcessWide()


def block_size(number: int, content_bytes: int) -> int:
    """Return how many bytes the block `number` of a content has."""
    return min(BLOCK_BYTES, content_bytes - number * BLOCK_BYTES)


def _sum(block: bytes) -> bytes:
    return zlib.crc32(block).to_bytes(_SUM_BYTES, "big")


def _content(path: Path, size_bytes: int) -> bytes:
    """Return what lies in a plain file of this user's that has `size_bytes` bytes; else ``b""``."""
    with open(os.open(path, _THERE), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()
        if not is_ours or found.st_size != size_bytes:
            return b""
        os.utime(file.fileno())
        return file.read(size_bytes)


def _files(folder: Path) -> Iterator[Path]:
    for top, _, names in os.walk(folder):
        for name in names:
            yield Path(top, name)
