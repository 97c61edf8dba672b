"""The relay passes bytes on unchanged, counts them, and breaks things where it is told to."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.support.faults import (
    Answer,
    Armed,
    clock_skewed,
    delay,
    drip,
    duplicate,
    every,
    has_method,
    internal_error,
    is_complete_upload,
    is_upload_part,
    slow_down,
    truncate,
)
from tests.support.hostile import PAGE, BlackHole, HtmlServer
from tests.support.relay import Relay
from tests.support.wire import Request
from tests.unit.support.conftest import CONTENT, Client, Upstream


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


@pytest.mark.parametrize("end", ["heal", "hang up"])
def test_who_is_held_is_let_go(relay: Relay, client: Client, end: str) -> None:
    relay.stall(100)
    client.request("GET", "/a")
    answer = client.getresponse()
    time.sleep(0.2)  # until it is held
    if end == "heal":
        relay.heal()
        with pytest.raises(ConnectionResetError):
            answer.read()
    else:
        answer.close()
        client.close()
    started = time.monotonic()
    while relay.open_connections:
        assert time.monotonic() - started < 5
        time.sleep(0.01)


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
        took_s = quickest(lambda: client.ask("HEAD", "/a"))
        client.close()

    assert 0.1 <= took_s < 0.2


def test_rate_is_kept(upstream: Upstream) -> None:
    with Relay(upstream.url, rate_bytes_per_s=4 * len(CONTENT)) as relay:
        client = Client(relay.url)
        took_s = quickest(lambda: client.ask("GET", "/a"))
        client.close()

    assert 0.2 <= took_s < 0.5  # 0.25, and what the line may carry ahead


def quickest(ask: Callable[[], object]) -> float:
    """Return the seconds of the quickest of several requests: a busy machine delays some."""
    took_s = []
    for _ in range(5):
        started = time.monotonic()
        ask()
        took_s.append(time.monotonic() - started)
    return min(took_s)


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


# -- whole answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_answer_comes_after_the_server_has_acted(
    relay: Relay, upstream: Upstream, client: Client, reset: bool
) -> None:
    relay.shapers_of_answers.add(has_method("PUT"), truncate(0, reset=reset), 1)

    with pytest.raises(ConnectionResetError if reset else http.client.RemoteDisconnected):
        client.ask("PUT", "/a", b"1234")

    assert upstream.objects == {"/a": b"1234"}
    client.close()
    assert client.ask("GET", "/a") == (200, b"1234")


def test_a_doubled_answer_is_the_same_twice(relay: Relay, upstream: Upstream) -> None:
    upstream.objects["/a"] = b"content"
    relay.shapers_of_answers.add(every, duplicate, 1)
    address = ("127.0.0.1", urlsplit(relay.url).port)
    with socket.create_connection(address, timeout=10) as raw:
        raw.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: raw.recv(65536), b""))

    half = len(said) // 2
    assert said[:half] == said[half:]
    assert said[:half].endswith(b"\r\n\r\ncontent")


def test_a_delayed_answer_is_whole(relay: Relay, client: Client) -> None:
    relay.shapers_of_answers.add(every, delay(0.3, relay.wait), 1)
    started = time.monotonic()

    assert client.ask("GET", "/a") == (200, CONTENT)
    assert time.monotonic() - started > 0.2


def test_a_drip_begins_where_it_is_told_to(relay: Relay, upstream: Upstream, client: Client) -> None:
    upstream.objects["/a"] = b"x" * 1003
    relay.shapers_down.add(every, drip(0.1, relay.wait, 1000), 1)
    client.request("GET", "/a")
    answer = client.getresponse()
    answer.read(1000)
    started = time.monotonic()

    assert answer.read() == b"xxx"
    assert 0.25 < time.monotonic() - started < 1


def test_a_body_is_reset_after_so_many_bytes_of_it(relay: Relay, client: Client) -> None:
    relay.shapers_down.add(every, truncate(1000, reset=True), 1)
    client.request("GET", "/a")

    with pytest.raises(ConnectionResetError):
        client.getresponse().read()

    assert relay.bytes_down == 1000


def test_connections_are_refused_and_then_taken_at_the_same_place(relay: Relay, client: Client) -> None:
    assert client.ask("GET", "/a")[0] == 200
    url = relay.url

    with relay.refusing():
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            client.ask("GET", "/a")
        client.close()
        with pytest.raises(ConnectionRefusedError):
            client.ask("GET", "/a")

    assert relay.url == url
    client.close()
    assert client.ask("GET", "/a") == (200, CONTENT)


def test_what_is_armed_strikes_so_often_and_in_order() -> None:
    armed: Armed[str] = Armed()
    request = Request("GET", "/a", {})
    armed.add(has_method("PUT"), "never", 1)
    armed.add(every, "twice", 2)
    armed.add(every, "once", 1)
    assert len(armed) == 4

    assert [armed.take(request) for _ in range(4)] == ["twice", "twice", "once", None]
    assert len(armed) == 1
