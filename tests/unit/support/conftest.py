"""A server of the simplest kind, a relay before it, and a client."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.support.relay import Relay

CONTENT = bytes(range(256)) * 4096  # 1 MiB, more than fits the buffers of one read


class Store(BaseHTTPRequestHandler):
    """Keeps what is PUT, by path; GET returns it, in chunks when the path says so."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    hosts: list[str]

    def do_PUT(self) -> None:
        self.hosts.append(self.headers["Host"])
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) == length:
            self.objects[self.path] = body
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.objects.get(self.path, CONTENT))

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        chunked = "chunked" in self.path
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)

    def log_message(self, *_: object) -> None:
        pass


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.hosts: list[str] = []
        handler = type("Handler", (Store,), {"objects": self.objects, "hosts": self.hosts})
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        pass  # resets are what the tests are about


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def relay(upstream: Upstream) -> Iterator[Relay]:
    with Relay(upstream.url) as running:
        yield running


class Client(http.client.HTTPConnection):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__(parts.hostname or "", parts.port, timeout=10)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        self.request(method, path, body, headers)
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def client(relay: Relay) -> Iterator[Client]:
    connection = Client(relay.url)
    yield connection
    connection.close()
