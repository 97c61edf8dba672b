"""A server with the faults of mdx's object storage, in front of a real one.

It takes signature v2 alone, addresses buckets by path alone, and answers ListObjectsV2 like version 1:
where to go on is ignored, so that the first page comes again and again.
"""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

_VERSION_2 = frozenset({"list-type", "start-after", "continuation-token", "fetch-owner"})
_ANSWERS_FOR_ITSELF = frozenset({"connection", "transfer-encoding", "content-length", "server", "date"})


class MdxServer:
    """Passes requests on to `upstream_url` as mdx would take them; keeps (method, path) of each.

    Parameters
    ----------
    page_limit
        The most names on one page of a list, whatever is asked for.
    """

    def __init__(self, upstream_url: str, *, page_limit: int = 1000) -> None:
        self.requests: list[tuple[str, str]] = []
        self.signatures: set[str] = set()
        self._upstream = urlsplit(upstream_url)
        self._page_limit = page_limit
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def _pass(self) -> None:
                front.serve(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.requests.append((request.command, request.path))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        kind = str(request.headers.get("Authorization") or "none").partition(" ")[0]
        self.signatures.add(kind)
        if kind != "AWS":
            _answer(request, 403, {"Content-Type": "application/xml"}, _REFUSAL)
        elif request.headers.get("Host") != self.url.removeprefix("http://"):
            _answer(request, 404, {"Content-Type": "text/plain"}, b"no such host")
        else:
            self._forward(request, body)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        server = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port)
        path = self._as_version_1(request.path) if request.command == "GET" else request.path
        server.putrequest(request.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            server.putheader(name, value)
        server.endheaders(body)
        answer = server.getresponse()
        data = answer.read()
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in _ANSWERS_FOR_ITSELF
        }
        length = answer.getheader("Content-Length") if request.command == "HEAD" else None
        _answer(request, answer.status, headers, data, length)
        server.close()

    def _as_version_1(self, path: str) -> str:
        """Return the path of a list without all that belongs to version 2; others unchanged."""
        bucket, _, query = path.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if "max-keys" not in asked and "list-type" not in asked:
            return path
        asked["max-keys"] = str(min(int(asked.get("max-keys", 1000)), self._page_limit))
        kept = {name: value for name, value in asked.items() if name not in _VERSION_2}
        return f"{bucket}?{urlencode(kept)}"


_REFUSAL = (
    b"<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not"
    b" match the signature you provided.</Message></Error>"
)


def _answer(
    request: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    length: str | None = None,
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    if status != 204:
        request.send_header("Content-Length", length or str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
