"""An open file: what its reader is likely to want next is fetched before it is asked for."""

from __future__ import annotations

import os
from typing import Any

from fsspec.spec import AbstractBufferedFile

from datalad_s3ext.fs.options import BLOCK_BYTES
from datalad_s3ext.fs.reading import Reader, RemoteReader
from datalad_s3ext.units import MIB

LARGE_READ_BYTES = MIB
"""Whoever asks for so much at once knows what is wanted: nothing is fetched beyond it."""
MOST_AHEAD_BYTES = 64 * MIB


class AnnexFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of :class:`~.filesystem.AnnexFileSystem`, open for reading."""

    def __init__(self, fs: Any, path: str, reader: Reader, read_ahead: int, **options: Any) -> None:
        self._read_ahead = read_ahead
        self._begin(reader)
        if options.get("cache_type") in {None, "default"}:
            options["cache_type"] = "none"
        super().__init__(
            fs, path, **{**options, "size": reader.size_bytes, "block_size": read_ahead}
        )  # fmt: skip

    def _begin(self, reader: Reader) -> None:
        ahead = self._read_ahead
        self._reader = reader
        self._pattern = Pattern(reader, ahead) if isinstance(reader, RemoteReader) else None
        self._pid = os.getpid()

    def _fetch_range(self, start: int, end: int) -> bytes:
        if self._pid != os.getpid():  # nobody fetches in a forked process what its parent waits for
            self._begin(self.fs.reader(self.path))
        end = min(end, self.size)
        if start >= end:
            return b""
        if self._pattern is not None:
            return self._pattern.read(start, end)
        return self._reader.read(start, end)

    def close(self) -> None:
        """Close; what was read stays in the cache."""
        if not self.closed and self._pattern is not None and self._pid == os.getpid():
            self._pattern.end()
        super().close()


class Pattern:
    """How one reader moves through a file. For one thread at a time."""

    def __init__(self, reader: RemoteReader, read_ahead: int) -> None:
        self._fetching = reader.fetching
        self._usual = read_ahead
        self._window = read_ahead
        self._expected = 0
        self._in_row = 0
        self._until = 0
        self._is_stream = False

    def read(self, start: int, end: int) -> bytes:
        """Return bytes, and fetch more of what comes behind them when they follow the last ones."""
        if start == self._expected and start:
            self._in_row += end - start
        else:
            self._begin_anew(start, end)
        self._expected = end
        if self._in_row >= LARGE_READ_BYTES:
            self._read_on(end)
            return self._fetching.read(start, end)
        is_small = end - start < LARGE_READ_BYTES
        ahead = min(self._usual, self._fetching.cache.stream_bytes) if is_small else 0
        data = self._fetching.read(start, end, ahead)
        self._until = max(self._until, end + ahead)
        return data

    def end(self) -> None:
        """Make room for others."""
        if self._is_stream:
            self._fetching.cache.enter_stream(-1)
            self._is_stream = False

    def _begin_anew(self, start: int, end: int) -> None:
        self.end()
        self._in_row = end - start if start == 0 else 0
        self._window = self._usual
        self._until = 0

    def _read_on(self, end: int) -> None:
        """Keep a window of what lies ahead on its way; widen it each time that it is half used."""
        if not self._is_stream:
            self._is_stream = True
            self._fetching.cache.enter_stream(1)
        most = min(MOST_AHEAD_BYTES, self._fetching.cache.stream_bytes)
        window = min(self._window, most)
        if self._until - end >= window // 2 or self._until >= self._fetching.size_bytes:
            return
        self._window = min(2 * self._window, MOST_AHEAD_BYTES)
        begin = max(self._until, end)
        self._until = end + min(self._window, most)
        if self._until - begin >= BLOCK_BYTES:
            self._fetching.prefetch(begin, self._until)
