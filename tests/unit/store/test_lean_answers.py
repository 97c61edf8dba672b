"""Answers that must not be taken for success, and when a server is not asked the short way any more."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from datalad_s3ext.errors import AccessDenied, TransientError
from tests.support.raw_server import HEAD_OK, RawServer, answer, opened, refusal

ETAG = 'ETag: "' + "0" * 32 + '"'
STORED = answer("200 OK", b"", ETAG)
LAST = HEAD_OK.replace(b"ETag", b"Connection: close\r\nETag")
"""For botocore, which would meet the end of a kept connection unprepared."""
ODD = HEAD_OK.replace(b"HTTP/1.1", b"HTTP/1.0")
RANGE = answer("206 Partial", b"hello", 'ETag: "e"', "Content-Range: bytes 0-4/5")
SIZE = 20_000_000
"""More than what the system takes before a server reads it."""


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


@contextlib.contextmanager
def hasty(given: bytes) -> Iterator[str]:
    """Yield the URL of a server that answers the beginning of a request and closes at once."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(given)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def senders(server: RawServer) -> list[str]:
    """Return who sent each request: we, or botocore for us."""
    return ["boto" if b"Boto" in request else "lean" for request in server.requests]


def bodies(server: RawServer) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in server.requests]


# -- before the body was sent ----------------------------------------------------------------------


def test_success_before_the_body_was_sent_is_none() -> None:
    with hasty(STORED) as url, pytest.raises(TransientError):
        opened(url).put("k", io.BytesIO(bytes(SIZE)), SIZE)


def test_a_refusal_before_a_reset_is_heard() -> None:
    with hasty(refusal("403 Forbidden", "AccessDenied")) as url, pytest.raises(AccessDenied):
        opened(url).put("k", io.BytesIO(bytes(SIZE)), SIZE)


def test_a_reset_without_an_answer_is_a_passing_fault() -> None:
    with hasty(b"") as url, pytest.raises(TransientError):
        opened(url).put("k", io.BytesIO(bytes(SIZE)), SIZE)


# -- kept connections ------------------------------------------------------------------------------


def test_a_body_is_sent_whole_again_when_a_kept_connection_ends_without_an_answer(
    server: RawServer,
) -> None:
    content = os.urandom(2_000_000)
    server.connections = [[HEAD_OK, b""], [STORED]]
    store = opened(server.url)
    store.head("k")

    store.put("k", io.BytesIO(content), len(content))

    assert bodies(server) == [b"", content, content]


def test_a_fresh_connection_that_ends_without_an_answer_is_not_replaced(server: RawServer) -> None:
    server.connections = [[b""], [HEAD_OK]]

    with pytest.raises(TransientError):
        opened(server.url).head("k")

    assert len(server.requests) == 1


def test_a_kept_connection_is_replaced_once(server: RawServer) -> None:
    server.connections = [[HEAD_OK, b""], [b""], [HEAD_OK]]
    store = opened(server.url)
    store.head("k")

    with pytest.raises(TransientError):
        store.head("k")

    assert len(server.requests) == 3


def test_a_kept_connection_is_not_replaced_by_another_kept_one(server: RawServer) -> None:
    """A server that drops one idle connection has most likely dropped them all."""
    server.connections = [[RANGE, b""], [HEAD_OK, b""], [HEAD_OK]]
    store = opened(server.url)
    with store.get("k", start=0, length=5) as reader:
        store.head("k")
        reader.read(5)

    assert store.head("k").size_bytes == 5
    assert len(server.requests) == 4


def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_one(server: RawServer) -> None:
    stranger = HEAD_OK.replace(b"Content-Length: 5", b"Content-Length: 6")
    server.connections = [[HEAD_OK + stranger], [HEAD_OK]]
    store = opened(server.url)

    assert [store.head("k1").size_bytes, store.head("k2").size_bytes] == [5, 5]
    assert senders(server) == ["lean", "lean"]


def test_more_body_than_was_stated_is_not_read(server: RawServer) -> None:
    server.connections = [[RANGE + b", and more"], [HEAD_OK]]
    store = opened(server.url)

    with store.get("k", start=0, length=5) as reader:
        assert reader.read(100) == b"hello"
        assert reader.read(100) == b""

    assert store.head("k").size_bytes == 5


# -- odd answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "\xb2", "9" * 20])
def test_an_odd_length_is_a_passing_fault(server: RawServer, length: str) -> None:
    odd = HEAD_OK.replace(b"Content-Length: 5", b"Content-Length: " + length.encode("latin-1"))
    server.connections = [[odd]]

    with pytest.raises(TransientError):
        opened(server.url).head("k")

    assert senders(server) == ["lean"]


def test_after_three_odd_answers_all_goes_the_long_way(server: RawServer) -> None:
    server.connections = [[ODD], [LAST]] * 3 + [[LAST], [LAST]]
    store = opened(server.url)

    for _ in range(5):
        assert store.head("k").size_bytes == 5

    assert senders(server) == ["lean", "boto"] * 3 + ["boto", "boto"]


def test_odd_answers_count_only_one_after_the_other(server: RawServer) -> None:
    server.connections = [[ODD], [LAST]] * 2 + [[HEAD_OK]] + [[ODD], [LAST]] * 2
    store = opened(server.url)

    for _ in range(5):
        assert store.head("k").size_bytes == 5

    assert senders(server) == ["lean", "boto"] * 2 + ["lean"] + ["lean", "boto"] * 2


def test_a_server_that_was_away_is_asked_the_short_way_again() -> None:
    """That nobody listens says nothing about the answers of who listens later."""
    with socket.socket() as away:
        away.bind(("127.0.0.1", 0))
        store = opened(f"http://127.0.0.1:{away.getsockname()[1]}")
        for _ in range(3):
            with pytest.raises(TransientError):
                store.head("k")
        away.listen()
        with RawServer(away) as server:
            server.connections = [[HEAD_OK]]

            assert store.head("k").size_bytes == 5

    assert senders(server) == ["lean"]
