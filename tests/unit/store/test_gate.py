"""Fewer requests at once after "slow down", and more again when all goes well."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from datalad_s3ext.errors import AccessDenied, S3xError, TransientError
from datalad_s3ext.store import gate as gate_module
from datalad_s3ext.store.gate import AS_MANY_AS_LIKED, FORGIVEN, Gate, asks_to_slow_down

SLOW_DOWN = TransientError("busy", http_status=503, code="SlowDown")
RESET = TransientError("the connection broke")


def eventually(condition: Callable[[], bool]) -> None:
    end = clock.monotonic() + 5
    while not condition():
        assert clock.monotonic() < end
        clock.sleep(0.005)


def slowed(gate: Gate, under_way: int) -> None:
    """Have `under_way` requests sent side by side and all of them refused."""
    for turn in [gate.enter() for _ in range(under_way)]:
        turn.leave(SLOW_DOWN)


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        (SLOW_DOWN, True),
        (TransientError("busy", http_status=429), True),
        (TransientError("busy", http_status=400, code="ThrottlingException"), True),
        (TransientError("failed inside", http_status=500, code="InternalError"), False),
        (RESET, False),
        (AccessDenied("no", http_status=403), False),
        (None, False),
    ],
)
def test_what_asks_for_fewer_requests(error: S3xError | None, asks: bool) -> None:
    assert asks_to_slow_down(error) is asks


def test_all_pass_until_a_server_asks_for_fewer() -> None:
    gate = Gate()

    turns = [gate.enter() for _ in range(1000)]
    for turn in turns:
        turn.leave(RESET)

    assert gate.limit == AS_MANY_AS_LIKED


def test_one_storm_halves_once_however_many_it_hits() -> None:
    gate = Gate()

    slowed(gate, 16)

    assert gate.limit == 8


def test_storm_after_storm_leaves_one() -> None:
    gate = Gate()

    for _ in range(10):
        slowed(gate, min(gate.limit, 16))

    assert gate.limit == 1


def test_after_a_run_of_successes_one_more_may_pass() -> None:
    gate = Gate()
    slowed(gate, 8)

    limits = []
    for _ in range(4 + 5):
        gate.enter().leave()
        limits.append(gate.limit)

    assert limits == [4, 4, 4, 5, 5, 5, 5, 5, 6]


def test_in_the_end_nobody_counts_any_more() -> None:
    gate = Gate()
    slowed(gate, 16)

    for _ in range(FORGIVEN**2):
        gate.enter().leave()

    assert gate.limit == AS_MANY_AS_LIKED


def test_never_more_than_allowed_are_under_way() -> None:
    gate = Gate()
    slowed(gate, 8)
    lock, under_way, most = threading.Lock(), [0], [0]

    def request(_: int) -> None:
        turn = gate.enter()
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            assert under_way[0] <= gate.limit
        clock.sleep(0.002)
        with lock:
            under_way[0] -= 1
        turn.leave(RESET)  # so that the limit stays

    with ThreadPoolExecutor(16) as workers:
        list(workers.map(request, range(100)))

    assert most == [4]


def test_the_first_to_wait_is_the_first_to_pass() -> None:
    gate = Gate()
    slowed(gate, 2)
    first, passed = gate.enter(), list[int]()

    def request(number: int) -> None:
        turn = gate.enter()
        passed.append(number)
        turn.leave(RESET)

    threads = [threading.Thread(target=request, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        eventually(lambda number=number: len(gate._waiting) == number)
    first.leave(RESET)
    for thread in threads:
        thread.join()

    assert passed == [0, 1, 2, 3, 4]


def test_who_waits_hears_that_the_process_ends() -> None:
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    gate = Gate(sleep=sleep)
    slowed(gate, 2)
    turn = gate.enter()

    with pytest.raises(KeyboardInterrupt):
        gate.enter()

    turn.leave()
    gate.enter().leave()


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "WAIT_LIMIT_S", 0.0)
    gate = Gate()
    slowed(gate, 2)
    held = gate.enter()

    second = gate.enter()

    second.leave()
    held.leave()
    held.leave()
    assert gate._under_way == 0
