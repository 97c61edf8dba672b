"""Reading over connections that break."""

import os
from io import BytesIO
from typing import Any

import pytest

from datalad_s3ext.errors import ObjectChanged, TransientError
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import Retrying

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


class Dripping(Fragile):
    """Each answer gives `bytes_each` bytes and breaks after `seconds_each`, as a stall does."""

    def __init__(self, bytes_each: int, seconds_each: float) -> None:
        super().__init__(bytes_each)
        self.seconds_each = seconds_each
        self.now = 0.0

    def get(self, *given: Any, **named: Any) -> Any:
        self.now += self.seconds_each
        return super().get(*given, **named)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self, policy: RetryPolicy) -> bytes:
        store = Retrying(self, policy, sleep=self.sleep, clock=lambda: self.now, draw=lambda: 1.0)
        with store.get("name") as reader:
            return read_all(reader)


def test_a_body_that_drips_is_given_up_although_each_answer_brings_a_few_bytes() -> None:
    store = Dripping(bytes_each=1, seconds_each=60.0)

    with pytest.raises(TransientError):
        store.read(RetryPolicy())

    assert store.now <= 60 + RetryPolicy().total_s + 60


def test_with_a_number_of_attempts_only_a_body_that_drips_is_given_up_after_them() -> None:
    store = Dripping(bytes_each=1, seconds_each=1.0)

    with pytest.raises(TransientError):
        store.read(RetryPolicy(attempts=4))

    assert len(store.asked) == 4


def test_one_that_moves_may_break_as_often_as_it_likes() -> None:
    store = Dripping(bytes_each=40, seconds_each=0.001)

    assert store.read(RetryPolicy(attempts=3, first_wait_s=0.01)) == CONTENT


def test_a_break_after_long_slow_reading_is_worth_as_many_attempts_as_any() -> None:
    """As when the user limits the bandwidth: nobody is to blame for the time before the first break."""
    store = Dripping(bytes_each=500, seconds_each=0.0)
    policy = RetryPolicy(total_s=10)
    reader = Retrying(store, policy, sleep=store.sleep, clock=lambda: store.now).get("name")

    with reader:
        first = reader.read(500)
        store.now += 10_000
        assert first + read_all(reader) == CONTENT
