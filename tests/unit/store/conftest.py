"""A server that says what a test tells it to say, and stores that speak to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.providers.schema import Evidence, Listing, Provider, Upload
from datalad_s3ext.store.s3 import S3Store, open_store
from datalad_s3ext.store.s3_client import make_client, place_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REQUEST_ID = {"x-amz-request-id": "REQ1"}
KEYS = Keys("AKIAEXAMPLE", "very-secret-words", source="environment variables")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    """Content-Length, when it shall not be true."""
    cut: bool = False


def xml_error(status: int, code: str, extra: str = "", **headers: str) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>said {code}</Message>{extra}</Error>"
    return Reply(status, body.encode(), {**REQUEST_ID, "Content-Type": "application/xml", **headers})


def empty_list(name: str = "bucket") -> Reply:
    body = f"<ListBucketResult><Name>{name}</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
    return Reply(200, body.encode(), {"Content-Type": "application/xml"})


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that break off belong to the tests."""


class Scripted:
    """The answer to each request comes from `answer`; all requests are kept."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Reply] = lambda _: Reply(500)
        self.requests: list[Request] = []
        self.connections = 0
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def setup(self) -> None:
                super().setup()
                script.connections += 1

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                script.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            handler.command,
            unquote(parts.path),
            {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()},
            {k.lower(): v for k, v in handler.headers.items()},
            handler.rfile.read(int(handler.headers.get("Content-Length", 0))),
        )
        self.requests.append(request)
        reply = self.answer(request)
        handler.send_response(reply.status)
        for name, text in reply.headers.items():
            handler.send_header(name, text)
        length = len(reply.body) if reply.announced is None else reply.announced
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(reply.body)
        if reply.cut:
            handler.close_connection = True

    def said(self) -> list[str]:
        return [request.method for request in self.requests]


@pytest.fixture(scope="module")
def script() -> Iterator[Scripted]:
    script = Scripted()
    thread = threading.Thread(target=script.server.serve_forever, args=(0.02,))
    thread.start()
    yield script
    script.server.shutdown()
    thread.join()
    script.server.server_close()


def connection(url: str | None, *, list_version: int = 2, url_encoding: bool = True) -> Connection:
    provider = Provider(
        id="test",
        name="Test service",
        kind="self-hosted",
        evidence=Evidence(checked="2026-11-22", confidence="high"),
        upload=Upload(etag_is_md5=True, part_etag_is_md5=True),
        listing=Listing(version=1 if list_version == 1 else 2, url_encoding=url_encoding),
    )
    return Connection(provider, url, "us-east-1", "us-east-1", "path", "v4")


def store_on(url: str, *, list_version: int = 2, **options: float) -> S3Store:
    store = open_store(connection(url, list_version=list_version), KEYS, "bucket", **options)  # type: ignore[arg-type]
    assert isinstance(store, S3Store)
    return store


@pytest.fixture
def scripted(script: Scripted) -> Scripted:
    """Return the module's server as if it were new."""
    script.answer = lambda _: Reply(500)
    script.requests.clear()
    script.connections = 0
    return script


@pytest.fixture(scope="module")
def client(script: Scripted) -> Iterator[S3Client]:
    """Return one client for the module: making one takes a tenth of a second."""
    client = make_client(connection(script.url), KEYS, "bucket", read_timeout_s=2)
    yield client
    client.close()


@pytest.fixture
def store(scripted: Scripted, client: S3Client) -> S3Store:
    """Return a store that has not learnt yet whom it may believe."""
    where = connection(scripted.url)
    return S3Store(client, where, place_of(where, KEYS, "bucket"))
