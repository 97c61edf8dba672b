"""Content that lies elsewhere: read by blocks, ahead of a reader who reads on, each block once.

A request is made for a run of blocks that are not known yet. Each block is handed out as soon as it has
arrived, while the rest of its run is still on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Protocol

from datalad_s3ext.errors import IntegrityError, ObjectChanged, S3xError
from datalad_s3ext.fs.buckets import CONNECTIONS
from datalad_s3ext.fs.cache import BlockCache, block_size
from datalad_s3ext.fs.checking import Verdict, WholeCheck
from datalad_s3ext.fs.faults import ContentUnavailable, unavailable
from datalad_s3ext.fs.options import BLOCK_BYTES
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.fs.sources import Arrived, Source, ignore
from datalad_s3ext.fs.workers import Workers
from datalad_s3ext.units import MIB

RUN_BLOCKS = 4 * MIB // BLOCK_BYTES
"""Longer runs are cut into requests of this size, which run in parallel."""
_LONG_RUN_BLOCKS = 2 * RUN_BLOCKS
LONG_READ_BYTES = 256 * MIB
"""Before so much is read at once, its first block is: a key can claim any size."""
_WORKERS: ProcessWide[None, Workers] = ProcessWide()


class Sources(Protocol):
    """Finds the places of a content when they are first needed."""

    def __call__(self) -> Sequence[Source]:
        """Return them in the order in which they are to be tried."""


class Fetching:
    """The bytes of one content, for all who read it in this process. Safe in threads.

    Parameters
    ----------
    name
        Of the file, for messages.
    content
        Under which its blocks are kept.
    sources
        Where it can be read.
    check
        Takes notice of all blocks; ``None`` when nothing can be compared.
    """

    def __init__(
        self, name: str, content: str, size_bytes: int, sources: Sources, cache: BlockCache,
        check: WholeCheck | None,
    ) -> None:  # fmt: skip
        self.size_bytes = size_bytes
        self.cache = cache
        self._name = name
        self._content = content
        self._find_sources = sources
        self._sources: list[Source] | None = None
        self._check = check
        self._lock = Lock()
        self._coming: dict[int, Future[bytes]] = {}
        self._is_useless = False

    @property
    def has_failed(self) -> bool:
        """Another one should be made: the places that were found are of no use, or the content is."""
        return self._is_useless or (self._check is not None and self._check.error is not None)

    @property
    def verdict(self) -> Verdict | None:
        """What becomes known of what was handed out; ``None`` where nothing can be compared."""
        return None if self._check is None else self._check.verdict

    def read(self, start: int, end: int, ahead_bytes: int = 0) -> bytes:
        """Return the bytes from `start` to before `end`.

        Parameters
        ----------
        ahead_bytes
            How much more may be fetched behind `end`; nobody waits for that.

        Raises
        ------
        ContentUnavailable
            No place gives them, or the whole file turned out not to be what its key demands.
        """
        if start >= end:
            return b""
        if end - start > LONG_READ_BYTES:
            return self.read_exactly(start, end)
        return self._read_blocks(start, end, ahead_bytes)

    def read_exactly(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to before `end`; no byte more is fetched."""
        if start >= end:
            return b""
        if end - start > LONG_READ_BYTES:
            self._read_blocks(start, start + 1)
        buffer = self._room(end - start)
        numbers = range(start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1)
        known = self._here_or_coming(numbers)
        if len(known) == len(numbers):
            return self._read_blocks(start, end)
        low = next(number for number in numbers if number not in known)
        high = next(number for number in reversed(numbers) if number not in known)
        first, last = max(start, low * BLOCK_BYTES), min(end, (high + 1) * BLOCK_BYTES)
        for number, block in known.items():
            _overlay(buffer, start, number * BLOCK_BYTES, block)
        self._fill_parts(first, memoryview(buffer)[first - start : last - start])
        self._keep_whole_blocks(start, buffer, set(known))
        return bytes(buffer)

    def prefetch(self, start: int, end: int) -> None:
        """Fetch what is not known between two offsets, without waiting."""
        last = (min(end, self.size_bytes) - 1) // BLOCK_BYTES
        with self._lock:
            numbers = range(start // BLOCK_BYTES, last + 1)
            self._start_runs([n for n in numbers if n not in self._coming and self._cached(n) is None])

    @property
    def sources(self) -> Sequence[Source]:
        """The places that have the content."""
        if self._sources is None:
            self._sources = list(self._find_sources())
        return self._sources

    def _room(self, count: int) -> bytearray:
        try:
            return bytearray(count)
        except MemoryError:
            raise ContentUnavailable(
                f"{self._name} cannot be read at once: there is no room in memory for {count} bytes",
                remedy="read it in parts",
            ) from None

    # -- requests by block --------------------------------------------------------------------------

    def _read_blocks(self, start: int, end: int, ahead_bytes: int = 0) -> bytes:
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        blocks = self._request(first, last, min(end + ahead_bytes, self.size_bytes))
        found = [self._known(first + number, block) for number, block in enumerate(blocks)]
        found[-1] = found[-1][: end - last * BLOCK_BYTES]
        found[0] = found[0][start - first * BLOCK_BYTES :]
        return b"".join(found)

    def _request(self, first: int, last: int, until: int) -> list[bytes | Future[bytes]]:
        """Return the blocks from `first` to `last`, or what they will come in."""
        numbers = range(first, last + 1)
        with self._lock:
            found = {number: self._coming.get(number) or self._cached(number) for number in numbers}
            if None in found.values():
                ahead = range(last + 1, self._blocks_until(until))
                wanted = [number for number, block in found.items() if block is None]
                self._start_runs([*wanted, *self._missing_until_known(ahead)])
                found.update({number: self._coming[number] for number in wanted})
        return [block for block in found.values() if block is not None]

    def _blocks_until(self, offset: int) -> int:
        """Return how many blocks end before `offset`."""
        return -(-offset // BLOCK_BYTES) if offset == self.size_bytes else offset // BLOCK_BYTES

    def _missing_until_known(self, numbers: range) -> list[int]:
        missing = []
        for number in numbers:
            if number in self._coming or self._cached(number) is not None:
                break
            missing.append(number)
        return missing

    def _start_runs(self, numbers: Sequence[int]) -> None:
        for run in _runs(numbers):
            _workers().submit(self._fetch_run, run)  # which waits for the lock before it hands out
            for number in run:
                self._coming[number] = Future()

    def _fetch_run(self, run: range) -> None:
        """Fetch a run; whatever happens, nobody is left waiting for a block of it."""
        size_bytes = min(len(run) * BLOCK_BYTES, self.size_bytes - run[0] * BLOCK_BYTES)
        buffer = memoryview(bytearray(size_bytes))
        done = 0

        def arrived(count: int) -> None:
            nonlocal done
            while done < len(run):
                number = run[done]
                begin = done * BLOCK_BYTES
                if count < begin + block_size(number, self.size_bytes):
                    return
                self._hand_out(number, bytes(buffer[begin : begin + BLOCK_BYTES]))
                done += 1

        try:
            self._fill(run[0] * BLOCK_BYTES, buffer, arrived)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._fail(run[done:], error)

    def _hand_out(self, number: int, block: bytes) -> None:
        self._put(number, block)
        with suppress(ContentUnavailable):  # whoever reads it hears of it
            self._note(number, block)
        with self._lock:
            coming = self._coming.pop(number)
        coming.set_result(block)

    def _fail(self, numbers: range, error: BaseException) -> None:
        with self._lock:
            failed = [self._coming.pop(number) for number in numbers]
        for one in failed:
            one.set_exception(error)

    # -- bytes --------------------------------------------------------------------------------------

    def _fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:
        """Fill `view` from the first place that gives all of it."""
        reasons: list[tuple[str, S3xError]] = []
        tried = list(self.sources)
        for source in tried:
            try:
                source.fill(start, view, arrived)
            except S3xError as error:
                reasons.append((source.label, error))
                if isinstance(error, ObjectChanged):  # parts of two states make no file
                    self.cache.drop(self._content)
            else:
                if reasons:  # those that failed come last from now on
                    self._sources = [*tried[len(reasons) :], *tried[: len(reasons)]]
                return
        self._is_useless = True
        raise unavailable(self._name, reasons)

    def _here_or_coming(self, numbers: range) -> dict[int, bytes]:
        """Return the blocks that need not be fetched; what is on its way is waited for."""
        with self._lock:
            found = {number: self._coming.get(number) or self._cached(number) for number in numbers}
        known = {}
        for number, block in found.items():
            with suppress(ContentUnavailable):  # then it is asked for anew
                data = block.result() if isinstance(block, Future) else block
                if data is not None:
                    known[number] = data
        return known

    def _fill_parts(self, start: int, view: memoryview) -> None:
        """Fill `view`, by several requests at once when it is long."""
        step = RUN_BLOCKS * BLOCK_BYTES
        if len(view) <= 2 * step:
            self._fill(start, view)
            return
        parts = [
            _workers().submit(self._fill, start + offset, view[offset : offset + step])
            for offset in range(0, len(view), step)
        ]
        try:
            for part in parts:
                part.result()
        finally:
            for part in parts:  # of no use when one has failed
                part.cancel()

    def _keep_whole_blocks(self, start: int, buffer: bytearray, known: set[int]) -> None:
        end = start + len(buffer)
        for number in range(-(-start // BLOCK_BYTES), (end - 1) // BLOCK_BYTES + 1):
            begin, size = number * BLOCK_BYTES, block_size(number, self.size_bytes)
            if begin + size <= end:
                block = bytes(memoryview(buffer)[begin - start : begin - start + size])
                if number not in known:
                    self._put(number, block)
                self._note(number, block)

    def _put(self, number: int, block: bytes) -> None:
        self._arrived(number, block)
        if self._check is None or self._check.error is None:
            self.cache.put(self._content, number, block)

    def _cached(self, number: int) -> bytes | None:
        block = self.cache.memory.get(self._content, number)
        if block is None:
            block = self.cache.get(self._content, number, block_size(number, self.size_bytes))
            if block is not None:
                self._arrived(number, block)
        return block

    def _arrived(self, number: int, block: bytes) -> None:
        if self._check is not None and not self._check.is_same(number, block):
            self.cache.drop(self._content)

    def _known(self, number: int, block: bytes | Future[bytes]) -> bytes:
        data = block.result() if isinstance(block, Future) else block
        self._note(number, data)
        return data

    def _note(self, number: int, block: bytes) -> None:
        if self._check is None:
            return
        try:
            self._check.note(number, block)
        except IntegrityError as error:
            self.cache.drop(self._content)
            raise unavailable(self._name, [(self._labels(), error)]) from error

    def _labels(self) -> str:
        return ", ".join(source.label for source in self._sources or [])


def _workers() -> Workers:
    return _WORKERS.get(None, lambda: Workers(CONNECTIONS, "annex-fs-fetch"))


def _runs(numbers: Sequence[int]) -> list[range]:
    """Return `numbers`, which rise, as runs without gaps, cut where they are long."""
    runs: list[range] = []
    for number in numbers:
        if runs and number == runs[-1].stop:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return [part for run in runs for part in _parts(run)]


def _parts(run: range) -> list[range]:
    if len(run) <= _LONG_RUN_BLOCKS:
        return [run]
    return [run[begin : begin + RUN_BLOCKS] for begin in range(0, len(run), RUN_BLOCKS)]


def _overlay(buffer: bytearray, start: int, begin: int, block: bytes) -> None:
    """Copy what `block`, which lies at `begin`, and `buffer`, which lies at `start`, have in common."""
    low, high = max(start, begin), min(start + len(buffer), begin + len(block))
    buffer[low - start : high - start] = block[low - begin : high - begin]
