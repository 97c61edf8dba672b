"""Versions and checksums of objects on servers that keep them."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pytest

from datalad_s3ext.errors import IntegrityError, ObjectChanged, ObjectNotFound, Unsupported
from datalad_s3ext.store.lean_client import ODD_LIMIT
from datalad_s3ext.store.pinned import Pinned
from datalad_s3ext.store.s3_versions import whole_sha256
from tests.integration.store.conftest import store_at
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

pytestmark = pytest.mark.server

SHA256 = hashlib.sha256(b"abc").digest()
IN_BASE64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="


@pytest.mark.parametrize("server", ["seaweed", "moto"])
def test_the_newest_versions_are_listed_and_old_ones_read_and_removed(
    request: pytest.FixtureRequest, bucket_name: str, server: str
) -> None:
    store = store_at(request.getfixturevalue(server), bucket_name, page_size=2)
    store.create_bucket()
    assert store.versioning() is False
    store.enable_versioning()
    assert store.versioning() is True
    names = [f"p/{letter} ü+" for letter in "abcde"]
    for content in (b"old", b"newer"):
        for name in names:
            store.put(name, BytesIO(content), len(content))
    store.put("q", BytesIO(b"x"), 1)
    store.delete(names[1])

    listed = list(store.list_versions("p/"))

    assert [info.name for info in listed] == [names[0], *names[2:]]
    assert {info.size_bytes for info in listed} == {5}
    assert len({info.version_id for info in listed}) == 4
    assert [info.name for info in store.list_versions("p/", start_after=names[2])] == names[3:]
    newest = store.head(names[0])
    rows = boto3_client(request.getfixturevalue(server)).list_object_versions(
        Bucket=bucket_name, Prefix=names[0]
    )["Versions"]
    [old] = [row["VersionId"] for row in rows if not row["IsLatest"]]
    pinned = Pinned(names[0], version_id=old)
    assert (store.head(pinned).size_bytes, store.describe(pinned).size_bytes) == (3, 3)
    with store.get(pinned, start=1, length=2) as reader:
        assert reader.read(9) == b"ld"
    store.delete(pinned)
    with pytest.raises(ObjectNotFound):
        store.head(pinned)
    assert store.head(names[0]) == newest
    store.close()


@pytest.mark.parametrize("server", ["seaweed", pytest.param("moto", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("is_short", [True, False])
def test_each_receipt_names_its_own_version(
    request: pytest.FixtureRequest, bucket_name: str, server: str, is_short: bool
) -> None:
    """On the short way and on botocore's."""
    store = store_at(request.getfixturevalue(server), bucket_name)
    store.create_bucket()
    store.enable_versioning()
    if not is_short:
        store._client._odd = ODD_LIMIT
    name = "a ü"
    receipts = [store.put(name, BytesIO(b"1"), 1)]
    store.put("source", BytesIO(b"4444"), 4)
    source = store.head("source")
    upload = store.create_upload(name)
    parts = [store.upload_part(name, upload, 1, BytesIO(b"333"), 3)]
    receipts.append(store.complete_upload(name, upload, parts))
    receipts.append(store.copy(source, name))
    upload = store.create_upload(name)
    parts = [store.copy_part(source, 0, 2, name, upload, 1)]
    receipts.append(store.complete_upload(name, upload, parts))

    versions = [Pinned(name, version_id=receipt.version_id) for receipt in receipts]
    assert [store.head(version).size_bytes for version in versions] == [1, 3, 4, 2]
    store.close()


def test_an_etag_that_is_demanded_must_be_the_objects(rclone: Endpoint, bucket_name: str) -> None:
    """rclone ignores If-Match: the answer is looked at."""
    store = store_at(rclone, bucket_name)
    store.create_bucket()
    etag = store.put("f", BytesIO(b"abc"), 3).etag

    with store.get(Pinned("f", etag=etag)) as reader:
        assert reader.read(9) == b"abc"
    with pytest.raises(ObjectChanged):
        store.get(Pinned("f", etag="0" * 32))
    store.close()


def test_a_server_without_versions_says_so(rclone: Endpoint, bucket_name: str) -> None:
    store = store_at(rclone, bucket_name)
    store.create_bucket()

    with pytest.raises(Unsupported):
        store.enable_versioning()
    store.close()


def test_pages_of_versions_that_repeat_are_an_error(moto: Endpoint, bucket_name: str) -> None:
    """A relay that always names the same next page."""
    fill = store_at(moto, bucket_name)
    fill.create_bucket()
    for name in "abcde":
        fill.put(name, BytesIO(b"x"), 1)
    fill.close()
    with Relay(moto.url) as relay:
        for marker in (b"b", b"c", b"d"):
            relay.shapers_down.add(
                lambda _: True,
                lambda body, marker=marker: (
                    piece.replace(b"<NextKeyMarker>" + marker + b"<", b"<NextKeyMarker>a<")
                    for piece in body
                ),
                1,
            )
        store = store_at(moto.at(relay.url), bucket_name)
        with pytest.raises(IntegrityError):
            list(store.list_versions())
        store.close()


@pytest.mark.parametrize(
    ("answer", "etag", "expected"),
    [
        ({"ChecksumSHA256": IN_BASE64, "ChecksumType": "FULL_OBJECT"}, "x", SHA256),
        ({"ChecksumSHA256": IN_BASE64, "ChecksumType": "FULL_OBJECT"}, "x-2", SHA256),
        ({"ChecksumSHA256": IN_BASE64}, "x", SHA256),
        ({"ChecksumSHA256": IN_BASE64}, "x-2", None),
        ({"ChecksumSHA256": IN_BASE64, "ChecksumType": "COMPOSITE"}, "x", None),
        ({"ChecksumSHA256": f"{IN_BASE64}-2"}, "x", None),
        ({"ChecksumSHA256": "AAAA"}, "x", None),
        ({"ChecksumSHA256": "?"}, "x", None),
        ({}, "x", None),
    ],
)
def test_a_sha256_counts_when_it_is_of_all_bytes(
    answer: dict[str, str], etag: str, expected: bytes | None
) -> None:
    assert whole_sha256(answer, etag) == expected
