"""How many pieces of large files are under way at once: found out by trying.

Near servers are busy with a few connections; far ones need many. The time of the first answer tells
how to begin. Then, every second or so, the number is changed a little and stays changed if that paid:
up when it made transfers faster, down when it made no difference, which is kinder to a server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEP = 1.5
PERIOD_S = 1.0
"""A shorter time tells little, since pieces end at random moments."""
REST_S = 30.0
"""So long nothing is tried once neither more nor fewer have paid."""
GAIN = 1.1
"""More connections must make transfers so much faster."""
LOSS = 0.95
"""Fewer may make them so much slower: less cannot be told from chance."""
LEAST = 4
NEAR = 4
NEAR_S = 0.01
"""Who answers faster is near."""


class Width:
    """The number of pieces under way, over all transfers of the process in one direction.

    Parameters
    ----------
    most
        The largest number: connections or buffers end there.
    start
        The first number.
    """

    def __init__(self, most: int, start: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._least = min(LEAST, most)
        self._clock = clock
        self._lock = threading.Lock()
        self._transfers = 0
        self._limit = min(start, most)
        self._good = (self._limit, 0.0)
        """The best number so far, and the bytes per second that it gave."""
        self._directions: list[float] = []
        self._rest_until = 0.0
        self._is_tried = False
        self._begin()

    def note_answer(self, seconds: float) -> None:
        """Take note of how long a first answer took: a server that is near is begun with few."""
        with self._lock:
            if seconds < NEAR_S and not self._is_tried:
                self._limit = min(self._limit, NEAR)
                self._good = (self._limit, 0.0)
            self._is_tried = True

    @property
    def limit(self) -> int:
        """The number at the moment."""
        return self._limit

    @property
    def share(self) -> int:
        """How many pieces one transfer may have under way: an equal part, and one at least."""
        return max(1, self._limit // max(1, self._transfers))

    @contextmanager
    def transfer(self) -> Iterator[None]:
        """Count one more transfer meanwhile."""
        with self._lock:
            self._transfers += 1
        try:
            yield
        finally:
            with self._lock:
                self._transfers -= 1
                self._begin()  # what ran before says nothing about what runs now

    def note(self, size_bytes: int) -> None:
        """Count a piece that has arrived, and change the number when it is time to."""
        with self._lock:
            self._pieces += 1
            self._bytes += size_bytes
            spent = self._clock() - self._began
            # the first pieces of a period began before it
            if self._pieces >= 2 * self._limit and spent >= PERIOD_S:
                self._judge(self._bytes / spent)
                self._begin()

    def _begin(self) -> None:
        self._began = self._clock()
        self._pieces = self._bytes = 0

    def _judge(self, rate: float) -> None:
        good, good_rate = self._good
        if self._limit == good:
            self._good = (good, rate)
            if self._clock() >= self._rest_until:
                self._try_another()
            return
        if rate >= good_rate * (GAIN if self._limit > good else LOSS):
            self._good = (self._limit, rate)
            self._directions = [STEP if self._limit > good else 1 / STEP]  # the same way on
        self._try_another()

    def _try_another(self) -> None:
        """Go one step from the best number, in a direction that was not tried from there."""
        good, _ = self._good
        if not self._directions and self._rest_until <= self._clock():
            self._directions = [STEP, 1 / STEP]
        while self._directions:
            wanted = round(good * self._directions.pop(0))
            self._limit = max(self._least, min(self._most, wanted))
            if self._limit != good:
                self._rest_until = self._clock() + REST_S
                return
        self._limit = good
        self._rest_until = self._clock() + REST_S
