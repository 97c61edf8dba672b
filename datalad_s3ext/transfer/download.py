"""From an object to a local file: parallel ranges, written strictly in order.

git-annex hashes the file while it grows, and goes on at its end after an interruption. So the file
is at every moment a valid beginning of the object: ranges are fetched side by side, wait in memory
for their turn, and are appended one after the other.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

from datalad_s3ext.errors import IntegrityError, LocalError, ObjectChanged, TransientError
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, RangeReader
from datalad_s3ext.transfer.digesting import Digest
from datalad_s3ext.transfer.plan import Span, spans
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import REPORT_EVERY_S, Progress
from datalad_s3ext.units import KIB, MIB, human_size

READ_BYTES = 256 * KIB
GIVE_UP_S = 5.0
"""How long a download that failed waits for its ranges under way."""


def download_file(
    store: ObjectStore,
    name: str,
    path: Path,
    *,
    expected_bytes: int | None,
    pool: Pool,
    progress: Progress,
    digest: Digest | None = None,
) -> None:
    """Bring the object `name` into the file `path`, going on where the file ends.

    Parameters
    ----------
    expected_bytes : int or None
        The size that the key demands, when it does.
    digest : Digest, optional
        What verifies the content: it sees the whole file, what an earlier try left included.

    Raises
    ------
    ObjectNotFound
        There is no such object; `path` is left alone.
    IntegrityError
        The object has another size than `expected_bytes`; nothing was written. Or the content is
        not what `digest` wants; the file is empty then.
    LocalError
        The file could not be written, for example because the disk is full. What was written is a
        valid beginning, and the next try goes on behind it.
    """
    with _Target(path, digest) as target:
        if expected_bytes is not None and target.size_bytes > expected_bytes:
            target.truncate()
        if target.size_bytes and target.size_bytes == expected_bytes:
            target.account_for_beginning(pool, progress)
        else:
            _fetch(store, name, target, expected_bytes, pool, progress)
        target.check()
    progress.finish()


def _fetch(
    store: ObjectStore,
    name: str,
    target: _Target,
    expected_bytes: int | None,
    pool: Pool,
    progress: Progress,
) -> None:
    info = None
    if expected_bytes is None and target.size_bytes:
        info = store.head(name)
        if target.size_bytes >= info.size_bytes:
            target.truncate()
    begin = target.size_bytes
    if info is None and not begin and expected_bytes == 0:
        info = store.head(name)
    target.account_for_beginning(pool, progress)
    range_bytes = pool.buffers.size_bytes
    size_bytes = expected_bytes if info is None else info.size_bytes
    began = time.monotonic()
    first = _open_first(store, name, begin, range_bytes, size_bytes)
    pool.receiving.note_answer(time.monotonic() - began)
    with first:
        check_size(first.info, expected_bytes)
        done = begin + first.length
        if done >= first.info.size_bytes:
            _stream(first, target, pool, progress)
            return
        rest = spans(first.info.size_bytes, range_bytes, start=done)
        _Window(store, first.info, target, pool, progress).run(first, rest)


def _open_first(
    store: ObjectStore, name: str, begin: int, range_bytes: int, size_bytes: int | None
) -> RangeReader:
    """Open the range that also tells the object's size and ETag.

    An object without bytes has no range to ask for, so it is asked for whole.
    """
    if size_bytes == 0:
        return store.get(name)
    try:
        return store.get(name, start=begin, length=range_bytes)
    except IntegrityError:
        if size_bytes is not None or store.head(name).size_bytes:
            raise
        return store.get(name)


def check_size(info: ObjectInfo, expected_bytes: int | None) -> None:
    """Raise `IntegrityError` when the object cannot be the content that is asked for."""
    if expected_bytes is not None and info.size_bytes != expected_bytes:
        raise IntegrityError(
            f"{info.name} has {info.size_bytes} bytes at the server, but its content has "
            f"{expected_bytes}",
            remedy="get it from another place, then check with `git annex fsck --from` this remote",
        )


def _stream(reader: RangeReader, target: _Target, pool: Pool, progress: Progress) -> None:
    """Write one answer as it comes."""
    left = reader.length
    while left:
        pool.check()
        block = reader.read(min(READ_BYTES, left))
        if not block:
            raise TransientError(f"{reader.info.name} ended {left} bytes early", remedy="try again")
        target.append(block)
        left -= len(block)
        progress.add(len(block))
        progress.report()


class _Window:
    """Ranges on their way, in order; at most as many as there are connections and memory."""

    def __init__(
        self, store: ObjectStore, info: ObjectInfo, target: _Target, pool: Pool, progress: Progress
    ) -> None:
        self._store = store
        self._info = info
        self._target = target
        self._pool = pool
        self._progress = progress
        self._rest: Iterator[Span] = iter(())
        self._next: Span | None = None
        self._under_way: deque[tuple[Span, bytearray, Future[None]]] = deque()

    def run(self, first: RangeReader, rest: Iterator[Span]) -> None:
        """Write `first` as it comes while the ranges behind it are fetched, then those in order."""
        self._rest, self._next = rest, next(rest, None)
        try:
            with self._pool.receiving.transfer():
                self._fill()
                _stream(first, self._target, self._pool, self._progress)
                while self._next is not None or self._under_way:
                    self._fill()
                    self._write_next()
        finally:
            self._drop_all()

    def _fill(self) -> None:
        share = self._pool.receiving.share
        while (span := self._next) is not None and len(self._under_way) < share:
            buffer = self._pool.buffers.take() if self._under_way else self._wait_for_buffer()
            if buffer is None:
                return
            self._next = next(self._rest, None)
            self._under_way.append((span, buffer, self._submit(span, buffer)))

    def _wait_for_buffer(self) -> bytearray:
        """Wait for memory. Only for the next range to be written, so the owners of the rest move on."""
        while (buffer := self._pool.buffers.take(timeout_s=REPORT_EVERY_S)) is None:
            self._progress.report()
            self._pool.check()
        return buffer

    def _submit(self, span: Span, buffer: bytearray) -> Future[None]:
        try:
            return self._pool.submit(lambda: self._read(span, buffer))
        except BaseException:
            self._pool.buffers.give(buffer)
            raise

    def _write_next(self) -> None:
        span, buffer, future = self._under_way[0]
        while True:
            self._pool.check()
            if wait([future], REPORT_EVERY_S).done:
                future.result()
                break
            self._progress.report()
        self._target.append(memoryview(buffer)[: span.size_bytes])
        self._under_way.popleft()
        self._pool.buffers.give(buffer)
        self._progress.report()

    def _read(self, span: Span, buffer: bytearray) -> None:
        """Fetch one range into memory, in a worker."""
        view = memoryview(buffer)[: span.size_bytes]
        with self._store.get(
            self._info.name, start=span.start, length=span.size_bytes, if_match=self._info.etag
        ) as reader:
            if reader.info.size_bytes != self._info.size_bytes:
                raise ObjectChanged(
                    f"{self._info.name} was replaced while it was read", remedy="run the command again"
                )
            while view:
                self._pool.check()
                count = reader.readinto(view)
                if not count:
                    raise TransientError(f"{self._info.name} ended early", remedy="try again")
                view = view[count:]
                self._progress.add(count)
        self._pool.receiving.note(span.size_bytes)

    def _drop_all(self) -> None:
        """Give up what is under way. A buffer goes back only when nobody writes to it any more."""
        for _, buffer, future in self._under_way:
            future.cancel()
            future.add_done_callback(partial(self._give_back, buffer))
        wait([future for *_, future in self._under_way if not future.cancelled()], GIVE_UP_S)

    def _give_back(self, buffer: bytearray, _: Future[None]) -> None:
        self._pool.buffers.give(buffer)


class _Target:
    """The local file, opened for appending; it grows only at its end."""

    def __init__(self, path: Path, digest: Digest | None = None) -> None:
        self._path = path
        self._digest = digest
        self.size_bytes = 0

    def __enter__(self) -> _Target:
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._failed(error) from error
        self.size_bytes = os.fstat(self._file).st_size
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, data: bytes | memoryview) -> None:
        """Write all of `data` behind what is there."""
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._file, view)
                view = view[written:]
                self.size_bytes += written
        except OSError as error:
            raise self._failed(error) from error
        if self._digest is not None:
            self._digest.update(data)

    def account_for_beginning(self, pool: Pool, progress: Progress) -> None:
        """Count what is in the file before anything is appended, and have the digest see it."""
        if self._digest is None:
            progress.add(self.size_bytes)
            return
        self._digest.begin()
        left = self.size_bytes
        try:
            with self._path.open("rb") as file:
                while left and (block := file.read(min(MIB, left))):
                    pool.check()
                    self._digest.update(block)
                    left -= len(block)
                    progress.add(len(block))
                    progress.report()
        except OSError as error:
            raise LocalError(f"cannot read {self._path}: {error.strerror}") from error

    def check(self) -> None:
        """Have the digest judge the file. A wrong one is emptied, so that nobody goes on behind it."""
        if self._digest is None:
            return
        try:
            self._digest.check()
        except IntegrityError:
            self.truncate()
            raise

    def truncate(self) -> None:
        """Begin anew."""
        os.ftruncate(self._file, 0)
        self.size_bytes = 0

    def _failed(self, error: OSError) -> LocalError:
        return LocalError(
            f"cannot write {self._path} after {human_size(self.size_bytes)}: {error.strerror}",
            remedy="free space or mend the permissions, then run the command again: it goes on there",
        )


__all__ = ["check_size", "download_file"]
