"""Every packaged preset against a table that is written out: place, parameters, client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.loaders import Loader

from datalad_s3ext.commands._settings import Wish, parameters_of
from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.check import check_file
from datalad_s3ext.providers.guess import candidates
from datalad_s3ext.providers.load import PACKAGED, all_providers, load_provider
from datalad_s3ext.providers.resolve import Connection, location_constraint, resolve
from datalad_s3ext.store.s3_client import make_client, session_for

EXAMPLE = "https://s3.example.org"
KEYS = Keys("AKIAEXAMPLE", "not-a-secret", source="test")
AT_LEAST = 128  # 126 services, those of one's own, and the local server
LEAST_CONFIDENT = "low"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    id: str
    given: str
    endpoint: str
    region: str
    signing: str
    addressing: str
    signature: str
    checksums: str
    listing: str

    def arguments(self) -> dict[str, Any]:
        if self.given == "endpoint":
            return {"endpoint": EXAMPLE}
        pairs = dict(pair.split("=") for pair in self.given.split(",")) if self.given != "-" else {}
        region = pairs.pop("region", None)
        return {"region": region, "variables": pairs}

    def connection(self) -> Connection:
        return resolve(load_provider(self.id), environ={}, **self.arguments())


ROWS = [
    Row(*line.split())
    for line in (Path(__file__).parent / "presets.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
every_row = pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])


@pytest.fixture(scope="module")
def loader() -> Loader:
    """Read botocore's description of S3 once, not for each client."""
    return Loader()


def test_table_has_every_preset_once() -> None:
    assert [row.id for row in ROWS] == sorted(path.stem for path in PACKAGED.glob("*.toml"))
    assert len(ROWS) >= AT_LEAST


@every_row
def test_preset_is_valid_and_says_where_it_is_from(row: Row) -> None:
    assert check_file(PACKAGED / f"{row.id}.toml") == []

    provider = load_provider(row.id)
    assert provider.evidence.sources
    assert provider.evidence.checked >= "2026-11-22"


@every_row
def test_place_is_as_written(row: Row) -> None:
    found = row.connection()

    assert (found.endpoint_url or "-", found.region, found.signing_region) == (
        row.endpoint, row.region, row.signing
    )  # fmt: skip
    assert (found.addressing, found.signature) == (row.addressing, row.signature)
    listing = found.provider.listing
    assert f"V{listing.version}{'+url' * listing.url_encoding}" == row.listing


@every_row
def test_parameters_of_our_remote_are_as_written(row: Row) -> None:
    connection = row.connection()
    wish = Wish("store", connection.provider, connection, "brain", "study-1")
    expected = {
        "type": "external", "externaltype": "s3x", "provider": row.id, "bucket": "brain",
        "fileprefix": "study-1/", "endpoint": row.endpoint, "region": row.region,
        "encryption": "none",
    }  # fmt: skip

    assert parameters_of(wish, "study-1/") == {
        name: value for name, value in expected.items() if value != "-"
    }


@every_row
def test_parameters_of_built_in_s3_are_as_written(row: Row) -> None:
    connection = row.connection()
    wish = Wish("store", connection.provider, connection, "brain", remote_type="S3")
    url = urlsplit(row.endpoint)
    usual = {"https": 443, "http": 80}
    expected = {"type": "S3", "bucket": "brain", "encryption": "none", "signature": row.signature}
    if row.endpoint == "-":
        expected |= {"protocol": "https", "datacenter": "US"}
    else:
        port = url.port or usual[url.scheme]
        expected |= {"protocol": url.scheme, "host": str(url.hostname), "port": str(port)}
        expected["region"] = row.signing
        if port != usual[url.scheme]:
            expected["signature"] = "v2"  # built-in v4 signs the host without its port
    if row.addressing == "path":
        expected["requeststyle"] = "path"

    assert parameters_of(wish, "") == expected


@every_row
def test_client_is_configured_as_written(row: Row, loader: Loader) -> None:
    session = session_for(KEYS)
    session.register_component("data_loader", loader)
    client = make_client(row.connection(), KEYS, "brain", session=session)
    config = client.meta.config

    assert config.signature_version == {"v4": "s3v4", "v2": "s3"}[row.signature]
    assert config.s3["addressing_style"] == row.addressing
    assert config.request_checksum_calculation == f"when_{row.checksums}"
    assert config.response_checksum_validation == f"when_{row.checksums}"
    assert client.meta.region_name == row.signing
    if row.endpoint != "-":
        assert client.meta.endpoint_url == row.endpoint
    client.close()


@pytest.mark.parametrize(
    "preset_id", [row.id for row in ROWS if row.given == "endpoint" and row.id != "local"]
)
def test_preset_that_knows_no_host_asks_for_it(preset_id: str) -> None:
    provider = load_provider(preset_id)

    with pytest.raises(ConfigError, match="give it with --endpoint URL"):
        resolve(provider, environ={})
    note = provider.endpoint.note or ""
    assert "--endpoint" in note or provider.endpoint.env


@every_row
def test_hosts_of_low_confidence_are_marked_unconfirmed(row: Row) -> None:
    provider = load_provider(row.id)
    knows_host = row.given != "endpoint"
    doubtful = provider.evidence.confidence == LEAST_CONFIDENT and knows_host

    assert provider.endpoint.unconfirmed == doubtful


def test_each_region_is_at_a_host_that_tells_the_provider() -> None:
    providers = all_providers()
    shared = {"selectel", "servercore"}  # the same hosts under two names

    for provider in providers:
        variables = dict.fromkeys(provider.endpoint.variables, "abc")
        for row in provider.regions:
            url = resolve(provider, region=row.id, variables=variables, environ={}).endpoint_url
            found = {one.id for one in candidates(url, providers)} if url else {provider.id}
            assert found == {provider.id} or found == shared, (provider.id, row.id)


@pytest.mark.parametrize(
    ("preset_id", "region", "expected"),
    [
        ("aws", "us-east-1", None),
        ("aws", "eu-west-1", "eu-west-1"),
        ("aws-cn", "cn-north-1", "cn-north-1"),
        ("china-mobile-eos", "beijing-2", "beijing2"),
        ("wasabi", "us-east-1", "us-east-1"),
        ("hetzner", "fsn1", None),
        ("qiniu-kodo", "cn-east-1", "cn-east-1"),
    ],
)
def test_constraint_of_a_new_bucket(preset_id: str, region: str, expected: str | None) -> None:
    connection = resolve(load_provider(preset_id), region=region, environ={})

    assert location_constraint(connection) == expected


@pytest.mark.parametrize(
    ("preset_id", "region", "expected"),
    [
        ("alibaba-oss", "eu-west-1", "oss-eu-west-1"),
        ("ionos", "eu-central-1", "de"),
        ("ionos", "eu-south-2", "eu-south-2"),
        ("infomaniak-public-cloud", "pub1", "us-east-1"),
        ("storj", None, "auto"),
    ],
)
def test_region_of_the_signature(preset_id: str, region: str | None, expected: str) -> None:
    found = resolve(load_provider(preset_id), region=region, environ={})

    assert found.signing_region == expected


def test_only_a_signed_body_is_sent_where_others_are_refused() -> None:
    assert load_provider("digitalocean").requests.unsigned_payload is False
    assert load_provider("tigris").requests.unsigned_payload is False

    connection = resolve(load_provider("tigris"), environ={})
    client = make_client(connection, KEYS, "brain")
    assert client.meta.config.s3["payload_signing_enabled"] is True
    client.close()


def test_object_of_a_service_without_multipart_goes_in_one_request() -> None:
    from datalad_s3ext.transfer.plan import part_bytes

    upload = load_provider("fastly").upload
    size = 3 * 1024**3

    assert part_bytes(size, upload) >= size
    assert upload.max_put >= size
