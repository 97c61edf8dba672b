"""Reading parts of what lies on the web: an :class:`~.base.ObjectStore` whose names are URLs.

URLs come in with a clone, so the same rule holds as for git-annex: a connection to an address of this
machine or of a private network is made only when ``annex.security.allowed-ip-addresses`` allows it.
What is judged is the address that was really connected to, before anything is sent there.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, MaxRetryError

from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    ObjectChanged,
    ObjectNotFound,
    S3xError,
    TransientError,
    Unreachable,
    Unsupported,
)
from datalad_s3ext.store.base import (
    NO_HEADERS,
    ObjectInfo,
    ObjectStore,
    PartReceipt,
    RangeReader,
    Stored,
)
from datalad_s3ext.store.pace import Pace
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import Retrying
from datalad_s3ext.units import KIB

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS = 5
_NOT_THERE = frozenset({404, 410})
_CONNECT_S = 20.0
_SKIPPED_BYTES = 256 * KIB
_PORTS = {"http": 80, "https": 443}


class AddressPolicy:
    """Which addresses may be connected to, in the words of git-annex's configuration."""

    def __init__(self, allowed: str = "") -> None:
        self._allowed = frozenset(allowed.split())

    def check(self, address: str, port: int) -> None:
        """Make sure that `address` may be asked.

        Raises
        ------
        ConfigError
            When it is no public one and nobody has allowed it.
        """
        if "all" in self._allowed or {address, f"[{address}]:{port}"} & self._allowed:
            return
        if not ipaddress.ip_address(address.partition("%")[0]).is_global:
            raise ConfigError(
                f"the data set names a URL at {address}, which is not a public address",
                remedy="if that is right: git config annex.security.allowed-ip-addresses "
                f"'[{address}]:{port}'",
            )


def open_web(policy: RetryPolicy, addresses: AddressPolicy, connections: int) -> ObjectStore:
    """Return the web as a store that tries again."""
    return Retrying(WebStore(policy, addresses, connections), policy)


class WebStore(ObjectStore):
    """What can be read by its URL; nothing is tried twice here."""

    bucket = "the web"
    takes_whole = False
    """Where a server sends no parts of files, take the whole from its beginning on; else refuse."""
    asking: Mapping[str, str] = NO_HEADERS
    """What goes with `head`."""

    def __init__(self, policy: RetryPolicy, addresses: AddressPolicy, connections: int) -> None:
        self._stall_s = policy.stall_s
        self._line: set[Pace] = set()
        self._connections = connections
        self._addresses = addresses
        self._direct = urllib3.PoolManager(num_pools=8, maxsize=connections)
        self._direct.pool_classes_by_scheme = _checked_pools(addresses)
        self._proxies: dict[str, urllib3.PoolManager] = {}

    def head(self, name: str) -> ObjectInfo:
        """Describe what lies at the URL `name`."""
        with suppress(S3xError):
            answer = self._send("HEAD", name, dict(self.asking))
            answer.drain_conn()
            self._check_fresh(name, answer)
            return _info(name, answer, None)
        with self._open(name, 0, 1, self.asking) as reader:  # some refuse HEAD
            self._check_fresh(name, reader.answer)
            return reader.info

    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> RangeReader:
        """Open a part of what lies at the URL `name`."""
        reader = self._open(name, start, length)
        if if_match and reader.info.etag and if_match != reader.info.etag:
            reader.close()
            raise ObjectChanged(f"{shown(name)} was replaced while it was read", remedy="try again")
        return reader

    def close(self) -> None:
        """Free connections."""
        for manager in (self._direct, *self._proxies.values()):
            manager.clear()

    def _open(
        self, url: str, start: int, length: int | None, more: Mapping[str, str] = NO_HEADERS
    ) -> _WebReader:
        headers = {"Accept-Encoding": "identity", **more}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
        answer = self._send("GET", url, headers)
        try:
            pace = Pace(self._stall_s, self._line)
            return _WebReader(url, answer, start, length, pace, takes_whole=self.takes_whole)
        except BaseException:
            answer.close()
            raise

    def _check_fresh(self, url: str, answer: urllib3.BaseHTTPResponse) -> None:
        """Raise where an answer does not tell what is at the server now, and that matters."""

    def _send(self, method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=self._stall_s)
        try:
            answer = self._manager(url).request(
                method, url, headers=headers, preload_content=False, decode_content=False,
                timeout=timeout,
                retries=urllib3.Retry(total=None, connect=0, read=0, other=0, redirect=_REDIRECTS),
            )  # fmt: skip
        except (HTTPError, OSError, ValueError) as error:
            raise _no_answer(url, error) from error
        if answer.status >= 300:
            answer.close()
            if answer.status in _NOT_THERE:
                self._check_fresh(url, answer)
            raise _refusal(url, answer)
        return answer

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
            return self._direct
        with suppress(ValueError):  # a name is looked up by the proxy only
            ipaddress.ip_address(parts.hostname or "")
            self._addresses.check(parts.hostname or "", parts.port or _PORTS[parts.scheme])
        if proxy not in self._proxies:
            self._proxies[proxy] = urllib3.ProxyManager(proxy, maxsize=self._connections)
        return self._proxies[proxy]

    # -- what the web does not offer --------------------------------------------------------------

    def put(self, *_: Any, **__: Any) -> Stored:
        """Refuse."""
        _refuse()

    def copy(self, *_: Any, **__: Any) -> Stored:
        """Refuse."""
        _refuse()

    def delete(self, name: str) -> None:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def create_upload(self, *_: Any, **__: Any) -> str:
        """Refuse."""
        _refuse()

    def upload_part(self, *_: Any, **__: Any) -> PartReceipt:
        """Refuse."""
        _refuse()

    def copy_part(self, *_: Any, **__: Any) -> PartReceipt:
        """Refuse."""
        _refuse()

    def list_parts(self, name: str, upload_id: str) -> Sequence[PartReceipt]:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def complete_upload(self, *_: Any, **__: Any) -> Stored:
        """Refuse."""
        _refuse()

    def abort_upload(self, name: str, upload_id: str) -> None:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def list_uploads(self, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def bucket_exists(self) -> bool:
        """Refuse."""
        _refuse()

    def create_bucket(self) -> None:
        """Refuse."""
        _refuse()


class _WebReader(RangeReader):
    """The body of an answer, counted."""

    def __init__(
        self, url: str, answer: urllib3.BaseHTTPResponse, start: int, length: int | None,
        pace: Pace, *, takes_whole: bool,
    ) -> None:  # fmt: skip
        whole, self._before = None, 0
        if answer.status == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise IntegrityError(f"{shown(url)} answered with another part than was asked for")
            whole, served = int(found[3]), int(found[2]) - start + 1
        self.info = _info(url, answer, whole)
        if whole is None:
            served = self.info.size_bytes
            if takes_whole:
                served, length, self._before = _rest_of_whole(url, served, start), None, start
            elif start or (length is not None and length < served):
                raise Unsupported(
                    f"the server of {shown(url)} does not send parts of files",
                    remedy="get the file: datalad get FILE",
                )
        self.start = start
        self.length = served if length is None else min(served, length)
        self.answer = answer
        self._left = self.length
        self._pace = pace
        pace.begin()

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` bytes; ``b""`` at the end."""
        wanted = min(size_bytes, self._left)
        if wanted <= 0:
            return b""
        while self._before:
            self._before -= len(self._next(min(_SKIPPED_BYTES, self._before)))
        data = self._next(wanted)
        self._left -= len(data)
        return data

    def _next(self, size_bytes: int) -> bytes:
        began = time.monotonic()
        try:
            data: bytes = self.answer.read1(size_bytes)
            self._pace.note(len(data), time.monotonic() - began)
        except (HTTPError, OSError) as error:
            raise TransientError(f"reading {self.info.name} broke off: {error}") from error
        if not data:
            raise TransientError(f"reading {self.info.name} broke off: the answer ended early")
        return data

    def close(self) -> None:
        """Give the connection back when the body was read, else drop it."""
        self._pace.end()
        if self._left == 0:
            self.answer.release_conn()
        self.answer.close()


def shown(url: str) -> str:
    """Return `url` for messages: without what may be a password or a signature."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _rest_of_whole(url: str, size_bytes: int, start: int) -> int:
    """Return how many bytes are wanted of an answer that is the whole file."""
    if start > size_bytes:
        raise IntegrityError(
            f"{shown(url)} has {size_bytes} bytes, and what follows {start} was wanted"
        )
    return size_bytes - start


def _info(url: str, answer: urllib3.BaseHTTPResponse, size_bytes: int | None) -> ObjectInfo:
    if size_bytes is None:
        text = answer.headers.get("Content-Length", "")
        if not text.isdigit() or "Content-Encoding" in answer.headers:
            raise Unsupported(f"the server of {shown(url)} does not tell how large it is")
        size_bytes = int(text)
    etag = answer.headers.get("ETag", "")
    return ObjectInfo(
        shown(url), size_bytes, "" if etag.startswith("W/") else etag.strip('"'),
        version_id=answer.headers.get("x-amz-version-id"),
    )  # fmt: skip


def _refusal(url: str, answer: urllib3.BaseHTTPResponse) -> S3xError:
    text = f"{shown(url)} answers {answer.status} {answer.reason or ''}".rstrip()
    if answer.status in _NOT_THERE:
        return ObjectNotFound(text, http_status=answer.status)
    if answer.status in {401, 403}:
        return AccessDenied(text, http_status=answer.status)
    if answer.status == 416:
        return IntegrityError(f"{text}: it is shorter than expected", http_status=answer.status)
    if answer.status == 429 or answer.status >= 500:
        wait = answer.headers.get("Retry-After", "")
        return TransientError(text, retry_after_s=float(wait) if wait.isdigit() else None)
    return Unsupported(text, http_status=answer.status)


def _no_answer(url: str, error: Exception) -> S3xError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return cause
        cause = getattr(cause, "reason", None) if isinstance(cause, MaxRetryError) else cause.__cause__
    said = str(error).replace(url, shown(url))
    for secret in filter(None, (urlsplit(url).query, urlsplit(url).password)):
        said = said.replace(secret, "...")
    host = urlsplit(url).netloc.rpartition("@")[2]
    return Unreachable(f"{host} cannot be reached: {said}", remedy="check the network")


def _checked_pools(addresses: AddressPolicy) -> dict[str, Any]:
    """Return urllib3's pools, whose connections look where they have arrived before they speak."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), addresses)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), addresses)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _checked(connected: socket.socket, addresses: AddressPolicy) -> socket.socket:
    try:
        address, port = connected.getpeername()[:2]
        addresses.check(address, port)
    except BaseException:
        connected.close()
        raise
    return connected


def _refuse() -> NoReturn:
    raise Unsupported("the web is only read here")
