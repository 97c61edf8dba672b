"""``datalad s3-copy`` where the target has an object already, which may be anybody's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from threading import Event

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import add_all, copies, object_bytes, pattern, unfinished_uploads
from tests.integration.commands.test_s3_copy import copy
from tests.support import faults
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

OLD = "WORM-s5-m1--old"


@pytest.fixture
def both(
    annex: AnnexRepo, keys: Endpoint, moto: Endpoint, bucket_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:  # fmt: skip
    """Set up a and b, on services of which only the first is known, and yield the key of `one` in a."""
    content = add_all(annex, {"one": b"right"})
    annex.init_s3x(keys, bucket_name, name="a")
    annex.annex("copy", "--to", "a", "one")
    boto3_client(keys).put_object(Bucket=bucket_name, Key=OLD, Body=b"right")
    annex.annex("setpresentkey", OLD, annex.uuid("a"), "1")
    annex.init_s3x(moto, bucket_name, name="b")
    with monkeypatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)  # each remote has its own, kept by git-annex
        patch.setenv("S3X_TRUST_ENDPOINT", f"{keys.url} {moto.url}")
        yield content["one"]


def put(endpoint: Endpoint, bucket: str, **objects: bytes) -> None:
    """Store something under the names of keys."""
    for name, data in objects.items():
        boto3_client(endpoint).put_object(Bucket=bucket, Key=name, Body=data)


def test_what_somebody_has_put_there_is_compared_before_it_is_recorded(
    annex: AnnexRepo, moto: Endpoint, both: str, bucket_name: str
) -> None:
    put(moto, bucket_name, **{both: b"wrong", OLD: b"wrong"})

    records = copy(annex, all_keys=True)

    assert [one["status"] for one in records] == ["ok", "ok"], records
    for key in (both, OLD):
        assert object_bytes(moto, bucket_name, key) == b"right"


def test_what_is_right_there_is_recorded_by_what_proves_it(
    annex: AnnexRepo, moto: Endpoint, both: str, bucket_name: str
) -> None:
    """The ETags of one service are known to be MD5, so those of the other can be compared with them."""
    put(moto, bucket_name, **{both: b"right", OLD: b"right"})

    records = copy(annex, all_keys=True)

    found = {one["key"]: (one["status"], one["compared_by"]) for one in records}
    assert found == {both: ("notneeded", "ETag"), OLD: ("notneeded", "ETag")}


def test_verify_looks_at_what_is_recorded_too(
    annex: AnnexRepo, keys: Endpoint, moto: Endpoint, both: str, bucket_name: str
) -> None:
    put(moto, bucket_name, **{both: b"wrong"})
    annex.annex("setpresentkey", both, annex.uuid("b"), "1")
    assert copy(annex, "one")[0]["status"] == "notneeded"

    (mended,) = copy(annex, "one", verify=True)
    (again,) = copy(annex, "one", verify=True)

    assert (mended["status"], again["status"]) == ("ok", "notneeded"), (mended, again)
    assert again["compared_by"] == "read back"
    assert object_bytes(moto, bucket_name, both) == b"right"
    put(moto, bucket_name, **{both: b"wrong"})
    put(keys, bucket_name, **{both: b"wrong"})
    (lost,) = copy(annex, "one", verify=True)
    assert lost["status"] == "error"
    assert "has it wrong" in lost["message"]
    assert annex.uuid("b") not in copies(annex, "one")


def test_what_nothing_can_be_compared_with_is_not_recorded(
    annex: AnnexRepo, keys: Endpoint, moto: Endpoint, both: str, bucket_name: str
) -> None:
    put(moto, bucket_name, **{OLD: b"wrong"})
    boto3_client(keys).delete_object(Bucket=bucket_name, Key=OLD)

    records = {one["key"]: one for one in copy(annex, all_keys=True)}

    assert records[both]["status"] == "ok"
    assert records[OLD]["status"] == "error"
    assert "none to compare it with" in records[OLD]["message"]
    assert OLD not in annex.annex("findkeys", "--in=b").stdout


def test_parts_that_a_killed_copy_has_left_are_taken_back(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    other, sending, released = f"{bucket_name}-b", Event(), Event()
    add_all(annex, {"large": pattern(17 * MIB)})

    def held(body: Iterator[bytes]) -> Iterator[bytes]:
        sending.set()
        released.wait(60)
        yield from body

    with Relay(keys.url) as relay:
        annex.init_s3x(keys, bucket_name, name="a")
        annex.annex("copy", "--to", "a", ".")
        annex.init_s3x(keys.at(relay.url), other, "partsize=5MiB", name="b")
        relay.shapers_up.add(faults.is_upload_part, held, 100)
        trusted = {"S3X_TRUST_ENDPOINT": f"{keys.url} {relay.url}"}
        command = [
            str(Path(sys.executable).with_name("datalad")),
            "s3-copy",
            "--from",
            "a",
            "--to",
            "b",
        ]
        with Popen(command, cwd=annex.path, env={**os.environ, **annex.env, **trusted}) as process:
            try:
                assert sending.wait(60)
            finally:
                process.kill()
                released.set()
        assert unfinished_uploads(keys, other)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("S3X_TRUST_ENDPOINT", trusted["S3X_TRUST_ENDPOINT"])

            (record,) = copy(annex, "large", way="stream")

    assert record["status"] == "ok", record
    assert not unfinished_uploads(keys, other)
    assert not list((annex.path / ".git/annex/s3x").rglob("*.jsonl"))
