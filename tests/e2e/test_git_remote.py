"""A whole data set, git history included, in a bucket: git push and git clone annex::."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.e2e.helpers import object_bytes, object_names
from tests.support.repos import PROVIDER_OF, AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def parameters_for(endpoint: Endpoint, bucket: str) -> dict[str, str]:
    return {
        "type": "external",
        "externaltype": "s3x",
        "provider": PROVIDER_OF[endpoint.kind],
        "endpoint": endpoint.url,
        "bucket": bucket,
        "encryption": "none",
    }


def init_with_url(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> None:
    """Set up a remote that git too can push to."""
    repo.use_keys(endpoint)
    given = [f"{name}={value}" for name, value in parameters_for(endpoint, bucket).items()]
    repo.annex("initremote", "--with-url", "s3", *given)


def clone_from_bucket(
    path: Path, uuid: str, endpoint: Endpoint, bucket: str, env: dict[str, str]
) -> AnnexRepo:
    """Clone with nothing but a URL and keys in the environment."""
    url = f"annex::{uuid}?{urlencode(parameters_for(endpoint, bucket))}"
    subprocess.run(
        ["git", "clone", "-q", url, str(path)],
        check=True,
        timeout=120,
        cwd=path.parent,
        env={**os.environ, **env},
    )
    return AnnexRepo(path, dict(env))


def test_history_and_content_come_back_from_the_bucket_alone(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    init_with_url(annex, endpoint, bucket_name)
    key = annex.add("first file", b"first content")
    annex.annex("copy", "--to", "s3", ".")

    annex.run("git", "push", "s3", "main", "git-annex")
    clone = clone_from_bucket(tmp_path / "clone", annex.uuid("s3"), endpoint, bucket_name, annex.env)
    clone.annex("get", ".")
    assert (clone.path / "first file").read_bytes() == b"first content"
    assert {"annex-uuid", key} < object_names(endpoint, bucket_name)

    # a second push replaces the manifest, and is pulled
    manifest = f"GITMANIFEST--{annex.uuid('s3')}"
    before = object_bytes(endpoint, bucket_name, manifest)
    annex.add("second file", b"second content")
    annex.annex("copy", "--to", "s3", ".")
    annex.run("git", "push", "s3", "main", "git-annex")

    assert before is not None
    assert object_bytes(endpoint, bucket_name, manifest) not in (before, None)
    clone.run("git", "pull", "-q", "--ff-only")
    clone.annex("merge")
    clone.annex("get", ".")
    assert (clone.path / "second file").read_bytes() == b"second content"


def test_a_clone_pushes_back(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    init_with_url(annex, seaweed, bucket_name)
    annex.add("first file", b"first content")
    annex.run("git", "push", "s3", "main", "git-annex")
    clone = clone_from_bucket(tmp_path / "clone", annex.uuid("s3"), seaweed, bucket_name, annex.env)

    clone.add("from the clone", b"more")
    clone.annex("copy", "--to", "origin", "from the clone")
    clone.run("git", "push", "origin", "main", "git-annex")

    annex.run("git", "pull", "-q", "--ff-only", "s3", "main")
    annex.run("git", "fetch", "-q", "s3")
    annex.annex("merge")
    annex.annex("get", "from the clone")
    assert (annex.path / "from the clone").read_bytes() == b"more"


def test_a_forced_push_replaces_history(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    init_with_url(annex, seaweed, bucket_name)
    annex.add("wrong", b"wrong")
    annex.run("git", "push", "s3", "main", "git-annex")

    annex.run("git", "commit", "-q", "--amend", "-m", "better words")
    annex.run("git", "push", "--force", "s3", "main")
    clone = clone_from_bucket(tmp_path / "clone", annex.uuid("s3"), seaweed, bucket_name, annex.env)

    assert clone.run("git", "log", "-1", "--format=%s").stdout.strip() == "better words"


def test_a_clone_with_a_wrong_secret_says_so_and_leaves_no_folder(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    init_with_url(annex, seaweed, bucket_name)
    annex.add("a", b"a")
    annex.run("git", "push", "s3", "main", "git-annex")
    url = f"annex::{annex.uuid('s3')}?{urlencode(parameters_for(seaweed, bucket_name))}"

    done = annex.run(
        "git", "clone", "-q", url, str(tmp_path / "clone"), check=False,
        env={"AWS_SECRET_ACCESS_KEY": "wrong-secret-wrong-secret-wrong-secret"},
    )  # fmt: skip

    assert done.returncode != 0
    assert "did not accept the signature" in done.stderr
    assert "wrong-secret" not in done.stdout + done.stderr
    assert not (tmp_path / "clone").exists()
