"""Buckets that belong to the remote already, as after INITREMOTE."""

from __future__ import annotations

import pytest

from tests.integration.remote.test_requests import UUID
from tests.support.servers import Endpoint, boto3_client


@pytest.fixture
def marked_bucket(seaweed: Endpoint, new_bucket: str) -> str:
    """Return the name of a fresh bucket with the marker of the remote under test."""
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="annex-uuid", Body=UUID.encode())
    return new_bucket
