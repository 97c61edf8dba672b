"""Answers to single questions come whole, however the network cuts them."""

from __future__ import annotations

import pytest

from datalad_s3ext.store.diagnose import ENOUGH_BYTES, beginning_of


class Pieces:
    """A body of which `at_once` bytes have come whenever somebody asks."""

    def __init__(self, size: int, at_once: int) -> None:
        self.left = size
        self.at_once = at_once

    def read(self, size: int) -> bytes:
        count = min(size, self.left, self.at_once)
        self.left -= count
        return b"x" * count


@pytest.mark.parametrize("at_once", [1, 512, 10_000])
@pytest.mark.parametrize("size", [0, 1024])
def test_a_body_that_comes_in_pieces_is_read_to_its_end(size: int, at_once: int) -> None:
    assert beginning_of(Pieces(size, at_once)) == b"x" * size


def test_of_a_long_body_enough_is_read() -> None:
    body = Pieces(ENOUGH_BYTES + 10, 40_000)

    assert len(beginning_of(body)) == ENOUGH_BYTES
    assert body.left == 10
