"""Kept connections: one that is not known to be clean is not used again."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from datalad_s3ext.store.lean_http import (
    Connection,
    Connections,
    ConnectTimeout,
    NoConnection,
    Origin,
)
from tests.support.line import Line, is_ended

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.005)


# -- which connections are used again --------------------------------------------------------------


def test_a_connection_whose_answer_was_read_is_used_again(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"hello")

    assert line.body_of(connection).read(100) == b"hello"
    assert line.connections.take() is connection


def test_the_last_used_connection_comes_first(line: Line) -> None:
    older, newer = line.new()[0], line.new()[0]

    line.connections.give_back(older)
    line.connections.give_back(newer)

    assert [line.connections.take(), line.connections.take()] == [newer, older]


@pytest.mark.parametrize("step", [5, 100])
@pytest.mark.parametrize("how", ["read", "readinto"])
def test_bytes_behind_the_body_belong_to_no_answer(line: Line, how: str, step: int) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"helloHTTP/1.1 200 OK\r\n")
    body = line.body_of(connection)
    buffer = bytearray(step)

    got = body.read(step) if how == "read" else bytes(buffer[: body.readinto(memoryview(buffer))])

    assert got == b"hello"
    assert body.read(step) == b""
    assert body.readinto(memoryview(buffer)) == 0
    assert is_ended(peer)
    assert line.connections.take() is not connection


def test_bytes_that_were_never_read_end_a_connection(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD)
    body = line.body_of(connection)
    peer.sendall(b"hello, and more")
    buffer = memoryview(bytearray(5))
    wait_until(lambda: not connection.is_silent())

    assert body.readinto(buffer) == 5

    assert is_ended(peer)
    assert line.connections.take() is not connection


def test_a_body_that_nobody_wants_ends_its_connection(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"hel")

    line.body_of(connection).close()

    assert is_ended(peer)


def test_a_long_body_is_not_read_only_to_keep_its_connection(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"hello")

    assert line.body_of(connection).drain(limit=4) == b""
    assert is_ended(peer)


def test_a_body_that_ends_early_is_not_taken_for_whole(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"hel")
    peer.shutdown(socket.SHUT_WR)

    with pytest.raises(ConnectionResetError):
        line.body_of(connection).drain()

    assert is_ended(peer)


@pytest.mark.parametrize("said", ["close", "keep-alive, Close", "upgrade"])
def test_a_connection_that_the_server_will_not_keep_is_ended(line: Line, said: str) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD.replace(b"\r\n\r\n", f"\r\nConnection: {said}\r\n\r\n".encode()) + b"hello")

    assert line.body_of(connection).read(5) == b"hello"
    assert is_ended(peer)


@pytest.mark.parametrize("unasked", [HEAD, b"\r\n", b""], ids=["answer", "line", "end"])
def test_a_connection_on_which_something_came_while_idle_is_not_used(
    line: Line, unasked: bytes
) -> None:
    connection, peer = line.new()
    line.connections.give_back(connection)
    if unasked:
        peer.sendall(unasked)
    else:
        peer.shutdown(socket.SHUT_WR)
    wait_until(lambda: not connection.is_silent())

    assert line.connections.take() is not connection
    assert is_ended(peer)


@pytest.mark.parametrize(("idle_s", "is_used"), [(0, True), (25, True), (31, False), (3600, False)])
def test_a_connection_that_was_idle_too_long_is_not_used(
    line: Line, idle_s: float, is_used: bool
) -> None:
    connection, peer = line.new()
    line.connections.give_back(connection)
    connection.idle_since -= idle_s

    assert (line.connections.take() is connection) is is_used
    assert is_ended(peer) is not is_used


def test_a_connection_on_which_sending_failed_is_not_used_again(line: Line) -> None:
    connection, peer = line.new()
    peer.sendall(HEAD + b"hello")

    assert connection.has_answer()
    assert line.body_of(connection).read(5) == b"hello"

    assert is_ended(peer)


def test_more_connections_than_needed_are_ended(line: Line) -> None:
    pairs = [line.new() for _ in range(33)]
    for connection, _ in pairs:
        line.connections.give_back(connection)

    assert [is_ended(peer) for _, peer in pairs[31:]] == [False, True]

    line.connections.close()
    assert all(is_ended(peer) for _, peer in pairs)


def test_a_place_where_nobody_listens_is_left_to_the_long_way(line: Line) -> None:
    line.listener.close()

    with pytest.raises(NoConnection):
        line.connections.take()


def test_a_host_that_does_not_answer_is_told_from_one_that_refuses() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        origin = Origin("127.0.0.1", full.getsockname()[1])
        connections = Connections(origin, connect_timeout_s=0.2, read_timeout_s=1)
        with socket.create_connection(full.getsockname()), pytest.raises(ConnectTimeout):
            connections.take()


# -- the same over TLS, where bytes wait inside the library -----------------------------------------


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the settings of a server for 127.0.0.1 and those of a client that trusts it."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(certificate())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(Path(file)))


def certificate() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made.public_bytes(pem)


@pytest.mark.parametrize(("sent", "is_kept"), [(b"hello", True), (b"hello, and more", False)])
def test_bytes_that_wait_inside_of_tls_end_a_connection(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], sent: bytes, is_kept: bool
) -> None:
    server, client = contexts
    head_read, done = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        with server.wrap_socket(raw, server_side=True) as peer:
            peer.sendall(HEAD)
            head_read.wait(5)
            peer.sendall(sent)  # one record: what is not asked for stays in the library
            done.wait(5)

    with Line(client) as line:
        thread = threading.Thread(target=serve, args=(line.listener,))
        thread.start()
        connection = line.connections.take()
        body = line.body_of(connection)
        head_read.set()

        assert body.readinto(memoryview(bytearray(5))) == 5

        other: Connection | None = None
        with contextlib.suppress(ConnectTimeout):  # nobody would take a second one
            other = line.connections.take()
        assert (other is connection) is is_kept
        done.set()
        thread.join()


# -- connections made before they are needed -------------------------------------------------------


def test_a_connection_made_ahead_is_the_next_one(line: Line) -> None:
    line.connections.prepare()
    peer, _ = line.listener.accept()
    with peer:
        line.connections.take().send(b"?")

        assert peer.recv(1) == b"?"


def test_that_none_can_be_made_ahead_is_no_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        origin = Origin("127.0.0.1", gone.getsockname()[1])
    connections = Connections(origin, connect_timeout_s=1, read_timeout_s=1)

    connections.prepare()

    with pytest.raises(NoConnection):
        connections.take()


@pytest.mark.parametrize(("sent", "is_kept"), [(b"", True), (b"x", False), (None, False)])
def test_over_tls_what_is_no_data_does_not_end_a_connection_made_ahead(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], sent: bytes | None, is_kept: bool
) -> None:
    """The tickets of TLS 1.3 come after the handshake, when nobody reads."""
    server, client = contexts
    is_sent, done = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # not to wait behind the tickets
        with server.wrap_socket(raw, server_side=True) as peer:
            if sent is None:
                socket.socket.shutdown(peer, socket.SHUT_WR)
            else:
                peer.sendall(sent)
            is_sent.set()
            done.wait(5)

    with Line(client) as line:
        thread = threading.Thread(target=serve, args=(line.listener,))
        thread.start()
        line.connections.prepare()
        assert is_sent.wait(5)
        (ahead,) = line.connections._idle

        assert ahead.is_silent() is is_kept
        assert not is_kept or line.connections.take() is ahead
        done.set()
        thread.join()
