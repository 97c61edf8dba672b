"""s3-setup and s3-enable of remotes whose requests carry something of their own."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.commands.helpers import QUIET, enable, recorded, setup
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return path


def cloned(annex: AnnexRepo, path: Path) -> AnnexRepo:
    annex.run("git", "clone", "-q", str(annex.path), str(path))
    copy = AnnexRepo(path)
    copy.run("git", "config", "remote.origin.annex-ignore", "true")
    return copy


def test_a_clone_needs_the_key_that_the_server_encrypts_with(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, key_file: Path, tmp_path: Path
) -> None:
    (refused,) = setup(annex, keys, new_bucket, settings=["sse=customer"])
    annex.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(key_file))
    (done,) = setup(annex, keys, new_bucket, settings=["sse=customer"])
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    clone = cloned(annex, tmp_path / "clone")

    (without,) = enable(clone, name="s3")
    clone.run("git", "config", "remote.s3.s3x-sse-c-key-file", str(key_file))
    (enabled,) = enable(clone, name="s3")

    assert refused["status"] == without["status"] == "error"
    assert "s3x-sse-c-key-file" in refused["message"]
    assert "s3x-sse-c-key-file" in without["message"]
    assert (done["status"], enabled["status"]) == ("ok", "ok")
    assert recorded(annex)["sse"] == "customer"
    clone.annex("get", "data")


def test_who_sets_up_a_bucket_that_charges_agrees_and_a_clone_has_to(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    unpaid: list[str] = []

    def note(request: Request) -> bool:
        # without keys it is looked whether everybody can read: nobody can pay for that
        is_known = "authorization" in request.headers and request.path.startswith(f"/{new_bucket}/")
        if is_known and "x-amz-request-payer" not in request.headers:
            unpaid.append(f"{request.method} {request.path}")
        return False

    with Relay(keys.url) as relay:
        relay.shapers_up.add(note, iter, 10_000)
        annex.env["S3X_TRUST_ENDPOINT"] = relay.url
        there = replace(keys, url=relay.url)
        (done,) = setup(annex, there, new_bucket, settings=["requester-pays=yes", "partsize=5MiB"])
        annex.add("data", secrets.token_bytes(6 * 1024 * 1024))
        annex.annex("copy", "--to", "s3", "data")
        annex.annex("fsck", "--from", "s3", "data")
        clone = cloned(annex, tmp_path / "clone")
        (refused,) = enable(clone, name="s3", trust_endpoint=relay.url)
        methods = {method for method, path in relay.requests if path.startswith(f"/{new_bucket}/")}

    assert done["status"] == "ok", done
    assert {"GET", "PUT", "POST", "HEAD", "DELETE"} <= methods
    assert unpaid == []
    assert "nobody in this clone has agreed to pay" in refused["message"]


@pytest.mark.parametrize("way", ["server", "stream"])
def test_copies_get_the_storage_class_of_their_target(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str, way: str
) -> None:
    from datalad_s3ext.commands.s3_copy import S3Copy

    annex.init_s3x(moto, bucket_name, "fileprefix=a/", name="a")
    annex.init_s3x(
        moto, bucket_name, "fileprefix=b/", "storageclass=GLACIER_IR>=1kB STANDARD_IA", name="b"
    )
    small, large = annex.add("small", b"1"), annex.add("large", secrets.token_bytes(2000))
    annex.annex("copy", "--to=a", ".")

    done = S3Copy()(dataset=str(annex.path), source="a", to="b", way=way, **QUIET)

    assert [one["status"] for one in done] == ["ok", "ok"], done
    rows = boto3_client(moto).list_objects_v2(Bucket=bucket_name, Prefix="b/")["Contents"]
    classes = {row["Key"]: row["StorageClass"] for row in rows}
    assert (classes[f"b/{small}"], classes[f"b/{large}"]) == ("STANDARD_IA", "GLACIER_IR")
