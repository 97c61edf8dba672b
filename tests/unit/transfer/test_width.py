"""Finding out how many pieces of large files should be under way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.width import LEAST, NEAR, PERIOD_S, REST_S, Width
from datalad_s3ext.units import MIB

PIECE = 1_000_000


class Line:
    """A connection to a server of which the speed for each number of pieces is known."""

    def __init__(self, speed: Callable[[int], float], *, most: int = 32, start: int = 16) -> None:
        self.now = 0.0
        self.speed = speed
        self.width = Width(most, start, clock=lambda: self.now)
        self.seen: list[int] = []

    def run(self, seconds: float) -> None:
        """Move pieces for so long."""
        end = self.now + seconds
        while self.now < end:
            self.now += PIECE / self.speed(self.width.limit)
            self.width.note(PIECE)
            if not self.seen or self.seen[-1] != self.width.limit:
                self.seen.append(self.width.limit)


def per_connection(limit: int) -> float:
    return 5e6 * limit


def full_at(count: int) -> Callable[[int], float]:
    return lambda limit: 5e6 * min(limit, count)


def crowded(limit: int) -> float:
    """A server that many requests at once make slower."""
    return 200e6 / (1 + max(0, limit - 6) / 4)


def test_more_connections_are_used_as_long_as_they_make_it_faster() -> None:
    line = Line(per_connection)

    line.run(20)

    assert line.width.limit == 32


def test_not_more_than_there_are() -> None:
    line = Line(per_connection, most=20)

    line.run(60)

    assert max(line.seen) == 20


def test_fewer_are_used_when_they_are_as_fast() -> None:
    line = Line(full_at(8))

    line.run(30)

    assert 7 <= line.width.limit <= 11


def test_a_server_that_suffers_from_many_gets_few() -> None:
    line = Line(crowded)

    line.run(40)

    assert LEAST <= line.width.limit <= 7


def test_where_neither_pays_it_is_left_in_peace() -> None:
    line = Line(full_at(16))
    line.run(15)
    line.seen.clear()

    line.run(REST_S / 2)

    assert line.width.limit == 16
    assert len(line.seen) == 1


def test_after_a_rest_it_is_tried_again() -> None:
    line = Line(full_at(16))
    line.run(15)
    line.speed = per_connection

    line.run(2 * REST_S)

    assert line.width.limit == 32


def test_a_short_transfer_changes_nothing() -> None:
    line = Line(per_connection)

    for _ in range(2 * 16 - 1):
        line.now += PERIOD_S
        line.width.note(PIECE)

    assert line.width.limit == 16


def test_transfers_share_the_number() -> None:
    width = Width(32, 16)

    with width.transfer():
        alone = width.share
        with width.transfer(), width.transfer():
            among_three = width.share

    assert (alone, among_three, width.share) == (16, 5, 16)


@pytest.mark.parametrize("transfers", [40, 100])
def test_everybody_gets_one(transfers: int) -> None:
    width = Width(32, 16)
    shares = [width.transfer() for _ in range(transfers)]
    for share in shares:
        share.__enter__()

    assert width.share == 1


@pytest.mark.parametrize(("seconds", "expected"), [(0.001, NEAR), (0.03, 16), (1.0, 16)])
def test_the_first_answer_tells_how_to_begin(seconds: float, expected: int) -> None:
    width = Width(32, 16)

    width.note_answer(seconds)
    width.note_answer(0.0001)

    assert width.limit == expected


def test_under_a_limit_few_parts_are_under_way() -> None:
    """An interruption loses all of them."""
    pool = Pool(connections=32, upload_bytes_per_s=3_500_000)

    assert (pool.sending.limit, pool.receiving.limit) == (3, 16)
    assert Pool(connections=32, upload_bytes_per_s=1000).sending.limit == 2
    assert Pool(connections=8).sending.limit == 8


def test_ranges_that_find_no_memory_are_not_asked_for() -> None:
    assert Pool(memory_bytes=8 * MIB, buffer_bytes=MIB).receiving.limit == 8
