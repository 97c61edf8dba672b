"""Web servers, and URLs that came with a clone, that mean no good."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from datalad_s3ext.errors import ConfigError, IntegrityError, S3xError, TransientError
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.web import AddressPolicy, WebStore

CONTENT = bytes(range(256)) * 4
Said = tuple[int, Mapping[str, str], bytes]


class Server:
    """Says to every request what it was told to."""

    def __init__(self) -> None:
        self.said: Said = (200, {}, b"")
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, headers, body = outer.said
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Be silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file"


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture
def web() -> Iterator[WebStore]:
    store = WebStore(RetryPolicy(), AddressPolicy("all"), 2)
    yield store
    store.close()


def read(store: WebStore, url: str, start: int, length: int) -> bytes:
    with store.get(url, start=start, length=length) as answer:
        data = b""
        while len(data) < answer.length:
            data += answer.read(1000)
        return data


def part(start: int, body: bytes, **headers: str) -> Said:
    said = f"bytes {start}-{start + len(body) - 1}/{len(CONTENT)}"
    return 206, {"Content-Range": said, "Content-Length": str(len(body)), **headers}, body


@pytest.mark.parametrize("start", [0, 99, 101])
def test_another_part_than_was_asked_for_is_refused(server: Server, web: WebStore, start: int) -> None:
    server.said = part(start, CONTENT[start : start + 50])

    with pytest.raises(IntegrityError, match="answered with another part"):
        read(web, server.url, 100, 50)


def test_a_body_that_ends_early_is_no_end(server: Server, web: WebStore) -> None:
    status, headers, body = part(100, CONTENT[100:150])
    server.said = status, headers, body[:20]

    with pytest.raises(TransientError, match="broke off"):
        read(web, server.url, 100, 50)


def test_parts_are_what_is_stored_whatever_their_encoding(server: Server, web: WebStore) -> None:
    stored = gzip.compress(CONTENT)[:50]
    server.said = part(0, stored, **{"Content-Encoding": "gzip"})

    assert stored == read(web, server.url, 0, 50)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1"])
def test_redirects_lead_to_the_web_only(server: Server, web: WebStore, target: str) -> None:
    server.said = 302, {"Location": target, "Content-Length": "0"}, b""

    with pytest.raises(S3xError):
        read(web, server.url, 0, 50)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
def test_this_machine_is_not_asked(server: Server, host: str) -> None:
    strict = WebStore(RetryPolicy(), AddressPolicy(), 2)
    url = server.url.replace("127.0.0.1", host)

    with pytest.raises(S3xError, match=r"is not a public address|cannot be reached"):
        read(strict, url, 0, 50)
    assert server.asked == []


def test_a_proxy_is_not_asked_for_private_addresses(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/file"))
    strict = WebStore(RetryPolicy(), AddressPolicy(), 2)

    with pytest.raises(ConfigError, match="is not a public address"):
        read(strict, "http://169.254.169.254/latest/meta-data", 0, 50)
    assert server.asked == []


def test_no_message_tells_a_secret(server: Server, web: WebStore) -> None:
    secret = server.url.replace("//", "//me:hush@") + "?X-Amz-Signature=hush"
    for said in ((404, {}, b""), (206, {}, b""), part(7, b"x"), (200, {}, b"x"), (500, {}, b"")):
        server.said = said
        with pytest.raises(S3xError) as caught:
            read(web, secret, 0, 50)
        assert "127.0.0.1" in str(caught.value)
        assert "hush" not in str(caught.value)
    server.said = part(0, CONTENT[:50])
    with web.get(secret, start=0, length=50) as answer:
        assert "hush" not in answer.info.name
    server.http.server_close()
    with pytest.raises(S3xError, match="cannot be reached") as caught:
        read(web, secret.replace("127.0.0.1", "127.0.0.2"), 0, 50)
    assert "hush" not in str(caught.value)


def test_a_body_that_drips_is_given_up() -> None:
    """A time-out between two packets never sees it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.recv(10_000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not ended.wait(0.02):
                    client.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        store = WebStore(RetryPolicy(stall_s=0.3), AddressPolicy("all"), 2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        with pytest.raises(TransientError, match="broke off"):
            read(store, url, 0, 1_000_000)
        ended.set()
        thread.join()
