"""How long to go on trying.

An attempt ends when nothing comes for as long as `RetryPolicy.stall_s`, or so little that
:mod:`.pace` says so. The attempts at one request are bounded by number and by time. The body of an
answer may break as often as it likes while it moves by `LEAST_BYTES_PER_S` on average, waits included.
So reading `n` bytes takes about ``n / LEAST_BYTES_PER_S`` seconds at worst, and then as long as one
request.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from datalad_s3ext.errors import TransientError, Unreachable
from datalad_s3ext.store.pace import LEAST_BYTES_PER_S

_log = logging.getLogger(__name__)
AS_MANY_AS_IT_TAKES = sys.maxsize
DOUBLINGS = 30  # 2.0**1024 would be too much


@dataclass(frozen=True)
class RetryPolicy:
    """How patient to be."""

    attempts: int = 5
    """In all, the first one included."""
    unreachable_attempts: int = 3
    """Fewer when there is no connection at all: a wrong host name does not heal."""
    total_s: float = 120.0
    """No new attempt begins later than this after the first one."""
    stall_s: float = 60.0
    """How long a connection may be silent, or all but silent. Not much less: a server that puts the
    parts of a large upload together may say nothing meanwhile."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    @classmethod
    def of(
        cls,
        *,
        retries: int | None = None,
        patience_s: float | None = None,
        stall_s: float | None = None,
    ) -> RetryPolicy:
        """Return the policy for what a user has chosen; ``None`` where nothing was.

        Whoever names a number of retries or a time means it for every fault, also where there is no
        connection at all. A time without a number stands for as many attempts as it takes.
        """
        usual = cls() if stall_s is None else cls(stall_s=stall_s)
        if retries is None and patience_s is None:
            return usual
        attempts = AS_MANY_AS_IT_TAKES if retries is None else retries + 1
        total_s = usual.total_s if patience_s is None else patience_s
        return replace(usual, attempts=attempts, unreachable_attempts=attempts, total_s=total_s)

    def limit(self, error: TransientError) -> int:
        """Return how many attempts an error of this kind is worth."""
        return self.unreachable_attempts if isinstance(error, Unreachable) else self.attempts

    def wait_s(self, error: TransientError, failed: int, draw: float) -> float:
        """Return how long to wait after `failed` attempts; `draw` is a random number in [0, 1).

        Exponential with full jitter, so that many clients do not come back at once; never shorter
        than the server asked for.
        """
        doublings = min(failed - 1, DOUBLINGS)
        bound = min(self.longest_wait_s, self.first_wait_s * 2.0**doublings)
        return max(bound * draw, error.retry_after_s or 0.0)


@dataclass(frozen=True)
class Patience:
    """A policy, and what it needs of the world."""

    policy: RetryPolicy
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def attempts(self) -> Attempts:
        """Begin to count the attempts at one request."""
        return Attempts(self)


class Attempts:
    """How often one request has failed, and since when."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failed = 0
        self._began = patience.clock()
        self._moved_bytes = 0

    def moved(self, size_bytes: int) -> None:
        """Count bytes that came: when they are many for the time they took, failures are forgiven."""
        self._moved_bytes += size_bytes

    def wait_or_raise(self, error: TransientError) -> None:
        """Wait for the next attempt, or raise `error` when there shall be none."""
        policy = self._patience.policy
        self._forgive()
        self._failed += 1
        wait = policy.wait_s(error, self._failed, self._patience.draw())
        left = policy.total_s - (self._patience.clock() - self._began)
        if (error.retry_after_s or 0.0) <= left:
            wait = min(wait, left)  # chance must not cut the time short
        is_last = self._failed >= policy.limit(error)
        if not error.retryable or is_last or left <= 0 or wait > left:
            raise error
        _log.info("attempt %d failed, next in %.1f s: %s", self._failed, wait, error)
        self._patience.sleep(wait)

    def _forgive(self) -> None:
        """Begin to count anew after progress. Before the first failure, any speed was good enough."""
        now = self._patience.clock()
        needed = LEAST_BYTES_PER_S * (now - self._began) if self._failed else 0
        if self._moved_bytes > needed:
            self._failed, self._began, self._moved_bytes = 0, now, 0
