"""Bodies that drip, on connections that botocore has made: the same rule holds as on ours."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import RangeReader
from datalad_s3ext.store.s3 import S3Store
from datalad_s3ext.store.s3_client import make_client
from datalad_s3ext.store.s3_place import place_of
from tests.support.raw_server import read_request
from tests.unit.store.conftest import KEYS, connection

WINDOW_S = 0.4
HEAD = 'HTTP/1.1 206 Partial Content\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Range: bytes 0-99999/100000\r\n'
COUNTED = HEAD + "Content-Length: 100000\r\n\r\n"
IN_CHUNKS = HEAD + "Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def server(head: str, pieces: Iterator[bytes], pause_s: float) -> Iterator[str]:
    """Answer one request with `head` and then piece after piece."""

    def serve() -> None:
        with suppress(OSError), listener.accept()[0] as client:
            read_request(client)
            client.sendall(head.encode())
            for piece in pieces:
                time.sleep(pause_s)
                client.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(5)


@contextmanager
def opened(url: str, window_s: float = WINDOW_S) -> Iterator[RangeReader]:
    where = connection(url)
    client = make_client(where, KEYS, "bucket", read_timeout_s=window_s)
    store = S3Store(client, where, place_of(where, KEYS, "bucket"))
    with store.get("a", start=0, length=100_000) as reader:
        yield reader
    store.close()


def all_of(reader: RangeReader, *, into: bool = False) -> bytes:
    """Read to the end, by one of the two ways."""
    got, view = b"", memoryview(bytearray(1 << 20))
    while piece := bytes(view[: reader.readinto(view)]) if into else reader.read(1 << 20):
        got += piece
    return got


@pytest.mark.parametrize("into", [True, False])
@pytest.mark.parametrize(
    ("head", "piece"), [(COUNTED, b"x"), (IN_CHUNKS, b"1\r\nx\r\n")], ids=["counted", "chunked"]
)
def test_a_body_that_drips_is_given_up(head: str, piece: bytes, into: bool) -> None:
    drops = (piece for _ in range(100))
    began = time.monotonic()

    with (
        server(head, drops, WINDOW_S / 8) as url,
        opened(url) as reader,
        pytest.raises(errors.TransientError, match="TooSlow"),
    ):
        all_of(reader, into=into)

    assert time.monotonic() - began < 10 * WINDOW_S


def test_a_slow_body_that_keeps_the_pace_is_read_to_its_end() -> None:
    pieces = (b"x" * 5_000 for _ in range(20))
    window_s = 5 * WINDOW_S  # less than it takes, and more than a busy machine may pause

    with server(COUNTED, pieces, WINDOW_S / 3) as url, opened(url, window_s) as reader:
        got = all_of(reader)

    assert got == b"x" * 100_000


def test_a_body_in_chunks_is_read_when_its_range_tells_its_length() -> None:
    pieces = iter([b"%x\r\n" % 50_000 + b"y" * 50_000 + b"\r\n"] * 2 + [b"0\r\n\r\n"])

    with server(IN_CHUNKS, pieces, 0) as url, opened(url) as reader:
        got = all_of(reader)

    assert got == b"y" * 100_000


def test_a_body_in_chunks_that_is_too_short_is_not_taken_for_whole() -> None:
    pieces = iter([b"%x\r\n" % 50_000 + b"y" * 50_000 + b"\r\n", b"0\r\n\r\n"])

    with (
        server(IN_CHUNKS, pieces, 0) as url,
        opened(url) as reader,
        pytest.raises(errors.TransientError, match="after 50000 of 100000 bytes"),
    ):
        all_of(reader)
