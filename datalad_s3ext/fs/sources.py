"""The places from which the bytes of one key can be read in parts.

Which object holds which byte is known by arithmetic: nothing is asked before the bytes themselves are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol, TypeVar

from datalad_s3ext.errors import IntegrityError, ObjectChanged, ObjectNotFound, S3xError, Unsupported
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, RangeReader

T = TypeVar("T")
Arrived = Callable[[int], None]
"""Told how many bytes, from the first one on, have come so far."""


def ignore(_: int) -> None:
    """Take no notice of bytes that arrive."""


class Place(Protocol):
    """Holds objects; a bucket, or the web."""

    label: str

    def read(self, request: Callable[[ObjectStore], T]) -> T:
        """Return what `request` makes of its store."""

    def presigned(self, name: str, seconds: int) -> str:
        """Return a URL by which everybody can read an object for so many seconds."""


class Source(ABC):
    """Where the content of one key can be read, in parts. Safe in threads."""

    label: str
    """For messages: the name of the remote, or the host."""

    @abstractmethod
    def fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:
        """Fill `view` with the bytes from offset `start` on, which the content has.

        Raises
        ------
        S3xError
            They cannot be had here. What `view` holds beyond what has `arrived` is of no use.
        """

    @abstractmethod
    def size(self) -> int:
        """Return how many bytes the content has, by asking."""

    def url(self, seconds: int) -> str:  # noqa: ARG002
        """Return a URL that lets everybody read the content for so many seconds.

        Raises
        ------
        S3xError
            There is none.
        """
        raise Unsupported(f"no URL leads to what {self.label} has")


class Refused(Source):
    """A place that has the content, but in a form that cannot be read in parts."""

    def __init__(self, label: str, reason: S3xError) -> None:
        self.label = label
        self._reason = reason

    def fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:  # noqa: ARG002
        """Say why not."""
        raise self._reason

    def size(self) -> int:
        """Say why not."""
        raise self._reason


class ObjectSource(Source):
    """A key that is one object.

    Parameters
    ----------
    place
        Where it lies.
    names
        Its name, or those that it may have: the first one that exists counts from then on.
    expected_bytes
        How large it must be; ``None`` when the key does not tell.
    etag
        Of the state that all answers must be of; by default that of the first one.
    """

    def __init__(
        self, place: Place, names: Sequence[str], expected_bytes: int | None, etag: str | None = None
    ) -> None:
        self.label = place.label
        self._place = place
        self._names = list(names)
        self._expected_bytes = expected_bytes
        self.etag = etag
        self._lock = Lock()

    def fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:
        """Fill `view` by one ranged GET. All parts are of one state of the object."""
        self._by_name(
            lambda name: self._place.read(lambda store: self._fill(store, name, start, view, arrived))
        )

    def size(self) -> int:
        """Return the size by HEAD."""
        return self._by_name(lambda name: self._place.read(lambda store: store.head(name).size_bytes))

    def url(self, seconds: int) -> str:
        """Return a presigned URL. Nothing is sent."""
        return self._place.presigned(self._names[0], seconds)

    def _by_name(self, request: Callable[[str], T]) -> T:
        while True:
            name = self._names[0]
            try:
                return request(name)
            except ObjectNotFound:
                if len(self._names) == 1 or self.etag is not None:
                    raise
                with self._lock:
                    if self._names[0] == name:
                        del self._names[0]

    def _fill(
        self, store: ObjectStore, name: str, start: int, view: memoryview, arrived: Arrived
    ) -> None:
        with store.get(name, start=start, length=len(view), if_match=self.etag) as answer:
            found = answer.info.size_bytes
            if self._expected_bytes not in (None, found):
                raise IntegrityError(
                    f"the object {answer.info.name!r} has {found} bytes where its key says "
                    f"{self._expected_bytes}",
                    remedy="it is not what was stored: see git annex fsck --from",
                )
            self._pin(answer.info)
            read_all(answer, view, arrived)

    def _pin(self, found: ObjectInfo) -> None:
        """Have all further answers be of the state that the first one was of."""
        with self._lock:
            self.etag = self.etag or found.etag or None
        if found.etag and found.etag != self.etag:
            raise ObjectChanged(f"{found.name} was replaced while it was read", remedy="try again")


class ChunkedSource(Source):
    """A key that git-annex has cut into chunks of equal size, each an object of its own."""

    def __init__(
        self, place: Place, name_of: Callable[[int], str], chunk_bytes: int, size_bytes: int
    ) -> None:
        self.label = place.label
        self._size_bytes = size_bytes
        self._chunk_bytes = chunk_bytes
        self._place = place
        self._name_of = name_of
        self._etags: dict[int, str | None] = {}

    def fill(self, start: int, view: memoryview, arrived: Arrived = ignore) -> None:
        """Fill `view` by a ranged GET of each chunk that it touches."""
        done = 0
        while done < len(view):
            index, offset = divmod(start + done, self._chunk_bytes)
            chunk_bytes = min(self._chunk_bytes, self._size_bytes - index * self._chunk_bytes)
            length = min(chunk_bytes - offset, len(view) - done)
            name, etag = self._name_of(index + 1), self._etags.get(index)
            part = ObjectSource(self._place, [name], chunk_bytes, etag)
            part.fill(offset, view[done : done + length], _counting_from(done, arrived))
            self._etags.setdefault(index, part.etag)
            done += length

    def size(self) -> int:
        """Return the size, which is known."""
        return self._size_bytes


def _counting_from(before: int, arrived: Arrived) -> Arrived:
    return lambda count: arrived(before + count)


def read_all(answer: RangeReader, view: memoryview, arrived: Arrived) -> None:
    """Fill `view` from an open answer.

    Raises
    ------
    IntegrityError
        It ended early.
    """
    position = 0
    while position < len(view):
        count = answer.readinto(view[position:])
        if not count:
            raise IntegrityError(f"{answer.info.name!r} ended early", remedy="try again")
        position += count
        arrived(position)
