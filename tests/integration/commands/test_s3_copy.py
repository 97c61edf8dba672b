"""``datalad s3-copy`` between buckets of one server, and of two; real git-annex, real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread
from typing import Any

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import add_all, copies, object_bytes, object_names, pattern, unfinished_uploads
from tests.integration.commands.helpers import QUIET
from tests.support import faults
from tests.support.relay import Relay
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


def test_it_is_told_what_a_copy_by_the_service_rests_on(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    annex.run("git", "config", "annex.backend", "SHA256E")
    files = {"small": b"1", "summed": b"2", "large": pattern(12 * MIB)}
    content = add_all(annex, files)
    annex.init_s3x(keys, bucket_name, "partsize=5MiB", name="a")
    annex.init_s3x(keys, f"{bucket_name}-b", name="b")
    annex.annex("copy", "--to", "a", "small", "large")
    annex.annex("enableremote", "a", "checksum=sha256")
    annex.annex("copy", "--to", "a", "summed")

    records = copy(annex, way="server")

    assert {one["status"] for one in records} == {"ok"}, records
    by = {one["key"]: (one["compared_by"], one["message"]) for one in records}
    assert by[content["small"]][0] == "ETag"
    assert by[content["summed"]] == ("key", "copied by the service; compared with its key")
    assert by[content["large"]][0] == "size"
    assert "--verify" in by[content["large"]][1]


@pytest.mark.parametrize("backend", ["SHA256E", "MD5E"])
def test_a_copy_by_the_service_of_wrong_content_is_found_out(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, backend: str
) -> None:
    """With MD5 keys by what the service says; else by reading back what was copied."""
    annex.run("git", "config", "annex.backend", backend)
    content, other = add_all(annex, {"one": b"1"}), f"{bucket_name}-b"
    for remote, bucket in {"a": bucket_name, "b": other}.items():
        annex.init_s3x(keys, bucket, name=remote)
    annex.annex("copy", "--to", "a", "one")
    boto3_client(keys).put_object(Bucket=bucket_name, Key=content["one"], Body=b"2")

    (record,) = copy(annex, way="server", verify=backend == "SHA256E")

    assert record["status"] == "error", record
    assert "deleted again" in record["message"]
    assert object_names(keys, other) == {"annex-uuid"}
    assert annex.uuid("b") not in copies(annex, "one")


def test_what_is_there_already_is_read_and_mended_when_it_is_wrong(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    content, other = add_all(annex, {"one": b"1"}), f"{bucket_name}-b"
    for remote, bucket in {"a": bucket_name, "b": other}.items():
        annex.init_s3x(keys, bucket, name=remote)
    annex.annex("copy", "--to", "a", "one")
    boto3_client(keys).put_object(Bucket=other, Key=content["one"], Body=b"2")

    (record,) = copy(annex, verify=True)

    assert (record["status"], record["compared_by"]) == ("ok", "read back"), record
    assert object_bytes(keys, other, content["one"]) == b"1"
    annex.annex("setpresentkey", content["one"], annex.uuid("b"), "0")
    (again,) = copy(annex, verify=True)
    assert (again["status"], again["compared_by"]) == ("notneeded", "read back")


def test_what_only_git_annex_can_copy_is_refused(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(keys, bucket_name, name="a")
    annex.init_builtin(keys, f"{bucket_name}-ia", "mungekeys=ia", name="ia")
    assert "names of its own" in copy(annex, to="ia")[0]["message"]
    reasons = {"encryption=shared": "encrypted", "chunk=1MiB": "chunks", "exporttree=yes": "a tree"}
    for number, (parameter, reason) in enumerate(reasons.items()):
        annex.init_s3x(keys, f"{bucket_name}-{number}", parameter, name=f"b{number}")

        (record,) = copy(annex, to=f"b{number}")

        assert record["status"] == "error"
        assert reason in record["message"]
        assert "git annex copy" in record["message"]


def test_what_is_under_way_is_taken_back_when_no_more_is_wanted(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C closes the generator: it must not wait until a file of many gigabytes is copied."""
    from datalad_s3ext.commands._consent import Consent
    from datalad_s3ext.commands._copy import Copy, Wanted, find_remote, opened

    content = add_all(annex, FILES)
    other, released = f"{bucket_name}-b", Event()

    def held(body: Iterator[bytes]) -> Iterator[bytes]:
        released.wait(60)
        yield from body

    with Relay(keys.url) as relay, monkeypatch.context() as patch, ExitStack() as stack:
        patch.setenv("S3X_TRUST_ENDPOINT", f"{keys.url} {relay.url}")
        annex.init_s3x(keys, bucket_name, name="a")
        annex.annex("copy", "--to", "a", ".")
        annex.init_s3x(keys.at(relay.url), other, "partsize=5MiB", name="b")
        relay.shapers_up.add(faults.is_upload_part, held, 100)
        stop = Event()
        sides = [
            stack.enter_context(opened(annex.path, find_remote(annex.path, name), Consent(), stop))
            for name in ("a", "b")
        ]
        job = Copy(annex.path, *sides, way="stream", jobs=2, stop=stop)
        run = job.run([Wanted(content[name], name) for name in ("dir/large", "one")])
        assert next(run).wanted.file == "one"
        closing = Thread(target=run.close)  # type: ignore[attr-defined]
        closing.start()
        assert stop.wait(60)
        released.set()
        closing.join()

    assert object_names(keys, other) == {"annex-uuid", content["one"]}
    assert not unfinished_uploads(keys, other)
    assert annex.uuid("b") in copies(annex, "one")
    assert annex.uuid("b") not in copies(annex, "dir/large")


def test_an_old_key_with_a_blank_is_recorded_too(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    """A batch of setpresentkey ends at such a key, and all others would not be recorded."""
    key, other = "WORM-s3-m1--old name", f"{bucket_name}-b"
    for name, bucket in {"a": bucket_name, "b": other}.items():
        annex.init_s3x(keys, bucket, name=name)
    boto3_client(keys).put_object(Bucket=bucket_name, Key=key, Body=b"old")
    annex.annex("setpresentkey", key, annex.uuid("a"), "1")

    (record,) = copy(annex, all_keys=True, verify=True)

    assert (record["status"], record["type"]) == ("ok", "key")
    assert record["compared_by"] == "read back"
    assert record["message"].startswith(key)
    assert annex.annex("findkeys", "--in=b").stdout.splitlines() == [key]
