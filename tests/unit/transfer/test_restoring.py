"""Asking for restores of a server that takes its time, and of one that refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from datalad_s3ext.errors import AccessDenied, ObjectArchived, Unsupported
from datalad_s3ext.store.archive import ARCHIVE_CLASSES
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import Retrying
from datalad_s3ext.transfer.restoring import Order, Outcome, restore_object, told
from tests.support.raw_server import RawServer, answer, opened, refusal

ONGOING = 'x-amz-restore: ongoing-request="true"'


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def head(*headers: str) -> bytes:
    return b"".join([
        b'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Length: 5\r\n',
        *(f"{line}\r\n".encode() for line in headers), b"\r\n",
    ])  # fmt: skip


ORDER = Order(2, "standard")


def ask(store: ObjectStore, order: Order | None = ORDER) -> Outcome:
    return restore_object(
        store, store.head("a"), order, archive_classes=ARCHIVE_CLASSES, has_usual_hours=True
    )


def test_what_is_archived_is_asked_for_and_expected(server: RawServer) -> None:
    server.connections = [[head("x-amz-storage-class: DEEP_ARCHIVE")], [answer("202 Accepted")]]

    outcome = ask(opened(server.url))

    assert outcome.step == "asked"
    assert outcome.expected_by is not None
    left = outcome.expected_by - datetime.now(UTC)
    assert timedelta(hours=11) < left <= timedelta(hours=12)
    assert told([outcome]).startswith("being restored from DEEP_ARCHIVE, expected by 20")


def test_what_was_asked_for_before_is_not_asked_for_again(server: RawServer) -> None:
    server.connections = [[head("x-amz-storage-class: GLACIER", ONGOING)]]

    assert ask(opened(server.url)).step == "under way"
    assert len(server.requests) == 1


def test_somebody_else_may_have_asked_a_moment_ago(server: RawServer) -> None:
    server.connections = [
        [head("x-amz-storage-class: GLACIER")],
        [refusal("409 Conflict", "RestoreAlreadyInProgress")],
    ]

    assert ask(opened(server.url)).step == "under way"


def test_an_object_of_intelligent_tiering_is_moved_back_for_good(server: RawServer) -> None:
    server.connections = [
        [head("x-amz-storage-class: INTELLIGENT_TIERING", "x-amz-archive-status: ARCHIVE_ACCESS")],
        [answer("202 Accepted")],
    ]

    assert ask(opened(server.url)).step == "asked"
    assert b"<Days>" not in server.requests[1]


@pytest.mark.parametrize("headers", [(), ('x-amz-restore: ongoing-request="false"',)])
def test_what_can_be_read_is_left_alone(server: RawServer, headers: tuple[str, ...]) -> None:
    server.connections = [[head(*headers)]]

    outcome = ask(opened(server.url))

    assert outcome.step == "readable"
    assert told([outcome]) == "readable again"


def test_one_may_only_look(server: RawServer) -> None:
    server.connections = [[head("x-amz-storage-class: GLACIER")]]

    assert ask(opened(server.url), None).step == "archived"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("GlacierExpeditedRetrievalNotAvailable", "503 Service Unavailable", Unsupported),
        ("AccessDenied", "403 Forbidden", AccessDenied),
        ("InvalidObjectState", "403 Forbidden", ObjectArchived),
    ],
)
def test_a_refusal_is_told_and_not_repeated(
    server: RawServer, code: str, status: str, expected: type[Exception]
) -> None:
    server.connections = [[head("x-amz-storage-class: GLACIER")], [refusal(status, code)]]
    store = Retrying(opened(server.url), RetryPolicy(), sleep=lambda _: None)

    with pytest.raises(expected):
        ask(store)

    assert len(server.requests) == 2


def test_a_get_of_an_archived_object_is_not_repeated(server: RawServer) -> None:
    server.connections = [[refusal("403 Forbidden", "InvalidObjectState")]]
    store = Retrying(opened(server.url), RetryPolicy(), sleep=lambda _: None)

    with pytest.raises(ObjectArchived, match="must be restored first"):
        store.get("a", start=0, length=5)

    assert len(server.requests) == 1
