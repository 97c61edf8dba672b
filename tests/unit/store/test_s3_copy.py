"""Copies at a scripted server: what is asked, and which answers count."""

from __future__ import annotations

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store.base import ObjectInfo, PutOptions
from datalad_s3ext.store.s3 import S3Store
from tests.unit.store.conftest import REQUEST_ID, Reply, Scripted, xml_error

ETAG = "0cc175b9c0f1b6a831c399e269772661"
SOURCE = ObjectInfo("a b/ü+%", 10, ETAG, storage_class="STANDARD_IA")
XML = {**REQUEST_ID, "Content-Type": "application/xml"}
COPIED = Reply(200, f'<CopyObjectResult><ETag>"{ETAG}"</ETag></CopyObjectResult>'.encode(), XML)
PART = Reply(200, f'<CopyPartResult><ETag>"{ETAG}"</ETag></CopyPartResult>'.encode(), XML)


def test_a_copy_keeps_the_storage_class_and_asks_for_the_same_source(
    store: S3Store, scripted: Scripted
) -> None:
    scripted.answer = lambda _: COPIED
    options = PutOptions(
        storage_class="GLACIER", metadata={"x": "y"}, tagging="t=1", sse="AES256", content_type="a/b"
    )

    stored = store.copy(SOURCE, "new name", options=options)

    [asked] = scripted.requests
    headers = {k: v for k, v in asked.headers.items() if k.startswith("x-amz-") and "sha256" not in k}
    assert stored.etag == ETAG
    assert (asked.method, asked.path) == ("PUT", "/bucket/new name")
    assert headers.pop("x-amz-date")
    assert headers == {
        "x-amz-copy-source": "bucket/a%20b/%C3%BC%2B%25",
        "x-amz-copy-source-if-match": f'"{ETAG}"',
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "AES256",
    }


def test_a_part_is_a_range_of_the_source(store: S3Store, scripted: Scripted) -> None:
    scripted.answer = lambda _: PART

    part = store.copy_part(SOURCE, 3, 4, "new", "ID", 2)

    [asked] = scripted.requests
    assert (part.number, part.size_bytes, part.etag) == (2, 4, ETAG)
    assert asked.query == {"uploadId": "ID", "partNumber": "2"}
    assert asked.headers["x-amz-copy-source-range"] == "bytes=3-6"
    assert asked.headers["x-amz-copy-source-if-match"] == f'"{ETAG}"'


def late(code: str) -> Reply:
    """Return a 200 that turns out to be an error, as S3 may send after a long copy."""
    return Reply(200, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode(), XML)


ANSWERS = {
    "late error": (late("InternalError"), errors.TransientError),
    "late slow down": (late("SlowDown"), errors.TransientError),
    "empty body": (Reply(200, b"", {**REQUEST_ID, "ETag": '"x"'}), errors.S3xError),
    "no etag": (Reply(200, b"<CopyObjectResult/>", XML), errors.Unsupported),
    "not implemented": (xml_error(501, "NotImplemented"), errors.Unsupported),
    "changed": (xml_error(412, "PreconditionFailed"), errors.ObjectChanged),
    "gone": (xml_error(404, "NoSuchKey"), errors.ObjectNotFound),
    "denied": (xml_error(403, "AccessDenied"), errors.AccessDenied),
    "archived": (xml_error(403, "InvalidObjectState"), errors.Unsupported),
    "page": (Reply(200, b"<html>hi</html>", {"Content-Type": "text/html"}), errors.S3xError),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS)
def test_only_a_copy_is_success(
    store: S3Store, scripted: Scripted, answer: Reply, error: type[errors.S3xError]
) -> None:
    scripted.answer = lambda _: answer

    with pytest.raises(error):
        store.copy(SOURCE, "new")
    with pytest.raises(error):
        store.copy_part(SOURCE, 0, 10, "new", "ID", 1)
