"""Descriptions that are asked for before they are needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from datalad_s3ext.errors import ObjectNotFound
from datalad_s3ext.remote.ahead import GAP, WIDTH, Ahead
from datalad_s3ext.store.base import ObjectInfo

NAMES = [f"f{number:03}" for number in range(200)]


class Server:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self, name: str) -> ObjectInfo:
        self.asked.append(name)
        if name == "f100":
            raise ObjectNotFound("gone")
        return ObjectInfo(name, 1, "etag")

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work())
        except ObjectNotFound as error:
            future.set_exception(error)
        return future


def test_in_the_order_of_the_list_each_is_asked_once_and_most_before_they_are_needed() -> None:
    server = Server()
    ahead = Ahead(NAMES, server.describe, server.submit)
    most = 0
    for position, name in enumerate(reversed(NAMES)):
        if name == "f100":
            with pytest.raises(ObjectNotFound):
                ahead.describe(name)
        else:
            assert ahead.describe(name).name == name
        most = max(most, len(server.asked) - position)

    assert sorted(server.asked) == NAMES
    assert WIDTH // 2 < most <= WIDTH + 1


def test_single_names_here_and_there_cost_no_more_than_themselves() -> None:
    server = Server()
    ahead = Ahead(NAMES, server.describe, server.submit)
    wanted = ["f150", "f020", "f180", "f070", "not listed"]
    for name in wanted:
        ahead.describe(name)

    assert server.asked == wanted


def test_names_that_are_left_out_do_not_end_it() -> None:
    server = Server()
    ahead = Ahead(NAMES, server.describe, server.submit)
    for name in NAMES[::-1][:: GAP // 2]:
        if name != "f100":
            ahead.describe(name)

    assert len(server.asked) > WIDTH
