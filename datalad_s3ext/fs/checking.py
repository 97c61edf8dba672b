"""Is what was read what the key demands? Known when all of a file has been read, in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.repo.digests import KeyDigest


class WholeCheck:
    """Hashes blocks in order as they become known; nothing is read again for it. Safe in threads.

    Parameters
    ----------
    digest
        What the key demands.
    count
        How many blocks the file has.
    recall
        Returns a block that was noted before, if it is still in memory. When it is not, hashing goes on
        as soon as that block is read again.
    on_good
        Called once, when the file has turned out to be what the key demands.
    """

    def __init__(
        self,
        digest: KeyDigest,
        count: int,
        recall: Callable[[int], bytes | None],
        on_good: Callable[[], object] = bool,
    ) -> None:
        self._digest = digest
        self._count = count
        self._recall = recall
        self._on_good = on_good
        self._lock = Lock()
        self._noted: set[int] = set()
        self._next = 0
        self.is_good = False
        self.error: IntegrityError | None = None

    def note(self, number: int, block: bytes) -> None:
        """Take notice of a block.

        Raises
        ------
        IntegrityError
            It was the last one, and all of them are not the content of the key.
        """
        if self.error is not None:
            raise self.error
        if number in self._noted:
            return
        is_awaited = number == self._next
        self._noted.add(number)
        if is_awaited or len(self._noted) == self._count:
            with self._lock:  # whoever brings the last block waits for the result
                self._go_on(number, block)
        elif self._lock.acquire(blocking=False):
            try:
                self._go_on(number, block)
            finally:
                self._lock.release()
        if self.error is not None:
            raise self.error

    def _go_on(self, number: int, block: bytes) -> None:
        while self._next in self._noted:
            data = block if number == self._next else self._recall(self._next)
            if data is None:
                self._noted.discard(self._next)
                return
            self._digest.update(data)
            self._next += 1
            if self._next == self._count:
                self._judge()

    def _judge(self) -> None:
        try:
            self._digest.check()
        except IntegrityError as error:
            self.error = error
        else:
            self.is_good = True
            self._on_good()
