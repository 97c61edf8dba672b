"""A connection of the short way, with the server's end of it in the test's hands."""

from __future__ import annotations

import socket
import ssl
from typing import Self

from datalad_s3ext.store.lean_body import LeanBody, Raw
from datalad_s3ext.store.lean_http import Connection, Connections, Origin

READ_TIMEOUT_S = 0.5


class Line:
    """Connections to a listener of the test, which is the server itself."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.origin = Origin("127.0.0.1", self.listener.getsockname()[1], tls)
        self.connections = Connections(
            self.origin, connect_timeout_s=0.2, read_timeout_s=READ_TIMEOUT_S
        )
        self._peers: list[socket.socket] = []

    def new(self) -> tuple[Connection, socket.socket]:
        """Return a fresh connection and the server's end of it."""
        connection = self.connections.take(fresh=True)
        peer, _ = self.listener.accept()
        peer.settimeout(5)
        self._peers.append(peer)
        return connection, peer

    def body_of(self, connection: Connection) -> LeanBody:
        """Read the head of an answer with a length; return its body."""
        status, headers = connection.read_head()
        raw = Raw(status, headers, int(headers["content-length"]), connection)
        return LeanBody(raw, self.connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connections.close()
        for one in (self.listener, *self._peers):
            one.close()


def is_ended(peer: socket.socket) -> bool:
    """Tell whether the client has closed; bytes that it left unread make that a reset."""
    peer.settimeout(0.2)
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
