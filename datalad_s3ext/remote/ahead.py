"""Asking the server for what git-annex will ask for next.

git-annex imports files one by one, each after a round trip to the server. Its order is that of our
list, backwards; so once it is seen to go through the list, the next objects are described many at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datalad_s3ext.store.base import ObjectInfo

WIDTH = 64
"""So many are asked for ahead at most."""
GAP = 8
"""So many names may be left out, because their content is known, in going through the list."""

Describe = Callable[[], "ObjectInfo"]


class Ahead:
    """Descriptions of the files of one list. Safe in threads.

    Parameters
    ----------
    names
        The files in the order in which they were listed.
    describe
        Asks the server for one; what it raises comes out when that file is wanted.
    submit
        Has something done in another thread.
    """

    def __init__(
        self,
        names: Iterable[str],
        describe: Callable[[str], ObjectInfo],
        submit: Callable[[Describe], Future[ObjectInfo]],
    ) -> None:
        self._order = list(names)[::-1]
        self._position = {name: position for position, name in enumerate(self._order)}
        self._describe = describe
        self._submit = submit
        self._lock = Lock()
        self._asked: dict[str, Future[ObjectInfo]] = {}
        self._next = -1
        self._width = 0

    def describe(self, name: str) -> ObjectInfo:
        """Return what the server says of a file."""
        with self._lock:
            position = self._position.get(name)
            known = self._asked.pop(name, None)
            if position is not None:
                self._go_on(position)
        return self._describe(name) if known is None else known.result()

    def _go_on(self, position: int) -> None:
        is_in_order = self._next >= 0 and 0 <= position - self._next <= GAP
        self._width = min(2 * self._width + 1, WIDTH) if is_in_order else 0
        self._next = position + 1
        if not is_in_order:
            self._asked.clear()
        for later in self._order[self._next : self._next + self._width]:
            if later not in self._asked:
                self._asked[later] = self._submit(lambda later=later: self._describe(later))  # type: ignore[misc]
