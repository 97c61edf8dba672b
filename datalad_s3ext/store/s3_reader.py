"""The open answer to a GET."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError

from datalad_s3ext.errors import TransientError
from datalad_s3ext.store.base import ObjectInfo, RangeReader
from datalad_s3ext.store.pace import Pace
from datalad_s3ext.store.s3_answers import ServedRange
from datalad_s3ext.units import KIB

BLOCK_BYTES = 256 * KIB


class PacedBody:
    """The body of an answer that botocore has received the head of, bound in time. For one thread.

    botocore's own body waits until it has as much as was asked for, which may be for ever: its time-out
    begins anew with each byte. This one returns what has come, and must keep the pace meanwhile.

    Parameters
    ----------
    raw
        urllib3's answer, as botocore's has it.
    pace
        The rule to follow; it ends when the body is closed.
    """

    def __init__(self, raw: Any, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace
        pace.begin()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of what has come; ``b""`` at the end.

        Raises
        ------
        TooSlow
            When it drips.
        """
        began = time.monotonic()
        data: bytes = self._raw.read1(min(size, BLOCK_BYTES)) or b""
        self._pace.note(len(data), time.monotonic() - began)
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view` with what has come; return how many bytes, 0 at the end."""
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Drop the connection if bytes are left on it."""
        self._pace.end()
        self._raw.close()


class S3RangeReader(RangeReader):
    """Bytes from the network, counted; `body` is a paced one or ours. One thread at a time."""

    def __init__(self, info: ObjectInfo, served: ServedRange, body: Any) -> None:
        self.info = info
        self.start = served.start
        self.length = served.length
        self._body = body
        self._left = served.length

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; ``b""`` at the end."""
        wanted = min(size_bytes, self._left)
        if wanted <= 0:
            return b""
        with self._watched():
            data: bytes = self._body.read(wanted)
        self._count(len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view` without a copy in between."""
        wanted = min(len(view), self._left)
        if wanted <= 0:
            return 0
        with self._watched():
            count: int = self._body.readinto(view[:wanted])
        self._count(count)
        return count

    def close(self) -> None:
        """Give the connection back when the body was read, else drop it."""
        if self._left == 0:
            self._finish()
        self._body.close()

    def _finish(self) -> None:
        # An empty body is not noticed as read, and its connection not reused, before one read.
        with suppress(TransientError), self._watched():
            self._body.read(1)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, OSError) as error:
            raise self._broken(type(error).__name__) from error
        except Exception as error:
            if not type(error).__module__.startswith("urllib3."):
                raise
            raise self._broken(type(error).__name__) from error

    def _count(self, size_bytes: int) -> None:
        if not size_bytes:
            raise self._broken("the answer ended early")
        self._left -= size_bytes

    def _broken(self, reason: str) -> TransientError:
        got = self.length - self._left
        return TransientError(
            f"reading {self.info.name!r} broke off after {got} of {self.length} bytes ({reason})",
            remedy="try again",
        )
