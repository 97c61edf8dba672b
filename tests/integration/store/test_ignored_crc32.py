"""A server in the place of one that compares CRC32: the preset says so, and it is not true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import open_patient_store
from datalad_s3ext.transfer.pool import Pool
from datalad_s3ext.transfer.progress import Progress
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.upload import upload_file
from datalad_s3ext.units import MIB
from tests.integration.store.conftest import connection_to, keys_of
from tests.support.faults import is_upload_part
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

pytestmark = pytest.mark.server

COMPARES = load_provider("seaweedfs")
"""What it says is true of one of the three servers."""


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=2)
    yield pool
    pool.close()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_damage_is_found_although_the_server_does_not_look(
    endpoint: Endpoint, bucket_name: str, is_damaged: bool, pool: Pool, tmp_path: Path
) -> None:
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket_name)
    path = tmp_path / "content"
    path.write_bytes(os.urandom(5 * MIB + 1))
    rules = UploadRules.of(COMPARES.upload, part_size=5 * MIB)

    with Relay(endpoint.url) as relay:
        store = open_patient_store(
            connection_to(relay.url, COMPARES), keys_of(endpoint), bucket_name,
            policy=RetryPolicy(attempts=1),
        )  # fmt: skip
        if is_damaged:
            relay.flip_byte_up(is_upload_part, offset=0)
            with pytest.raises(IntegrityError):
                upload_file(store, "name", path, rules, pool, Progress(lambda _: None))
        else:
            upload_file(store, "name", path, rules, pool, Progress(lambda _: None))
        store.close()

    found = client.list_objects_v2(Bucket=bucket_name).get("Contents", [])
    assert [row["Size"] for row in found] == ([] if is_damaged else [5 * MIB + 1])
    assert rules.crc32.is_compared is (endpoint.kind == "seaweedfs")
