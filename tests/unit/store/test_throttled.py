"""A limit on bandwidth: kept, shared, and no obstacle where there is none."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from datalad_s3ext.store.base import DEFAULT_PUT, Body, ObjectStore, PutOptions, Stored
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.s3_body import BodyWindow, to_send
from datalad_s3ext.store.throttled import BURST_S, Throttle, Throttled, TokenBucket
from datalad_s3ext.transfer.slices import FileSlice
from datalad_s3ext.units import KIB, MIB
from tests.conformance.store_suite import StoreSuite

RATE = 1_000_000


class TestThrottledMemoryStore(StoreSuite):
    __test__ = True

    @pytest.fixture
    def store(self) -> ObjectStore:
        return Throttle(10**12, 10**12).around(MemoryStore())


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def bucket(time: Time) -> TokenBucket:
    return TokenBucket(RATE, sleep=time.sleep, clock=time.clock)


class Sending(MemoryStore):
    """Reads a body as the wire does: once for a checksum, then to send it."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[int] = []

    def put(
        self, name: str, body: Body, size_bytes: int, *, md5: bytes | None = None,
        options: PutOptions = DEFAULT_PUT,
    ) -> Stored:  # fmt: skip
        sent = to_send(body, size_bytes)
        assert isinstance(sent, BodyWindow)
        while sent.read(MIB):
            pass
        sent.seek(0)
        sent.sending()
        while block := sent.read(MIB):
            self.blocks.append(len(block))
        return Stored("")


def throttle(time: Time, up: int | None = None, down: int | None = None) -> Throttle:
    found = Throttle(up, down, sleep=time.sleep)
    for bucket in (found.up, found.down):
        if bucket is not None:
            bucket._clock = time.clock
            bucket._free_at = 0.0
    return found


def test_bytes_pass_no_faster_than_allowed(bucket: TokenBucket, time: Time) -> None:
    for _ in range(100):
        bucket.take(30_000)

    assert time.now == pytest.approx(3.0)


def test_unused_time_is_made_up_for_only_a_little(bucket: TokenBucket, time: Time) -> None:
    time.now = 1000.0

    bucket.take(RATE)

    assert time.now == pytest.approx(1001.0 - BURST_S)


def test_callers_pass_in_the_order_in_which_they_came(time: Time) -> None:
    waits: list[float] = []
    bucket = TokenBucket(RATE, sleep=waits.append, clock=time.clock)

    for _ in range(3):
        bucket.take(RATE // 2)

    assert waits == pytest.approx([0.5, 1.0, 1.5])


@pytest.mark.parametrize("rate", [1, 100, 10_000, RATE, 10**9])
def test_a_turn_is_short_but_never_nothing(rate: int) -> None:
    turn = TokenBucket(rate).turn_bytes

    assert 0 < turn <= 256 * KIB
    assert turn <= max(256, rate / 40)


def test_what_sleep_raises_ends_the_wait(time: Time) -> None:
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TokenBucket(10, sleep=sleep).take(100)


@pytest.mark.parametrize("size", [100_000, 3 * MIB])
def test_what_is_sent_goes_out_in_small_pieces_and_its_checksum_is_free(
    time: Time, tmp_path: Path, size: int
) -> None:
    """Whether the body is small enough for memory or not."""
    counted: list[int] = []
    store = Sending()
    (tmp_path / "f").write_bytes(bytes(size))
    with (tmp_path / "f").open("rb", buffering=0) as file:
        body = FileSlice(file, 0, size, on_send=counted.append)
        throttle(time, up=RATE).around(store).put("name", body, size)

    assert sum(store.blocks) == size
    assert max(store.blocks) <= RATE / 40
    assert sum(counted) == size
    assert time.now == pytest.approx(size / RATE)


def test_what_is_received_is_read_slowly(time: Time) -> None:
    store = MemoryStore()
    store.put("name", BytesIO(bytes(range(200)) * 5000), 1_000_000)
    buffer = bytearray(1_000_000)
    slow = throttle(time, down=RATE).around(store)

    with slow.get("name", length=500_000) as reader:
        data = b"".join(iter(lambda: reader.read(MIB), b""))
    with slow.get("name", start=500_000) as reader:
        view = memoryview(buffer)
        while view and (count := reader.readinto(view)):
            view = view[count:]

    assert data + bytes(buffer[:500_000]) == bytes(range(200)) * 5000
    assert time.now == pytest.approx(1.0)


def test_without_a_limit_nothing_is_in_the_way() -> None:
    store = MemoryStore()

    assert Throttle(None, 0).around(store) is store


def test_a_limit_for_one_direction_leaves_the_other_alone(time: Time) -> None:
    store = MemoryStore()
    store.put("name", BytesIO(b"x" * 100_000), 100_000)

    limited = throttle(time, up=10).around(store)

    assert isinstance(limited, Throttled)
    with limited.get("name") as reader:
        assert len(reader.read(MIB)) == 100_000
    assert time.now == 0
