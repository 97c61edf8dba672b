"""``datalad s3-setup --show-policy``: what the owner of a bucket has to allow, and no more."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.store import public_block
from tests.integration.commands.helpers import QUIET, state
from tests.support.faults import s3_error
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client
from tests.unit.doctor.support import keys_of

pytestmark = [pytest.mark.annex, pytest.mark.server]

WRITING = {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
BLOCK = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": True,
         "RestrictPublicBuckets": False}  # fmt: skip


def policy(repo: AnnexRepo, provider: str, kind: str, **options: Any) -> dict[str, Any]:
    from datalad_s3ext.commands.s3_setup import S3Setup

    given = {"bucket": "lab", "dataset": str(repo.path), "show_policy": kind, **QUIET, **options}
    (record,) = S3Setup()(provider, **given)
    assert record["status"] == "ok", record
    found: dict[str, Any] = record
    return found


def actions(record: dict[str, Any]) -> dict[str, set[str]]:
    """Return what is allowed on each resource."""
    rows = record["policy"]["Statement"]
    return {resource: set(row["Action"]) for row in rows for resource in row["Resource"]}


def test_reading_and_writing_below_a_prefix(annex: AnnexRepo) -> None:
    before = state(annex)

    read = policy(annex, "aws", "read-only", prefix="p")
    write = policy(annex, "aws", "read-write", prefix="p")

    assert actions(read) == {
        "arn:aws:s3:::lab": {"s3:ListBucket"},
        "arn:aws:s3:::lab/p/*": {"s3:GetObject"},
    }
    assert actions(write) == {
        "arn:aws:s3:::lab": {"s3:ListBucket", "s3:ListBucketMultipartUploads"},
        "arn:aws:s3:::lab/p/*": {"s3:GetObject"} | WRITING,
    }
    assert "aws iam put-user-policy --user-name USER" in write["message_lines"]
    assert state(annex) == before


@pytest.mark.parametrize(
    ("provider", "step"),
    [
        ("minio", "mc admin policy attach ALIAS datalad-minio --user USER"),
        ("ceph", "aws s3api put-bucket-policy --endpoint-url https://h --bucket lab"),
    ],
)
def test_each_kind_of_server_has_its_way(annex: AnnexRepo, provider: str, step: str) -> None:
    found = policy(annex, provider, "read-write", endpoint="https://h")

    assert step in found["message_lines"]
    principals = {json.dumps(row.get("Principal")) for row in found["policy"]["Statement"]}
    by_bucket = '{"AWS": ["arn:aws:iam:::user/USER"]}'
    assert principals == {by_bucket if provider == "ceph" else "null"}


def test_tags_and_partitions_count(annex: AnnexRepo) -> None:
    tagged = policy(annex, "aws", "read-write", settings=["x-amz-tagging=a=b"])
    odd = policy(annex, "aws-us-gov", "read-only", region="us-gov-west-1", prefix="a*b")

    assert "s3:PutObjectTagging" in actions(tagged)["arn:aws:s3:::lab/*"]
    assert "arn:aws-us-gov:s3:::lab/a${*}b/*" in actions(odd)


@pytest.mark.parametrize(
    ("setting", "read", "write", "of_bucket"),
    [
        (
            "bucketversioning=yes",
            {"s3:GetObjectVersion"},
            {"s3:GetObjectVersion", "s3:DeleteObjectVersion"},
            {"s3:GetBucketVersioning", "s3:ListBucketVersions"},
        ),
        ("restore=yes", {"s3:RestoreObject"}, {"s3:RestoreObject"}, set()),
        ("acl=public-read", set(), {"s3:PutObjectAcl"}, set()),
        ("restore=no", set(), set(), set()),
    ],
)
def test_what_a_setting_needs_besides_is_allowed(
    annex: AnnexRepo, setting: str, read: set[str], write: set[str], of_bucket: set[str]
) -> None:
    given = [setting, "exporttree=yes"] if "versioning" in setting else [setting]
    reader, writer = (
        actions(policy(annex, "aws", kind, settings=given)) for kind in ("read-only", "read-write")
    )

    assert reader["arn:aws:s3:::lab/*"] == {"s3:GetObject"} | read
    assert writer["arn:aws:s3:::lab/*"] == {"s3:GetObject"} | WRITING | write
    assert reader["arn:aws:s3:::lab"] == {"s3:ListBucket"} | of_bucket


def test_with_the_public_policy_everybody_reads(
    annex: AnnexRepo, keys: Endpoint, moto: Endpoint, bucket_name: str
) -> None:
    client = boto3_client(moto)
    client.create_bucket(Bucket=bucket_name)
    for key in ("p/in", "out"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"1")
    options = {"endpoint": moto.url, "bucket": bucket_name, "prefix": "p"}

    found = policy(annex, "other", "public", **options)
    client.put_bucket_policy(Bucket=bucket_name, Policy=json.dumps(found["policy"]))
    client.put_public_access_block(Bucket=bucket_name, PublicAccessBlockConfiguration=BLOCK)
    blocked = policy(annex, "other", "public", **options)

    assert found["publicurl"] == f"{moto.url}/{bucket_name}/"
    assert found["public_is_blocked"] == "no"
    assert "(ACL)" in found["message_lines"]
    assert blocked["public_is_blocked"] == "yes"
    assert "'Block Public Access' forbids this policy" in blocked["message_lines"]
    statement = found["policy"]["Statement"][0]
    assert statement["Principal"] == "*"
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket_name}/p/*"]


@pytest.fixture
def account_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the host to which botocore puts the account's number be this machine, as DNS would."""
    really = socket.getaddrinfo

    def found(host: str, *arguments: Any, **options: Any) -> Any:
        return really(host.removeprefix("123456789012."), *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", found)
        patch.setenv("no_proxy", "*")
        yield


@contextmanager
def account_block(moto: Endpoint, settings: dict[str, bool]) -> Iterator[None]:
    """Set the account's own settings for a while."""
    control = boto3.client(
        "s3control", endpoint_url=moto.url, region_name="us-east-1", aws_access_key_id="any",
        aws_secret_access_key="any",
    )  # fmt: skip
    account = "123456789012"
    control.put_public_access_block(AccountId=account, PublicAccessBlockConfiguration=settings)
    try:
        yield
    finally:
        control.delete_public_access_block(AccountId=account)


@pytest.mark.usefixtures("account_host")
def test_a_setting_of_the_account_counts(moto: Endpoint) -> None:
    where = resolve(load_provider("aws"), endpoint=moto.url, region="us-east-1", environ={})

    assert public_block.of_account(where, keys_of(moto)) == "no"
    with account_block(moto, BLOCK):
        assert public_block.of_account(where, keys_of(moto)) == "yes"
    assert public_block.of_account(where, Anonymous()) == "unknown"


def test_what_cannot_be_asked_is_not_known(seaweed: Endpoint, new_bucket: str) -> None:
    where = resolve(load_provider("other"), endpoint=seaweed.url, environ={})
    with Relay(seaweed.url) as relay:
        silent = resolve(load_provider("other"), endpoint=relay.url, environ={})
        relay.answer(lambda _: True, s3_error(503, "ServiceUnavailable"), 100)
        assert public_block.of_bucket(silent, keys_of(seaweed), new_bucket) == "unknown"
        assert public_block.of_account(silent, keys_of(seaweed)) == "unknown"
    assert public_block.of_bucket(where, keys_of(seaweed), new_bucket) in {"no", "unknown"}


def test_people_see_a_document_to_copy(annex: AnnexRepo) -> None:
    seen = annex.run(
        "datalad", "s3-setup", "aws", "--bucket", "lab", "--show-policy", "read-only"
    ).stdout

    document = json.loads(seen[seen.index("{") : seen.rindex("}") + 1])
    assert document["Statement"][0]["Action"] == ["s3:ListBucket"]
    assert "Save it as policy.json, then:" in seen
