"""The workers, connections and memory that all transfers of one process share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from datalad_s3ext.errors import LocalError
from datalad_s3ext.units import MIB

T = TypeVar("T")

CONNECTIONS = 16
"""Measured over 30 ms and 40 MB/s a connection: more gained nothing, fewer lost."""
BUFFER_BYTES = 128 * MIB
"""Bound on bytes that were received and wait for their turn to be written."""


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


class Budget:
    """A number of bytes that threads borrow and give back; `take` waits until there are enough."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._free = size_bytes
        self._changed = threading.Condition()

    def try_take(self, size_bytes: int) -> bool:
        """Borrow without waiting. More than there ever is counts as all there is."""
        with self._changed:
            wanted = min(size_bytes, self._size)
            if self._free < wanted:
                return False
            self._free -= wanted
            return True

    def take(self, size_bytes: int, *, timeout_s: float | None = None) -> bool:
        """Borrow, waiting at most `timeout_s` seconds; tell whether it worked."""
        wanted = min(size_bytes, self._size)
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= wanted, timeout_s):
                return False
            self._free -= wanted
            return True

    def give(self, size_bytes: int) -> None:
        """Give back what `take` or `try_take` got for `size_bytes`."""
        with self._changed:
            self._free += min(size_bytes, self._size)
            self._changed.notify_all()


class Pool:
    """Worker threads and buffer memory, shared by all jobs of the process.

    `submit` may be called from any thread. Work waits in one queue, first come, first served. Workers
    never wait for other work, so the queue always moves.
    """

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        buffer_bytes: int = BUFFER_BYTES,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.connections = connections
        self.buffer = Budget(buffer_bytes)
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
