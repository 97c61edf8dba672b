"""Access points, and Amazon's other hosts: where requests would go, and how they are signed.

Nothing is sent: these hosts are Amazon's.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.store.arns import is_for_sdk_alone, parse_arn
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.lean_client import LeanClient
from datalad_s3ext.store.s3 import S3Store, open_store

POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lab"
MULTI = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
LAMBDA = "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/lab"


def opened(bucket: str, extras: Extras = NO_EXTRAS, region: str | None = "eu-west-1") -> S3Store:
    connection = resolve(load_provider("aws"), region=region, environ={})
    store = open_store(connection, Keys("AKIA", "secret"), bucket, extras=extras)
    assert isinstance(store, S3Store)
    return store


def test_an_access_point_has_a_host_of_its_own_and_goes_the_short_way() -> None:
    client: Any = opened(POINT)._client

    assert isinstance(client, LeanClient)
    assert client._base.host_header == "lab-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"
    assert client._base.path == "/"
    assert client._base.bucket == POINT
    assert client._signer._region == "eu-west-1"


@pytest.mark.parametrize(
    ("extras", "host"),
    [
        (NO_EXTRAS, "lab.s3.eu-west-1.amazonaws.com"),
        (Extras(dual_stack=True), "lab.s3.dualstack.eu-west-1.amazonaws.com"),
        (Extras(accelerate=True), "lab.s3-accelerate.amazonaws.com"),
        (Extras(accelerate=True, dual_stack=True), "lab.s3-accelerate.dualstack.amazonaws.com"),
    ],
)
def test_amazon_has_other_hosts_for_the_same_bucket(extras: Extras, host: str) -> None:
    client: Any = opened("lab", extras)._client

    assert isinstance(client, LeanClient)
    assert client._base.host_header == host


@pytest.mark.skipif(
    importlib.util.find_spec("awscrt") is not None, reason="the package that signs v4a is there"
)
def test_an_access_point_of_several_regions_needs_a_package() -> None:
    with pytest.raises(ConfigError, match="needs a package") as refused:
        opened(MULTI)

    assert "botocore[crt]" in refused.value.remedy


def test_what_signs_in_a_way_of_its_own_is_left_to_the_library() -> None:
    assert [is_for_sdk_alone(one) for one in (POINT, MULTI, LAMBDA, "lab", "tenant:lab")] == [
        False, True, True, False, False,
    ]  # fmt: skip
    assert not isinstance(opened(LAMBDA)._client, LeanClient)


def test_an_access_point_is_never_made() -> None:
    with pytest.raises(ConfigError, match="there is no access point"):
        opened(POINT).create_bucket()


def test_the_region_of_an_access_point_is_its_own() -> None:
    def region(**given: str) -> str | None:
        return read_settings(lambda name: {"bucket": POINT, **given}.get(name, "")).region

    assert region() == region(region="eu-west-1") == "eu-west-1"
    with pytest.raises(ConfigError, match="lies in eu-west-1"):
        region(region="us-east-1")


def test_what_is_no_arn_is_a_name() -> None:
    assert parse_arn("tenant:lab") is None
    assert parse_arn("arn:aws:s3") is None
