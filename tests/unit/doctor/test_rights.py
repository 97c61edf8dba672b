"""Rights are tried by using them, and the bucket is left as it was."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from datalad_s3ext.doctor.findings import Finding
from datalad_s3ext.doctor.run import Doctor
from tests.support.faults import Answer, Predicate, has_method, s3_error
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request
from tests.unit.doctor.support import by_stage, examine, keys_of, last, subject

pytestmark = pytest.mark.server

DENIED = s3_error(403, "AccessDenied", "Access Denied.")


def lists(request: Request) -> bool:
    return "list-type=2" in request.path


def reads_object(request: Request) -> bool:
    return request.method == "GET" and "/object" in request.path


def asks_for_versioning(request: Request) -> bool:
    return "versioning" in request.path


def begins_upload(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.path


def left_in(endpoint: Endpoint, bucket: str) -> list[Any]:
    """Return everything in a bucket: objects, versions, markers, unfinished uploads."""
    client = boto3_client(endpoint)
    found: list[Any] = list(client.list_objects_v2(Bucket=bucket).get("Contents", []))
    if endpoint.kind == "rclone":  # no versions, and NoSuchUpload before the first upload
        return found
    versions = client.list_object_versions(Bucket=bucket)
    found += [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]
    return found + client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


@pytest.fixture
def bucket(endpoint: Endpoint, bucket_name: str) -> str:
    boto3_client(endpoint).create_bucket(Bucket=bucket_name)
    return bucket_name


def test_nothing_is_left_behind(endpoint: Endpoint, bucket: str) -> None:
    findings = examine(endpoint.url, bucket, keys_of(endpoint), prefix="lab/")

    stages = by_stage(findings)
    for right in ("list", "put", "get", "multipart", "delete"):
        assert stages[right].status == "ok"
    assert left_in(endpoint, bucket) == []


@pytest.mark.parametrize("kind", ["seaweed", "moto"])
def test_versions_are_not_left_behind_either(
    kind: str, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    endpoint: Endpoint = request.getfixturevalue(kind)
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket_name)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})

    findings = examine(endpoint.url, bucket_name, keys_of(endpoint))

    versioning = by_stage(findings)["versioning"]
    assert versioning.facts["versioning"] == "Enabled"
    assert "takes space" in versioning.text
    assert left_in(endpoint, bucket_name) == []


def test_an_examination_that_is_broken_off_cleans_up(seaweed: Endpoint, new_bucket: str) -> None:
    findings = Doctor(subject(seaweed.url, new_bucket, keys_of(seaweed))).findings()
    for finding in findings:
        if finding.stage == "put":
            break
    assert left_in(seaweed, new_bucket)

    findings.close()

    assert left_in(seaweed, new_bucket) == []


def arrives_but(endpoint: Endpoint, bucket: str, *, interrupt: bool, count: int) -> Predicate:
    """Match the `count`th PUT of an object: it arrives, but nobody is told, or Ctrl-C is pressed."""
    client, left = boto3_client(endpoint), [count]

    def match(request: Request) -> bool:
        if request.method != "PUT" or "partNumber" in request.path:
            return False
        left[0] -= 1
        if left[0] != 0:
            return False
        path = unquote(request.path).partition("?")[0]
        client.put_object(Bucket=bucket, Key=path.removeprefix(f"/{bucket}/"), Body=b"arrived")
        if interrupt:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.3)  # while the answer is waited for
        return True

    return match


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", ["seaweed", "rclone"])
def test_an_object_whose_receipt_was_lost_is_removed(
    kind: str, bucket_name: str, count: int, request: pytest.FixtureRequest
) -> None:
    endpoint: Endpoint = request.getfixturevalue(kind)
    boto3_client(endpoint).create_bucket(Bucket=bucket_name)
    with Relay(endpoint.url) as relay:
        lost = arrives_but(endpoint, bucket_name, interrupt=False, count=count)
        relay.answer(lost, Answer(500))
        examine(relay.url, bucket_name, keys_of(endpoint))

    assert left_in(endpoint, bucket_name) == []


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let SIGINT interrupt, also where the tests run in the background and inherit that it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("is_versioned", [False, True])
def test_an_interrupt_in_the_middle_leaves_nothing(
    seaweed: Endpoint, new_bucket: str, is_versioned: bool
) -> None:
    if is_versioned:
        boto3_client(seaweed).put_bucket_versioning(
            Bucket=new_bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    with Relay(seaweed.url) as relay:
        relay.answer(arrives_but(seaweed, new_bucket, interrupt=True, count=5), Answer(500))
        with pytest.raises(KeyboardInterrupt):
            examine(relay.url, new_bucket, keys_of(seaweed))

    assert left_in(seaweed, new_bucket) == []


def examined(
    seaweed: Endpoint, bucket: str, where: Predicate, answer: Answer, times: int = 1
) -> list[Finding]:
    with Relay(seaweed.url) as relay:
        relay.answer(where, answer, times)
        return examine(relay.url, bucket, keys_of(seaweed))


@pytest.mark.parametrize(
    ("where", "right", "policy"),
    [
        (has_method("PUT"), "put", "s3:PutObject"),
        (reads_object, "get", "s3:GetObject"),
        (begins_upload, "multipart", "s3:PutObject"),
        (has_method("DELETE"), "delete", "s3:DeleteObject"),
    ],
)
def test_a_right_that_is_missing(
    seaweed: Endpoint, new_bucket: str, where: Predicate, right: str, policy: str
) -> None:
    findings = examined(seaweed, new_bucket, where, DENIED)

    denied = by_stage(findings)[right]
    assert denied.status == "failed"
    assert f"the right {policy}" in denied.remedy
    assert left_in(seaweed, new_bucket) == []
    assert not any(one.stage == "capabilities" for one in findings)


def test_all_rights_are_told_although_one_is_missing(seaweed: Endpoint, new_bucket: str) -> None:
    stages = by_stage(examined(seaweed, new_bucket, reads_object, DENIED))

    assert stages["get"].status == "failed"
    assert stages["delete"].status == "ok"


def test_a_list_that_is_denied_does_not_end_it(seaweed: Endpoint, new_bucket: str) -> None:
    stages = by_stage(examined(seaweed, new_bucket, lists, DENIED))

    assert stages["bucket"].status == "ok"
    assert "may not list it" in stages["bucket"].text
    assert stages["list"].status == "warning"
    assert "s3:ListBucket" in stages["list"].remedy
    assert stages["put"].status == "ok"


def test_a_bucket_of_somebody_else(seaweed: Endpoint, new_bucket: str) -> None:
    stages = by_stage(examined(seaweed, new_bucket, lambda _: True, DENIED, times=1000))

    assert stages["signature"].status == "ok"
    assert stages["bucket"].status == "unknown"
    assert "belongs to somebody else" in stages["bucket"].text
    assert stages["put"].status == "failed"


def test_a_missing_bucket_that_only_head_tells_of(seaweed: Endpoint, new_bucket: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(lists, DENIED)
        findings = examine(relay.url, f"{new_bucket}-not", keys_of(seaweed))

    assert last(findings) == ("bucket", "failed")
    assert "there is no bucket" in findings[-1].text


def test_what_cannot_be_deleted_is_named(seaweed: Endpoint, new_bucket: str) -> None:
    findings = examined(seaweed, new_bucket, has_method("DELETE"), DENIED, times=1000)

    assert last(findings) == ("delete", "warning")
    names = findings[-1].facts["left"]
    assert isinstance(names, list)
    assert {row["Key"] for row in left_in(seaweed, new_bucket) if "Key" in row} == set(names)
    assert all(name in findings[-1].text for name in names)


def test_a_right_that_cannot_be_found_out(seaweed: Endpoint, new_bucket: str) -> None:
    stages = by_stage(examined(seaweed, new_bucket, asks_for_versioning, DENIED))

    assert stages["versioning"].status == "unknown"
    assert "capabilities" in stages


def test_bytes_that_come_back_changed(seaweed: Endpoint, new_bucket: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.shapers_down.add(reads_object, lambda body: (piece[:-1] + b"?" for piece in body), 1)
        findings = examine(relay.url, new_bucket, keys_of(seaweed))

    changed = by_stage(findings)["get"]
    assert changed.status == "failed"
    assert "do not store anything there" in changed.remedy


def test_the_framing_of_an_upload_inside_the_object(seaweed: Endpoint, new_bucket: str) -> None:
    framed = b"400\r\n" + b"x" * 1024 + b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    answer = Answer(200, framed, {"ETag": '"e"', "x-amz-request-id": "R"})

    found = by_stage(examined(seaweed, new_bucket, reads_object, answer))["get"]

    assert found.status == "failed"
    assert "framing of the upload (aws-chunked)" in found.text
    assert found.facts["error"] == 34
