"""``datalad s3-export``, and `datalad push` to a tree of files; real git-annex, a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.export_helpers import commit, init_export
from tests.e2e.helpers import object_names
from tests.integration.commands.helpers import QUIET
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def export(repo: AnnexRepo, *treeish: str, **options: Any) -> list[dict[str, Any]]:
    """Run s3-export and return its records."""
    from datalad_s3ext.commands.s3_export import S3Export

    given = {"dataset": str(repo.path), "name": "s3", **QUIET, **options}
    found: list[dict[str, Any]] = S3Export()(*treeish, **given)
    return found


def in_tree(endpoint: Endpoint, bucket: str) -> set[str]:
    return {name for name in object_names(endpoint, bucket) if not name.startswith(".git/")}


def test_a_branch_is_exported_and_only_its_changes_after_that(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    init_export(annex, keys, bucket_name)
    commit(annex, {"a": b"1", "dir/b b": b"2"})

    first = export(annex)

    assert [(one["status"], one["type"]) for one in first[:-1]] == [("ok", "file")] * 2
    assert {one["path"] for one in first[:-1]} == {str(annex.path / "a"), str(annex.path / "dir/b b")}
    assert (first[-1]["status"], first[-1]["type"]) == ("ok", "sibling")
    assert object_names(keys, bucket_name) == {"a", "dir/b b"}
    assert [one["status"] for one in export(annex)] == ["notneeded"]
    annex.run("git", "mv", "a", "c")
    commit(annex)
    assert export(annex)[-1]["status"] == "ok"
    assert object_names(keys, bucket_name) == {"c", "dir/b b"}
    assert export(annex, "main:dir")[-1]["status"] == "ok"
    assert object_names(keys, bucket_name) == {"b b"}


def test_a_file_without_content_fails_and_is_told(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    init_export(annex, keys, bucket_name)
    commit(annex, {"a": b"1", "b": b"2"})
    annex.annex("drop", "--force", "a")

    records = export(annex, only_new=True)

    assert records[-1]["status"] == "error"
    failed = [one for one in records[:-1] if one["status"] == "error"]
    assert [one["path"] for one in failed] == [str(annex.path / "a")]
    assert failed[0]["message"]
    assert object_names(keys, bucket_name) == {"b"}
    assert export(annex, only_new=True)[-1]["status"] == "error"


def test_what_takes_no_tree_is_refused(annex: AnnexRepo, keys: Endpoint, bucket_name: str) -> None:
    annex.init_s3x(keys, bucket_name)

    for name, reason in {"s3": "by key", "nothing": "no special remote"}.items():
        (record,) = export(annex, name=name)
        assert record["status"] == "error"
        assert reason in record["message"]


def test_datalad_push_exports(annex: AnnexRepo, keys: Endpoint, bucket_name: str) -> None:
    from datalad.api import push

    init_export(annex, keys, bucket_name, "annexobjects=yes")
    (record,) = export(annex, on_push="yes")
    assert record["status"] == "ok", record["message"]
    assert [one["status"] for one in export(annex, on_push="yes")] == ["notneeded"]
    commit(annex, {f"file {number}": str(number).encode() for number in range(4)})

    records = push(to="s3", dataset=str(annex.path), **QUIET)

    assert {one["status"] for one in records} <= {"ok", "notneeded"}, records
    assert in_tree(keys, bucket_name) == {f"file {number}" for number in range(4)}
    exported = [one for one in records if one["action"] == "s3_export"]
    assert sum(one["type"] == "sibling" and one["status"] == "ok" for one in exported) == 1
    assert [export(annex, on_push="no")[0]["status"] for _ in range(2)] == ["ok", "notneeded"]
    commit(annex, {"later": b"content"})
    push(to="s3", dataset=str(annex.path), **QUIET)
    assert "later" not in in_tree(keys, bucket_name)


def test_datalad_push_cannot_do_it_without_annexobjects(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    init_export(annex, keys, bucket_name)

    (record,) = export(annex, on_push="yes")

    assert record["status"] == "impossible"
    assert "annexobjects=yes" in record["message"]
