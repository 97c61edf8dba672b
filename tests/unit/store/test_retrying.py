from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import DEFAULT_PUT, Body, ObjectInfo, PutOptions, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.retrying import Retrying, RetryPolicy


class Flaky(MemoryStore):
    """Fails as often as it has errors, after reading half of what it is sent."""

    def __init__(self, *failures: errors.S3xError) -> None:
        super().__init__()
        self.failures = list(failures)
        self.calls = 0

    def _fail(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)

    def head(self, name: str) -> ObjectInfo:
        self._fail()
        return super().head(name)

    def delete(self, name: str) -> None:
        super().delete(name)
        self._fail()

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        if self.failures:
            body.read(size_bytes // 2)
        self._fail()
        return super().put(name, body, size_bytes, md5=md5, options=options)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix, start_after=start_after)):
            if number == 2:
                self._fail()
            yield info


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def busy(retry_after_s: float | None = None) -> errors.TransientError:
    return errors.TransientError("busy", retry_after_s=retry_after_s)


def patient(store: MemoryStore, time: Time, **policy: float) -> Retrying:
    return Retrying(
        store,
        RetryPolicy(**policy),  # type: ignore[arg-type]
        sleep=time.sleep,
        clock=time.clock,
        draw=lambda: 1.0,
    )


@pytest.fixture
def time() -> Time:
    return Time()


def test_body_is_rewound_to_where_it_stood(time: Time) -> None:
    inner = Flaky(busy(), busy())
    body = io.BytesIO(b"headpayload")
    body.seek(4)

    patient(inner, time).put("name", body, 7)

    with inner.get("name") as reader:
        assert reader.read(100) == b"payload"


def test_waits_grow(time: Time) -> None:
    with pytest.raises(errors.TransientError):
        patient(Flaky(*(busy() for _ in range(9))), time).head("name")

    assert time.waits == [0.5, 1.0, 2.0, 4.0]


def test_waits_are_bounded(time: Time) -> None:
    with pytest.raises(errors.TransientError):
        patient(
            Flaky(*(busy() for _ in range(9))), time, attempts=9, longest_wait_s=3, total_s=99
        ).head("name")

    assert time.waits == [0.5, 1, 2, 3, 3, 3, 3, 3]


def test_server_names_the_wait(time: Time) -> None:
    inner = Flaky(busy(retry_after_s=30))
    with pytest.raises(errors.ObjectNotFound):
        patient(inner, time).head("name")

    assert time.waits == [30]


def test_no_wait_beyond_the_total(time: Time) -> None:
    inner = Flaky(busy(retry_after_s=300))

    with pytest.raises(errors.TransientError):
        patient(inner, time).head("name")
    assert (time.waits, inner.calls) == ([], 1)


def test_unreachable_is_given_up_sooner(time: Time) -> None:
    inner = Flaky(*(errors.Unreachable("no route") for _ in range(9)))

    with pytest.raises(errors.Unreachable):
        patient(inner, time).head("name")
    assert inner.calls == 3


@pytest.mark.parametrize(
    "error",
    [
        errors.AccessDenied("no"),
        errors.IntegrityError("no"),
        errors.ObjectNotFound("no"),
        errors.NotS3("no"),
    ],
)
def test_other_errors_are_not_retried(error: errors.S3xError, time: Time) -> None:
    inner = Flaky(error)

    with pytest.raises(type(error)):
        patient(inner, time).head("name")
    assert (inner.calls, time.waits) == (1, [])


def test_delete_whose_reply_was_lost(time: Time) -> None:
    inner = Flaky(busy())
    MemoryStore.put(inner, "name", io.BytesIO(b"x"), 1)

    patient(inner, time).delete("name")

    assert inner.calls == 2


def test_list_goes_on_where_it_broke(time: Time) -> None:
    inner = Flaky(*(busy() for _ in range(20)))
    for name in "abcdefghij":
        MemoryStore.put(inner, name, io.BytesIO(b"x"), 1)

    found = [info.name for info in patient(inner, time).list()]

    assert found == list("abcdefghij")


def test_jitter_is_full() -> None:
    policy = RetryPolicy()

    assert policy.wait_s(busy(), 3, 0.0) == 0
    assert policy.wait_s(busy(), 3, 0.5) == 1.0
