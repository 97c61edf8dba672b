"""The workers, connections and memory that all transfers of one process share."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from datalad_s3ext.errors import LocalError
from datalad_s3ext.transfer.width import Width
from datalad_s3ext.units import MIB

T = TypeVar("T")

CONNECTIONS = 32
"""The most that is tried."""
FIRST_CONNECTIONS = 16
"""Measured over 30 ms and 40 MB/s a connection: more gained nothing, fewer lost."""
BUFFER_BYTES = 4 * MIB
"""The size of a range: large enough that its request hardly counts."""
MEMORY_BYTES = 128 * MIB
"""For ranges of all jobs that are on their way or wait for their turn to be written."""
SLOW_PART_BYTES_PER_S = MIB
"""Under a limit of the user's no part is slower: an interruption loses all parts under way."""


class Cancelled(LocalError):
    """The process is about to end: git-annex has gone."""

    def __init__(self) -> None:
        super().__init__("the transfer was interrupted", remedy="run the command again to go on")


def interruptible_sleep(cancelled: threading.Event) -> Callable[[float], None]:
    """Return a `time.sleep` that raises `Cancelled` as soon as `cancelled` is set."""

    def sleep(seconds: float) -> None:
        if cancelled.wait(seconds):
            raise Cancelled

    return sleep


class Buffers:
    """A few pieces of memory of one size, lent out again and again; safe in threads.

    They are made when first needed and then kept: what is allocated and freed for each range would
    leave the process far larger than what it holds.
    """

    def __init__(self, count: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._idle: list[bytearray] = []
        self._left = count
        self._changed = threading.Condition()

    def take(self, *, timeout_s: float = 0.0) -> bytearray | None:
        """Lend one, waiting at most `timeout_s` seconds for it; ``None`` when there was none."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._idle or self._left, timeout_s):
                return None
            if self._idle:
                return self._idle.pop()
            self._left -= 1
        return bytearray(self.size_bytes)

    def give(self, buffer: bytearray) -> None:
        """Take one back. Nobody may write to it any more."""
        with self._changed:
            self._idle.append(buffer)
            self._changed.notify()


class Pool:
    """Worker threads and buffer memory, shared by all jobs of the process.

    `submit` may be called from any thread. Work waits in one queue, first come, first served. Workers
    never wait for other work, so the queue always moves.
    """

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        memory_bytes: int = MEMORY_BYTES,
        buffer_bytes: int = BUFFER_BYTES,
        upload_bytes_per_s: int | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        buffers = max(2, memory_bytes // buffer_bytes)
        slow = max(2, (upload_bytes_per_s or sys.maxsize) // SLOW_PART_BYTES_PER_S)
        self.connections = connections
        self.buffers = Buffers(buffers, buffer_bytes)
        self.sending = Width(min(connections, slow), FIRST_CONNECTIONS)
        self.receiving = Width(min(connections, buffers), FIRST_CONNECTIONS)
        self.hashing = threading.BoundedSemaphore(os.cpu_count() or 1)
        """Held while a part is hashed: when all were hashed at once, none would be sent meanwhile."""
        self._cancelled = cancelled or threading.Event()
        self._workers = ThreadPoolExecutor(connections, thread_name_prefix="s3x-worker")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have a worker do `work`.

        Raises
        ------
        Cancelled
            When the process is ending.
        """
        self.check()
        try:
            return self._workers.submit(work)
        except RuntimeError as error:
            raise Cancelled from error

    def check(self) -> None:
        """Raise `Cancelled` when the process is ending."""
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Make every transfer of the process stop at its next step. Work not begun is dropped."""
        self._cancelled.set()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Wait for running work and end the workers."""
        self._workers.shutdown(wait=True, cancel_futures=True)
