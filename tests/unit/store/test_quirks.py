"""Habits of services that a preset states: what goes out over the network, and what comes of it."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest

from datalad_s3ext import errors
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.providers.schema import Bucket, Region, Requests
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.s3 import S3Store, open_store
from datalad_s3ext.store.s3_client import make_client
from datalad_s3ext.store.s3_place import place_of
from tests.support.fronts import Proxy
from tests.unit.store.conftest import (
    KEYS,
    REQUEST_ID,
    Reply,
    Request,
    Scripted,
    connection,
    empty_list,
    xml_error,
)
from tests.unit.store.test_s3_answers import page

WHOLE = {**REQUEST_ID, "ETag": '"etag"'}


def speaking(url: str, **requests: Any) -> Connection:
    """Return a place whose preset states `requests`."""
    where = connection(url)
    stated = Requests(**requests)
    return dataclasses.replace(
        where,
        provider=dataclasses.replace(where.provider, requests=stated),
        addressing=stated.addressing,
        signature=stated.signature,
    )


def by_botocore(where: Connection, bucket: str = "bucket") -> S3Store:
    client = make_client(where, KEYS, bucket, read_timeout_s=2)
    return S3Store(client, where, place_of(where, KEYS, bucket))


def both_ways(where: Connection) -> list[ObjectStore]:
    return [by_botocore(where), open_store(where, KEYS, "bucket", read_timeout_s=2)]


def sent(scripted: Scripted) -> Request:
    return scripted.requests[-1]


# -- checksums ------------------------------------------------------------------------------------


def checksum_headers(request: Request) -> set[str]:
    words = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer", "transfer-encoding")
    return {name for name in request.headers if name.startswith(words)}


def test_no_checksum_that_was_not_asked_for_is_sent(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)

    for store in both_ways(speaking(scripted.url, checksum_mode="when_required")):
        store.put("a", io.BytesIO(b"sent"), 4)
        assert checksum_headers(sent(scripted)) == set()
        assert sent(scripted).headers["content-length"] == "4"
        assert sent(scripted).headers["x-amz-content-sha256"] not in {"", "UNSIGNED-PAYLOAD"}
        store.get("a").close()
        assert checksum_headers(sent(scripted)) == set()


def test_the_checksums_of_the_library_are_sent_where_the_preset_says_so(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    store = by_botocore(speaking(scripted.url, checksum_mode="when_supported"))

    store.put("a", io.BytesIO(b"sent"), 4)
    assert "x-amz-checksum-crc32" in sent(scripted).headers
    store.get("a").close()
    assert sent(scripted).headers["x-amz-checksum-mode"] == "ENABLED"


def test_a_part_is_sent_with_its_length_and_not_in_chunks(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)

    for store in both_ways(speaking(scripted.url)):
        store.upload_part("a", "id", 1, io.BytesIO(bytes(2 * 1024 * 1024)), 2 * 1024 * 1024)
        assert sent(scripted).headers["content-length"] == str(2 * 1024 * 1024)
        assert checksum_headers(sent(scripted)) == set()
        assert "content-encoding" not in sent(scripted).headers


def test_objects_are_deleted_one_by_one(scripted: Scripted) -> None:
    """DeleteObjects needs a checksum that some do not know and others do not take."""
    scripted.answer = lambda _: Reply(204, headers=REQUEST_ID)

    for store in both_ways(speaking(scripted.url)):
        store.delete("a")
        assert (sent(scripted).method, sent(scripted).query) == ("DELETE", {})


# -- signature and region -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exists", "list", "create"])
def test_signature_v2_is_one_of_the_path_that_is_sent(method: str, scripted: Scripted) -> None:
    """botocore signs the bucket's path with a slash that it does not send."""
    scripted.answer = lambda r: Reply(200, headers=REQUEST_ID) if r.method != "GET" else empty_list()
    store = by_botocore(speaking(scripted.url, signature="v2"))

    {"exists": store.bucket_exists, "list": lambda: list(store.list()), "create": store.create_bucket}[
        method
    ]()

    assert sent(scripted).headers["authorization"].startswith("AWS AKIAEXAMPLE:")
    assert sent(scripted).path == "/bucket/"


def test_a_region_of_its_own_is_signed_for(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)
    preset = dataclasses.replace(
        load_provider("other"), regions=(Region("place-1", signing="RegionOne"),)
    )
    where = resolve(preset, endpoint=scripted.url, region="place-1", environ={})

    for store in both_ways(where):
        store.head("a")
        assert "/RegionOne/s3/aws4_request" in sent(scripted).headers["authorization"]


# -- where the bucket's name stands ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "bucket", "url"),
    [
        ("path", "bucket", "http://s3.example.org/bucket/a%20b"),
        ("virtual", "bucket", "http://bucket.s3.example.org/a%20b"),
        ("path", "tenant:bucket", "http://s3.example.org/tenant%3Abucket/a%20b"),
    ],
)
def test_the_bucket_stands_in_the_path_or_before_the_host(
    style: Any, bucket: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(refuse_with=403) as proxy, monkeypatch.context() as patch:
        patch.setenv("http_proxy", proxy.url)
        patch.setenv("no_proxy", "")
        patch.delenv("NO_PROXY")
        store = open_store(speaking("http://s3.example.org", addressing=style), KEYS, bucket)
        with pytest.raises(errors.S3xError):
            store.get("a b")

    assert proxy.seen == [f"GET {url}"]


def test_a_bucket_with_dots_stands_in_the_path_where_no_certificate_fits() -> None:
    where = speaking("https://s3.example.org", addressing="virtual")
    client = make_client(where, KEYS, "with.dots")

    url = client.generate_presigned_url("get_object", Params={"Bucket": "with.dots", "Key": "a"})

    assert url.startswith("https://s3.example.org/with.dots/a?")


def test_a_tenants_bucket_is_used_like_any_other(scripted: Scripted) -> None:
    scripted.answer = lambda r: (
        Reply(200, headers=WHOLE) if r.method != "GET" else page("a", more="end")
    )
    store = open_store(speaking(scripted.url), KEYS, "tenant:bucket")

    store.put("a", io.BytesIO(b"sent"), 4)
    assert sent(scripted).path == "/tenant:bucket/a"
    assert [found.name for found in store.list()] == ["a"]
    assert store.bucket_exists()


# -- buckets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "region", "location", "expected"),
    [
        ("none", "eu-1", None, None),
        ("region", "eu-1", None, "eu-1"),
        ("region", "us-east-1", None, "us-east-1"),
        ("region-unless-us-east-1", "us-east-1", None, None),
        ("region-unless-us-east-1", "eu-1", None, "eu-1"),
        ("region", "eu-1", "wuxi1", "wuxi1"),
    ],
)
def test_the_location_of_a_new_bucket(
    rule: Any, region: str, location: str | None, expected: str | None, scripted: Scripted
) -> None:
    scripted.answer = lambda _: Reply(200, headers=REQUEST_ID)
    where = connection(scripted.url)
    preset = dataclasses.replace(
        where.provider,
        bucket=Bucket(location_constraint=rule),
        regions=(Region(region, location=location),),
    )

    by_botocore(dataclasses.replace(where, provider=preset, region=region)).create_bucket()

    body = sent(scripted).body.decode()
    if expected is None:
        assert body == ""
    else:
        assert f"<LocationConstraint>{expected}</LocationConstraint>" in body


EXISTS = [
    (409, "BucketAlreadyOwnedByYou"),
    (409, "BucketAlreadyExists"),
    (409, "BucketNameUnavailable"),
    (400, "BucketAlreadyExists"),
    (409, "SomethingElse"),
]


@pytest.mark.parametrize(("status", "code"), EXISTS)
def test_that_a_bucket_exists_is_said_in_many_ways(status: int, code: str, scripted: Scripted) -> None:
    store = by_botocore(speaking(scripted.url))
    scripted.answer = lambda r: (
        xml_error(status, code) if r.method == "PUT" else Reply(200, headers=REQUEST_ID)
    )

    store.create_bucket()


def test_a_bucket_that_is_made_again_with_success(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=REQUEST_ID)

    by_botocore(speaking(scripted.url)).create_bucket()


@pytest.mark.parametrize(("status", "code"), EXISTS[1:])
def test_the_bucket_of_someone_else_is_never_taken_for_ones_own(
    status: int, code: str, scripted: Scripted
) -> None:
    store = by_botocore(speaking(scripted.url))
    scripted.answer = lambda r: (
        xml_error(status, code) if r.method == "PUT" else Reply(403, headers=REQUEST_ID)
    )

    with pytest.raises(errors.ConfigError, match="taken by someone else"):
        store.create_bucket()


def test_too_many_attempts_to_make_a_bucket_are_no_answer(scripted: Scripted) -> None:
    scripted.answer = lambda _: xml_error(429, "TooManyRequests")

    with pytest.raises(errors.TransientError):
        by_botocore(speaking(scripted.url)).create_bucket()


# -- lists, metadata, archives --------------------------------------------------------------------


def test_a_list_that_cannot_be_read_is_an_error(scripted: Scripted) -> None:
    """Names with control characters cannot stand in XML, which some send all the same."""
    scripted.answer = lambda _: page("a", "b\x01", more="end")

    with pytest.raises(errors.TransientError):
        list(by_botocore(speaking(scripted.url)).list())


@pytest.mark.parametrize("version", [1, 2])
def test_encoded_names_are_decoded_once(version: Any, scripted: Scripted) -> None:
    body = (
        "<ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType>"
        "<IsTruncated>false</IsTruncated><Contents><Key>a%2Bb%2520c+d</Key></Contents>"
        "</ListBucketResult>"
    )
    scripted.answer = lambda _: Reply(200, body.encode(), REQUEST_ID)
    where = connection(scripted.url, list_version=version)

    assert [found.name for found in by_botocore(where).list()] == ["a+b%20c d"]


def test_an_archived_object_must_be_restored_first(scripted: Scripted) -> None:
    scripted.answer = lambda _: xml_error(403, "InvalidObjectState")

    for store in both_ways(speaking(scripted.url)):
        with pytest.raises(errors.Unsupported, match="must be restored first"):
            store.get("a")


def test_no_access_rule_goes_along(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, headers=WHOLE)

    for store in both_ways(speaking(scripted.url)):
        store.put("a", io.BytesIO(b"sent"), 4)
        assert "x-amz-acl" not in sent(scripted).headers
