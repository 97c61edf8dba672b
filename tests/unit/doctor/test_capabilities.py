"""What real servers can do is measured right, and compared with what presets say."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from datalad_s3ext import places
from datalad_s3ext.doctor import checksums
from datalad_s3ext.doctor.run import Doctor
from datalad_s3ext.doctor.subject import Subject
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.schema import Listing
from tests.support.faults import Answer, s3_error
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request
from tests.unit.doctor.support import capability, examine, keys_of, subject

pytestmark = [pytest.mark.server, pytest.mark.thorough]

ALL = list(checksums.DIGESTS)
KNOWN = {
    "seaweedfs": {
        "listing.version": 2, "listing.url_encoding": True, "ranges": True, "if_match": True,
        "capabilities.conditional_put": True, "upload.verified_checksums": ALL,
        "requests.checksum_mode": "when_supported", "upload.etag_is_md5": True,
        "upload.part_etag_is_md5": True, "upload.multipart_etag_is_md5_of_md5s": True,
        "capabilities.upload_part_copy": True, "small_parts": False, "links": True, "public": False,
    },
    "rclone": {
        "ranges": True, "if_match": False, "capabilities.conditional_put": False,
        "upload.verified_checksums": ["Content-MD5"],
    },
    "moto": {
        "listing.version": 2, "upload.verified_checksums": [], "links": True, "small_parts": False,
    },
}  # fmt: skip
"""As measured in other ways, see docs/design.rst."""


def test_what_servers_can_do_is_measured(endpoint: Endpoint, bucket_name: str) -> None:
    boto3_client(endpoint).create_bucket(Bucket=bucket_name)

    findings = examine(endpoint.url, bucket_name, keys_of(endpoint))

    known = KNOWN[endpoint.kind]
    assert {field: capability(findings, field) for field in known} == known


def test_a_preset_that_promises_too_much_is_contradicted(rclone: Endpoint, bucket_name: str) -> None:
    boto3_client(rclone).create_bucket(Bucket=bucket_name)

    findings = examine(rclone.url, bucket_name, keys_of(rclone), provider="seaweedfs")

    doubted = {one.facts["capability"]: one for one in findings if one.status == "warning"
               and one.stage == "capabilities"}  # fmt: skip
    assert "capabilities.conditional_put" in doubted
    assert "upload.verified_checksums" in doubted
    assert "the preset seaweedfs says otherwise" in doubted["capabilities.conditional_put"].text
    assert "--save" in doubted["capabilities.conditional_put"].remedy


def test_what_could_not_be_measured_is_neither_yes_nor_no(seaweed: Endpoint, new_bucket: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(
            lambda request: "if-none-match" in request.headers, s3_error(503, "ServiceUnavailable")
        )
        doctor = Doctor(subject(relay.url, new_bucket, keys_of(seaweed)))
        findings = list(doctor.findings())

    (found,) = [one for one in findings if "If-None-Match" in one.text]
    assert found.status == "unknown"
    assert "capabilities.conditional_put" not in doctor.examination.measured


def test_encoding_of_lists_is_tried_whatever_the_preset_says(
    seaweed: Endpoint, new_bucket: str
) -> None:
    listing = Listing(version=1, url_encoding=False)
    with Relay(seaweed.url) as relay:
        asked = subject(relay.url, new_bucket, keys_of(seaweed))
        asked = replace(asked, connection=replace(
            asked.connection, provider=replace(asked.connection.provider, listing=listing)
        ))  # fmt: skip
        works = measured_by(asked)
        relay.answer(
            lambda request: "encoding-type=url" in request.path, s3_error(400, "InvalidArgument"), 100
        )
        breaks = measured_by(asked)

    assert (works["listing.version"], works["listing.url_encoding"]) == (2, True)
    assert (breaks["listing.version"], breaks["listing.url_encoding"]) == (2, False)


@pytest.mark.parametrize("answer", [s3_error(503, "ServiceUnavailable"), s3_error(429, "SlowDown")])
def test_a_list_that_is_refused_for_now_is_no_measurement(
    seaweed: Endpoint, new_bucket: str, answer: Answer
) -> None:
    """What is saved counts for long: version 2 must not be given up for a busy moment."""
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: "max-keys=2" in request.path, answer)
        measured = measured_by(subject(relay.url, new_bucket, keys_of(seaweed)))

    assert "upload.etag_is_md5" in measured
    assert not {"listing.version", "listing.url_encoding"} & measured.keys()


@pytest.mark.parametrize("kind", ["put", "part"])
def test_a_wrong_checksum_that_met_a_busy_server_was_not_verified(
    seaweed: Endpoint, new_bucket: str, kind: str
) -> None:
    wrong = checksums.parameter("CRC32", b"other")["ChecksumCRC32"]

    def is_wrong(request: Request) -> bool:
        is_part = "partNumber" in request.path
        return request.headers.get("x-amz-checksum-crc32") == wrong and is_part == (kind == "part")

    with Relay(seaweed.url) as relay:
        relay.answer(is_wrong, s3_error(429, "SlowDown"), 10)
        measured = measured_by(subject(relay.url, new_bucket, keys_of(seaweed)))

    assert "CRC32" not in list(measured["upload.verified_checksums"])  # type: ignore[call-overload]


def test_a_name_that_could_not_be_stored_for_now_is_not_missing_from_lists(
    seaweed: Endpoint, new_bucket: str
) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: "/list/a%20blank" in request.path, s3_error(503, "SlowDown"), 10)
        measured = measured_by(subject(relay.url, new_bucket, keys_of(seaweed)))

    assert not {"listing.version", "listing.url_encoding"} & measured.keys()


def test_where_no_object_can_be_stored_it_says_so(seaweed: Endpoint, new_bucket: str) -> None:
    stored: list[str] = []

    def is_the_first_of_the_capabilities(request: Request) -> bool:
        if request.method != "PUT" or not request.path.endswith("/object"):
            return False
        stored.append(request.path.split("/")[2])
        return len(set(stored)) > 1

    with Relay(seaweed.url) as relay:
        relay.answer(is_the_first_of_the_capabilities, s3_error(503, "ServiceUnavailable"), 10)
        findings = examine(relay.url, new_bucket, keys_of(seaweed))

    assert findings[-1].status == "unknown"
    assert "nothing was measured" in findings[-1].text


def measured_by(asked: Subject) -> dict[str, object]:
    doctor = Doctor(asked)
    list(doctor.findings())
    return doctor.examination.measured


def test_what_was_measured_is_kept_beside_the_presets(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        doctor = Doctor(subject(seaweed.url, new_bucket, keys_of(seaweed)))
        list(doctor.findings())
        file = doctor.save()

        assert file.parent == places.measured_services()
    kept = tomllib.loads(file.read_text("utf-8"))
    assert kept["endpoint"] == seaweed.url
    assert kept["upload"]["verified_checksums"] == ALL
    assert kept["capabilities"]["conditional_put"] is True
    assert kept["listing"]["version"] == 2
    assert seaweed.secret_access_key not in file.read_text("utf-8")


def test_nothing_measured_is_nothing_kept(seaweed: Endpoint) -> None:
    doctor = Doctor(subject(seaweed.url))
    list(doctor.findings())

    with pytest.raises(ConfigError, match="--bucket"):
        doctor.save()


@pytest.mark.parametrize(
    ("name", "digest"),
    [("CRC32", "cbf43926"), ("CRC32C", "e3069283"), ("CRC64NVME", "ae8b14860a799888")],
)
def test_checksums_are_those_of_the_catalogue_of_crcs(name: str, digest: str) -> None:
    assert checksums.DIGESTS[name](b"123456789").hex() == digest
