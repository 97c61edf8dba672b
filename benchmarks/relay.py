"""A relay that makes loopback as slow as a distance, and is itself no bottleneck.

    python -m benchmarks.relay --upstream 127.0.0.1:8333    # prints its port; ends with its input
    python -m benchmarks.relay --measure                    # what it can do on this machine

It knows nothing of HTTP: each direction of each connection is a pipe with a speed and a delay, and a
new connection costs one round trip. (`tests/support/relay.py` reads messages, which faults need and
which costs too much here.) One thread; a ring buffer per direction, so that a byte is copied in once
and out once. epoll waits in whole milliseconds, too coarse for delays of 15 ms, therefore select()
on the epoll file gives the pauses.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_DELAY_MS = 15.0  # one way: 30 ms round trip
DEFAULT_RATE = 40e6  # bytes per second, per connection and direction
CHUNK_BYTES = 128 * 1024
QUEUE_S = 0.006  # how far a pipe may be booked out before it stops taking bytes
HUNG_POLL_S = 0.001  # for the rest of a connection of which epoll has nothing to say any more
NEVER = float("inf")
UNLIMITED_RING_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Line:
    """What a distance is like; a rate of 0 is no limit."""

    delay_s: float
    rate_bytes_per_s: float

    @property
    def ring_bytes(self) -> int:
        """How much can be under way in one direction of one connection."""
        if not self.rate_bytes_per_s:
            return UNLIMITED_RING_BYTES
        return int(self.rate_bytes_per_s * (self.delay_s + QUEUE_S)) + 2 * CHUNK_BYTES


class Lane:
    """One direction of one connection: bytes come in, wait, and go out."""

    def __init__(self, line: Line, source: socket.socket, sink: socket.socket, opens: float) -> None:
        self.source = source
        self.sink = sink
        self.free_at = opens  # when the next byte can set out
        self.blocked = False  # the receiver's buffer is full
        self.ended = False  # the source has said all
        self.finished = False  # and the sink has got it
        self._line = line
        self._ring = memoryview(bytearray(line.ring_bytes))
        self._written = self._read = 0
        self._arrivals: deque[tuple[float, int]] = deque()  # (when, up to which byte)

    def takes(self, now: float) -> bool:
        """Tell whether more may be read from the source."""
        return not self.ended and self._has_room() and self.free_at - now < QUEUE_S

    def next_wake(self, now: float) -> float:
        """Return when there is something to do that no socket will announce."""
        wake_at = NEVER
        if self._arrivals and not self.blocked:
            wake_at = self._arrivals[0][0]
        if not self.ended and self._has_room() and not self.takes(now):
            wake_at = min(wake_at, self.free_at - QUEUE_S / 2)
        return wake_at

    def fill(self, now: float) -> None:
        """Read once from the source and book the bytes."""
        size = len(self._ring)
        start = self._written % size
        room = min(size - (self._written - self._read), size - start, CHUNK_BYTES)
        try:
            count = self.source.recv_into(self._ring[start : start + room])
        except BlockingIOError:
            return
        self._written += count
        self.ended = count == 0
        if self._line.rate_bytes_per_s:
            self.free_at = max(now, self.free_at) + count / self._line.rate_bytes_per_s
        else:
            self.free_at = max(now, self.free_at)
        self._arrivals.append((self.free_at + self._line.delay_s, self._written))

    def flush(self, now: float) -> None:
        """Send what has arrived."""
        arrivals = self._arrivals
        self.blocked = False
        while arrivals and arrivals[0][0] <= now:
            end = arrivals[0][1]
            while self._read < end:
                size = len(self._ring)
                start = self._read % size
                try:
                    self._read += self.sink.send(
                        self._ring[start : min(size, start + end - self._read)]
                    )
                except BlockingIOError:
                    self.blocked = True
                    return
            arrivals.popleft()
        if self.ended and not arrivals and not self.finished:
            self.finished = True
            self.sink.shutdown(socket.SHUT_WR)

    def _has_room(self) -> bool:
        return self._written - self._read < len(self._ring)


class Connection:
    """A client's connection and ours to the server."""

    def __init__(self, line: Line, client: socket.socket, server: socket.socket) -> None:
        now = time.monotonic()
        for side in (client, server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sides = (client, server)
        self.up = Lane(line, client, server, now + 2 * line.delay_s)  # SYN and its answer
        self.down = Lane(line, server, client, now)
        self.lanes = (self.up, self.down)
        self.masks: dict[int, int] = {client.fileno(): 0, server.fileno(): 0}
        self.hung: set[int] = set()  # closed by the other side: epoll would report it all the time
        self.wake_at = NEVER

    def work(self, now: float) -> bool:
        """Move what can be moved; return whether the connection lives on."""
        try:
            for lane in self.lanes:
                lane.flush(now)
                if lane.takes(now):
                    lane.fill(now)
        except OSError:
            return False
        return not all(lane.finished for lane in self.lanes)

    def wanted_mask(self, side: socket.socket, now: float) -> int:
        """Return what epoll shall report about one side."""
        outward, inward = self.lanes if side is self.sides[0] else self.lanes[::-1]
        reads = select.EPOLLIN if outward.takes(now) else 0
        return reads | (select.EPOLLOUT if inward.blocked else 0)


class Relay:
    """Accepts connections and moves bytes until `stop` becomes readable."""

    def __init__(self, upstream: tuple[str, int], line: Line, stop: int) -> None:
        self._upstream = upstream
        self._line = line
        self._stop = stop
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._of_file: dict[int, Connection] = {}
        self._wakes: list[tuple[float, int, Connection]] = []
        self._serial = itertools.count()

    def run(self) -> None:
        """Relay until told to stop."""
        listener = self._listener.fileno()
        while True:
            pause = max(0.0, self._wakes[0][0] - time.monotonic()) if self._wakes else None
            ready, _, _ = select.select([self._epoll.fileno(), self._stop], [], [], pause)
            if self._stop in ready:
                return
            due: dict[Connection, None] = {}
            for file, events in self._epoll.poll(0) if ready else ():
                if file == listener:
                    self._accept(due)
                elif connection := self._of_file.get(file):
                    if events & (select.EPOLLHUP | select.EPOLLERR):
                        self._epoll.unregister(file)
                        connection.hung.add(file)
                    due[connection] = None
            now = time.monotonic()
            while self._wakes and self._wakes[0][0] <= now:
                when, _, connection = heapq.heappop(self._wakes)
                if when == connection.wake_at:
                    connection.wake_at = NEVER
                    due[connection] = None
            for connection in due:
                self._serve(connection)

    def _accept(self, due: dict[Connection, None]) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._upstream)
                except OSError:
                    client.close()
                    continue
                connection = Connection(self._line, client, server)
                for file in connection.masks:
                    self._of_file[file] = connection
                    self._epoll.register(file, 0)
                due[connection] = None

    def _serve(self, connection: Connection) -> None:
        now = time.monotonic()
        if not connection.work(now):
            return self._close(connection)
        for side in connection.sides:
            file, mask = side.fileno(), connection.wanted_mask(side, now)
            if file not in connection.hung and connection.masks[file] != mask:
                self._epoll.modify(file, mask)
                connection.masks[file] = mask
        wake_at = min(lane.next_wake(now) for lane in connection.lanes)
        if connection.hung:
            wake_at = min(wake_at, now + HUNG_POLL_S)
        if wake_at < connection.wake_at:
            connection.wake_at = wake_at
            heapq.heappush(self._wakes, (wake_at, next(self._serial), connection))
        return None

    def _close(self, connection: Connection) -> None:
        connection.wake_at = float("-inf")  # whatever is still in the heap is void
        for side in connection.sides:
            del self._of_file[side.fileno()]
            side.close()


class RelayProcess:
    """The relay as a process of its own.

    with RelayProcess(endpoint_url) as relay:
        upload_through(relay.url)
    """

    def __init__(
        self, upstream: str, delay_ms: float = DEFAULT_DELAY_MS, rate: float = DEFAULT_RATE
    ) -> None:
        self._command = [
            *(sys.executable, "-m", "benchmarks.relay", f"--upstream={upstream}"),
            *(f"--delay-ms={delay_ms}", f"--rate={rate}"),
        ]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # closes its input, which ends it


def measure(seconds: float = 2.0) -> None:
    """Print how much passes through, and how exact the delay is."""
    with _Peer() as peer:
        for rate, count in ((DEFAULT_RATE, 1), (DEFAULT_RATE, 16), (0.0, 1), (0.0, 16)):
            with RelayProcess(f"127.0.0.1:{peer.port}", rate=rate) as relay:
                moved, cpu_s, took_s = _pump(relay, count, seconds)
            limit = f"{rate / 1e6:3.0f} MB/s each" if rate else "no limit     "
            print(
                f"{count:2} connections, {limit}: {moved / took_s / 1e6:6.0f} MB/s,"
                f" {100 * cpu_s / took_s:3.0f} % of a core, {cpu_s / moved * 1e9:4.2f} s CPU per GB"
            )
        with RelayProcess(f"127.0.0.1:{peer.port}") as relay:
            print(f"round trip of one byte: {_round_trip_ms(relay.port):.2f} ms (30 wanted)")


class _Peer:
    """A server: "s" swallows all that follows, "e" sends it back; in a process of its own."""

    CODE = """
import socket, threading
def serve(c):
    if c.recv(1) == b"e":
        while data := c.recv(65536): c.sendall(data)
    else:
        buffer = bytearray(1 << 18)
        while c.recv_into(buffer): pass
    c.close()
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.CODE], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()


def _pump(relay: RelayProcess, count: int, seconds: float) -> tuple[int, float, float]:
    """Send as fast as it goes; return bytes, CPU seconds of the relay and seconds."""
    from benchmarks.meter import cpu_seconds

    sent = [0] * count

    def send(number: int, until: float) -> None:
        block = b"s" * (1 << 18)
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            while time.monotonic() < until:
                sent[number] += client.send(block)

    def spread(until: float) -> None:
        threads = [threading.Thread(target=send, args=(number, until)) for number in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(0.7)  # until all buffers on the way are full
        began, moved, cpu_s = time.monotonic(), sum(sent), cpu_seconds(relay.process.pid)
        time.sleep(max(0.0, until - time.monotonic() - 0.05))
        result.extend(
            (sum(sent) - moved, cpu_seconds(relay.process.pid) - cpu_s, time.monotonic() - began)
        )
        for thread in threads:
            thread.join()

    result: list[float] = []
    spread(time.monotonic() + seconds + 0.7)
    return int(result[0]), result[1], result[2]


def _round_trip_ms(port: int, times: int = 20) -> float:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"ee")
        client.recv(1)
        began = time.monotonic()
        for _ in range(times):
            client.sendall(b"x")
            client.recv(1)
        return (time.monotonic() - began) / times * 1000


def main() -> None:
    """Relay, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--upstream", default="", metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=float, default=DEFAULT_DELAY_MS, help="one way")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="bytes/s per connection")
    parser.add_argument("--measure", action="store_true")
    asked = parser.parse_args()
    if asked.measure:
        return measure()
    host, _, port = asked.upstream.removeprefix("http://").rpartition(":")
    relay = Relay((host, int(port)), Line(asked.delay_ms / 1000, asked.rate), sys.stdin.fileno())
    print(relay.port, flush=True)
    return relay.run()


if __name__ == "__main__":
    main()
