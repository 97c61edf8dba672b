"""The short way for frequent requests: as careful as the long one, which is asked when in doubt."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.errors import AccessDenied, ObjectNotFound, S3xError, TransientError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.store.lean_client import LeanClient
from datalad_s3ext.store.lean_http import (
    NotPlain,
    content_length,
    may_be_kept,
    parse_head,
    request_head,
)
from datalad_s3ext.store.lean_sign import UNSIGNED_PAYLOAD, Signer, SigningKeys
from datalad_s3ext.store.s3 import S3Store, open_store
from tests.support.raw_server import HEAD_OK, RawServer, answer, opened, refusal

# -- pure parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "a/token+with=signs"])
@pytest.mark.parametrize(
    ("method", "path", "query", "headers"),
    [
        ("HEAD", "/bucket/SHA256E-s1--ab.dat", "", {}),
        ("GET", "/bucket/a%20b/%C3%A4%2B%26", "", {"range": "bytes=0-9", "if-match": '"e"'}),
        ("PUT", "/b/k", "partNumber=7&uploadId=x%2Fy%3D~", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
    ],
)
def test_it_signs_like_botocore(
    method: str, path: str, query: str, headers: dict[str, str], token: str | None
) -> None:
    moment = datetime(2026, 11, 22, 11, 0, 0, tzinfo=UTC)
    signer = Signer(lambda: SigningKeys("AKIA", "secret/+", token), "eu-west-1", now=lambda: moment)
    url = f"https://host.example.org:9000{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers={**headers, "X-Amz-Content-SHA256": UNSIGNED_PAYLOAD})
    request.context["timestamp"] = "20261122T110000Z"
    auth = S3SigV4Auth(Credentials("AKIA", "secret/+", token), "s3", "eu-west-1")
    request.headers["X-Amz-Date"] = "20261122T110000Z"
    request.headers["Host"] = "host.example.org:9000"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    expected = auth.signature(to_sign, request)

    signed = signer.sign(
        method, path, query, {"host": "host.example.org:9000", **headers}, UNSIGNED_PAYLOAD
    )

    assert signed["authorization"].rpartition("Signature=")[2] == expected


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0",
        b"HTTP/2 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 abc OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nETag: a\r\n folded",
        b"HTTP/1.1 200 OK\r\nETag : a",
        b"HTTP/1.1 200 OK\r\nno colon",
    ],
)
def test_what_is_not_plain_is_not_taken(head: bytes) -> None:
    with pytest.raises(NotPlain):
        parse_head(head)


@pytest.mark.parametrize("text", ["", "-1", "0x5", "5 5", "\u0665", "abc"])
def test_a_body_without_a_clear_length_is_not_taken(text: str) -> None:
    with pytest.raises(NotPlain):
        content_length("GET", 200, {"content-length": text})


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_a_chunked_body_is_taken_as_the_answer_to_a_post_only(method: str) -> None:
    with pytest.raises(NotPlain):
        content_length(method, 200, {"transfer-encoding": "chunked"})
    with pytest.raises(NotPlain):
        content_length("POST", 200, {"transfer-encoding": "chunked", "content-length": "5"})
    assert content_length("POST", 200, {"transfer-encoding": "chunked"}) is None


def test_headers_are_read_whatever_their_case() -> None:
    status, headers = parse_head(b'HTTP/1.1 206 Partial\r\nETAG:"x"\r\ncontent-range:  bytes 0-1/2 ')

    assert (status, headers) == (206, {"etag": '"x"', "content-range": "bytes 0-1/2"})


@pytest.mark.parametrize(
    ("value", "kept"), [("", True), ("keep-alive", True), ("close", False), ("Close", False)]
)
def test_connections_are_kept_unless_the_server_says_no(value: str, kept: bool) -> None:
    assert may_be_kept({"connection": value}) is kept


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "\u20ac"])
def test_a_header_cannot_be_smuggled_in(value: str) -> None:
    with pytest.raises(NotPlain):
        request_head("PUT", "/b/k", {"x-amz-storage-class": value})


# -- in front of a server that says exactly what the test wants ------------------------------------


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def test_many_requests_share_one_connection(server: RawServer) -> None:
    server.connections = [[HEAD_OK] * 3]
    store = opened(server.url)

    assert [store.head(f"k{number}").size_bytes for number in range(3)] == [5, 5, 5]


def test_a_connection_closed_meanwhile_is_replaced_without_a_word(server: RawServer) -> None:
    server.connections = [[HEAD_OK], [HEAD_OK]]
    store = opened(server.url)

    assert [store.head(f"k{number}").size_bytes for number in range(2)] == [5, 5]


def test_a_connection_that_says_it_ends_is_not_used_again(server: RawServer) -> None:
    closing = HEAD_OK.replace(b"ETag", b"Connection: close\r\nETag")
    server.connections = [[closing], [HEAD_OK]]
    store = opened(server.url)

    assert [store.head(f"k{number}").size_bytes for number in range(2)] == [5, 5]


def test_what_is_not_understood_is_asked_again_the_long_way(server: RawServer) -> None:
    chunked = (
        b'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Range: bytes 0-4/5\r\n'
        b"Content-Length: 5\r\n"
    )
    odd = chunked + b"Transfer-Encoding: identity\r\n\r\nhello"
    plain = chunked + b"\r\nhello"
    server.connections = [[odd], [plain]]
    store = opened(server.url)

    with store.get("k", start=0, length=5) as reader:
        assert reader.read(10) == b"hello"

    assert b"user-agent" in server.requests[0]
    assert b"Boto3" in server.requests[1] or b"Botocore" in server.requests[1]


def test_a_body_is_sent_whole_again_the_long_way(server: RawServer) -> None:
    redirect = answer("307 Temporary Redirect", b"", "Location: http://127.0.0.1:9/")
    content = os.urandom(2_000_000)
    etag = 'ETag: "' + "0" * 32 + '"'
    server.connections = [[redirect], [answer("200 OK", b"", etag)]]
    store = opened(server.url)

    store.put("k", io.BytesIO(content), len(content))

    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [content, content]


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (refusal("404 Not Found", "NoSuchKey"), ObjectNotFound),
        (refusal("403 Forbidden", "AccessDenied"), AccessDenied),
        (refusal("503 Slow Down", "SlowDown"), TransientError),
        (refusal("500 Oops", "InternalError"), TransientError),
    ],
)
def test_refusals_in_words_are_translated_at_once(
    server: RawServer, refused: bytes, kind: type[S3xError]
) -> None:
    server.connections = [[refused]]

    with pytest.raises(kind):
        opened(server.url).get("k", start=0, length=5)

    assert len(server.requests) == 1


def test_a_server_that_refuses_before_the_body_is_sent_is_heard() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(refusal("403 Forbidden", "AccessDenied"))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()

    with pytest.raises(AccessDenied):
        opened(server_url).put("k", io.BytesIO(bytes(5_000_000)), 5_000_000)

    thread.join(10)
    listener.close()


@pytest.mark.parametrize("given", [b"", HEAD_OK[:20]])
def test_a_connection_that_breaks_in_the_head_is_a_passing_fault(
    server: RawServer, given: bytes
) -> None:
    server.connections = [[given]]

    with pytest.raises(TransientError):
        opened(server.url).head("k")


def test_silence_is_a_passing_fault(server: RawServer) -> None:
    server.connections = [[b"HTTP/1.1 ", b"never asked"]]

    with pytest.raises(TransientError):
        opened(server.url).head("k")


def test_a_body_that_ends_early_is_a_passing_fault(server: RawServer) -> None:
    short = answer("206 Partial", b"hel", 'ETag: "e"', "Content-Range: bytes 0-4/5").replace(
        b"Content-Length: 3", b"Content-Length: 5"
    )
    server.connections = [[short]]

    with opened(server.url).get("k", start=0, length=5) as reader:
        assert reader.read(10) == b"hel"

        with pytest.raises(TransientError):
            reader.read(10)


def test_nobody_signs_for_nobody(server: RawServer) -> None:
    server.connections = [[HEAD_OK]]

    opened(server.url, Anonymous()).head("k")

    assert b"authorization" not in server.requests[0].lower()


def test_proxies_are_left_to_the_long_way(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    connection = resolve(load_provider("seaweedfs"), endpoint="http://s3.example.org", environ={})

    store = open_store(connection, Keys("AKIA", "secret"), "bucket")

    assert isinstance(store, S3Store)
    assert not isinstance(store._client, LeanClient)


def test_weak_signatures_are_left_to_the_long_way() -> None:
    connection = resolve(load_provider("seaweedfs"), endpoint="http://h", signature="v2", environ={})

    store = open_store(connection, Keys("AKIA", "secret"), "bucket")

    assert isinstance(store, S3Store)
    assert not isinstance(store._client, LeanClient)


def test_amazon_is_addressed_as_botocore_does() -> None:
    connection = resolve(load_provider("aws"), region="eu-west-1", environ={})

    store = open_store(connection, Keys("AKIA", "secret"), "my-bucket")

    assert isinstance(store, S3Store)
    assert store._client._base.host_header == "my-bucket.s3.eu-west-1.amazonaws.com"
    assert store._client._base.path == "/"
    assert store._client._base.origin.port == 443


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://h:80", "h"),
        ("https://h:443", "h"),
        ("http://h:443", "h:443"),
        ("https://h:9000", "h:9000"),
    ],
)
def test_the_usual_port_is_not_part_of_the_host(endpoint: str, host: str) -> None:
    connection = resolve(load_provider("seaweedfs"), endpoint=endpoint, environ={})

    store = open_store(connection, Keys("AKIA", "secret"), "bucket")

    assert isinstance(store, S3Store)
    assert store._client._base.host_header == host
