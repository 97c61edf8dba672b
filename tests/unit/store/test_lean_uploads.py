"""Beginning and completing uploads the short way: their documents, and answers that take their time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from datalad_s3ext.errors import AccessDenied, NotS3, S3xError, TransientError, UploadNotFound
from datalad_s3ext.store.base import PartReceipt, PutOptions
from tests.support.raw_server import RawServer, answer, opened, read_request, refusal

BEGUN = (
    b'<?xml version="1.0"?><InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/'
    b'2006-03-01/"><Bucket>bucket</Bucket><Key>a b</Key><UploadId>id/+1</UploadId>'
    b"</InitiateMultipartUploadResult>"
)
COMPLETED = (
    b'<?xml version="1.0"?>\n<CompleteMultipartUploadResult><Key>a b</Key>'
    b"<ETag>&quot;abc-2&quot;</ETag></CompleteMultipartUploadResult>"
)
FAILED = b"<Error><Code>InternalError</Code><Message>try again</Message></Error>"
PARTS = [PartReceipt(2, 5, "e2"), PartReceipt(1, 5, 'e&"1')]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def lines_of(server: RawServer) -> list[bytes]:
    return [request.partition(b"\r\n")[0] for request in server.requests]


def test_an_upload_begins_and_ends_without_botocore(server: RawServer) -> None:
    server.connections = [[answer("200 OK", BEGUN), answer("200 OK", COMPLETED)]]
    store = opened(server.url)

    upload_id = store.create_upload("a b", options=PutOptions(storage_class="STANDARD_IA"))
    stored = store.complete_upload("a b", upload_id, PARTS)

    assert upload_id == "id/+1"
    assert stored.etag == "abc-2"
    assert lines_of(server) == [
        b"POST /bucket/a%20b?uploads= HTTP/1.1",
        b"POST /bucket/a%20b?uploadId=id%2F%2B1 HTTP/1.1",
    ]
    assert b"x-amz-storage-class: STANDARD_IA" in server.requests[0]
    assert server.requests[1].partition(b"\r\n\r\n")[2] == (
        b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b'<Part><ETag>"e&amp;"1"</ETag><PartNumber>1</PartNumber></Part>'
        b'<Part><ETag>"e2"</ETag><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>'
    )


def test_metadata_does_not_need_botocore(server: RawServer) -> None:
    server.connections = [[answer("200 OK", BEGUN)]]

    assert opened(server.url).create_upload("a", options=PutOptions(metadata={"x": "y"})) == "id/+1"

    assert b"Boto" not in server.requests[0]
    assert b"x-amz-meta-x: y" in server.requests[0]


@pytest.mark.parametrize(
    "given",
    [
        chunked(b" ", b"\n", COMPLETED),
        chunked(COMPLETED[:30], COMPLETED[30:]),
        chunked(COMPLETED, end=b"0\r\nx-trailer: 1\r\n\r\n"),
    ],
)
def test_an_answer_in_chunks_is_read_and_the_upload_not_completed_twice(
    server: RawServer, given: bytes
) -> None:
    server.connections = [[given, answer("200 OK", BEGUN)]]
    store = opened(server.url)

    assert store.complete_upload("a", "id", PARTS).etag == "abc-2"
    store.create_upload("a")  # over the same connection

    assert len(server.requests) == 2


def test_an_error_behind_a_200_is_an_error(server: RawServer) -> None:
    server.connections = [[chunked(b" ", FAILED)]]

    with pytest.raises(TransientError):
        opened(server.url).complete_upload("a", "id", PARTS)

    assert len(server.requests) == 1


def test_an_answer_that_ends_early_is_no_success(server: RawServer) -> None:
    server.connections = [[chunked(b" ", COMPLETED, end=b"")]]

    with pytest.raises(TransientError):
        opened(server.url).complete_upload("a", "id", PARTS)


def test_a_lost_connection_does_not_begin_a_second_upload(server: RawServer) -> None:
    store = opened(server.url)
    server.connections = [[answer("200 OK", BEGUN), b""]]
    store.create_upload("a")

    with pytest.raises(TransientError):
        store.create_upload("a")

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (refusal("404 Not Found", "NoSuchUpload"), UploadNotFound),
        (refusal("403 Forbidden", "AccessDenied"), AccessDenied),
    ],
)
def test_a_refusal_is_told_as_what_it_is(
    server: RawServer, given: bytes, expected: type[Exception]
) -> None:
    server.connections = [[given]]

    with pytest.raises(expected):
        opened(server.url).complete_upload("a", "id", PARTS)


def test_a_web_page_neither_begins_nor_completes_an_upload(server: RawServer) -> None:
    page = answer("200 OK", b"<html><body>Welcome</body></html>")
    server.connections = [[page] for _ in range(6)]
    store = opened(server.url)

    with pytest.raises(NotS3):
        store.create_upload("a")
    with pytest.raises(S3xError):
        store.complete_upload("a", "id", PARTS)


def test_a_server_may_take_its_time_to_put_parts_together(server: RawServer) -> None:
    """It sends a blank now and then, far less than a body must bring in the time."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            connection.sendall(chunked(end=b""))
            for _ in range(20):
                time.sleep(0.1)
                connection.sendall(b"1\r\n \r\n")
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(COMPLETED), COMPLETED))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        store = opened(f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout_s=0.5)
        stored = store.complete_upload("a", "id", PARTS)
        thread.join()

    assert stored.etag == "abc-2"
