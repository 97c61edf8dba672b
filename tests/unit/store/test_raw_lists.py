"""Lists of services that cannot encode names: names that no XML can hold are listed as they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from datalad_s3ext.errors import TransientError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.providers.schema import Listing
from tests.unit.store.conftest import REQUEST_ID, Reply, Scripted, connection
from tests.unit.store.test_quirks import by_botocore, sent


def raw(url: str, version: Any = 1, *, url_encoding: bool = False) -> Connection:
    where = connection(url)
    listing = Listing(version=version, url_encoding=url_encoding)
    return dataclasses.replace(where, provider=dataclasses.replace(where.provider, listing=listing))


def page(*keys: bytes, prefix: bytes = b"", more: bytes = b"false") -> Reply:
    rows = b"".join(
        b"<Contents><Key>%s</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents>" % key
        for key in keys
    )
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><Prefix>%s</Prefix>'
        b"<IsTruncated>%s</IsTruncated>%s</ListBucketResult>" % (prefix, more, rows)
    )
    return Reply(200, body, REQUEST_ID)


@pytest.mark.parametrize("version", [1, 2])
def test_names_with_control_characters_are_listed(scripted: Scripted, version: Any) -> None:
    scripted.answer = lambda _: page(
        b"p/a\x01b", b"p/c&#x1F;&#27;d", b"p/e\r\nf", "p/ü &amp; %41+".encode(), b"p/&#xFC;&lt;",
        prefix=b"p/",
    )  # fmt: skip

    found = [row.name for row in by_botocore(raw(scripted.url, version)).list("p/")]

    assert found == ["p/a\x01b", "p/c\x1f\x1bd", "p/e\r\nf", "p/ü & %41+", "p/ü<"]
    assert "encoding-type" not in sent(scripted).query


def test_a_list_goes_on_behind_such_a_name(scripted: Scripted) -> None:
    pages = [page(b"a", b"b\x02", more=b"true"), page(b"c")]
    scripted.answer = lambda _: pages.pop(0)

    found = [row.name for row in by_botocore(raw(scripted.url)).list()]

    assert found == ["a", "b\x02", "c"]
    assert sent(scripted).query["marker"] == "b\x02"


def test_other_lists_are_read_as_ever(scripted: Scripted) -> None:
    scripted.answer = lambda _: page("a%41 + ü &amp;".encode())

    assert [row.name for row in by_botocore(raw(scripted.url)).list()] == ["a%41 + ü &"]


@pytest.mark.parametrize("odd", [b"\x01&#xD800;", b"\x01&nothing;", b"\x01</Key>"])
def test_what_is_broken_otherwise_stays_an_error(scripted: Scripted, odd: bytes) -> None:
    scripted.answer = lambda _: page(b"a", odd)

    with pytest.raises(TransientError):
        list(by_botocore(raw(scripted.url)).list())


def test_where_names_are_encoded_nothing_is_guessed(scripted: Scripted) -> None:
    scripted.answer = lambda _: page(b"a\x01")

    with pytest.raises(TransientError):
        list(by_botocore(raw(scripted.url, url_encoding=True)).list())
