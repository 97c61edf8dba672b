"""An end to answers that drip, for the rare requests that botocore sends.

Its time-out begins anew with each byte that comes. One byte every half a minute, and the head of an
answer takes months; so does a list. Bodies of objects keep a pace (:mod:`.pace`); heads and documents
are short, so that a plain limit does for them. When it is reached the connection is shut down.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import ReadTimeoutError

DOCUMENT_S = 1800.0
"""Putting 10 000 parts together may take minutes; meanwhile a blank comes now and then."""
_KINDS: tuple[tuple[str, type, type], ...] = (
    ("http", AWSHTTPConnectionPool, AWSHTTPConnection),
    ("https", AWSHTTPSConnectionPool, AWSHTTPSConnection),
)
_under_way = threading.local()


def bound_answers(client: Any, head_s: float, document_s: float = DOCUMENT_S) -> None:
    """Let no answer to `client` take longer than `head_s` for its head, or `document_s` in all.

    The second is not for the bodies of objects, in neither direction: sending may take as long as it
    takes. Raises botocore's own `ReadTimeoutError`.
    """

    class Answer(_Answer):
        limit_s = head_s

    session = client._endpoint.http_session
    for scheme, pool, connection in _KINDS:
        kind = type(connection.__name__, (connection,), {"response_class": Answer})
        session._pool_classes_by_scheme[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": kind})
    session.send = _with_limit(session.send, document_s)


class _Answer(HTTPResponse):
    """An answer whose head must come in time."""

    limit_s: float

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._connection = sock

    def begin(self) -> None:
        document: _Document | None = getattr(_under_way, "document", None)
        if document is not None:
            document.begin(self._connection)
        with _shut_down_after(self.limit_s, self._connection) as is_late:
            super().begin()
        if is_late():  # a head that is cut off passes for a whole one
            raise TimeoutError("the head of the answer comes too slowly")


class _Document:
    """What comes back for one request: over in time once it has begun, however long sending took."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._watch = ExitStack()
        self._late: list[Callable[[], bool]] = []

    def begin(self, connection: Any) -> None:
        """Begin to wait for the end."""
        self.end()
        self._late.append(self._watch.enter_context(_shut_down_after(self._limit_s, connection)))

    def end(self) -> None:
        """Wait no longer."""
        self._watch.close()

    @property
    def is_late(self) -> bool:
        """Tell whether the connection had to be shut down."""
        return any(is_late() for is_late in self._late)


def _with_limit(send: Callable[[Any], Any], limit_s: float) -> Callable[[Any], Any]:
    def limited(request: Any) -> Any:
        if request.stream_output:
            return send(request)
        document = _under_way.document = _Document(limit_s)
        try:
            answer = send(request)
        finally:
            document.end()
            _under_way.document = None
        if document.is_late:
            raise ReadTimeoutError(endpoint_url=request.url, error="the answer has no end")
        return answer

    return limited


@contextmanager
def _shut_down_after(limit_s: float, connection: Any) -> Iterator[Callable[[], bool]]:
    """Shut `connection` down when the block is not over in time; what is yielded tells if that was."""
    late = threading.Event()

    def strike() -> None:
        late.set()
        # the base class leaves TLS alone, which another thread is using
        with suppress(OSError, TypeError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, strike)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()
