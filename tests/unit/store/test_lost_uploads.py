"""An upload whose id never arrived is found and taken back; no other one is."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pytest

from datalad_s3ext.errors import (
    AccessDenied,
    NotS3,
    S3xError,
    TransientError,
    Unreachable,
    Unsupported,
    UploadNotFound,
)
from datalad_s3ext.store.base import DEFAULT_PUT, PutOptions
from datalad_s3ext.store.lost_uploads import CLOCK_STEP_S
from datalad_s3ext.store.memory import MemoryStore
from datalad_s3ext.store.retrying import Retrying
from tests.support.raw_server import RawServer, answer, opened

LOST = TransientError("the connection broke")


class Losing(MemoryStore):
    """Begins uploads and then answers with one of `errors`."""

    def __init__(self, *errors: S3xError) -> None:
        super().__init__()
        self.errors = list(errors)
        self.looked = 0

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        upload_id = super().create_upload(name, options=options)
        if self.errors:
            raise self.errors.pop(0)
        return upload_id

    def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
        self.looked += 1
        return super().empty_uploads(name, age_s)


def patient(store: MemoryStore) -> Retrying:
    return Retrying(store, sleep=lambda _: None)


@pytest.mark.parametrize("times", [1, 3])
def test_a_begun_upload_whose_id_was_lost_is_taken_back(times: int) -> None:
    store = Losing(*[LOST] * times)

    upload_id = patient(store).create_upload("name")

    assert list(store.list_uploads()) == [("name", upload_id)]


@pytest.mark.parametrize("error", [LOST, NotS3("garbled")])
def test_nothing_is_left_when_all_attempts_fail(error: S3xError) -> None:
    store = Losing(*[error] * 100)

    with pytest.raises(type(error)):
        patient(store).create_upload("name")

    assert list(store.list_uploads()) == []


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("no"),
        Unreachable("nobody there"),
        TransientError("slower", code="SlowDown", http_status=503),
    ],
)
def test_who_was_refused_does_not_look(error: S3xError) -> None:
    store = Losing(*[error] * 100)

    with pytest.raises(type(error)):
        patient(store).create_upload("name")

    assert store.looked == 0


def test_nobody_looks_when_all_is_well() -> None:
    store = Losing()
    retrying = patient(store)

    retrying.upload_part("name", retrying.create_upload("name"), 1, io.BytesIO(b"x"), 1)

    assert store.looked == 0


def begun_by_others(store: MemoryStore) -> set[tuple[str, str]]:
    """Begin what must be left alone: of another name, with a part, and long ago."""
    longer, filled, old = (store.create_upload(name) for name in ("name and more", "name", "name"))
    store.upload_part("name", filled, 1, io.BytesIO(b"x"), 1)
    store._uploads[old].began -= CLOCK_STEP_S + 60
    return {("name and more", longer), ("name", filled), ("name", old)}


def test_what_others_have_begun_is_left_alone() -> None:
    store = Losing()
    others = begun_by_others(store)
    store.errors = [LOST]

    upload_id = patient(store).create_upload("name")

    assert set(store.list_uploads()) == {*others, ("name", upload_id)}


def test_another_upload_of_the_same_process_is_left_alone() -> None:
    store = Losing()
    retrying = patient(store)
    first = retrying.create_upload("name")
    store.errors = [LOST]

    second = retrying.create_upload("name")

    assert set(store.list_uploads()) == {("name", first), ("name", second)}


@pytest.mark.parametrize("error", [Unsupported("no such list"), AccessDenied("no"), LOST])
def test_a_server_that_does_not_list_uploads_is_used_all_the_same(error: S3xError) -> None:
    class NoList(Losing):
        def empty_uploads(self, name: str, age_s: float) -> Sequence[str]:
            raise error

    assert patient(NoList(LOST)).create_upload("name") == "upload-2"


class Garbling(MemoryStore):
    """Tells the id with `noise` behind it."""

    noise = ""

    def create_upload(self, name: str, *, options: PutOptions = DEFAULT_PUT) -> str:
        return super().create_upload(name, options=options) + self.noise


def test_an_upload_whose_id_was_damaged_is_taken_back() -> None:
    store = Garbling()
    retrying = patient(store)
    others = begun_by_others(store)
    store.noise = "?"
    upload_id = retrying.create_upload("name")

    for number in (1, 2):
        with pytest.raises(UploadNotFound):
            retrying.upload_part("name", upload_id, number, io.BytesIO(b"x"), 1)

    assert set(store.list_uploads()) == others


def test_whose_upload_was_taken_back_by_others_does_not_take_back_theirs() -> None:
    """Else two computers that send the same content would keep each other from it for ever."""
    now_s = [0.0]
    store = Losing()
    retrying = patient(store)
    retrying._open_uploads._clock = lambda: now_s[0]
    upload_id = retrying.create_upload("name")
    now_s[0] = 60
    store.abort_upload("name", upload_id)
    theirs = store.create_upload("name")

    with pytest.raises(UploadNotFound):
        retrying.upload_part("name", upload_id, 1, io.BytesIO(b"x"), 1)

    assert list(store.list_uploads()) == [("name", theirs)]


def test_an_upload_that_vanished_later_is_no_reason_to_look() -> None:
    store = Losing()
    retrying = patient(store)
    upload_id = retrying.create_upload("name")
    retrying.upload_part("name", upload_id, 1, io.BytesIO(b"x"), 1)
    store.abort_upload("name", upload_id)

    with pytest.raises(UploadNotFound):
        retrying.upload_part("name", upload_id, 2, io.BytesIO(b"x"), 1)

    assert store.looked == 0


# -- over S3 --------------------------------------------------------------------------------------

DATE = "Date: Sun, 22 Nov 2026 12:00:10 GMT"
BEGUN = b"<R><Bucket>bucket</Bucket><Key>n</Key><UploadId>%s</UploadId></R>"
NO_PARTS = b"<R><UploadId>i</UploadId></R>"
A_PART = b"<R><UploadId>i</UploadId><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></R>"
_ROW = b"<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2026-11-22T%s.000Z</Initiated></Upload>"


def listed(*rows: tuple[bytes, bytes, bytes]) -> bytes:
    uploads = b"".join(_ROW % row for row in rows)
    return answer("200 OK", b"<R><Bucket>bucket</Bucket>" + uploads + b"</R>", DATE)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def aborted(server: RawServer) -> list[bytes]:
    lines = [request.partition(b"\r\n")[0] for request in server.requests]
    return [line.split(b" ")[1] for line in lines if line.startswith(b"DELETE")]


def test_the_server_s_own_clock_tells_which_are_young(server: RawServer) -> None:
    list_of_all = listed(
        (b"n", b"old", b"12:00:01"), (b"n", b"young", b"12:00:08"), (b"nn", b"other", b"12:00:08")
    )
    server.connections = [[list_of_all, answer("200 OK", NO_PARTS)]]

    assert list(opened(server.url).empty_uploads("n", 5)) == ["young"]
    assert b"young" in server.requests[1]


@pytest.mark.parametrize(
    "page",
    [
        listed((b"n", b"young", b"12:00:08")).replace(b"Date", b"Dave"),
        listed((b"n", b"young", b"12:00:08")).replace(b"Initiated", b"Initialed"),
    ],
)
def test_where_no_time_is_told_none_is_young(server: RawServer, page: bytes) -> None:
    server.connections = [[page]]

    assert list(opened(server.url).empty_uploads("n", 5)) == []


def test_one_with_a_part_is_not_empty(server: RawServer) -> None:
    server.connections = [[listed((b"n", b"i", b"12:00:08")), answer("200 OK", A_PART)]]

    assert list(opened(server.url).empty_uploads("n", 5)) == []


def test_an_answer_that_was_garbled_once_leaves_one_upload(server: RawServer) -> None:
    good = BEGUN % b"good"
    server.connections = [
        [answer("200 OK", b"<R><Bucket")],
        [
            answer("200 OK", good),
            listed((b"n", b"lost", b"12:00:10"), (b"n", b"good", b"12:00:10")),
            answer("200 OK", NO_PARTS),
            answer("200 OK", NO_PARTS),
            answer("204 No Content"),
        ],
    ]

    assert opened(server.url).create_upload("n") == "good"
    assert aborted(server) == [b"/bucket/n?uploadId=lost"]
