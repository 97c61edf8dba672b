"""Reading over connections that break."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from datalad_s3ext.errors import TransientError
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.gate import Turn
from datalad_s3ext.store.patience import Attempts

_T = TypeVar("_T")


class Opened(NamedTuple):
    """An open answer, and the right to have it open."""

    reader: RangeReader
    turn: Turn

    def close(self) -> None:
        """End both."""
        self.turn.leave()
        self.reader.close()


class ResumingReader(RangeReader):
    """A range read to its end over several answers: each begins where the one before broke off."""

    def __init__(
        self,
        first: Opened,
        opened: Callable[[int, int | None, str | None], Opened],
        attempts: Attempts,
    ) -> None:
        self.info = first.reader.info
        self.start = first.reader.start
        self.length = first.reader.length
        self._open: Opened | None = first
        self._opened = opened
        self._attempts = attempts
        self._position = 0

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; a broken connection is replaced by another."""
        data = self._go_on(lambda answer: answer.read(size_bytes)) or b""
        self._count(len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view`; a broken connection is replaced by another."""
        count = self._go_on(lambda answer: answer.readinto(view)) or 0
        self._count(count)
        return count

    def _count(self, size_bytes: int) -> None:
        self._position += size_bytes
        self._attempts.moved(size_bytes)
        if self._position >= self.length and self._open is not None:
            self._open.turn.leave()

    def _go_on(self, read: Callable[[RangeReader], _T]) -> _T | None:
        while True:
            try:
                return read(self._answer())
            except TransientError as error:
                self.close()
                if self._position >= self.length:
                    return None
                self._attempts.wait_or_raise(error)

    def close(self) -> None:
        """Close the answer that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _answer(self) -> RangeReader:
        if self._open is None:
            start, left = self.start + self._position, self.length - self._position
            self._open = self._opened(start, left, self.info.etag)
        return self._open.reader
