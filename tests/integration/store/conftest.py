"""S3 stores on the servers of the common fixtures."""

from __future__ import annotations

import dataclasses

from datalad_s3ext.credentials.model import Identity, Keys
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.providers.schema import Bucket, Evidence, Listing, Provider, Upload
from datalad_s3ext.store.s3 import S3Store, open_store
from tests.support.servers import Endpoint

TRUSTING = Provider(
    id="test",
    name="Test server",
    kind="self-hosted",
    evidence=Evidence(checked="2026-11-22", confidence="high"),
    upload=Upload(etag_is_md5=True, part_etag_is_md5=True, multipart_etag_is_md5_of_md5s=True),
    bucket=Bucket(location_constraint="none"),
)


def connection_to(url: str, provider: Provider = TRUSTING) -> Connection:
    return Connection(
        provider=provider,
        endpoint_url=url,
        region="us-east-1",
        signing_region="us-east-1",
        addressing="path",
        signature="v4",
    )


def keys_of(endpoint: Endpoint) -> Keys:
    return Keys(endpoint.access_key_id, endpoint.secret_access_key, source="the test")


def store_at(
    endpoint: Endpoint,
    bucket: str,
    *,
    list_version: int = 2,
    identity: Identity | None = None,
    page_size: int = 2,
) -> S3Store:
    listing = Listing(version=1 if list_version == 1 else 2)
    provider = dataclasses.replace(TRUSTING, listing=listing)
    store = open_store(
        connection_to(endpoint.url, provider),
        identity or keys_of(endpoint),
        bucket,
        page_size=page_size,
    )
    assert isinstance(store, S3Store)
    return store
