"""Every property of an object, and what goes with all requests, as headers on the wire.

Each request is sent the short way and through botocore; both must send, and sign, the same.
"""

from __future__ import annotations

import hashlib
import io
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest

from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.store.base import ObjectInfo, PartReceipt, PutOptions
from datalad_s3ext.store.extras import Extras
from datalad_s3ext.store.lean_client import ODD_LIMIT
from datalad_s3ext.store.s3 import S3Store, open_store
from tests.support.raw_server import RawServer, answer

KEY = bytes(range(32))
EVERYTHING = PutOptions(
    storage_class="STANDARD_IA",
    metadata={"lab": "vision  group", "grant": "7"},
    tagging="project=brain&grant=7",
    sse="aws:kms",
    sse_kms_key_id="alias/lab",
    bucket_key=True,
    acl="bucket-owner-full-control",
    content_type="text/plain",
    content_disposition='attachment; filename="a  b.txt"',
    cache_control="max-age=60",
    sha256=b"s" * 32,
)
STORED_WITH = {
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-meta-lab": "vision  group",
    "x-amz-meta-grant": "7",
    "x-amz-tagging": "project=brain&grant=7",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "alias/lab",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
    "x-amz-acl": "bucket-owner-full-control",
    "content-type": "text/plain",
    "content-disposition": 'attachment; filename="a  b.txt"',
    "cache-control": "max-age=60",
}
COPIED_WITH = {
    name: value
    for name, value in STORED_WITH.items()
    if name.startswith("x-amz-server-side") or name == "x-amz-acl"
}
CONTENT = {"x-amz-checksum-sha256": b64encode(b"s" * 32).decode()}
PAYER = {"x-amz-request-payer": "requester"}
_SSE_C = "x-amz-server-side-encryption-customer-"
CUSTOMER_KEY = {
    f"{_SSE_C}algorithm": "AES256",
    f"{_SSE_C}key": b64encode(KEY).decode(),
    f"{_SSE_C}key-md5": b64encode(hashlib.md5(KEY).digest()).decode(),
}
SOURCE_KEY = {
    name.replace("x-amz-", "x-amz-copy-source-"): value for name, value in CUSTOMER_KEY.items()
}
BEGUN = b"<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>"
DONE = b"<CompleteMultipartUploadResult><ETag>e-1</ETag></CompleteMultipartUploadResult>"
COPIED = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
PART_COPIED = b"<CopyPartResult><ETag>e</ETag></CopyPartResult>"
LISTED = b"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
PARTS = b"<ListPartsResult><UploadId>U</UploadId><IsTruncated>false</IsTruncated></ListPartsResult>"
SOURCE = ObjectInfo("from", 5, "e")
READ = [CUSTOMER_KEY, PAYER]

Request = Callable[[S3Store], object]
REQUESTS: dict[str, tuple[Request, bytes, list[dict[str, str]]]] = {
    "put": (
        lambda store: store.put("a", io.BytesIO(b"12345"), 5, md5=b"m" * 16, options=EVERYTHING),
        answer("200 OK", b"", 'ETag: "e"'), [STORED_WITH, CONTENT, *READ],
    ),
    "create": (
        lambda store: store.create_upload("a", options=EVERYTHING),
        answer("200 OK", BEGUN), [STORED_WITH, *READ],
    ),
    "part": (
        lambda store: store.upload_part("a", "U", 1, io.BytesIO(b"12345"), 5, md5=b"m" * 16),
        answer("200 OK", b"", 'ETag: "e"'), READ,
    ),
    "list parts": (lambda store: store.list_parts("a", "U"), answer("200 OK", PARTS), READ),
    "complete": (
        lambda store: store.complete_upload("a", "U", [PartReceipt(1, 5, "e")]),
        answer("200 OK", DONE), READ,
    ),
    "abort": (lambda store: store.abort_upload("a", "U"), answer("204 No Content"), [PAYER]),
    "copy": (
        lambda store: store.copy(SOURCE, "to", options=EVERYTHING),
        answer("200 OK", COPIED), [COPIED_WITH, SOURCE_KEY, *READ],
    ),
    "copy part": (
        lambda store: store.copy_part(SOURCE, 0, 5, "to", "U", 1),
        answer("200 OK", PART_COPIED), [SOURCE_KEY, *READ],
    ),
    "head": (
        lambda store: store.head("a"),
        b'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Length: 5\r\n\r\n', READ,
    ),
    "get": (lambda store: store.get("a").close(), answer("200 OK", b"12345", 'ETag: "e"'), READ),
    "range": (
        lambda store: store.get("a", start=1, length=2, if_match="e").close(),
        answer("206 Partial Content", b"23", 'ETag: "e"', "Content-Range: bytes 1-2/5"), READ,
    ),
    "delete": (lambda store: store.delete("a"), answer("204 No Content"), [PAYER]),
    "list": (lambda store: list(store.list()), answer("200 OK", LISTED), [PAYER]),
    "restore": (
        lambda store: store.restore("a", days=2, tier="bulk"), answer("202 Accepted"), [PAYER],
    ),
}  # fmt: skip
SHORT = {"put", "create", "part", "complete", "head", "get", "range", "delete"}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def opened(url: str, extras: Extras) -> S3Store:
    connection = resolve(load_provider("seaweedfs"), endpoint=url, environ={})
    store = open_store(connection, Keys("AKIA", "secret"), "bucket", extras=extras)
    assert isinstance(store, S3Store)
    return store


def headers_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("way", ["short", "botocore"])
@pytest.mark.parametrize("name", list(REQUESTS))
def test_all_that_is_wanted_is_sent_and_signed(server: RawServer, name: str, way: str) -> None:
    request, reply, wanted = REQUESTS[name]
    expected = {header: value for group in wanted for header, value in group.items()}
    server.connections = [[reply]]
    store = opened(server.url, Extras(requester_pays=True, customer_key=KEY))
    if way == "botocore":
        store._client._client._odd = ODD_LIMIT

    request(store)

    sent = headers_of(server.requests[0])
    assert sent.items() >= expected.items()
    assert ("Boto" in sent["user-agent"]) is (way == "botocore" or name not in SHORT)
    signed = sent["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {header for header in expected if header.startswith("x-amz-")} <= set(signed)
    may_be_wanted = ("x-amz-server", "x-amz-copy-source-server", "x-amz-checksum-sha")
    others = {header for header in sent if header.startswith(may_be_wanted)}
    assert others <= expected.keys()


def test_nothing_of_this_is_sent_unasked(server: RawServer) -> None:
    server.connections = [[answer("200 OK", b"", 'ETag: "e"')]]

    opened(server.url, Extras()).put("a", io.BytesIO(b"12345"), 5)

    named = {header for header in headers_of(server.requests[0]) if header.startswith("x-amz-")}
    assert named == {"x-amz-content-sha256", "x-amz-date"}


def test_the_short_way_signs_blanks_as_botocore_does(server: RawServer) -> None:
    """S3 takes a run of blanks in a header for one when it checks the signature."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    server.connections = [[answer("200 OK", b"", 'ETag: "e"')]]
    opened(server.url, Extras()).put("a", io.BytesIO(b"12345"), 5, options=EVERYTHING)
    sent = headers_of(server.requests[0])

    request = AWSRequest("PUT", f"{server.url}/bucket/a", headers={
        header: value for header, value in sent.items()
        if header.startswith(("x-amz-", "content-type", "content-disp", "cache", "content-md5"))
    })  # fmt: skip
    request.context["timestamp"] = sent["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AKIA", "secret"), "s3", sent["authorization"].split("/")[2])
    text = auth.string_to_sign(request, auth.canonical_request(request))

    assert auth.signature(text, request) == sent["authorization"].rpartition("Signature=")[2]


def test_requests_without_keys_carry_no_secret(server: RawServer) -> None:
    server.connections = [[answer("200 OK", b"12345", 'ETag: "e"')]]
    connection = resolve(load_provider("seaweedfs"), endpoint=server.url, environ={})
    extras = Extras(requester_pays=True, customer_key=KEY)

    open_store(connection, Anonymous(), "bucket", extras=extras).get("a").close()

    assert not any(header.startswith("x-amz-") for header in headers_of(server.requests[0]))


def test_a_copy_from_another_bucket_carries_what_that_bucket_wants(server: RawServer) -> None:
    stored = answer("200 OK", b"", 'ETag: "e"')
    server.connections = [[answer("200 OK", COPIED)], [stored]]
    source = Extras(requester_pays=True, customer_key=KEY)
    store = opened(server.url, Extras(customer_key=bytes(32), source=source))

    store.copy(SOURCE, "to")
    store.put("a", io.BytesIO(b"12345"), 5)

    copied, sent = (headers_of(request) for request in server.requests)
    assert copied.items() >= {**SOURCE_KEY, **PAYER}.items()
    assert copied[f"{_SSE_C}key"] == b64encode(bytes(32)).decode() == sent[f"{_SSE_C}key"]
    assert not {*SOURCE_KEY, *PAYER} & sent.keys()
    assert source.of_nobody() == Extras(source=source).of_nobody() == Extras()


def test_the_key_is_not_shown() -> None:
    shown = repr(Extras(customer_key=KEY))

    assert repr(KEY) not in shown
    assert b64encode(KEY).decode() not in shown


def test_a_restore_says_how_long_and_how_fast(server: RawServer) -> None:
    server.connections = [[answer("202 Accepted")], [answer("200 OK")], [answer("202 Accepted")]]
    store = opened(server.url, Extras())

    assert store.restore("a b", days=2, tier="bulk")
    assert not store.restore("a b", days=2, tier="standard")
    assert store.restore("a b", days=None, tier="expedited")

    first, _, last = server.requests
    assert first.startswith(b"POST /bucket/a%20b?restore HTTP/1.1")
    assert b"<Days>2</Days>" in first
    assert b"<Tier>Bulk</Tier>" in first
    assert b"<Days>" not in last
    assert b"<Tier>Expedited</Tier>" in last
