"""The relay passes bytes on unchanged, counts them, and breaks things where it is told to."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.support.faults import (
    Answer,
    clock_skewed,
    every,
    has_method,
    internal_error,
    is_complete_upload,
    is_upload_part,
    slow_down,
)
from tests.support.hostile import PAGE, BlackHole, HtmlServer
from tests.support.relay import Relay
from tests.support.wire import Request

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


def test_bodies_pass_unchanged_both_ways_over_one_connection(
    relay: Relay, upstream: Upstream, client: Client
) -> None:
    assert client.ask("PUT", "/a", CONTENT)[0] == 200
    assert client.ask("GET", "/a") == (200, CONTENT)

    assert upstream.objects == {"/a": CONTENT}
    assert (relay.bytes_up, relay.bytes_down) == (len(CONTENT), len(CONTENT))
    assert relay.connections == 1
    assert relay.requests == [("PUT", "/a"), ("GET", "/a")]


def test_host_header_is_the_clients(relay: Relay, upstream: Upstream, client: Client) -> None:
    client.ask("PUT", "/a", b"1")

    assert upstream.hosts == [urlsplit(relay.url).netloc]


def test_head_and_chunked_answers(client: Client) -> None:
    assert client.ask("HEAD", "/a") == (200, b"")
    assert client.ask("GET", "/chunked") == (200, CONTENT)
    assert client.ask("GET", "/a") == (200, CONTENT)


def test_expect_100_continue_reaches_server_and_client(relay: Relay, upstream: Upstream) -> None:
    address = ("127.0.0.1", urlsplit(relay.url).port)
    with socket.create_connection(address, timeout=10) as raw, raw.makefile("rb") as answers:
        raw.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert b" 100 " in answers.readline()
        assert answers.readline() == b"\r\n"
        raw.sendall(b"body")
        assert b" 200 " in answers.readline()

    assert upstream.objects == {"/a": b"body"}


def test_upload_is_reset_after_so_many_bytes(relay: Relay, upstream: Upstream, client: Client) -> None:
    relay.kill_after_bytes_up(100_000)

    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        client.ask("PUT", "/a", CONTENT)

    assert relay.bytes_up == 100_000
    assert upstream.objects == {}
    client.close()
    assert client.ask("PUT", "/a", CONTENT)[0] == 200


def test_download_is_reset_after_so_many_bytes(relay: Relay, client: Client) -> None:
    relay.kill_after_bytes_down(100_000)
    client.request("GET", "/a")

    with pytest.raises(ConnectionResetError):
        client.getresponse().read()

    assert relay.bytes_down == 100_000


def test_truncated_answer_ends_in_good_order(relay: Relay, client: Client) -> None:
    relay.truncate_down(1000)
    client.request("GET", "/a")

    with pytest.raises(http.client.IncompleteRead) as failure:
        client.getresponse().read()

    assert failure.value.partial == CONTENT[:1000]


def test_flipped_byte_down_strikes_once(relay: Relay, client: Client) -> None:
    relay.flip_byte_down(offset=70_000)

    _, damaged = client.ask("GET", "/a")
    _, whole = client.ask("GET", "/a")

    assert [i for i in range(len(CONTENT)) if damaged[i] != CONTENT[i]] == [70_000]
    assert whole == CONTENT


def test_flipped_byte_up_waits_for_its_request(
    relay: Relay, upstream: Upstream, client: Client
) -> None:
    relay.flip_byte_up(lambda request: request.path == "/b")

    client.ask("PUT", "/a", b"1234")
    client.ask("PUT", "/b", b"1234")

    assert upstream.objects == {"/a": b"1234", "/b": b"\xce234"}


def test_answers_in_the_servers_stead(relay: Relay, upstream: Upstream, client: Client) -> None:
    relay.answer(has_method("PUT"), slow_down(retry_after_s=2), times=2)

    first = client.ask("PUT", "/a", CONTENT)
    client.request("PUT", "/a", CONTENT)
    second = client.getresponse()
    assert first[0] == second.status == 503
    assert b"<Code>SlowDown</Code>" in first[1]
    assert second.headers["Retry-After"] == "2"
    second.read()
    assert upstream.objects == {}
    assert client.ask("PUT", "/a", CONTENT)[0] == 200
    assert relay.connections == 1


def test_answer_to_expect_comes_before_the_body(relay: Relay) -> None:
    relay.answer(has_method("PUT"), slow_down())
    address = ("127.0.0.1", urlsplit(relay.url).port)
    with socket.create_connection(address, timeout=10) as raw, raw.makefile("rb") as answers:
        raw.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert b" 503 " in answers.readline()


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (internal_error(), 500, b"InternalError"),
        (internal_error(status=200), 200, b"InternalError"),
        (clock_skewed(), 403, b"RequestTimeTooSkewed"),
        (slow_down(), 503, b"SlowDown"),
    ],
)
def test_recipes(relay: Relay, client: Client, answer: Answer, status: int, code: bytes) -> None:
    relay.answer(every, answer)

    given_status, body = client.ask("GET", "/a")

    assert given_status == status
    assert b"<Code>" + code + b"</Code>" in body


def test_predicates_tell_the_operations_of_an_upload() -> None:
    create = Request("POST", "/b/k?uploads", {})
    part = Request("PUT", "/b/k?partNumber=1&uploadId=x", {})
    complete = Request("POST", "/b/k?uploadId=x", {})

    assert [is_upload_part(r) for r in (create, part, complete)] == [False, True, False]
    assert [is_complete_upload(r) for r in (create, part, complete)] == [False, False, True]


def test_heal_disarms(relay: Relay, client: Client) -> None:
    relay.answer(every, slow_down(), times=5)
    relay.flip_byte_down()
    relay.kill_after_bytes_down(1)

    relay.heal()

    assert client.ask("GET", "/a") == (200, CONTENT)


def test_stall_holds_the_body(relay: Relay, client: Client) -> None:
    relay.stall(0.3, after_bytes=1000)
    client.request("GET", "/a")
    answer = client.getresponse()
    begin = answer.read(1000)
    started = time.monotonic()

    rest = answer.read()

    assert begin + rest == CONTENT
    assert time.monotonic() - started > 0.2


def test_closing_ends_a_stall(upstream: Upstream) -> None:
    with Relay(upstream.url) as relay:
        relay.stall(100)
        client = Client(relay.url)
        client.request("GET", "/a")
        client.getresponse()
        started = time.monotonic()

    assert time.monotonic() - started < 5
    client.close()


def test_latency_is_a_round_trip(upstream: Upstream) -> None:
    with Relay(upstream.url, latency_s=0.1) as relay:
        client = Client(relay.url)
        client.ask("HEAD", "/connect")
        started = time.monotonic()
        client.ask("HEAD", "/a")
        took_s = time.monotonic() - started
        client.close()

    assert 0.1 <= took_s < 0.2


def test_rate_is_kept(upstream: Upstream) -> None:
    with Relay(upstream.url, rate_bytes_per_s=4 * len(CONTENT)) as relay:
        client = Client(relay.url)
        started = time.monotonic()
        client.ask("GET", "/a")
        took_s = time.monotonic() - started
        client.close()

    assert 0.24 <= took_s < 0.5


def test_server_that_is_gone_resets_the_client(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with Relay(gone) as relay:
        client = Client(relay.url)
        with pytest.raises(ConnectionError):
            client.ask("GET", "/a")
        client.close()


def test_html_server_says_yes_to_everything() -> None:
    with HtmlServer() as html:
        client = Client(html.url)
        for method, expected in (("PUT", PAGE), ("HEAD", b""), ("DELETE", PAGE), ("GET", PAGE)):
            assert client.ask(method, "/bucket/key", b"x") == (200, expected)
        client.close()


def test_black_hole_never_answers() -> None:
    with BlackHole() as hole:
        client = Client(hole.url)
        client.timeout = 0.2
        with pytest.raises(TimeoutError):
            client.ask("GET", "/")
        client.close()
