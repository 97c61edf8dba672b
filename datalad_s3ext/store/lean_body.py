"""The answer to a request that went the short way: its head, and the body that waits behind it."""

from __future__ import annotations

from dataclasses import dataclass

from datalad_s3ext.store.lean_http import Connection, Connections, may_be_kept

ERROR_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Raw:
    """The head of an answer, and the connection on which its body waits."""

    status: int
    headers: dict[str, str]
    length: int
    connection: Connection


class LeanBody:
    """The body of an answer. Closing it gives the connection back if all of it was read."""

    def __init__(self, raw: Raw, connections: Connections) -> None:
        self._connection: Connection | None = raw.connection
        self._connections = connections
        self._left = raw.length
        self._keep = may_be_kept(raw.headers)
        if not self._left:
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
