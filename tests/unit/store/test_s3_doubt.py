"""Answers that must not be believed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store import s3_core
from datalad_s3ext.store.base import ObjectInfo, PartReceipt
from datalad_s3ext.store.probe import probe
from datalad_s3ext.store.s3 import S3Store
from tests.support.hostile import HtmlServer
from tests.unit.store.conftest import (
    REQUEST_ID,
    Reply,
    Request,
    Scripted,
    empty_list,
    store_on,
    xml_error,
)

Call = Callable[[S3Store], object]

EVERYTHING: dict[str, Call] = {
    "head": lambda s: s.head("a"),
    "get": lambda s: s.get("a"),
    "get range": lambda s: s.get("a", start=1, length=2),
    "put": lambda s: s.put("a", io.BytesIO(b"x"), 1),
    "copy": lambda s: s.copy(ObjectInfo("a", 1, "e"), "b"),
    "copy_part": lambda s: s.copy_part(ObjectInfo("a", 1, "e"), 0, 1, "b", "id", 1),
    "delete": lambda s: s.delete("a"),
    "list": lambda s: list(s.list()),
    "create_upload": lambda s: s.create_upload("a"),
    "upload_part": lambda s: s.upload_part("a", "id", 1, io.BytesIO(b"x"), 1),
    "list_parts": lambda s: s.list_parts("a", "id"),
    "complete_upload": lambda s: s.complete_upload("a", "id", [PartReceipt(1, 1, "e")]),
    "abort_upload": lambda s: s.abort_upload("a", "id"),
    "list_uploads": lambda s: list(s.list_uploads()),
    "bucket_exists": lambda s: s.bucket_exists(),
    "create_bucket": lambda s: s.create_bucket(),
    "confirm_s3": lambda s: s.confirm_s3(),
    "probe": lambda s: probe(s, may_create_bucket=True),
    "read probe": lambda s: probe(s, may_create_bucket=False, writable=False),
}
BROKEN_PAGE = b"<!DOCTYPE html><html><body>Log in<br></html>"


@pytest.fixture(scope="module")
def web_client() -> Iterator[S3Store]:
    with HtmlServer() as server:
        store = store_on(server.url, read_timeout_s=2)
        yield store
        store.close()


@pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING)
def test_web_server_that_says_yes_to_all(call: Call, web_client: S3Store) -> None:
    """It even sends ETags and lengths."""
    # a range that is answered with a whole page is refused for that reason already
    with pytest.raises((errors.NotS3, errors.IntegrityError)) as caught:
        call(web_client)
    assert isinstance(caught.value, errors.NotS3) or call is EVERYTHING["get range"]


@pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING)
@pytest.mark.parametrize("status", [200, 302, 404])
def test_web_server_with_a_page_that_is_no_xml(
    call: Call, status: int, scripted: Scripted, store: S3Store
) -> None:
    page = Reply(status, BROKEN_PAGE, {"Content-Type": "text/html", "Location": "/login"})
    scripted.answer = lambda _: page

    with pytest.raises((errors.NotS3, errors.IntegrityError)) as caught:
        call(store)
    assert isinstance(caught.value, errors.NotS3) or call is EVERYTHING["get range"]


def absent(request: Request) -> Reply:
    """Answer as S3 does of an object that is not there."""
    bare = Reply(404, headers=REQUEST_ID)
    return bare if request.method == "HEAD" else xml_error(404, "NoSuchKey")


def test_absent_needs_a_word_of_s3(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = absent

    for _ in range(3):
        with pytest.raises(errors.ObjectNotFound):
            store.head("a")
    assert scripted.said() == ["HEAD", "GET", "HEAD", "HEAD"]


def test_absence_is_doubted_again_after_a_while(
    scripted: Scripted, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_core, "TRUST_S", 0.0)
    scripted.answer = absent

    for _ in range(2):
        with pytest.raises(errors.ObjectNotFound):
            store.head("a")
    assert scripted.said() == ["HEAD", "GET", "HEAD", "GET"]


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (xml_error(404, "NoSuchBucket"), errors.BucketNotFound),
        (xml_error(403, "AccessDenied"), errors.AccessDenied),
        (xml_error(503, "SlowDown"), errors.TransientError),
        (Reply(404, b"<html>Not here</html>"), errors.NotS3),
        (Reply(404), errors.NotS3),
        (Reply(206, b"x", {**REQUEST_ID, "ETag": '"e"'}), errors.TransientError),
    ],
)
def test_404_that_is_no_absence(
    second: Reply, kind: type[errors.S3xError], scripted: Scripted, store: S3Store
) -> None:
    scripted.answer = lambda r: Reply(404) if r.method == "HEAD" else second

    with pytest.raises(kind):
        store.head("a")


def test_another_server_is_not_believed_for_the_first_ones_sake(
    scripted: Scripted, store: S3Store
) -> None:
    scripted.answer = absent
    with pytest.raises(errors.ObjectNotFound):
        store.head("a")
    scripted.answer = lambda _: Reply(404, BROKEN_PAGE)
    with pytest.raises(errors.NotS3):
        store.head("a")


def test_who_is_only_confirmed_by_another_is_not_believed_the_next_time(
    scripted: Scripted, store: S3Store
) -> None:
    scripted.answer = lambda r: Reply(404) if r.method == "HEAD" else absent(r)
    with pytest.raises(errors.ObjectNotFound):
        store.head("a")

    there = Reply(206, b"x", {**REQUEST_ID, "ETag": '"e"'})
    scripted.answer = lambda r: Reply(404, BROKEN_PAGE) if r.method in ("HEAD", "DELETE") else there
    for call in (store.head, store.delete):
        with pytest.raises(errors.TransientError, match="both that 'a' is there"):
            call("a")


def test_404_to_a_removal_is_settled_each_time(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = absent
    with pytest.raises(errors.ObjectNotFound):
        store.head("a")
    bare = Reply(404, headers=REQUEST_ID)
    there = Reply(206, b"x", {**REQUEST_ID, "ETag": '"e"'})
    scripted.answer = lambda r: bare if r.method == "DELETE" else there

    with pytest.raises(errors.TransientError, match="both that 'a' is there"):
        store.delete("a")


def test_answers_without_a_request_id_cost_one_question(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda r: (
        Reply(200, b"x", {"ETag": '"e"'}) if r.method == "HEAD" else empty_list()
    )

    store.head("a")
    store.head("b")

    assert scripted.said() == ["HEAD", "GET", "HEAD"]


def test_denied_list_in_words_of_s3_is_evidence(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: xml_error(403, "AccessDenied")

    store.confirm_s3()


def test_confirmation_during_an_outage_is_no_verdict(scripted: Scripted, store: S3Store) -> None:
    scripted.answer = lambda _: xml_error(503, "ServiceUnavailable")

    with pytest.raises(errors.TransientError):
        store.confirm_s3()
