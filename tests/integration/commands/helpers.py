"""What the tests of our commands share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datalad_s3ext.repo import remotes
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

PRESET = {"seaweedfs": "seaweedfs", "rclone": "other", "moto": "other"}
BOTH_TYPES = pytest.mark.parametrize(
    "remote_type", ["s3x", pytest.param("S3", marks=pytest.mark.thorough)]
)
QUIET = {"result_renderer": "disabled", "on_failure": "ignore", "return_type": "list"}


def setup(repo: AnnexRepo, endpoint: Endpoint, bucket: str, **options: Any) -> list[dict[str, Any]]:
    """Run s3-setup and return its records."""
    from datalad_s3ext.commands.s3_setup import S3Setup

    given = {"endpoint": endpoint.url, "bucket": bucket, "name": "s3", "dataset": str(repo.path)}
    found: list[dict[str, Any]] = S3Setup()(PRESET[endpoint.kind], **{**given, **QUIET, **options})
    return found


def enable(repo: AnnexRepo, **options: Any) -> list[dict[str, Any]]:
    """Run s3-enable and return its records."""
    from datalad_s3ext.commands.s3_enable import S3Enable

    found: list[dict[str, Any]] = S3Enable()(**{"dataset": str(repo.path), **QUIET, **options})
    return found


def state(repo: AnnexRepo) -> tuple[str, str, list[str]]:
    """Return all that the commands may change in a repository.

    Without ``annex-cost``, which git-annex itself notes the first time it asks the remote.
    """
    creds = repo.path / ".git" / "annex" / "creds"
    config = (repo.path / ".git" / "config").read_text().splitlines(keepends=True)
    return (
        repo.run("git", "rev-parse", "git-annex").stdout,
        "".join(line for line in config if "annex-cost" not in line),
        sorted(str(file) for file in creds.glob("*")),
    )


def objects(endpoint: Endpoint, bucket: str) -> list[str]:
    """Return the names of all objects in a bucket."""
    listed = boto3_client(endpoint).list_objects_v2(Bucket=bucket)
    return sorted(row["Key"] for row in listed.get("Contents", []))


def recorded(repo: AnnexRepo) -> dict[str, str]:
    """Return the parameters of the only special remote."""
    (found,) = remotes.special_remotes(repo.path)
    return dict(found.parameters)


def publish(endpoint: Endpoint, bucket: str) -> None:
    """Let everybody read the objects of a bucket."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    boto3_client(endpoint).put_bucket_policy(Bucket=bucket, Policy=policy)
