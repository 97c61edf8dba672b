"""HTTP/1.1 as bytes on a wire: as much as a relay must understand to pass messages on unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CHUNK_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024


class BrokenMessage(Exception):
    """The peer closed the connection within a message, or does not speak HTTP."""


class Stream(Protocol):
    """The reading half of a connection: ``socket.makefile("rb")``."""

    def readline(self, size: int = -1, /) -> bytes: ...
    def read1(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Head:
    """Start line and headers of a message, with the very bytes they came as."""

    raw: bytes
    start: tuple[str, str, str]
    headers: dict[str, str]

    @property
    def body_length(self) -> int | None:
        """Length of the body where it is announced."""
        length = self.headers.get("content-length")
        return None if length is None else int(length)

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


@dataclass(frozen=True)
class Request:
    """What a predicate gets to see."""

    method: str
    path: str
    headers: dict[str, str]


def read_head(stream: Stream) -> Head | None:
    """Return the next head, or None when the peer has closed between messages."""
    lines: list[bytes] = []
    while (line := stream.readline(MAX_LINE_BYTES)) not in (b"\r\n", b"\n"):
        if not line:
            if lines:
                raise BrokenMessage("closed within a head")
            return None
        lines.append(line)
    if not lines:  # a stray empty line between messages is allowed
        return read_head(stream)
    words = lines[0].decode("latin-1").strip().split(" ", 2)
    if len(words) < 2:
        raise BrokenMessage(f"no HTTP: {lines[0][:40]!r}")
    start = (words[0], words[1], words[2] if len(words) > 2 else "")
    pairs = (text.decode("latin-1").partition(":") for text in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(b"".join(lines) + line, start, headers)


def request_body(stream: Stream, head: Head) -> Iterator[bytes]:
    """Yield the raw body of a request, framing included."""
    return _chunked(stream) if head.is_chunked else _counted(stream, head.body_length or 0)


def answer_body(stream: Stream, head: Head, method: str) -> Iterator[bytes]:
    """Yield the raw body of the answer to a request with `method`, framing included."""
    status = int(head.start[1])
    if method == "HEAD" or status in (204, 304) or 100 <= status < 200:
        return iter(())
    if head.is_chunked:
        return _chunked(stream)
    return _until_closed(stream) if head.body_length is None else _counted(stream, head.body_length)


def has_counted_end(head: Head) -> bool:
    """Return whether the end of an answer can be told without the connection closing."""
    return head.is_chunked or head.body_length is not None or head.start[1] in ("204", "304")


def build_answer(status: int, headers: dict[str, str], body: bytes, *, method: str) -> bytes:
    """Return the bytes of a whole answer; a HEAD request gets the length and no body."""
    lines = [f"HTTP/1.1 {status} Injected", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if method == "HEAD" else head + body


def _counted(stream: Stream, length: int) -> Iterator[bytes]:
    while length > 0:
        piece = stream.read1(min(length, CHUNK_BYTES))
        if not piece:
            raise BrokenMessage(f"closed {length} bytes before the end of a body")
        length -= len(piece)
        yield piece


def _chunked(stream: Stream) -> Iterator[bytes]:
    while True:
        size_line = stream.readline(MAX_LINE_BYTES)
        if not size_line:
            raise BrokenMessage("closed between chunks")
        yield size_line
        size = int(size_line.split(b";")[0], 16)
        if size == 0:
            break
        yield from _counted(stream, size + 2)
    while (line := stream.readline(MAX_LINE_BYTES)) not in (b"\r\n", b"\n", b""):
        yield line
    yield line


def _until_closed(stream: Stream) -> Iterator[bytes]:
    while piece := stream.read1(CHUNK_BYTES):
        yield piece
