"""Headers of a service's own: what its preset says goes out, and nothing from a data set does."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.reading import InvalidPreset, read_file
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.extras import Extras
from datalad_s3ext.store.s3 import open_store
from datalad_s3ext.store.s3_client import make_client
from tests.support.relay import Relay
from tests.support.servers import Endpoint
from tests.support.wire import Request as Sent
from tests.unit.doctor.support import keys_of
from tests.unit.providers.support import write_preset
from tests.unit.store.conftest import KEYS, REQUEST_ID, Reply, Scripted, empty_list
from tests.unit.store.test_quirks import both_ways, by_botocore, sent

CONSISTENT = "x-tigris-consistent"
WHOLE = {**REQUEST_ID, "ETag": '"etag"'}


def tigris(url: str, signature: str = "v4") -> Connection:
    return dataclasses.replace(
        resolve(load_provider("tigris"), endpoint=url, environ={}), signature=signature
    )


@pytest.mark.parametrize("signature", ["v4", "v2"])
def test_they_go_with_every_request(scripted: Scripted, signature: str) -> None:
    scripted.answer = lambda r: empty_list() if r.method == "GET" else Reply(200, headers=WHOLE)

    for store in both_ways(tigris(scripted.url, signature)):
        store.put("a", io.BytesIO(b"sent"), 4)
        store.head("a")
        list(store.list())
        store.upload_part("a", "id", 1, io.BytesIO(b"sent"), 4)
        store.delete("a")

    assert len(scripted.requests) >= 10
    for request in scripted.requests:
        assert request.headers[CONSISTENT] == "true"
        if signature == "v4":
            assert CONSISTENT in request.headers["authorization"].partition("SignedHeaders=")[2]


@pytest.mark.server
def test_a_real_server_takes_them_signed(seaweed: Endpoint, new_bucket: str) -> None:
    seen: list[Sent] = []
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: seen.append(request) is not None, Reply(200))
        store: ObjectStore = open_store(tigris(relay.url), keys_of(seaweed), new_bucket)
        store.put("a", io.BytesIO(b"sent"), 4)
        assert store.head("a").size_bytes == 4
        assert [found.name for found in store.list()] == ["a"]
        store.close()

    assert {request.headers.get(CONSISTENT) for request in seen} == {"true"}


def test_links_do_not_need_them(scripted: Scripted) -> None:
    client = make_client(tigris(scripted.url), KEYS)

    link = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})

    assert "X-Amz-SignedHeaders=host&" in link


def test_without_a_word_in_the_preset_there_are_none(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    extras = Extras(bucket_metadata={"title": "Brains"})
    client = make_client(
        resolve(load_provider("other"), endpoint=scripted.url, environ={}), KEYS, extras=extras
    )

    client.create_bucket(Bucket="bucket")

    assert not [name for name in sent(scripted).headers if name.startswith("x-archive")]


def test_metadata_of_a_new_bucket(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    where = resolve(load_provider("internet-archive"), endpoint=scripted.url, environ={})
    extras = Extras(bucket_metadata={"title": "Brains", "mediatype": "data"})
    store = open_store(where, KEYS, "brains", extras=extras)

    store.create_bucket()
    made = sent(scripted).headers
    store.put("a", io.BytesIO(b"sent"), 4)

    assert (made["x-archive-meta-title"], made["x-archive-meta-mediatype"]) == ("Brains", "data")
    assert made["x-archive-queue-derive"] == "0"
    assert sent(scripted).headers["x-archive-queue-derive"] == "0"
    assert "x-archive-meta-title" not in sent(scripted).headers


def test_the_bucket_of_a_plain_store_has_none(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    where = resolve(load_provider("internet-archive"), endpoint=scripted.url, environ={})

    by_botocore(where).create_bucket()

    assert not [name for name in sent(scripted).headers if name.startswith("x-archive-meta")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[requests.headers]\nauthorization = "x"\n', "requests.headers.authorization must begin"),
        ('[requests.headers]\nx-amz-acl = "public-read"\n', "requests.headers.x-amz-acl must begin"),
        ('[requests.headers]\nX-Own = "x"\n', "requests.headers.X-Own must begin"),
        ('[requests.headers]\nx-own = "ü"\n', "requests.headers.x-own must be ASCII"),
        ('[requests.headers]\nx-own = "a\\r\\nb: c"\n', "requests.headers.x-own holds a line break"),
        ('[bucket]\nmetadata_prefix = "x-amz-"\n', "bucket.metadata_prefix must begin"),
    ],
    ids=str,
)
def test_none_can_take_the_place_of_others(tmp_path: Path, text: str, expected: str) -> None:
    path = write_preset(tmp_path, "lab", text)

    with pytest.raises(InvalidPreset, match=expected):
        read_file(path)


@pytest.mark.parametrize(
    "text", ['[requests.headers]\nx-own = "1"\n', '[bucket]\nmetadata_prefix = "x-own-"\n']
)
def test_a_data_set_brings_none_along(tmp_path: Path, text: str) -> None:
    write_preset(tmp_path / ".datalad" / "s3-providers", "lab", text)

    with pytest.raises(ConfigError, match="may not be stated by a preset that comes with a data set"):
        load_provider("lab", dataset=tmp_path)
