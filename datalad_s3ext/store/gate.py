"""How many requests may be under way at once, once a server has asked for fewer.

Additive increase, multiplicative decrease, as in TCP: when a server says "slow down", half as many
requests may be under way as there were; after as many successes as may be under way, one more.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from datalad_s3ext.errors import TransientError

CHECK_EVERY_S = 0.2
WAIT_LIMIT_S = 60.0
"""Nobody waits longer: somebody may hold an answer open and ask for something else meanwhile."""
AS_MANY_AS_LIKED = sys.maxsize
FORGIVEN = 32
"""When so many may be under way again, nobody counts any more."""
_CODES = re.compile("SlowDown|Throttl|TooManyRequests|LimitExceeded")


def asks_to_slow_down(error: BaseException | None) -> bool:
    """Tell whether a server has refused because of too many requests."""
    if not isinstance(error, TransientError):
        return False
    return error.http_status in (429, 503) or bool(_CODES.search(error.code or ""))


class Gate:
    """Lets requests through, first come, first served. Safe in threads.

    Parameters
    ----------
    sleep
        Called with 0 while somebody waits; may raise to give up.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._under_way = 0
        self._successes = 0
        self._slowdowns = 0
        self.limit = AS_MANY_AS_LIKED
        """How many may be under way at the moment."""

    def enter(self) -> Turn:
        """Return when a request may be sent. `Turn.leave` must follow."""
        with self._lock:
            if self._under_way < self.limit and not self._waiting:
                self._under_way += 1
                return Turn(self, self._slowdowns)
            place = threading.Event()
            self._waiting.append(place)
        try:
            self._wait(place)
        except BaseException:
            self._give_up(place)
            raise
        return Turn(self, self._slowdowns)

    def _wait(self, place: threading.Event) -> None:
        deadline = self._clock() + WAIT_LIMIT_S
        while not place.wait(CHECK_EVERY_S):
            self._sleep(0)
            if self._clock() > deadline:
                self._give_up(place)
                with self._lock:
                    self._under_way += 1
                return

    def _give_up(self, place: threading.Event) -> None:
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
            else:  # it was called just now
                self._under_way -= 1
                self._call_waiting()

    def leave(self, slowdowns_before: int, error: BaseException | None) -> None:
        """Take note of how a request ended; called by `Turn`."""
        with self._lock:
            if asks_to_slow_down(error):
                self._slow_down(slowdowns_before)
            elif error is None and self.limit != AS_MANY_AS_LIKED:
                self._speed_up()
            self._under_way -= 1
            self._call_waiting()

    def _slow_down(self, slowdowns_before: int) -> None:
        if slowdowns_before < self._slowdowns:
            return  # it was sent before the others were told to slow down
        self._slowdowns += 1
        self._successes = 0
        self.limit = max(1, min(self.limit, self._under_way) // 2)

    def _speed_up(self) -> None:
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = self.limit + 1 if self.limit < FORGIVEN else AS_MANY_AS_LIKED

    def _call_waiting(self) -> None:
        while self._waiting and self._under_way < self.limit:
            self._under_way += 1
            self._waiting.popleft().set()


class Turn:
    """The right to have one request under way."""

    def __init__(self, gate: Gate, slowdowns_before: int) -> None:
        self._gate: Gate | None = gate
        self._slowdowns_before = slowdowns_before

    def leave(self, error: BaseException | None = None) -> None:
        """Give it back, once the request has ended; another time nothing happens."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave(self._slowdowns_before, error)
