"""Answers to botocore that drip for ever: heads and documents have an end all the same."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext import errors
from datalad_s3ext.store import s3_client
from datalad_s3ext.store.bounded_answers import bound_answers
from datalad_s3ext.store.s3 import S3Store
from datalad_s3ext.store.s3_place import place_of
from tests.support.certificates import Authority
from tests.support.fronts import TlsFront
from tests.unit.store.conftest import KEYS, connection
from tests.unit.store.test_reader_pace import server

LIMIT_S = 0.5
PAUSE_S = 0.05
HEAD = "HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nContent-Type: application/xml\r\n"
LIST = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"


def store_at(url: str, head_s: float = 60, document_s: float = 60) -> S3Store:
    where = connection(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_client, "bound_answers", lambda c, _: bound_answers(c, head_s, document_s))
        client = s3_client.make_client(where, KEYS, "bucket", read_timeout_s=30)
    return S3Store(client, where, place_of(where, KEYS, "bucket"))


def given_up(url: str, **limits: float) -> None:
    store = store_at(url, **limits)
    began = time.monotonic()
    with pytest.raises(errors.TransientError, match=r"stopped answering|broke"):
        store.confirm_s3()
    assert time.monotonic() - began < 50
    store.close()


def drops(piece: bytes) -> Iterator[bytes]:
    for _ in range(2000):
        yield piece


def test_a_head_that_drips_is_given_up() -> None:
    with server(HEAD, drops(b"x"), PAUSE_S) as url:
        given_up(url, head_s=LIMIT_S)


def test_a_head_that_is_late_is_not_taken_for_whole() -> None:
    """What has come by then is whole lines, which http.client would take for all of the head."""
    with server(HEAD + "Content-Length: 0\r\n", drops(b"a: b\r\n"), PAUSE_S) as url:
        given_up(url, head_s=LIMIT_S)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + f"Content-Length: {10**6}\r\n\r\n", b" "),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["counted", "chunked"],
)
def test_a_document_that_drips_is_given_up(head: str, piece: bytes) -> None:
    with server(head, drops(piece), PAUSE_S) as url:
        given_up(url, document_s=LIMIT_S)


def test_what_takes_its_time_within_the_limits_is_waited_for() -> None:
    head = HEAD + f"Content-Length: {10 + len(LIST)}\r\n\r\n"
    with server(head, iter([b" "] * 10 + [LIST]), PAUSE_S) as url:
        store_at(url, document_s=60).confirm_s3()


class Slow(io.BytesIO):
    """Bytes on a line so slow that sending them takes longer than any answer may."""

    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(2 * LIMIT_S)
        return super().read(size)


def test_what_is_sent_may_take_as_long_as_it_takes() -> None:
    head = 'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'
    with server(head, iter([]), 0) as url:
        client = store_at(url, document_s=LIMIT_S)._client
        answer = client.put_object(Bucket="bucket", Key="a", Body=Slow(b"12345"), ContentLength=5)

    assert answer["ETag"] == '"e"'


def test_every_client_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(s3_client, "bound_answers", lambda *arguments: seen.append(arguments[1:]))

    s3_client.make_client(connection("http://127.0.0.1:1"), KEYS, "bucket", read_timeout_s=7)

    assert seen == [(14,)]


@pytest.mark.parametrize(
    "limits", [{"head_s": LIMIT_S}, {"document_s": LIMIT_S}], ids=["head", "document"]
)
def test_over_tls_too(
    limits: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    head = HEAD if "head_s" in limits else HEAD + f"Content-Length: {10**6}\r\n\r\n"
    with (
        server(head, drops(b" "), PAUSE_S) as url,
        TlsFront(url, authority.issue("localhost")) as front,
    ):
        given_up(front.url, **limits)
