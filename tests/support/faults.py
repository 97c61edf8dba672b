"""What can go wrong on the way: answers in the server's stead, and bodies that break.

A fault is armed with a predicate and waits for the first message that fits; it strikes a given
number of times.  All classes here are used by several threads at once and lock for themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.support.wire import Request

Predicate = Callable[[Request], bool]
Body = Iterator[bytes]
Shaper = Callable[[Body], Body]
"""Changes what passes: a body, or a whole answer, head and body."""
T = TypeVar("T")


class CutConnection(Exception):
    """An order, not an error: close the connection at this point: by a reset, or in good order."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "close")
        self.reset = reset


def every(_: Request) -> bool:
    """Match all requests."""
    return True


def is_upload_part(request: Request) -> bool:
    """Match UploadPart."""
    return request.method == "PUT" and "partNumber=" in request.path


def is_complete_upload(request: Request) -> bool:
    """Match CompleteMultipartUpload."""
    return request.method == "POST" and "uploadId=" in request.path


def has_method(*methods: str) -> Predicate:
    """Match requests with one of these methods."""
    return lambda request: request.method in methods


@dataclass(frozen=True)
class Answer:
    """An answer that the relay gives in the server's stead."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/xml"})


def s3_error(status: int, code: str, message: str = "injected", **headers: str) -> Answer:
    """Return an error as S3 words it; header names are written with underscores."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>INJECTED</RequestId></Error>"
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    fixed = {"Content-Type": "application/xml", "x-amz-request-id": "INJECTED"}
    return Answer(status, text.encode(), {**fixed, **named})


def slow_down(retry_after_s: int | None = None) -> Answer:
    """Return 503 SlowDown, with or without Retry-After."""
    wait = {} if retry_after_s is None else {"Retry_After": str(retry_after_s)}
    return s3_error(503, "SlowDown", "Please reduce your request rate.", **wait)


def internal_error(status: int = 500) -> Answer:
    """Return 500 InternalError; with status 200 it is what CompleteMultipartUpload may answer."""
    return s3_error(status, "InternalError", "We encountered an internal error.")


def clock_skewed() -> Answer:
    """Return what a server says to a client whose clock is wrong."""
    text = "The difference between the request time and the current time is too large."
    return s3_error(403, "RequestTimeTooSkewed", text)


@dataclass
class _Waiting(Generic[T]):
    predicate: Predicate
    thing: T
    left: int


class Armed(Generic[T]):
    """Things that wait for their message: the first that fits is used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[T]] = []

    def add(self, predicate: Predicate, thing: T, times: int) -> None:
        """Let `thing` wait for `times` messages that fit `predicate`."""
        with self._lock:
            self._waiting.append(_Waiting(predicate, thing, times))

    def take(self, request: Request) -> T | None:
        """Return the first thing whose predicate fits; after so many times, forget it."""
        with self._lock:
            for index, waiting in enumerate(self._waiting):
                if waiting.predicate(request):
                    waiting.left -= 1
                    if not waiting.left:
                        del self._waiting[index]
                    return waiting.thing
        return None

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._waiting.clear()

    def __len__(self) -> int:
        with self._lock:
            return sum(waiting.left for waiting in self._waiting)


class Budget:
    """Bytes that may still pass, over all connections, before one is reset."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None

    def set(self, count: int | None) -> None:
        """Let `count` more bytes pass, then reset one connection; None: let all pass."""
        with self._lock:
            self._left = count

    def limit(self, body: Body) -> Body:
        """Pass `body` on until the budget is used up."""
        for piece in body:
            allowed = self._spend(len(piece))
            yield piece[:allowed]
            if allowed < len(piece):
                raise CutConnection(reset=True)

    def _spend(self, count: int) -> int:
        with self._lock:
            if self._left is None:
                return count
            allowed = min(count, self._left)
            self._left = None if allowed < count else self._left - count
            return allowed


def flip_byte(offset: int) -> Shaper:
    """Damage the byte at `offset` of a body."""

    def shape(body: Body) -> Body:
        position = 0
        for piece in body:
            inside = offset - position
            position += len(piece)
            if 0 <= inside < len(piece):
                damaged = bytearray(piece)
                damaged[inside] ^= 0xFF
                piece = bytes(damaged)
            yield piece

    return shape


def truncate(length: int, *, reset: bool = False) -> Shaper:
    """Let `length` bytes pass, then close the connection: in good order, or by a reset."""

    def shape(body: Body) -> Body:
        left = length
        for piece in body:
            yield piece[: max(0, left)]
            left -= len(piece)
            if left < 0:
                raise CutConnection(reset=reset)

    return shape


def stall(seconds: float, wait: Callable[[float], object], after_bytes: int) -> Shaper:
    """Hold a body for `seconds` once `after_bytes` of it have passed."""

    def shape(body: Body) -> Body:
        passed, stalled = 0, False
        for piece in body:
            if not stalled and passed + len(piece) > after_bytes:
                cut = after_bytes - passed
                yield piece[:cut]
                wait(seconds)
                stalled = True
                yield piece[cut:]
            else:
                yield piece
            passed += len(piece)

    return shape


def drip(seconds: float, wait: Callable[[float], object], after_bytes: int) -> Shaper:
    """Let `after_bytes` pass, then one byte each `seconds`: often enough for any time-out."""

    def shape(body: Body) -> Body:
        passed = 0
        for piece in body:
            free = max(0, after_bytes - passed)
            yield piece[:free]
            for offset in range(free, len(piece)):
                wait(seconds)
                yield piece[offset : offset + 1]
            passed += len(piece)

    return shape


def delay(seconds: float, wait: Callable[[float], object]) -> Shaper:
    """Hold all for `seconds`; it is another thing than a stall before the first byte of a body."""

    def shape(message: Body) -> Body:
        wait(seconds)
        yield from message

    return shape


def duplicate(message: Body) -> Body:
    """Send all twice. What is small comes in one piece, so that nobody sees the one without the other."""
    whole = b"".join(message)
    yield whole + whole
