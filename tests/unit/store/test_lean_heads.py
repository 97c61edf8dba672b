"""Heads of answers that are odd byte for byte, too long, too slow, or without an end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from datalad_s3ext.store.lean_http import NotPlain, content_length, parse_head
from tests.support.line import Line

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


@pytest.mark.parametrize("count", [0, 1, 8])
def test_interim_answers_are_passed_over(line: Line, count: int) -> None:
    connection, peer = line.new()
    peer.sendall(INTERIM * count + HEAD + b"hello")

    assert line.body_of(connection).read(5) == b"hello"


def test_interim_answers_without_an_end_are_a_passing_fault(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(INTERIM * 9 + HEAD)

    with pytest.raises(ConnectionResetError, match="interim"):
        connection.read_head()


@contextlib.contextmanager
def dripping(peer: socket.socket, pieces: Iterator[bytes], every_s: float) -> Iterator[None]:
    """Send a piece now and then, and say good-bye after the last."""
    ended = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                peer.sendall(piece)
                if ended.wait(every_s):
                    return
            peer.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("piece", [b"x", INTERIM], ids=["byte", "interim"])
def test_a_head_that_comes_too_slowly_has_a_deadline(line: Line, piece: bytes) -> None:
    """No single pause is as long as the time-out; the head, which never ends, takes far longer."""
    connection, peer = line.new()
    with (
        dripping(peer, iter([b"HTTP/1.1 103 Early Hints\r\n\r\n"] + [piece] * 8), 0.3),
        pytest.raises(TimeoutError),
    ):
        connection.read_head()


def test_a_head_without_an_end_is_not_kept_in_memory(line: Line) -> None:
    connection, peer = line.new()
    with (
        dripping(peer, iter([b"HTTP/1.1 200 OK\r\nX-Long: "] + [b"x" * 10_000] * 20), 0),
        pytest.raises(NotPlain, match="too long"),
    ):
        connection.read_head()


@pytest.mark.parametrize(
    "length",
    [b"-1", b"+5", b"1_0", b"0x5", b"5 5", b"5,5", b"", b"\xb2", b"\xd9\xa5", b"9" * 20],
)
def test_an_odd_length_is_a_fault_and_no_answer(length: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="length"):
        parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: " + length)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\ncontent-length: 5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"transfer-encoding: Chunked",
        b"Content-Length: 5\r\nContent-Encoding: aws-chunked",
        b"Content-Length: 5\r\nContent-Length : 6",
        b"Content-Length: 5\r\n Content-Length: 6",
    ],
)
def test_a_length_that_is_not_the_only_word_on_it_is_not_believed(lines: bytes) -> None:
    def length() -> int | None:
        status, headers = parse_head(b"HTTP/1.1 200 OK\r\n" + lines)
        return content_length("GET", status, headers)

    with pytest.raises(NotPlain):
        length()
