"""Every test server does the basic work, directly and through the relay."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.relay import Relay
from tests.support.servers import (
    Endpoint,
    MotoServer,
    ProcessServer,
    RcloneServer,
    SeaweedServer,
    ServerFailed,
    boto3_client,
)

PART = 5 * 1024 * 1024

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=[SeaweedServer, RcloneServer, MotoServer])
def direct(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with request.param() as endpoint:
        yield endpoint


@pytest.fixture(params=["direct", "relayed"])
def endpoint(request: pytest.FixtureRequest, direct: Endpoint) -> Iterator[Endpoint]:
    if request.param == "direct":
        yield direct
    else:
        with Relay(direct.url) as relay:
            yield direct.at(relay.url)


@pytest.fixture
def bucket(endpoint: Endpoint) -> str:
    name = f"test-{secrets.token_hex(6)}"
    boto3_client(endpoint).create_bucket(Bucket=name)
    return name


def test_put_get_list_delete(endpoint: Endpoint, bucket: str) -> None:
    client = boto3_client(endpoint)

    client.put_object(Bucket=bucket, Key="some/öbject +1", Body=b"content")

    assert client.get_object(Bucket=bucket, Key="some/öbject +1")["Body"].read() == b"content"
    assert client.head_object(Bucket=bucket, Key="some/öbject +1")["ContentLength"] == 7
    assert [o["Key"] for o in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["some/öbject +1"]
    client.delete_object(Bucket=bucket, Key="some/öbject +1")
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_empty_object(endpoint: Endpoint, bucket: str) -> None:
    client = boto3_client(endpoint)

    client.put_object(Bucket=bucket, Key="empty", Body=b"")

    assert client.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""


def test_range(endpoint: Endpoint, bucket: str) -> None:
    client = boto3_client(endpoint)
    client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")

    answer = client.get_object(Bucket=bucket, Key="k", Range="bytes=3-5")

    assert answer["Body"].read() == b"345"
    assert answer["ContentRange"] == "bytes 3-5/10"


def test_multipart(endpoint: Endpoint, bucket: str) -> None:
    client = boto3_client(endpoint)
    content = secrets.token_bytes(PART) + b"tail"

    upload = client.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    for number, body in ((1, content[:PART]), (2, content[PART:])):
        client.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=number, Body=body)
    parts = client.list_parts(Bucket=bucket, Key="large", UploadId=upload)["Parts"]
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="large",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]},
    )

    assert client.get_object(Bucket=bucket, Key="large")["Body"].read() == content


def test_missing_object_is_404(endpoint: Endpoint, bucket: str) -> None:
    with pytest.raises(ClientError) as failure:
        boto3_client(endpoint).head_object(Bucket=bucket, Key="nothing")

    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_wrong_secret_is_refused(endpoint: Endpoint, bucket: str) -> None:
    if endpoint.kind == "moto":
        pytest.skip("moto checks no signatures")
    wrong = Endpoint(endpoint.url, endpoint.access_key_id, "x" * 40, endpoint.region, "")

    with pytest.raises(ClientError) as failure:
        boto3_client(wrong).list_objects_v2(Bucket=bucket)

    assert failure.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


class FailingServer(ProcessServer):
    kind = "failing"

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", "echo the reason; exit 3"]


def test_failed_start_tells_the_log_and_leaves_nothing() -> None:
    failing = FailingServer()

    with pytest.raises(ServerFailed, match="the reason"), failing:
        pytest.fail("must not be entered")

    assert not failing.folder.exists()


@pytest.mark.parametrize("kind", [SeaweedServer, RcloneServer, MotoServer])
def test_no_secret_on_a_command_line(kind: type[SeaweedServer | ProcessServer]) -> None:
    with kind() as endpoint:
        lines = list(command_lines())

        assert any(sys.executable.encode() in line for line in lines)
        assert not any(endpoint.secret_access_key.encode() in line for line in lines)


def command_lines() -> Iterator[bytes]:
    """Yield the command line of every process; some end while we look."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield path.read_bytes()
