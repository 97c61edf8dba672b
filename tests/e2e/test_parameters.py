"""What the parameters of a remote do to objects: real git-annex, real servers.

moto keeps and tells all properties. SeaweedFS and rclone's server keep fewer, and neither encrypts by
itself. SeaweedFS encrypts with a customer's key (SSE-C), which the others take and ignore. What no
server does (access points, acceleration, payers) is shown on the wire in tests/unit/store.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

LARGE = 9 * 1024 * 1024
KEY = secrets.token_bytes(32)


def stored(endpoint: Endpoint, bucket: str, key: str) -> dict[str, object]:
    found = boto3_client(endpoint).head_object(Bucket=bucket, Key=key)
    metadata = {name.lower(): value for name, value in found["Metadata"].items()}  # rclone: Lab
    return {**found, "Metadata": metadata}


ONE_WAY = {
    "storageclass=STANDARD_IA": {"StorageClass": "STANDARD_IA"},
    "sse=aws:kms": {"ServerSideEncryption": "aws:kms"},
    "sse-kms-key-id=alias/lab": {"SSEKMSKeyId": "alias/lab"},
    "sse-bucket-key=yes": {"BucketKeyEnabled": True},
    "content-type=text/x-lab": {"ContentType": "text/x-lab"},
    "content-disposition=attachment": {"ContentDisposition": "attachment"},
    "cache-control=max-age=60": {"CacheControl": "max-age=60"},
    "x-amz-meta=lab=vision&grant=7": {"Metadata": {"lab": "vision", "grant": "7"}},
    "x-amz-tagging=project=brain&grant=7": {"TagCount": 2},
    "checksum=sha256": {},
    "acl=public-read": {},
}
OTHER_WAY = {
    "sse=AES256": {"ServerSideEncryption": "AES256"},
    "content-type=by-name": {"ContentType": "text/csv"},
    "checksum=crc32": {},
}
UNENCRYPTED = {name: told for name, told in ONE_WAY.items() if not name.startswith("sse")}
NOT_TOLD = {"moto": set(), "seaweedfs": set(), "rclone": {"TagCount"}}
NOT_OF_PARTS = {"moto": {"TagCount", "BucketKeyEnabled"}, "seaweedfs": set(), "rclone": {"TagCount"}}
"""What moto 5.2 does not tell of objects made of parts, and the others neither of these."""
THOROUGH = pytest.mark.thorough


@pytest.mark.parametrize(
    ("server", "parameters"),
    [
        pytest.param("moto", ONE_WAY, id="one way"),
        pytest.param("moto", OTHER_WAY, id="other way", marks=THOROUGH),
        pytest.param("seaweed", UNENCRYPTED, id="seaweedfs", marks=THOROUGH),
        pytest.param("rclone", ONE_WAY, id="rclone", marks=THOROUGH),
    ],
)
def test_small_and_large_objects_get_the_properties_that_are_asked_for(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    server: str,
    parameters: dict[str, dict[str, object]],
) -> None:
    endpoint: Endpoint = request.getfixturevalue(server)
    wanted = {name: value for told in parameters.values() for name, value in told.items()}
    annex.init_s3x(endpoint, bucket_name, *parameters, "partsize=5MiB")
    keys = [annex.add("small.csv", b"a,b\n"), annex.add("large.csv", secrets.token_bytes(LARGE))]

    annex.annex("copy", "--to=s3", "small.csv", "large.csv")

    for key, left_out in zip(keys, (NOT_TOLD, NOT_OF_PARTS), strict=True):
        found = stored(endpoint, bucket_name, key)
        told = {name: value for name, value in wanted.items() if name not in left_out[endpoint.kind]}
        assert {name: found.get(name) for name in told} == told
        if "acl=public-read" in parameters and endpoint.kind == "moto":
            grants = boto3_client(endpoint).get_object_acl(Bucket=bucket_name, Key=key)["Grants"]
            assert "AllUsers" in str(grants)
    annex.annex("fsck", "--from=s3")


def test_a_server_that_cannot_encrypt_is_told_when_the_remote_is_set_up(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    """SeaweedFS without a store of keys answers with an internal error, which may pass."""
    annex.run("git", "config", "remote.s3.s3x-retries", "0")

    done = annex.init_s3x(seaweed, bucket_name, "sse=AES256", check=False)

    assert done.returncode
    assert "cannot store 'annex-uuid'" in done.stderr
    assert not stored_names(seaweed, bucket_name)


def stored_names(endpoint: Endpoint, bucket: str) -> set[str]:
    rows = boto3_client(endpoint).list_objects_v2(Bucket=bucket).get("Contents", [])
    return {row["Key"] for row in rows}


@pytest.mark.parametrize(
    "server",
    ["moto", pytest.param("seaweed", marks=THOROUGH), pytest.param("rclone", marks=THOROUGH)],
)
def test_storage_classes_are_chosen_by_the_size_of_the_file(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, server: str
) -> None:
    endpoint: Endpoint = request.getfixturevalue(server)
    rules = "storageclass=DEEP_ARCHIVE>=1MiB GLACIER_IR>=10kB STANDARD_IA"
    annex.init_s3x(endpoint, bucket_name, rules, "chunk=600KiB")
    annex.add("large", secrets.token_bytes(1024 * 1024))
    annex.add("middle", secrets.token_bytes(10_000))
    annex.add("small", b"1")

    annex.annex("copy", "--to=s3", ".")

    names = stored_names(endpoint, bucket_name) - {"annex-uuid"}
    rows = [stored(endpoint, bucket_name, name) for name in names]  # lists of rclone tell no class
    found = sorted((row["ContentLength"], row["StorageClass"]) for row in rows)
    assert found == [
        (1, "STANDARD_IA"), (10_000, "GLACIER_IR"),
        (1024 * 424, "DEEP_ARCHIVE"), (1024 * 600, "DEEP_ARCHIVE"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("public=yes", "publicurl=URL"),
        ("requester-pays=yes", "s3x-requester-pays true"),
        ("sse=customer", "s3x-sse-c-key-file"),
        ("dualstack=yes", "dualstack=yes is for Amazon's own hosts"),
        ("accelerate=yes", "accelerate=yes is for Amazon's own hosts"),
        ("bucket=arn:aws:s3:us-east-1:123456789012:accesspoint/lab", "cannot look for bucket 'arn:"),
        ("x-amz-meta-lab=vision", "Unexpected parameters: x-amz-meta-lab"),  # says git-annex
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str, parameter: str, expected: str
) -> None:
    done = annex.init_s3x(moto, bucket_name, parameter, check=False)

    assert done.returncode
    assert expected in done.stdout + done.stderr


# -- the customer's key ------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(b64encode(KEY).decode() + "\n")
    path.chmod(0o600)
    return path


def test_content_is_encrypted_with_a_key_of_ones_own(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, key_file: Path
) -> None:
    annex.env["S3X_SSE_C_KEY_FILE"] = str(key_file)  # goes before the git configuration
    annex.init_s3x(seaweed, new_bucket, "sse=customer", "partsize=5MiB")
    small = annex.add("small", b"12345")
    large = annex.add("large", secrets.token_bytes(LARGE))
    annex.annex("copy", "--to=s3", "small", "large")
    annex.annex("fsck", "--from=s3")

    client = boto3_client(seaweed)
    for key in (small, large):
        with pytest.raises(ClientError, match=r"\(400\)"):
            client.head_object(Bucket=new_bucket, Key=key)
        client.head_object(
            Bucket=new_bucket, Key=key, SSECustomerAlgorithm="AES256", SSECustomerKey=KEY
        )  # type: ignore[call-arg]
    for text in (b64encode(KEY).decode(), KEY.hex(), str(key_file)):
        assert text not in annex.run("git", "show", "git-annex:remote.log").stdout


@pytest.mark.parametrize("server", ["moto", pytest.param("rclone", marks=THOROUGH)])
@pytest.mark.parametrize("layout", [(), pytest.param(("exporttree=yes",), marks=THOROUGH)])
def test_a_server_that_takes_the_key_and_ignores_it_is_refused(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    key_file: Path,
    server: str,
    layout: tuple[str, ...],
) -> None:
    endpoint: Endpoint = request.getfixturevalue(server)
    annex.env["S3X_SSE_C_KEY_FILE"] = str(key_file)

    done = annex.init_s3x(endpoint, bucket_name, "sse=customer", *layout, check=False)

    assert done.returncode
    assert "takes the key for sse=customer and does not encrypt with it" in done.stderr
    assert not stored_names(endpoint, bucket_name)


def test_without_the_key_nothing_is_said_to_be_absent(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, key_file: Path, tmp_path: Path
) -> None:
    annex.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(key_file))
    annex.init_s3x(seaweed, new_bucket, "sse=customer")
    key = annex.add("a", b"12345")
    annex.annex("copy", "--to=s3", "a")
    other = tmp_path / "other"
    other.write_bytes(secrets.token_bytes(32))
    other.chmod(0o600)

    for setting, expected in (
        (None, "s3x-sse-c-key-file FILE"),
        (other, "another SSE-C key"),
        (tmp_path / "none", "cannot be read"),
    ):
        if setting is None:
            annex.run("git", "config", "--unset", "remote.s3.s3x-sse-c-key-file")
        else:
            annex.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(setting))
        checked = annex.annex("checkpresentkey", key, "s3", check=False)
        assert checked.returncode == 100  # 1 would be: absent
        assert expected in checked.stdout + checked.stderr
        assert annex.annex("drop", "a", check=False).returncode

    annex.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(key_file))
    annex.annex("checkpresentkey", key, "s3")


def test_a_key_that_others_can_read_is_not_used(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, key_file: Path
) -> None:
    key_file.chmod(0o640)
    annex.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(key_file))

    done = annex.init_s3x(seaweed, new_bucket, "sse=customer", check=False)

    assert done.returncode
    assert "chmod 600" in done.stdout + done.stderr


def test_the_key_may_come_from_a_command(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, key_file: Path
) -> None:
    annex.run("git", "config", "remote.s3.s3x-sse-c-key-command", f"cat {key_file}")
    annex.init_s3x(seaweed, new_bucket, "sse=customer", "exporttree=yes")
    annex.add("a", b"12345")

    annex.annex("export", "HEAD", "--to=s3")
    annex.run("git", "mv", "a", "b")
    annex.run("git", "commit", "-q", "-m", "rename")
    annex.annex("export", "HEAD", "--to=s3")  # a copy reads and writes with the key

    names = [row["Key"] for row in boto3_client(seaweed).list_objects_v2(Bucket=new_bucket)["Contents"]]
    assert names == ["b"]
    annex.annex("drop", "--force", "b")
    annex.annex("get", "--from=s3", "b")
    assert (annex.path / "b").read_bytes() == b"12345"
