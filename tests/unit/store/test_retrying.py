from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import DEFAULT_PUT, Body, ObjectInfo, PutOptions, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import Retrying


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


class Crowded(MemoryStore):
    """Refuses whoever comes while `most` requests are under way."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.refused = 0
        self._under_way = 0
        self._counting = threading.Lock()

    def head(self, name: str) -> ObjectInfo:
        with self._counting:
            self._under_way += 1
            is_too_many = self._under_way > self.most
            self.refused += is_too_many
        sleep(0.01)
        with self._counting:
            self._under_way -= 1
        if is_too_many:
            raise errors.TransientError("busy", http_status=503, code="SlowDown")
        return super().head(name)


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


def test_a_number_of_retries_holds_for_every_fault(time: Time) -> None:
    policy = RetryPolicy.of(retries=7)
    inner = Flaky(*(errors.Unreachable("no route") for _ in range(99)))

    with pytest.raises(errors.Unreachable):
        Retrying(inner, policy, sleep=time.sleep, clock=time.clock, draw=lambda: 0.1).head("name")

    assert inner.calls == 8


def test_no_retries_means_one_attempt(time: Time) -> None:
    inner = Flaky(busy())

    with pytest.raises(errors.TransientError):
        Retrying(inner, RetryPolicy.of(retries=0), sleep=time.sleep, clock=time.clock).head("name")

    assert (inner.calls, time.waits) == (1, [])


def test_a_time_stands_for_as_many_attempts_as_it_takes(time: Time) -> None:
    policy = RetryPolicy.of(patience_s=50_000)
    inner = Flaky(*(errors.Unreachable("no route") for _ in range(9999)))

    with pytest.raises(errors.Unreachable):
        Retrying(inner, policy, sleep=time.sleep, clock=time.clock, draw=lambda: 1.0).head("name")

    assert time.now == 50_000
    assert inner.calls > 2000


def test_what_was_not_chosen_stays_as_it_is() -> None:
    assert RetryPolicy.of() == RetryPolicy()
    assert RetryPolicy.of(stall_s=5) == RetryPolicy(stall_s=5)
    assert RetryPolicy.of(retries=1).total_s == RetryPolicy().total_s


def test_fewer_requests_are_sent_at_once_after_slow_down() -> None:
    """Where all went on as before, 200 requests were refused 3000 times; measured."""
    inner = Crowded(most=5)
    for name in range(200):
        MemoryStore.put(inner, str(name), io.BytesIO(b"x"), 1)
    store = Retrying(inner, RetryPolicy(attempts=50, first_wait_s=0.01, longest_wait_s=0.02))

    with ThreadPoolExecutor(16) as workers:
        list(workers.map(store.head, [str(name) for name in range(200)]))

    assert inner.refused <= 200
    assert store._gate._under_way == 0


@pytest.mark.parametrize("close_early", [False, True])
def test_an_answer_counts_until_it_was_read_or_closed(close_early: bool) -> None:
    inner = MemoryStore()
    inner.put("name", io.BytesIO(b"content"), 7)
    store = Retrying(inner)

    reader = store.get("name")
    reader.read(3)
    assert store._gate._under_way == 1
    if close_early:
        reader.close()
    else:
        reader.read(4)

    assert store._gate._under_way == 0
    reader.close()
    assert store._gate._under_way == 0
