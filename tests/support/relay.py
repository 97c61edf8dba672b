"""A relay between client and server that is slow, or breaks, when the test says so.

    with Relay(endpoint.url, latency_s=0.03) as relay:
        relay.answer(is_upload_part, slow_down(), times=3)
        upload_through(relay.url)
        assert relay.requests.count(("PUT", "/bucket/key")) == 1

Messages pass byte by byte unchanged, the Host header too: the client signs for the relay's
address, and servers check the signature against the Host header that they receive.

Each connection of a client gets one of its own to the server, and two threads: one for what goes
up, one for what comes down.  Faults are armed from the test's thread at any time.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit

from tests.support import faults, wire
from tests.support.faults import Answer, Armed, Body, Budget, CutConnection, Predicate, Shaper
from tests.support.wire import BrokenMessage, Head, Request

CONNECT_TIMEOUT_S = 5
CHECK_EVERY_S = 0.1


class Relay:
    """Listens on a free loopback port and passes everything on to `upstream_url`.

    Parameters
    ----------
    latency_s
        Round trip: added to every exchange of request and answer, and to a new connection.
    rate_bytes_per_s
        Speed of one connection in each direction; None: as fast as it goes.
    """

    def __init__(
        self,
        upstream_url: str,
        latency_s: float = 0.0,
        rate_bytes_per_s: float | None = None,
    ) -> None:
        target = urlsplit(upstream_url)
        self.upstream = (target.hostname or "127.0.0.1", target.port or 80)
        self.latency_s = latency_s
        self.rate_bytes_per_s = rate_bytes_per_s
        self.bytes_up = 0
        self.bytes_down = 0
        self.connections = 0
        self.requests: list[tuple[str, str]] = []
        self.answers: Armed[Answer] = Armed()
        self.shapers_up: Armed[Shaper] = Armed()
        self.shapers_down: Armed[Shaper] = Armed()
        self.shapers_of_answers: Armed[Shaper] = Armed()
        """These see head and body; the server has acted on the request by then."""
        self._budget_up, self._budget_down = Budget(), Budget()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._heals = 0
        self.serving = threading.local()
        self._open: set[_Connection] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """How many connections of clients are open."""
        with self._lock:
            return len(self._open)

    def answer(self, predicate: Predicate, answer: Answer, times: int = 1) -> None:
        """Answer the next `times` fitting requests ourselves; the server never sees them."""
        self.answers.add(predicate, answer, times)

    def kill_after_bytes_up(self, count: int | None) -> None:
        """Reset one connection when `count` more bytes of request bodies have passed."""
        self._budget_up.set(count)

    def kill_after_bytes_down(self, count: int | None) -> None:
        """Reset one connection when `count` more bytes of answers' bodies have passed."""
        self._budget_down.set(count)

    def flip_byte_up(self, predicate: Predicate = faults.every, *, offset: int = 0) -> None:
        """Damage one byte of the next fitting request's body."""
        self.shapers_up.add(predicate, faults.flip_byte(offset), 1)

    def flip_byte_down(self, predicate: Predicate = faults.every, *, offset: int = 0) -> None:
        """Damage one byte of the body of the answer to the next fitting request."""
        self.shapers_down.add(predicate, faults.flip_byte(offset), 1)

    def truncate_down(self, length: int, predicate: Predicate = faults.every) -> None:
        """End the next fitting answer after `length` bytes of its body, in good order."""
        self.shapers_down.add(predicate, faults.truncate(length), 1)

    def stall(
        self, seconds: float, predicate: Predicate = faults.every, *, after_bytes: int = 0
    ) -> None:
        """Hold the body of the next fitting answer for a while once `after_bytes` have passed."""
        self.shapers_down.add(predicate, faults.stall(seconds, self.hold, after_bytes), 1)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections within the block, after ending all there are."""
        address = self._listener.getsockname()
        self._stop_listening()
        self._interrupt_all()
        yield
        self._listener = socket.create_server(address, backlog=128)
        self._start_listening()

    def heal(self) -> None:
        """Disarm all faults that have not struck yet, and end connections that are held."""
        self._heals += 1
        faults_by_place = (self.answers, self.shapers_up, self.shapers_down, self.shapers_of_answers)
        for armed in faults_by_place:
            armed.clear()
        self._budget_up.set(None)
        self._budget_down.set(None)

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than the relay lives."""
        if seconds > 0:
            self._closing.wait(seconds)

    def hold(self, seconds: float) -> None:
        """Sleep within a shaper; the connection ends when its client has gone, or all is healed."""
        end, heals = time.monotonic() + seconds, self._heals
        while (left := end - time.monotonic()) > 0 and not self._closing.wait(min(left, CHECK_EVERY_S)):
            if self._heals != heals or _has_hung_up(self.serving.client):
                raise CutConnection(reset=True)

    def note(self, request: Request) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append((request.method, request.path))

    def shaped_up(self, body: Body, request: Request) -> Body:
        """Return a request's body with what is armed for it."""
        shaper = self.shapers_up.take(request) or _unchanged
        for piece in self._budget_up.limit(shaper(body)):
            with self._lock:
                self.bytes_up += len(piece)
            yield piece

    def shaped_down(self, body: Body, request: Request) -> Body:
        """Return an answer's body with what is armed for it."""
        shaper = self.shapers_down.take(request) or _unchanged
        for piece in self._budget_down.limit(shaper(body)):
            with self._lock:
                self.bytes_down += len(piece)
            yield piece

    def shaped_answer(self, head: bytes, body: Body, request: Request) -> Body:
        """Return a whole answer with what is armed for it."""
        shaper = self.shapers_of_answers.take(request) or _unchanged
        return shaper(itertools.chain([head], self.shaped_down(body, request)))

    def __enter__(self) -> Self:
        self._start_listening()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._stop_listening()
        self._interrupt_all()

    def _start_listening(self) -> None:
        self._acceptor = threading.Thread(target=self._accept, name="relay", daemon=True)
        self._acceptor.start()

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._acceptor.join()
        self._listener.close()

    def _interrupt_all(self) -> None:
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            connection.interrupt(socket.SHUT_RDWR)
        if self._closing.is_set():
            for connection in still_open:
                connection.thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(self, client)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            connection.thread.start()

    def forget(self, connection: _Connection) -> None:
        """Take note that a connection is closed."""
        with self._lock:
            self._open.discard(connection)


class _Connection:
    """One client's connection and ours to the server that belongs to it."""

    def __init__(self, relay: Relay, client: socket.socket) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._relay = relay
        self._client = client
        self._server = socket.socket()
        self._how_to_wake = socket.SHUT_RDWR
        self._unanswered: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def interrupt(self, how: int) -> None:
        """Wake whoever reads (or, with SHUT_RDWR, writes) on either side."""
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(how)

    def _run(self) -> None:
        down = threading.Thread(target=self._guarded, args=(self._pass_down,), daemon=True)
        try:
            self._relay.wait(self._relay.latency_s)
            self._connect()
            down.start()
            self._guarded(self._pass_up)
            down.join()
        except OSError:  # the server is gone: so is this connection
            self._make_close_a_reset()
        finally:
            self._client.close()
            self._server.close()
            self._relay.forget(self)

    def _connect(self) -> None:
        self._server.settimeout(CONNECT_TIMEOUT_S)
        self._server.connect(self._relay.upstream)
        self._server.settimeout(None)
        for side in (self._client, self._server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run one direction to its end, which is the end of the other one too."""
        self._relay.serving.client = self._client
        try:
            work()
        except CutConnection as order:
            if order.reset:
                self._make_close_a_reset()
        except (OSError, BrokenMessage, ValueError):
            pass  # one side went away, and the other shall see that
        self.interrupt(self._how_to_wake)

    def _make_close_a_reset(self) -> None:
        self._how_to_wake = socket.SHUT_RD  # SHUT_RDWR would say good-bye in good order
        for side in (self._client, self._server):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _pass_up(self) -> None:
        with self._client.makefile("rb") as stream:
            while (head := wire.read_head(stream)) is not None:
                request = Request(head.start[0], head.start[1], head.headers)
                self._relay.note(request)
                answer = self._relay.answers.take(request)
                if answer is None:
                    self._forward(stream, head, request)
                elif not self._answer(stream, head, request, answer):
                    return

    def _forward(self, stream: wire.Stream, head: Head, request: Request) -> None:
        half_trip_s = self._relay.latency_s / 2
        self._unanswered.put(request)
        self._relay.wait(half_trip_s)
        self._server.sendall(head.raw)
        if "expect" in head.headers:  # the body sets out only after an answer came back
            body = self._relay.shaped_up(
                _delayed(wire.request_body(stream, head), self._relay, half_trip_s), request
            )
        else:
            body = self._relay.shaped_up(wire.request_body(stream, head), request)
        self._send(self._server, body)

    def _answer(self, stream: wire.Stream, head: Head, request: Request, answer: Answer) -> bool:
        """Answer in the server's stead; return whether the connection can be used further."""
        expects = "expect" in head.headers
        if not expects:
            for _ in wire.request_body(stream, head):
                pass
        self._relay.wait(self._relay.latency_s)
        closing = {"Connection": "close"} if expects else {}
        headers = {**answer.headers, **closing}
        self._client.sendall(
            wire.build_answer(answer.status, headers, answer.body, method=request.method)
        )
        return not expects

    def _pass_down(self) -> None:
        with self._server.makefile("rb") as stream:
            while (head := wire.read_head(stream)) is not None:
                self._relay.wait(self._relay.latency_s / 2)
                if head.start[1].startswith("1"):  # 100 Continue
                    self._client.sendall(head.raw)
                    continue
                request = self._unanswered.get_nowait()
                body = wire.answer_body(stream, head, request.method)
                self._send(self._client, self._relay.shaped_answer(head.raw, body, request))
                if request.method != "HEAD" and not wire.has_counted_end(head):
                    return

    def _send(self, side: socket.socket, body: Body) -> None:
        """Send a body no faster than the relay allows."""
        started, sent = time.monotonic(), 0
        for piece in body:
            side.sendall(piece)
            sent += len(piece)
            if self._relay.rate_bytes_per_s is not None:
                due = started + sent / self._relay.rate_bytes_per_s
                self._relay.wait(due - time.monotonic())


def _unchanged(body: Body) -> Body:
    return body


def _has_hung_up(client: socket.socket) -> bool:
    if client.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))


def _delayed(body: Body, relay: Relay, seconds: float) -> Body:
    for number, piece in enumerate(body):
        if number == 0:
            relay.wait(seconds)
        yield piece
