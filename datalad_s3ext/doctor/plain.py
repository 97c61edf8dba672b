"""Requests without keys, by sockets and urllib3: what a web browser would see of the service."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from datalad_s3ext.doctor.subject import Patience

_ENOUGH_BYTES = 64 * 1024
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_ROOT = re.compile(rb"^\s*(?:<\?xml[^>]*\?>\s*)?<([A-Za-z]+)[ />]")
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]+)</Code>")
_S3_ROOTS = frozenset({b"Error", b"ListAllMyBucketsResult", b"ListBucketResult"})
_S3_HEADERS = ("x-amz-request-id", "x-amz-id-2", "x-amz-bucket-region", "x-goog-stored-content-length")


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment prescribes."""

    url: str
    """With user name and password, if it has them: not to be shown."""
    variable: str

    @property
    def shown(self) -> str:
        """Return the URL without user name and password."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def authorization(self) -> str:
        """Return the value of Proxy-Authorization, or nothing."""
        parts = urlsplit(self.url)
        if not parts.username:
            return ""
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return f"Basic {b64encode(pair.encode()).decode()}"


@dataclass(frozen=True)
class PlainAnswer:
    """What came back for a request without keys."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def is_s3(self) -> bool:
        """Tell whether only an S3 service would answer so."""
        root = _ROOT.match(self.body)
        is_error = root is not None and root[1] == b"Error"
        by_text = root is not None and root[1] in _S3_ROOTS and (not is_error or bool(self.code))
        return by_text or any(name in self.headers for name in _S3_HEADERS)

    @property
    def code(self) -> str:
        """Return the error code of S3 in the body, or nothing."""
        found = _CODE.search(self.body)
        return found[1].decode() if found else ""

    @property
    def is_page(self) -> bool:
        """Tell whether it is a web page."""
        start = self.body[:512].lstrip().lower()
        return "html" in self.headers.get("content-type", "") or start.startswith(
            (b"<!doctype html", b"<html")
        )

    @property
    def title(self) -> str:
        """Return the title of a web page, or nothing."""
        found = _TITLE.search(self.body)
        return found[1].decode("utf-8", "replace").strip() if found else ""


def proxy_for(scheme: str, host: str) -> Proxy | None:
    """Return the proxy that the environment prescribes for `host`; ALL_PROXY botocore does not know."""
    url = urllib.request.getproxies().get(scheme)
    if not url or urllib.request.proxy_bypass(host):
        return None
    return Proxy(url if "://" in url else f"http://{url}", f"{scheme.upper()}_PROXY")


def ask(
    url: str,
    proxy: Proxy | None,
    tls: ssl.SSLContext | None,
    patience: Patience,
    *,
    method: str = "GET",
) -> PlainAnswer:
    """Return the answer to one request without keys; redirects are not followed.

    Raises
    ------
    urllib3.exceptions.HTTPError
        When there is no answer, or none in HTTP.
    """
    import urllib3

    timeout = urllib3.Timeout(connect=patience.connect_s, read=patience.read_s)
    options = {"timeout": timeout, "ssl_context": tls, "retries": False}
    pool: urllib3.PoolManager
    if proxy is None:
        pool = urllib3.PoolManager(**options)  # type: ignore[arg-type]
    else:
        headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        bare = proxy.shown
        pool = urllib3.ProxyManager(bare, proxy_headers=headers, **options)  # type: ignore[arg-type]
    with pool:
        answer = pool.request(method, url, redirect=False, preload_content=False)
        body = answer.read(_ENOUGH_BYTES)
        answer.release_conn()
    headers_seen = {name.lower(): value for name, value in answer.headers.items()}
    return PlainAnswer(answer.status, headers_seen, body)


def speaks_tls(address: tuple[str, int], patience: Patience) -> bool:
    """Tell whether what listens at `address` answers a TLS handshake, with whatever certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, patience.connect_s) as connection,
            context.wrap_socket(connection, server_hostname=address[0]),
        ):
            return True
    except (OSError, ValueError):
        return False


def speaks_plain_http(address: tuple[str, int], patience: Patience) -> bool:
    """Tell whether what listens at `address` answers a request that is not encrypted, as http does."""
    request = f"GET / HTTP/1.0\r\nHost: {address[0]}\r\n\r\n".encode("ascii", "replace")
    beginning = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, patience.connect_s) as connection,
    ):
        connection.sendall(request)
        while len(beginning) < 1024 and (more := connection.recv(1024)):
            beginning += more
    return (
        beginning.startswith(b"HTTP/") and b"HTTPS" not in beginning.upper().partition(b"\r\n\r\n")[2]
    )
