"""SSE-C on a real server: SeaweedFS encrypts with the key that it is given, and demands it again."""

from __future__ import annotations

import io
import secrets

import pytest

from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.s3 import open_store
from tests.integration.store.conftest import connection_to, keys_of
from tests.support.servers import Endpoint

KEY = secrets.token_bytes(32)
PART = 5 * 1024 * 1024


def opened(seaweed: Endpoint, bucket: str, key: bytes | None) -> ObjectStore:
    extras = Extras(customer_key=key, customer_key_source="FILE") if key else NO_EXTRAS
    return open_store(connection_to(seaweed.url), keys_of(seaweed), bucket, extras=extras)


def read(store: ObjectStore, name: str) -> bytes:
    with store.get(name) as answer:
        return b"".join(iter(lambda: answer.read(1 << 20), b""))


def test_uploads_lists_and_copies_carry_the_key(seaweed: Endpoint, new_bucket: str) -> None:
    store = opened(seaweed, new_bucket, KEY)
    content = secrets.token_bytes(PART + 5)
    upload = store.create_upload("large")
    pieces = [content[:PART], content[PART:]]
    receipts = [
        store.upload_part("large", upload, number, io.BytesIO(piece), len(piece))
        for number, piece in enumerate(pieces, start=1)
    ]

    listed = store.list_parts("large", upload)
    store.complete_upload("large", upload, receipts)
    store.copy(store.head("large"), "copy")

    assert [part.size_bytes for part in listed] == [PART, 5]
    assert read(store, "large") == read(store, "copy") == content
    with store.get("copy", start=PART - 3, length=6) as answer:
        assert answer.read(6) == content[PART - 3 : PART + 3]


@pytest.mark.parametrize("key", [None, secrets.token_bytes(32)], ids=["no key", "another key"])
def test_without_the_right_key_an_object_is_neither_there_nor_absent(
    seaweed: Endpoint, new_bucket: str, key: bytes | None
) -> None:
    opened(seaweed, new_bucket, KEY).put("a", io.BytesIO(b"12345"), 5)
    other = opened(seaweed, new_bucket, key)

    for ask in (lambda: other.head("a"), lambda: other.get("a")):
        with pytest.raises(S3xError) as refused:
            ask()
        assert refused.value.http_status in (400, 403)
        assert isinstance(refused.value, ConfigError) is (key is None)
        assert ("another SSE-C key than the one from FILE" in str(refused.value)) is bool(key)
