"""Things that all file systems of a process share, and that a forked process must not inherit.

Connections, pipes and locks of the parent are of no use in a child: both would read from one socket.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from datalad_s3ext.repo.forks import renew_at_fork

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ProcessWide(Generic[K, V]):
    """One value for each key, made when first asked for; none of them outlives a fork."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[K, V] = {}
        _ALL.add(self)
        renew_at_fork(self)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of `key`, by `make` if there is none yet."""
        with self._lock:
            if key in self._values:
                return self._values[key]
        made = make()
        with self._lock:
            return self._values.setdefault(key, made)

    def drop(self, key: K) -> None:
        """Forget the value of `key`."""
        with self._lock:
            self._values.pop(key, None)

    def after_fork(self) -> None:
        """Begin anew."""
        self._lock = Lock()
        self._values = {}


_ALL: WeakSet[ProcessWide[Any, Any]] = WeakSet()


def _reset_all() -> None:
    for one in _ALL:
        one.after_fork()
