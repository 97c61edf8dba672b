"""Is what was read what the key demands? Known when all of a file has been read, in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.repo.digests import KeyDigest

_MARK_BYTES = 12


@dataclass(slots=True)
class Verdict:
    """What is known of a content that was handed out; outlives what has read it."""

    error: IntegrityError | None = None


class WholeCheck:
    """Hashes blocks in order as they become known; nothing is fetched again for it. Safe in threads.

    What was handed out stays known by a mark, so that a block that is fetched again, after it had to
    give way, must be the same: the verdict holds for all that was ever handed out.

    Parameters
    ----------
    digest
        What the key demands.
    count
        How many blocks the file has.
    recall
        Returns a block that was noted before, if it is still cached. When it is not, hashing goes on
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
        self._marks: dict[int, bytes] = {}
        self._next = 0
        self.is_good = False
        self.verdict = Verdict()

    @property
    def error(self) -> IntegrityError | None:
        """Why it is not what the key demands; ``None`` as long as nothing speaks against it."""
        return self.verdict.error

    def is_same(self, number: int, block: bytes) -> bool:
        """Tell whether a block that comes from elsewhere is what it was when it came before, if it did.

        When it is another one, `error` is set: nobody knows what of both was handed out.
        """
        mark = blake2b(block, digest_size=_MARK_BYTES).digest()
        if self._marks.setdefault(number, mark) == mark:
            return True
        changed = IntegrityError("a part of it was read twice, and has changed")
        self.verdict.error = self.error or changed
        return False

    def note(self, number: int, block: bytes) -> None:
        """Take notice of a block.

        Raises
        ------
        IntegrityError
            It was the last one, and all of them are not the content of the key.
        """
        if self.error is not None:
            raise self.error
        is_awaited = number == self._next
        if number in self._noted and not is_awaited:
            return
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
                return
            self._digest.update(data)
            self._next += 1
            if self._next == self._count:
                self._judge()

    def _judge(self) -> None:
        try:
            self._digest.check()
        except IntegrityError as error:
            self.verdict.error = error
        else:
            self.is_good = True
            self._on_good()
