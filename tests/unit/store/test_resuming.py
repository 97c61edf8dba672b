"""Reading over connections that break."""

import os
from io import BytesIO
from typing import Any

import pytest

from datalad_s3ext.errors import ObjectChanged, TransientError
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.retrying import Retrying, RetryPolicy

CONTENT = os.urandom(1000)


class Breaking(RangeReader):
    """Ends with an error after `bytes_left` bytes."""

    def __init__(self, inner: RangeReader, bytes_left: int) -> None:
        self.info, self.start, self.length = inner.info, inner.start, inner.length
        self._inner, self._left = inner, bytes_left

    def read(self, size_bytes: int) -> bytes:
        if self._left <= 0:
            raise TransientError("connection reset")
        data = self._inner.read(min(size_bytes, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._inner.close()


class Fragile(MemoryStore):
    """Every answer breaks after `bytes_each` bytes; remembers what was asked for."""

    def __init__(self, bytes_each: int) -> None:
        super().__init__()
        self.bytes_each = bytes_each
        self.asked: list[tuple[int, int | None, str | None]] = []
        self.put("name", BytesIO(CONTENT), len(CONTENT))

    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Any:
        self.asked.append((start, length, if_match))
        return Breaking(
            super().get(name, start=start, length=length, if_match=if_match), self.bytes_each
        )


def retrying(store: MemoryStore, waits: list[float] | None = None) -> Retrying:
    sleep = (waits if waits is not None else []).append
    return Retrying(store, RetryPolicy(attempts=3), sleep=sleep, clock=lambda: 0.0, draw=lambda: 1.0)


def read_all(reader: RangeReader) -> bytes:
    pieces = []
    while piece := reader.read(64):
        pieces.append(piece)
    return b"".join(pieces)


def test_a_body_that_keeps_breaking_is_read_to_its_end() -> None:
    store = Fragile(bytes_each=300)
    etag = store.head("name").etag

    with retrying(store).get("name", start=100, length=800) as reader:
        data = read_all(reader)

    assert data == CONTENT[100:900]
    assert store.asked == [(100, 800, None), (400, 500, etag), (700, 200, etag)]


def test_without_progress_it_gives_up_after_the_attempts_of_the_policy() -> None:
    store = Fragile(bytes_each=0)
    waits: list[float] = []

    with retrying(store, waits).get("name") as reader, pytest.raises(TransientError):
        reader.read(10)

    assert len(waits) == 2


def test_an_object_replaced_between_two_answers_is_noticed() -> None:
    store = Fragile(bytes_each=300)

    with retrying(store).get("name") as reader:
        reader.read(300)
        store.put("name", BytesIO(b"other"), 5)

        with pytest.raises(ObjectChanged):
            reader.read(300)


def test_a_break_behind_the_last_byte_does_not_matter() -> None:
    store = Fragile(bytes_each=1000)

    with retrying(store).get("name") as reader:
        assert read_all(reader) == CONTENT
