"""What other tests show with one server, by real git-annex and our commands with the other two.

Where a server lacks something, what is answered instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.export_helpers import commit, export, init_export
from tests.e2e.helpers import add_all, confirm, copies, object_bytes, object_names, pattern
from tests.integration.commands.conftest import keys_of
from tests.integration.commands.helpers import QUIET
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server, pytest.mark.thorough]

OTHERS = pytest.mark.parametrize("server", ["rclone", "moto"])
FILES = {"empty": b"", "one": b"1", "dir/large": pattern(9 * MIB)}


# -- from store to store --------------------------------------------------------------------------


def s3_copy(repo: AnnexRepo, **options: Any) -> list[dict[str, Any]]:
    """Copy all files from remote `a` to remote `b`; return the records."""
    from datalad_s3ext.commands.s3_copy import S3Copy

    given = {"dataset": str(repo.path), "source": "a", "to": "b", **QUIET, **options}
    found: list[dict[str, Any]] = S3Copy()([], **given)
    return found


@OTHERS
def test_a_service_copies_from_bucket_to_bucket(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint: Endpoint = request.getfixturevalue(server)
    content = add_all(annex, FILES)
    annex.init_s3x(endpoint, bucket_name, name="a")
    annex.annex("copy", "--to", "a", ".")
    annex.init_s3x(endpoint, f"{bucket_name}-b", name="b")
    with keys_of(endpoint, monkeypatch):
        records = s3_copy(annex)

    assert {one["status"] for one in records} == {"ok"}, records
    assert {one["way"] for one in records} == {"server"}
    for name, data in FILES.items():
        assert object_bytes(endpoint, f"{bucket_name}-b", content[name]) == data
        assert annex.uuid("b") in copies(annex, name)


@pytest.mark.parametrize(("source", "target"), [("moto", "seaweed"), ("rclone", "moto")])
def test_content_is_streamed_from_any_service_to_another(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    source: str,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = add_all(annex, FILES)
    sides: dict[str, Endpoint] = {
        "a": request.getfixturevalue(source), "b": request.getfixturevalue(target),
    }  # fmt: skip
    for name, endpoint in sides.items():
        annex.init_s3x(endpoint, bucket_name, name=name)
        if name == "a":
            annex.annex("copy", "--to", "a", ".")
    monkeypatch.setenv("S3X_TRUST_ENDPOINT", " ".join(side.url for side in sides.values()))

    records = s3_copy(annex)
    monkeypatch.undo()

    assert {one["status"] for one in records} == {"ok"}, records
    assert {one["way"] for one in records} == {"stream"}
    for name, data in FILES.items():
        assert object_bytes(sides["b"], bucket_name, content[name]) == data


# -- datalad push to a tree -----------------------------------------------------------------------


@OTHERS
def test_datalad_push_exports(
    annex: AnnexRepo,
    request: pytest.FixtureRequest,
    bucket_name: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datalad.api import push

    from datalad_s3ext.commands.s3_export import S3Export

    endpoint: Endpoint = request.getfixturevalue(server)
    init_export(annex, endpoint, bucket_name, "annexobjects=yes")
    with keys_of(endpoint, monkeypatch):
        (record,) = S3Export()(dataset=str(annex.path), name="s3", on_push="yes", **QUIET)
        assert record["status"] == "ok", record
        commit(annex, {"a b": b"1", "d/c": b"2"})

        records = push(to="s3", dataset=str(annex.path), **QUIET)

    assert {one["status"] for one in records} <= {"ok", "notneeded"}, records
    assert object_names(endpoint, bucket_name) >= {"a b", "d/c"}


# -- who has no keys ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layout", [(), ("chunk=1MiB",), ("exporttree=yes",)], ids=["plain", "chunked", "exported"]
)
def test_public_objects_on_moto_are_read_and_checked_without_keys(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str, tmp_path: Path, layout: tuple[str, ...]
) -> None:
    """Public by the acl of each: a policy that allows s3:GetObject allows no HEAD on moto."""
    content = pattern(2 * MIB + 5)
    add_all(annex, {"f": content})
    annex.init_s3x(moto, bucket_name, "autoenable=true", "acl=public-read", *layout)
    if "exporttree=yes" in layout:
        export(annex)
    else:
        annex.annex("copy", "--to", "s3", "f")

    copy = AnnexRepo(annex.path).clone(tmp_path / "copy")
    confirm(copy, "s3")
    copy.annex("get", "f")
    copy.annex("fsck", "--from", "s3", "f")

    assert (copy.path / "f").read_bytes() == content


def test_without_keys_rclones_server_answers_nobody_and_that_is_said(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """It has no public buckets."""
    annex.init_s3x(rclone, bucket_name)
    annex.add("f", b"content")
    annex.annex("copy", "--to", "s3", "f")
    copy = AnnexRepo(annex.path).clone(tmp_path / "copy")

    done = copy.annex("enableremote", "s3", check=False)

    assert done.returncode
    assert "no keys were found" in done.stderr
