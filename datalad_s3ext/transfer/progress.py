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

    def report(self) -> None:
        """Tell the count when it grew and `every_s` seconds have passed."""
        if self._clock() - self._last >= self._every_s:
            self._report()

    def finish(self) -> None:
        """Tell the last count, if any was told: nobody has seen a short transfer go on.

        git-annex takes half a millisecond for each report, a tenth of what it takes for a small file.
        """
        if self._told:
            self._report()

    def _report(self) -> None:
        with self._lock:
            done = self._done
        if done > self._told:
            self._told = done
            self._last = self._clock()
            self._tell(done)
