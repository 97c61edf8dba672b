"""HTTP/1.1 for the few requests that are sent thousands of times, and nothing more.

A general client spends most of its time on what such requests never need. This one sends a request
over a kept connection and reads the head of the answer, strictly: whatever is not plain (chunked
bodies, folded or doubled headers, other versions) raises :class:`NotPlain`, and the caller asks again
through botocore. See docs/design.rst for the measurements.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from datalad_s3ext.store.pace import Pace

if TYPE_CHECKING:
    import ssl  # takes a tenth of the start; over plain http nobody needs it

HEAD_LIMIT_BYTES = 64 * 1024
RECEIVE_BYTES = 64 * 1024
BLOCK_BYTES = 1024 * 1024
IDLE_LIMIT = 32
EARLY_ANSWER_S = 2.0
IDLE_S = 30.0
"""A firewall may have forgotten a connection that was silent longer."""
SEND_BYTES = 64 * 1024  # the time-out counts for one piece, so that a slow line may be slow
INTERIM_LIMIT = 8
_LENGTH_DIGITS = 19
_SINGLE = frozenset({"content-length", "etag", "content-range", "content-type"})


class NotPlain(Exception):
    """The answer is not of the plain form that is understood here."""


class NoConnection(NotPlain):
    """None can be made; botocore can explain why."""


class ConnectTimeout(Exception):
    """The host does not answer at all."""


@dataclass(frozen=True)
class Origin:
    """Where to connect: host, port, and the TLS settings when it is https."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        """The host as the socket takes it: a text would have the tables of Unicode imported."""
        host = self.host.encode() if self.host.isascii() else self.host
        return cast("str", host)  # bytes are taken, too


class Connection:
    """One connection, used by one thread at a time."""

    def __init__(
        self, origin: Origin, connect_timeout_s: float, read_timeout_s: float, line: set[Pace]
    ) -> None:
        raw = socket.create_connection((origin.address, origin.port), connect_timeout_s)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            tls = origin.tls
            self._socket = tls.wrap_socket(raw, server_hostname=origin.host) if tls else raw
            self._socket.settimeout(read_timeout_s)
        except BaseException:
            raw.close()
            raise
        self.has_tls = origin.tls is not None
        self.is_broken = False
        """Sending failed: an answer may be read, but nothing else is to be done with it."""
        self.idle_since = 0.0
        """Since when it has waited for a request, the last time; 0 when it never had to."""
        self.pace = Pace(read_timeout_s, line)
        self._head_limit_s = 2 * read_timeout_s
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        while view:
            began = time.monotonic()
            count = self._socket.send(view[:SEND_BYTES])
            self.pace.note(count, time.monotonic() - began)
            view = view[count:]

    def has_answer(self) -> bool:
        """Tell whether something has come, or comes at once, although sending failed."""
        self.is_broken = True
        if not self._buffer:
            self._socket.settimeout(EARLY_ANSWER_S)
            try:
                self._buffer = self._socket.recv(RECEIVE_BYTES)
            except OSError:
                return False
        return bool(self._buffer)

    def is_silent(self) -> bool:
        """Tell whether nothing came since the last answer: no end, and nothing nobody asked for."""
        if self._buffer or self.is_broken:
            return False
        if self.has_tls and cast("ssl.SSLSocket", self._socket).pending():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        for _ in range(INTERIM_LIMIT):
            if not poll.poll(0):
                return True
            if not (self.has_tls and self._takes_news_of_tls()):
                return False
        return False

    def _takes_news_of_tls(self) -> bool:
        """Take in what has come for TLS itself, such as the tickets after a handshake; else false."""
        import ssl

        timeout_s = self._socket.gettimeout()
        self._socket.setblocking(False)
        try:
            self._buffer = self._socket.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(timeout_s)
        return False

    def read_head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers (names in lower case) of the next final answer.

        Raises
        ------
        OSError
            The connection ended or failed before.
        NotPlain
            The head is not plain.
        """
        deadline = time.monotonic() + self._head_limit_s
        for _ in range(INTERIM_LIMIT + 1):
            status, headers = parse_head(self._head_bytes(deadline))
            if status >= 200:
                return status, headers
        raise ConnectionResetError("interim answers without an end")  # botocore would wait for ever

    def _head_bytes(self, deadline: float) -> bytes:
        data = self._buffer
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > HEAD_LIMIT_BYTES:
                raise NotPlain("the head of the answer is too long")
            if time.monotonic() > deadline:
                raise TimeoutError("the head of the answer comes too slowly")
            more = self._socket.recv(RECEIVE_BYTES)
            if not more:
                raise ConnectionResetError("closed before the answer was whole")
            data += more
        self._buffer = data[end + 4 :]
        return data[:end]

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes of what has come; ``b""`` at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:size_bytes], self._buffer[size_bytes:]
            return data
        began = time.monotonic()
        data = self._socket.recv(size_bytes)
        self.pace.note(len(data), time.monotonic() - began)
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view` with what has come; return how many bytes, 0 at the end."""
        if self._buffer:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        began = time.monotonic()
        count = self._socket.recv_into(view)
        self.pace.note(count, time.monotonic() - began)
        return count

    def close(self) -> None:
        """End the connection."""
        self.pace.end()
        self._socket.close()


class Connections:
    """Kept connections to one origin, the last used first. All methods are thread-safe."""

    def __init__(self, origin: Origin, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._origin = origin
        self._timeouts = (connect_timeout_s, read_timeout_s)
        self._idle: list[Connection] = []
        self._line: set[Pace] = set()
        self._lock = threading.Lock()

    def take(self, *, fresh: bool = False) -> Connection:
        """Return a connection that nobody else uses.

        Raises
        ------
        ConnectTimeout
            The host does not answer.
        NoConnection
            None can be made for another reason, which botocore can explain.
        """
        connection = self._kept_or_fresh(fresh=fresh)
        connection.pace.begin()
        return connection

    def prepare(self) -> None:
        """Keep one more, connected now. Whoever needs one finds out when that fails."""
        with suppress(OSError, UnicodeError):
            self._keep(Connection(self._origin, *self._timeouts, self._line))

    def _kept_or_fresh(self, *, fresh: bool) -> Connection:
        while not fresh and (kept := self._kept()) is not None:
            if time.monotonic() - kept.idle_since < IDLE_S and kept.is_silent():
                return kept
            kept.close()
        try:
            return Connection(self._origin, *self._timeouts, self._line)
        except TimeoutError as error:
            raise ConnectTimeout from error
        except (OSError, UnicodeError) as error:
            raise NoConnection(f"no connection: {error}") from error

    def _kept(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection, unless something came on it behind the answer."""
        if not connection.is_silent():
            connection.close()
            return
        connection.pace.end()
        self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            if len(self._idle) < IDLE_LIMIT:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """End all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def parse_head(data: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers of the head of an answer.

    Raises
    ------
    NotPlain
        When anything about it is unusual.
    """
    first, *lines = data.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version != "HTTP/1.1" or not (code.isascii() and code.isdigit()) or rest[3:4] not in ("", " "):
        raise NotPlain(f"the answer begins with {first[:60]!r}")
    if code < "100":
        raise NotPlain(f"the answer has the status {code}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        lower = name.lower()
        if not colon or not name or name != name.strip() or (lower in _SINGLE and lower in headers):
            raise NotPlain(f"the answer has the header {line[:60]!r}")
        headers[lower] = value.strip()
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > _LENGTH_DIGITS:
        # botocore would stumble over it
        raise ConnectionResetError(f"the answer has the length {length[:60]!r}")
    if headers.get("content-encoding", "identity") != "identity":
        raise NotPlain("the body is encoded")
    return int(code), headers


def content_length(method: str, status: int, headers: dict[str, str]) -> int | None:
    """Return how many bytes of body follow the head; ``None`` for a chunked answer to a POST.

    AWS answers a completed upload in chunks, to keep the connection alive meanwhile. Asking botocore
    instead, as for other chunked answers, would complete the upload twice.

    Raises
    ------
    NotPlain
        When the head does not tell.
    """
    if "transfer-encoding" in headers:
        is_plain = "content-length" not in headers and headers["transfer-encoding"] == "chunked"
        if method == "POST" and is_plain:
            return None
        raise NotPlain("the body is encoded")
    if method == "HEAD" or status in (204, 304):
        return 0
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        raise NotPlain("the answer does not state its length")
    return int(text)


def may_be_kept(headers: dict[str, str]) -> bool:
    """Tell whether the server lets the connection stay open."""
    words = {word.strip() for word in headers.get("connection", "").lower().split(",")}
    return words.isdisjoint({"close", "upgrade"})


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request as bytes.

    Raises
    ------
    NotPlain
        When a value would break the form of the request, or is no latin-1 text.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise NotPlain("a header with a line break")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError as error:
        raise NotPlain("a header that is no latin-1 text") from error
