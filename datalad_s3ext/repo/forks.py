"""Objects that begin anew in a forked process.

A thread of the parent may have held their lock in that moment, and does not exist in the child.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What has locks, or other things that only one process can use."""

    def after_fork(self) -> None:
        """Replace them. Called in the child, before anything else runs there."""


_ALL: WeakSet[Forkable] = WeakSet()


def renew_at_fork(thing: Forkable) -> None:
    """Have `thing` begin anew in every process that is forked as long as it exists."""
    _ALL.add(thing)


def _renew() -> None:
    for thing in list(_ALL):
        thing.after_fork()


os.register_at_fork(after_in_child=_renew)
