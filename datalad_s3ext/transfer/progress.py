"""Counting bytes across threads, and telling somebody now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REPORT_EVERY_S = 0.2
"""git-annex's progress display wants at least two reports a second."""


class Progress:
    """Adds up bytes from any thread; reports only from the thread that calls `report`.

    One thread owns the conversation with git-annex. Workers therefore only count, and the owner
    reports while it waits for them. Reports never go back, also when a failed piece is sent again.
    """

    def __init__(
        self,
        tell: Callable[[int], None],
        *,
        every_s: float = REPORT_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._told = 0
        self._last = clock()

    def add(self, size_bytes: int) -> None:
        """Count bytes that arrived or were sent; negative to take back those of a failed try."""
        with self._lock:
            self._done += size_bytes

    def add_and_report(self, size_bytes: int) -> None:
        """Count bytes in the thread that owns the conversation, and report."""
        self.add(size_bytes)
        self.report()

    def report(self, *, now: bool = False) -> None:
        """Tell the count when it grew and `every_s` seconds have passed, or when `now` is set."""
        moment = self._clock()
        if not now and moment - self._last < self._every_s:
            return
        with self._lock:
            done = self._done
        if done > self._told:
            self._told = done
            self._last = moment
            self._tell(done)
