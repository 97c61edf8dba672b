"""``datalad s3-copy`` between buckets of one server, and of two; real git-annex, real servers."""

from __future__ import annotations

from typing import Any

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import add_all, copies, object_bytes, object_names, pattern, unfinished_uploads
from tests.integration.commands.helpers import QUIET
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

FILES = {"empty": b"", "one": b"1", "dir/large": pattern(20 * MIB)}


def copy(repo: AnnexRepo, *paths: str, **options: Any) -> list[dict[str, Any]]:
    """Run s3-copy and return its records."""
    from datalad_s3ext.commands.s3_copy import S3Copy

    given = {"dataset": str(repo.path), "source": "a", "to": "b", **QUIET, **options}
    found: list[dict[str, Any]] = S3Copy()([str(repo.path / one) for one in paths], **given)
    return found


def test_content_goes_over_and_is_recorded(annex: AnnexRepo, keys: Endpoint, bucket_name: str) -> None:
    content = add_all(annex, FILES)
    other = f"{bucket_name}-b"
    annex.init_s3x(keys, bucket_name, "fileprefix=from/", name="a")
    annex.annex("copy", "--to", "a", ".")
    annex.init_s3x(keys, other, "fileprefix=to here/", name="b")

    records = copy(annex)

    assert {one["status"] for one in records} == {"ok"}, records
    assert {one["way"] for one in records} == {"server"}
    for name, data in FILES.items():
        assert object_bytes(keys, other, f"to here/{content[name]}") == data
        assert annex.uuid("b") in copies(annex, name)
    assert [one["status"] for one in copy(annex)] == ["notneeded"]
    annex.annex("drop", "--force", ".")
    annex.annex("get", "--from", "b", ".")
    annex.annex("fsck", "--from", "b", ".")


def test_from_one_service_to_another_it_is_streamed(
    annex: AnnexRepo, keys: Endpoint, rclone: Endpoint, bucket_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    content = add_all(annex, FILES)
    annex.init_s3x(keys, bucket_name, name="a")
    annex.annex("copy", "--to", "a", ".")
    annex.init_s3x(rclone, bucket_name, name="b")
    with monkeypatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)  # each remote has its own, kept by git-annex
        patch.setenv("S3X_TRUST_ENDPOINT", f"{keys.url} {rclone.url}")

        (record,) = copy(annex, "one")
        (refused,) = copy(annex, "empty", way="server")
        assert object_names(rclone, bucket_name) == {"annex-uuid", content["one"]}
        records = copy(annex, all_keys=True)

    assert (record["status"], record["path"]) == ("ok", str(annex.path / "one"))
    assert "not at one service" in refused["message"]
    assert sorted(one["status"] for one in records) == ["ok", "ok"], records
    for name, data in FILES.items():
        assert object_bytes(rclone, bucket_name, content[name]) == data
        assert annex.uuid("b") in copies(annex, name)


@pytest.mark.parametrize("name", [pytest.param("one", marks=pytest.mark.thorough), "dir/large"])
def test_content_that_is_wrong_is_not_passed_on(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, name: str
) -> None:
    content = add_all(annex, FILES)
    other = f"{bucket_name}-b"
    for remote, bucket in {"a": bucket_name, "b": other}.items():
        annex.init_s3x(keys, bucket, name=remote)
    annex.annex("copy", "--to", "a", name)
    wrong = FILES[name][:-1] + b"?"
    boto3_client(keys).put_object(Bucket=bucket_name, Key=content[name], Body=wrong)

    (record,) = copy(annex, way="stream")

    assert record["status"] == "error"
    assert "not the content" in record["message"]
    assert object_names(keys, other) == {"annex-uuid"}
    assert not unfinished_uploads(keys, other)
    assert annex.uuid("b") not in copies(annex, name)
    boto3_client(keys).put_object(Bucket=bucket_name, Key=content[name], Body=b"short")
    (record,) = copy(annex)
    assert "or not whole" in record["message"]
    assert annex.uuid("b") not in copies(annex, name)


def test_what_only_git_annex_can_copy_is_refused(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(keys, bucket_name, name="a")
    reasons = {"encryption=shared": "encrypted", "chunk=1MiB": "chunks", "exporttree=yes": "a tree"}
    for number, (parameter, reason) in enumerate(reasons.items()):
        annex.init_s3x(keys, f"{bucket_name}-{number}", parameter, name=f"b{number}")

        (record,) = copy(annex, to=f"b{number}")

        assert record["status"] == "error"
        assert reason in record["message"]
        assert "git annex copy" in record["message"]
