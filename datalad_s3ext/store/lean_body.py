"""The answer to a request that went the short way: its head, and the body that waits behind it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from datalad_s3ext.store.lean_http import Connection, Connections, NotPlain, may_be_kept

ERROR_LIMIT_BYTES = 64 * 1024
SLOW_ANSWER_S = 1800.0
"""Putting 10 000 parts together may take minutes; meanwhile a blank comes now and then."""
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


@dataclass(frozen=True)
class Raw:
    """The head of an answer, and the connection on which its body waits."""

    status: int
    headers: dict[str, str]
    length: int | None
    """Of the body, in bytes; ``None`` when it comes in chunks."""
    connection: Connection


class LeanBody:
    """The body of an answer. Closing it gives the connection back if all of it was read."""

    def __init__(self, raw: Raw, connections: Connections) -> None:
        self._connection: Connection | None = raw.connection
        self._connections = connections
        self._is_chunked = raw.length is None
        self._left = raw.length or 0
        self._keep = may_be_kept(raw.headers)
        if raw.length == 0:
            self._release()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; ``b""`` at the end or when the connection ended early."""
        if self._connection is None:
            return b""
        data = self._connection.read(min(size, self._left))
        self._left -= len(data)
        if not self._left:
            self._release()
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of `view`; return how many bytes, 0 at the end or on an early end."""
        if self._connection is None:
            return 0
        count = self._connection.readinto(view[: self._left])
        self._left -= count
        if not self._left:
            self._release()
        return count

    def drain(self, limit: int = ERROR_LIMIT_BYTES) -> bytes:
        """Return all that is left, if that is not more than `limit` bytes; close."""
        pieces = []
        try:
            if self._is_chunked and self._connection is not None:
                pieces.append(_unchunked(self._connection, limit))
                self._release()
            while 0 < self._left <= limit:
                pieces.append(self.read(self._left))
                if not pieces[-1]:
                    raise ConnectionResetError("the answer ended early")
        finally:
            self.close()
        return b"".join(pieces)

    def close(self) -> None:
        """Drop the connection if bytes are left on it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _release(self) -> None:
        if self._connection is not None:
            if self._keep:
                self._connections.give_back(self._connection)
            else:
                self._connection.close()
            self._connection = None


def _unchunked(connection: Connection, limit: int) -> bytes:
    """Return a whole body that comes in chunks.

    Raises
    ------
    NotPlain
        When it is not in the form of RFC 9112, section 7.1, or longer than `limit` bytes.
    """
    connection.pace.end()  # while it puts an object together the server sends a blank now and then
    data = b""
    deadline = time.monotonic() + SLOW_ANSWER_S
    while (found := _chunks(data)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the answer has no end")
        more = connection.read(limit)
        if not more:
            raise ConnectionResetError("the answer ended early")
        data += more
        if len(data) > limit:
            raise NotPlain("the answer is too long")
    return found


def _chunks(data: bytes) -> bytes | None:
    """Return the body within `data`, or ``None`` when more must come."""
    body, rest = b"", data
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return None
        digits = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(digits):
            raise NotPlain(f"a chunk begins with {line[:20]!r}")
        size = int(digits, 16)
        if size == 0:
            break
        if len(rest) < size + 2:
            return None
        body, rest = body + rest[:size], rest[size + 2 :]
    if rest == b"\r\n":
        return body
    if rest.endswith(b"\r\n\r\n"):  # trailers
        return body
    return None
