"""``datalad s3-import`` with real git-annex and real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import confirm
from tests.integration.commands.helpers import PRESET, QUIET
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

BIG = b"0123456789abcdef" * 4096
FILES = {"study/a.txt": b"aaa", "study/sub/b.bin": BIG, "study/twin": b"aaa", "other/c": b"ccc"}


def fill(endpoint: Endpoint, bucket: str, files: dict[str, bytes]) -> None:
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket)
    for name, content in files.items():
        client.put_object(Bucket=bucket, Key=name, Body=content)


def s3_import(repo: AnnexRepo, url: str | None, endpoint: Endpoint, **options: Any) -> dict[str, Any]:
    from datalad_s3ext.commands.s3_import import S3Import

    given = {"dataset": str(repo.path), **QUIET, **options}
    if url is not None:
        given |= {"endpoint": endpoint.url, "provider": PRESET[endpoint.kind]}
    (record,) = S3Import()(url, **given)
    return record


def files_of(repo: AnnexRepo) -> set[str]:
    return {line for line in repo.run("git", "ls-files", "-z").stdout.split("\0") if line}


def test_what_lies_below_a_prefix_becomes_files_and_nothing_is_downloaded(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    """Sent with SHA-256 where the server keeps it; rclone's own server keeps it, too."""
    client = boto3_client(keys)
    client.create_bucket(Bucket=bucket_name)
    for name, content in FILES.items():
        client.put_object(Bucket=bucket_name, Key=name, Body=content, ChecksumAlgorithm="SHA256")
    annex.add("own", b"a file of the data set")
    with Relay(keys.url) as relay:
        record = s3_import(annex, f"s3://{bucket_name}/study", keys.at(relay.url))

        gets = [path for method, path in relay.requests if method == "GET" and "study/" in path]
        assert relay.bytes_down < len(BIG)
    assert record["status"] == "ok", record["message"]
    assert (record["added"], record["changed"], record["removed"]) == (3, 0, 0)
    assert files_of(annex) == {"a.txt", "sub/b.bin", "twin", "own"}
    assert gets == [f"/{bucket_name}/study/annex-uuid"] * len(gets)


def test_running_it_again_takes_over_what_has_changed(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    fill(keys, bucket_name, FILES)
    url = f"s3://{bucket_name}/study/"
    first = s3_import(annex, url, keys, name="lab", include=["*.txt", "sub/*", "new"])
    again = s3_import(annex, url, keys, name="lab", include=["*.txt", "sub/*", "new"])
    client = boto3_client(keys)
    client.put_object(Bucket=bucket_name, Key="study/a.txt", Body=b"changed")
    client.put_object(Bucket=bucket_name, Key="study/new", Body=b"new")
    client.delete_object(Bucket=bucket_name, Key="study/sub/b.bin")

    third = s3_import(annex, None, keys, name="lab")

    assert first["status"] == "ok", first["message"]
    assert (first["status"], first["added"]) == ("ok", 2), first
    assert again["status"] == "notneeded", again
    assert third["status"] == "ok", third["message"]
    assert (third["added"], third["changed"], third["removed"]) == (1, 1, 1), third
    assert files_of(annex) == {"a.txt", "new"}
    annex.annex("get", ".")
    assert (annex.path / "a.txt").read_bytes() == b"changed"


def test_a_public_bucket_needs_no_keys_here_nor_in_a_clone(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    fill(seaweed, bucket_name, FILES)
    rights = {"s3:GetObject": f"{bucket_name}/*", "s3:ListBucket": bucket_name}
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": right, "Resource": f"arn:aws:s3:::{where}"}
        for right, where in rights.items()
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    boto3_client(seaweed).put_bucket_policy(Bucket=bucket_name, Policy=json.dumps(policy))
    annex.add("own", b"a file of the data set")

    record = s3_import(annex, f"s3://{bucket_name}/study", seaweed)

    assert record["status"] == "ok", record["message"]
    assert record["autoenable"] is True
    copy = annex.clone(tmp_path / "copy")
    confirm(copy, record["name"])
    copy.annex("get", "a.txt")
    assert (copy.path / "a.txt").read_bytes() == b"aaa"


@pytest.mark.parametrize(
    ("url", "why"), [("s3://no-such-bucket-here", "no bucket"), ("http://x/y", "not of the form s3://")]
)
def test_what_cannot_be_imported_is_refused_and_changes_nothing(
    annex: AnnexRepo, keys: Endpoint, url: str, why: str
) -> None:
    annex.add("own", b"a file of the data set")
    head = annex.run("git", "rev-parse", "HEAD").stdout

    record = s3_import(annex, url, keys)

    assert record["status"] == "error", record
    assert why in record["message"]
    assert annex.run("git", "rev-parse", "HEAD").stdout == head
    assert "[remote" not in (annex.path / ".git" / "config").read_text()
    names = [found["Name"] for found in boto3_client(keys).list_buckets()["Buckets"]]
    assert "no-such-bucket-here" not in names


def test_changes_that_would_be_overwritten_stop_the_merge(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    fill(keys, bucket_name, FILES)
    annex.add("own", b"a file of the data set")
    (annex.path / "a.txt").write_text("not committed")

    record = s3_import(annex, f"s3://{bucket_name}/study", keys)

    assert record["status"] == "error", record
    assert "cannot be merged" in record["message"]
    assert (annex.path / "a.txt").read_text() == "not committed"
    assert annex.run("git", "status", "--porcelain").stdout == "?? a.txt\n"
