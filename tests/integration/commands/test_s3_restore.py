"""``datalad s3-restore`` with real git-annex against moto, which restores at once."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from datalad_s3ext.commands._restore import (
    FAULT_LIMIT,
    File,
    Found,
    Order,
    files_in,
    restored,
    wait_for,
)
from tests.integration.commands.helpers import QUIET
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client


def run(annex: AnnexRepo, *paths: str, **options: Any) -> list[dict[str, Any]]:
    from datalad_s3ext.commands.s3_restore import S3Restore

    given = [str(annex.path / path) for path in paths]
    found = S3Restore()(given, **{"dataset": str(annex.path), **QUIET, **options})
    return sorted(found, key=lambda one: str(one["path"]))


def restores_of(moto: Endpoint, bucket: str) -> list[str]:
    client = boto3_client(moto)
    rows = client.list_objects_v2(Bucket=bucket)["Contents"]
    return [
        row["Key"] for row in rows if "Restore" in client.head_object(Bucket=bucket, Key=row["Key"])
    ]


def test_all_objects_of_the_chosen_files_are_restored_and_waited_for(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(
        moto, bucket_name, "storageclass=GLACIER>=1kB", "chunk=100kB", "encryption=shared",
        "fileprefix=a/",
    )  # fmt: skip
    annex.add("sub/large", secrets.token_bytes(250_000))
    annex.add("sub/small", b"1")
    annex.add("other", secrets.token_bytes(2000))
    annex.annex("copy", "--to=s3", ".")
    annex.annex("drop", ".")

    before = run(annex, look=True)
    asked = run(annex, "sub", days=3, tier="bulk", wait=True)
    after = run(annex, look=True)

    assert [one["state"] for one in before] == ["archived", "archived", "readable"]
    states = [(one["path"].rpartition("/")[2], one["state"], one["objects"]) for one in asked]
    assert states == [("large", "asked", 3), ("large", "readable", 3), ("small", "readable", 1)]
    assert [one["state"] for one in after] == ["archived", "readable", "readable"]
    assert after[1]["until"] > "2026"
    assert len(restores_of(moto, bucket_name)) == 3
    annex.annex("get", "sub")
    assert annex.annex("get", "other", check=False).returncode


def test_many_files_go_side_by_side(annex: AnnexRepo, moto: Endpoint, bucket_name: str) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER")
    for number in range(5):
        (annex.path / f"f{number}").write_bytes(b"%d" % number)
    annex.annex("add", ".")
    annex.annex("copy", "--to=s3", ".")
    files = [*files_in(annex.path, "s3", []), File("none", "SHA256E-s1--none")]

    found = list(restored(annex.path, "s3", files, Order(days=2), files_per_lane=2))

    assert {one.file for one in found} == set(files)
    assert sorted(one.step for one in found) == ["absent", *["asked"] * 5]
    assert len(restores_of(moto, bucket_name)) == 5


def test_a_person_reads_what_to_expect(annex: AnnexRepo, moto: Endpoint, bucket_name: str) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=DEEP_ARCHIVE")
    annex.add("a", b"12345")
    annex.annex("copy", "--to=s3", "a")

    told = annex.run("datalad", "s3-restore", "a").stdout

    assert "asked for restore from DEEP_ARCHIVE" in told


def test_what_cannot_be_found_out_is_an_error_with_its_reason(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER")
    key = annex.add("a", b"12345")
    annex.add("b", b"1234")
    annex.annex("copy", "--to=s3", "a", "b")
    boto3_client(moto).delete_object(Bucket=bucket_name, Key=key)
    annex.run("git", "config", "annex.s3-restore-tier", "slow")

    absent, refused = run(annex)

    assert (absent["status"], absent["state"]) == ("error", "absent")
    assert refused["status"] == "error"
    assert "annex.s3-restore-tier='slow' is not known" in refused["message"]


@pytest.mark.parametrize("options", [{"name": "none"}, {"days": 0}])
def test_what_makes_no_sense_is_refused(annex: AnnexRepo, options: dict[str, Any]) -> None:
    (record,) = run(annex, **options)

    assert record["status"] == "error"


def test_waiting_looks_at_longer_and_longer_intervals() -> None:
    files = [File("a", "A"), File("b", "B")]
    answers = [
        [Found(files[0], "under way"), Found(files[1], "under way")],
        [Found(files[0], "readable"), Found(files[1], "under way")],
        [Found(files[1], "error", message="no network")],
        [Found(files[1], "under way")],
        *([Found(files[1], "error", message="no network")] for _ in range(FAULT_LIMIT)),
    ]
    pauses: list[float] = []

    def look(asked: Any) -> Any:
        found = answers.pop(0)
        assert [one.file for one in found] == list(asked)
        return iter(found)

    ended = list(wait_for(look, files, sleep=pauses.append))

    assert [(one.file.name, one.step) for one in ended] == [("a", "readable"), ("b", "error")]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert not answers
