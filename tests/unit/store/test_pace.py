from __future__ import annotations

import pytest

from datalad_s3ext.store.pace import LEAST_BYTES_PER_S, Pace, TooSlow


def used(line: set[Pace], count: int = 1) -> Pace:
    paces = [Pace(60.0, line) for _ in range(count)]
    for pace in paces:
        pace.begin()
    return paces[0]


def test_one_byte_every_ten_seconds_is_no_progress() -> None:
    pace = used(set())
    for _ in range(5):
        pace.note(1, 10.0)

    with pytest.raises(TooSlow, match="6 bytes in 60 s"):
        pace.note(1, 10.0)


def test_a_slow_line_is_no_fault() -> None:
    pace = used(set())

    for _ in range(1000):
        pace.note(2 * LEAST_BYTES_PER_S, 1.9)


def test_many_connections_share_a_slow_line() -> None:
    line: set[Pace] = set()
    pace = used(line, 16)

    for _ in range(1000):
        pace.note(LEAST_BYTES_PER_S // 8, 1.9)


def test_one_that_drips_is_found_out_when_the_others_are_done() -> None:
    line: set[Pace] = set()
    pace = used(line, 16)
    pace.note(10 * LEAST_BYTES_PER_S, 60.0)
    pace.note(10 * LEAST_BYTES_PER_S, 59.0)

    for other in line - {pace}:
        other.end()

    with pytest.raises(TooSlow):
        pace.note(1, 1.0)


def test_time_in_which_nobody_waited_for_the_network_does_not_count() -> None:
    pace = used(set())

    for _ in range(100_000):  # as with a bandwidth limit of a few bytes a second
        pace.note(10, 0.000_1)


def test_each_use_begins_anew() -> None:
    pace = used(set())
    pace.note(1, 59.0)

    pace.end()
    pace.begin()

    pace.note(1, 59.0)
