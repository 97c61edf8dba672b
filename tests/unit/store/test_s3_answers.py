"""Answers of S3 services that are wrong, late, short or odd."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectStore, PartReceipt, PutOptions, RangeReader
from datalad_s3ext.store.s3 import S3Store
from tests.unit.store.conftest import REQUEST_ID, Reply, Request, Scripted, store_on, xml_error

DATA = b"0123456789"
SENT_MD5 = "eJGDt+mGRsEdXwVEyPPEyQ=="  # echo -n sent | openssl md5 -binary | base64
WHOLE = {**REQUEST_ID, "ETag": '"etag"'}


def ranged(text: str, body: bytes, status: int = 206, **more: str) -> Reply:
    return Reply(status, body, {**WHOLE, "Content-Range": text, **more})


def test_right_range(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: ranged("bytes 2-4/10", b"234")

    with store.get("a", start=2, length=3, if_match="etag") as reader:
        assert (reader.start, reader.length, reader.info.size_bytes) == (2, 3, 10)
        assert reader.read(100) == b"234"
        assert reader.read(100) == b""
    sent = scripted.requests[0].headers
    assert (sent["range"], sent["if-match"]) == ("bytes=2-4", '"etag"')
    assert sent["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("reply", "start", "length"),
    [
        (Reply(200, DATA, WHOLE), 2, 3),
        (Reply(200, DATA, WHOLE), 2, None),
        (Reply(200, DATA, WHOLE), 0, 3),
        (ranged("bytes 0-2/10", b"012"), 2, 3),
        (ranged("bytes 2-9/10", DATA[2:]), 2, 3),
        (ranged("bytes 2-3/10", b"23"), 2, 3),
        (ranged("bytes 2-4/10", b"23"), 2, 3),
        (ranged("bytes 2-4/*", b"234"), 2, 3),
        (ranged("nonsense", b"234"), 2, 3),
        (Reply(200, b"", WHOLE), 0, 3),
    ],
)
def test_wrong_range_is_refused(
    reply: Reply, start: int, length: int | None, scripted: Scripted, store: S3Store
) -> None:
    scripted.answer = lambda _: reply

    with pytest.raises(errors.IntegrityError):
        store.get("a", start=start, length=length)


def test_whole_object_for_a_range_that_covers_it(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, DATA, WHOLE)

    with store.get("a", start=0, length=10) as reader:
        assert reader.read(100) == DATA


def test_range_with_status_200(scripted: Scripted, store: S3Store) -> None:
    """So does rclone serve s3."""
    scripted.answer = lambda _: ranged("bytes 2-4/10", b"234", status=200)

    with store.get("a", start=2, length=3) as reader:
        assert reader.read(100) == b"234"


def test_ignored_condition(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, DATA, WHOLE)

    with pytest.raises(errors.ObjectChanged):
        store.get("a", if_match="older")


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, 0), (0, -5)])
def test_no_range_at_all(start: int, length: int | None, store: S3Store) -> None:
    with pytest.raises(ValueError, match="no range"):
        store.get("a", start=start, length=length)


def read_all(reader: RangeReader) -> bytes:
    with reader:
        return b"".join(iter(lambda: reader.read(4), b""))


def test_short_body(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, DATA[:6], WHOLE, announced=10, cut=True)

    with pytest.raises(errors.TransientError, match=r"after [46] of 10 bytes"):
        read_all(store.get("a"))


def test_stalled_body(scripted: Scripted) -> None:
    store = store_on(scripted.url, read_timeout_s=0.2)
    scripted.answer = lambda _: Reply(200, DATA[:6], WHOLE, announced=10)

    with pytest.raises(errors.TransientError):
        read_all(store.get("a"))


def test_compressed_body_is_not_unpacked(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, DATA, {**WHOLE, "Content-Encoding": "gzip"})

    assert read_all(store.get("a")) == DATA


def test_connection_is_used_again(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda r: Reply(200, b"" if r.path.endswith("empty") else DATA, WHOLE)

    for name in ("a", "empty", "b", "empty", "c"):
        read_all(store.get(name))
    assert scripted.connections <= 1  # none when one was left from the test before


def test_answer_left_unread_costs_only_its_own_connection(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, DATA, WHOLE)

    for _ in range(40):
        with store.get("a") as reader:
            reader.read(1)
    assert read_all(store.get("a")) == DATA


def test_200_with_an_error_inside(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(
        200, b"<Error><Code>InternalError</Code><Message>later</Message></Error>", REQUEST_ID
    )

    with pytest.raises(errors.TransientError, match="InternalError"):
        store.complete_upload("a", "id", [PartReceipt(1, 1, "e")])


def test_completion_without_an_etag(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(
        200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>", REQUEST_ID
    )

    stored = store.complete_upload("a", "id", [PartReceipt(2, 1, "f"), PartReceipt(1, 1, "e")])

    assert stored.etag == ""
    body = scripted.requests[0].body
    assert body.index(b"<PartNumber>1<") < body.index(b"<PartNumber>2<")


def test_damaged_object_is_removed(scripted: Scripted, store: S3Store) -> None:
    other = hashlib.md5(b"other").hexdigest()
    scripted.answer = lambda r: (
        Reply(200, headers={**REQUEST_ID, "ETag": f'"{other}"', "x-amz-version-id": "V1"})
        if r.method == "PUT"
        else Reply(204, headers=REQUEST_ID)
    )

    with pytest.raises(errors.IntegrityError, match="was removed"):
        store.put("a", io.BytesIO(b"sent"), 4, md5=hashlib.md5(b"sent").digest())
    assert scripted.said() == ["PUT", "DELETE"]
    assert scripted.requests[1].query["versionId"] == "V1"


@pytest.mark.parametrize(
    ("etag", "headers", "options"),
    [
        ("a" * 32, {"x-amz-server-side-encryption": "aws:kms"}, PutOptions()),
        ("a" * 32, {}, PutOptions(sse="aws:kms")),
        ("opaque-etag", {}, PutOptions()),
    ],
)
def test_etag_that_is_no_md5_proves_nothing(
    etag: str, headers: dict[str, str], options: PutOptions, scripted: Scripted, store: S3Store
) -> None:
    scripted.answer = lambda _: Reply(200, headers={**REQUEST_ID, "ETag": f'"{etag}"', **headers})

    md5 = hashlib.md5(b"sent").digest()
    assert store.put("a", io.BytesIO(b"sent"), 4, md5=md5, options=options).etag == etag


def test_put_sends_no_expect_and_the_digest(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    store.put("a", io.BytesIO(b"sent"), 4, md5=hashlib.md5(b"sent").digest())

    sent = scripted.requests[0].headers
    assert "expect" not in sent
    assert sent["content-md5"] == SENT_MD5
    assert not any(name.startswith(("x-amz-checksum", "x-amz-sdk-checksum")) for name in sent)
    assert "datalad-s3ext/" in sent["user-agent"]


def test_nothing_is_retried_here(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: xml_error(503, "SlowDown", **{"Retry-After": "3"})

    with pytest.raises(errors.TransientError) as caught:
        store.head("a")
    assert caught.value.retry_after_s == 3
    with pytest.raises(errors.TransientError):
        store.put("a", io.BytesIO(b"x"), 1)
    assert len(scripted.requests) == 2


def page(*keys: str, more: str = "") -> Reply:
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    truncated = "true" if more is not None and more != "end" else "false"
    body = (
        f"<ListBucketResult><Name>bucket</Name><IsTruncated>{truncated}</IsTruncated>"
        f"{rows}{more if more != 'end' else ''}</ListBucketResult>"
    )
    return Reply(200, body.encode(), REQUEST_ID)


def token(text: str) -> str:
    return f"<NextContinuationToken>{text}</NextContinuationToken>"


@pytest.mark.parametrize(
    "endless",
    [
        lambda _: page("a", "b", more=token("same")),
        lambda _: page("a", "b"),
        lambda _: page(),
        lambda r: page("a", "b", more=token(r.query.get("continuation-token", "") + "x")),
        lambda r: page(more=token("t")),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_endless_list(endless: Callable[[Request], Reply], version: int, scripted: Scripted) -> None:
    store = store_on(scripted.url, list_version=version)
    scripted.answer = endless

    with pytest.raises(errors.IntegrityError, match="repeats a page"):
        list(store.list())
    assert len(scripted.requests) <= 3


def test_list_outside_the_prefix_is_refused(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: page("mine/a", "yours/b", more="end")

    with pytest.raises(errors.IntegrityError):
        list(store.list("mine/"))


def test_empty_page_with_a_token_goes_on(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda r: (
        page("a", more="end") if "continuation-token" in r.query else page(more=token("t"))
    )

    assert [info.name for info in store.list()] == ["a"]


def test_endless_list_of_uploads(scripted: Scripted, store: S3Store) -> None:
    body = (
        "<ListMultipartUploadsResult><Bucket>bucket</Bucket><IsTruncated>true</IsTruncated>"
        "<Upload><Key>a</Key><UploadId>1</UploadId></Upload></ListMultipartUploadsResult>"
    )
    scripted.answer = lambda _: Reply(200, body.encode(), REQUEST_ID)

    with pytest.raises(errors.IntegrityError):
        list(store.list_uploads())


def test_uploads_that_cannot_be_listed(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: xml_error(501, "NotImplemented")

    with pytest.raises(errors.Unsupported):
        list(store.list_uploads())


def bucket_with(script: Scripted, create: Reply, head: Reply) -> None:
    script.answer = lambda r: create if r.method == "PUT" else head


def test_bucket_of_ones_own_exists(scripted: Scripted, store: S3Store) -> None:
    bucket_with(scripted, xml_error(409, "BucketAlreadyOwnedByYou"), Reply(500))
    store.create_bucket()
    bucket_with(scripted, xml_error(409, "BucketAlreadyExists"), Reply(200, headers=REQUEST_ID))
    store.create_bucket()


def test_bucket_of_someone_else(scripted: Scripted, store: S3Store) -> None:
    bucket_with(scripted, xml_error(409, "BucketAlreadyExists"), Reply(403, headers=REQUEST_ID))

    with pytest.raises(errors.ConfigError, match="taken by someone else"):
        store.create_bucket()


def test_bucket_that_may_not_be_asked_about(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: Reply(403, headers=REQUEST_ID)

    with pytest.raises(errors.AccessDenied):
        store.bucket_exists()


def test_nobody_listens() -> None:
    store: ObjectStore = store_on("http://127.0.0.1:1")

    with pytest.raises(errors.Unreachable, match="no connection to http://127"):
        store.head("a")


def test_https_to_a_plain_port(scripted: Scripted) -> None:
    store = store_on(scripted.url.replace("http:", "https:"), read_timeout_s=2)

    with pytest.raises(errors.Unreachable, match="speaks https"):
        store.head("a")
