"""A server that says, byte for byte, what the test wants."""

from __future__ import annotations

import socket
import threading
from typing import Self

from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.store.lean_client import LeanClient
from datalad_s3ext.store.s3 import S3Store, open_store

HEAD_OK = b'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Length: 5\r\n\r\n'


class RawServer:
    """Answers byte for byte what the test says: a list of answers for each connection.

    The connection is closed when its list is used up. Requests are kept, those of connections that
    were closed without one as ``b""``.
    """

    def __init__(self, listener: socket.socket | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections: list[list[bytes]] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            answers = self.connections.pop(0) if self.connections else []
            threading.Thread(target=self._serve, args=(connection, answers), daemon=True).start()

    def _serve(self, connection: socket.socket, answers: list[bytes]) -> None:
        with connection:
            for answer in answers:
                self.requests.append(read_request(connection))
                connection.sendall(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < wanted and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "x-amz-request-id: R", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def refusal(status: str, code: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())


def opened(url: str, keys: Keys | Anonymous | None = None, *, read_timeout_s: float = 3) -> S3Store:
    """Return a store at `url` that goes the short way."""
    connection = resolve(load_provider("seaweedfs"), endpoint=url, environ={})
    keys = keys or Keys("AKIA", "secret")
    store = open_store(connection, keys, "bucket", read_timeout_s=read_timeout_s)
    assert isinstance(store, S3Store)
    assert isinstance(store._client, LeanClient)
    return store
