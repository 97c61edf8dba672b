"""``datalad s3-status``: what is where, and three answers to whether it can be reached."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.repo import remotes
from datalad_s3ext.transfer.journal import Begun, Confirmed, Journals
from tests.integration.commands.helpers import QUIET, enable, setup, state
from tests.support.faults import s3_error
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]


def status(repo: AnnexRepo, name: str | None = None, **options: Any) -> list[dict[str, Any]]:
    """Run s3-status and return its records."""
    from datalad_s3ext.commands.s3_status import S3Status

    found: list[dict[str, Any]] = S3Status()(name, **{"dataset": str(repo.path), **QUIET, **options})
    return found


@pytest.fixture
def filled(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> AnnexRepo:
    """A data set with two files, one of which is in its bucket."""
    setup(annex, keys, new_bucket, prefix="p")
    annex.use_keys(keys)
    annex.add("sent", b"1234567890")
    annex.add("kept", b"123")
    annex.annex("copy", "--quiet", "--to", "s3", "sent")
    return annex


def test_a_sibling_that_is_in_order(filled: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    before = state(filled)

    (found,) = status(filled)

    assert (found["status"], found["available"]) == ("ok", "yes")
    assert found["content"] == {"keys": 1, "bytes": 10, "of_unknown_size": 0}
    assert found["missing"] == found["missing_here"] == {"keys": 1, "bytes": 3, "of_unknown_size": 0}
    assert found["unfinished"] == []
    assert (found["name"], found["enabled"], found["provider"]) == ("s3", "yes", "seaweedfs")
    assert (found["endpoint"], found["bucket"], found["prefix"]) == (keys.url, new_bucket, "p/")
    assert (found["encryption"], found["remote_type"]) == ("none", "s3x")
    assert "git-annex's own store" in found["credentials"]["source"]
    assert keys.secret_access_key not in json.dumps(found, default=str)
    assert keys.access_key_id not in json.dumps(found, default=str)
    assert state(filled) == before


def test_one_that_has_moved_waits_for_a_person(filled: AnnexRepo, new_bucket: str) -> None:
    """Else `s3-enable` would call it enabled, while nothing can be stored there."""
    setting = f"s3x.{filled.uuid('s3')}.place"
    filled.run("git", "config", setting, f"{new_bucket}/elsewhere/")

    (moved,) = status(filled)
    refused = filled.run("git", "annex", "copy", "--to", "s3", "kept", check=False)
    enable(filled)
    (agreed,) = status(filled)
    filled.annex("copy", "--to", "s3", "kept")

    assert (moved["enabled"], agreed["enabled"]) == ("unconfirmed", "yes")
    assert refused.returncode == 1
    assert filled.run("git", "config", "--get-all", setting).stdout.split() == [
        f"{new_bucket}/elsewhere/", f"{new_bucket}/p/"
    ]  # fmt: skip


def test_people_see_all_about_one(filled: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    seen = filled.run("datalad", "s3-status").stdout
    for_programs = filled.run("datalad", "-f", "json", "s3-status", "s3", "--offline").stdout

    assert f"place         seaweedfs, {keys.url}" in seen
    assert f"bucket {new_bucket}, prefix p/" in seen
    assert "stored        in one object each, not encrypted" in seen
    assert "answers       yes: its marker is there" in seen
    assert "there         1 key, 10 B, by git-annex's location log" in seen
    assert "not yet there 1 key, 3 B that the current branch needs; 1 key, 3 B of it is in this" in seen
    assert "git annex copy --to s3" in seen
    (record,) = (json.loads(line) for line in for_programs.splitlines())
    assert (record["action"], record["available"]) == ("s3_status", "unknown")


def test_several_make_a_table(filled: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    setup(filled, keys, new_bucket, prefix="q", name="other", chunk="1MiB")
    boto3_client(keys).delete_object(Bucket=new_bucket, Key="q/annex-uuid")

    done = filled.run("datalad", "s3-status", check=False)

    lines = done.stdout.splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith("NAME"))
    assert lines[head].split() == [
        "NAME",
        "SERVICE",
        "PLACE",
        "THERE",
        "NOT",
        "YET",
        "THERE",
        "ANSWERS",
    ]
    assert lines[head + 1].split() == [
        "other", "seaweedfs", f"{new_bucket}/q/", "0", "keys", "2", "keys,", "13", "B", "no",
    ]  # fmt: skip
    assert lines[head + 2].split()[-1] == "yes"
    assert "other: there is no marker q/annex-uuid" in done.stdout
    assert done.returncode == 1


def test_a_marker_of_somebody_else_is_a_no(filled: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    uuid = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
    boto3_client(keys).put_object(Bucket=new_bucket, Key="p/annex-uuid", Body=uuid.encode())

    (found,) = status(filled)

    assert (found["status"], found["available"]) == ("error", "no")
    assert "another special remote" in found["available_because"]


def test_a_bucket_that_is_gone_is_a_no(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    setup(annex, keys, new_bucket)
    boto3_client(keys).delete_object(Bucket=new_bucket, Key="annex-uuid")
    boto3_client(keys).delete_bucket(Bucket=new_bucket)

    (found,) = status(annex)

    assert (found["status"], found["available"]) == ("error", "no")
    assert new_bucket in found["available_because"]


def test_what_cannot_be_found_out_is_neither(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    with Relay(keys.url) as relay:
        setup(annex, keys.at(relay.url), new_bucket)
        relay.answer(lambda _: True, s3_error(503, "ServiceUnavailable"), 100)
        (busy,) = status(annex)
        relay.heal()
        with relay.refusing():
            (silent,) = status(annex)

    for found in (busy, silent):
        assert (found["status"], found["available"]) == ("ok", "unknown")
    assert "no connection" in silent["available_because"]


def test_offline_nobody_is_asked(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    with Relay(keys.url) as relay:
        setup(annex, keys.at(relay.url), new_bucket)
        relay.requests.clear()

        (found,) = status(annex, offline=True)

        assert relay.requests == []
    assert (found["available"], found["available_because"]) == (
        "unknown", "nobody was asked (--offline)",
    )  # fmt: skip


def test_in_a_clone_nobody_is_asked_before_it_is_enabled(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with Relay(keys.url) as relay:
        setup(annex, keys.at(relay.url), new_bucket)
        copy = annex.clone(tmp_path / "clone")
        relay.requests.clear()

        (before,) = status(copy)
        asked = list(relay.requests)
        enable(copy, trust_endpoint=relay.url)
        (after,) = status(copy)

    assert asked == []
    assert (before["enabled"], before["available"]) == ("no", "unknown")
    assert "datalad s3-enable -s s3" in before["available_because"]
    assert (after["enabled"], after["available"]) == ("yes", "yes")


def test_keys_do_not_go_where_a_later_change_says(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(annex, keys, new_bucket)
    with Relay(keys.url) as relay, monkeypatch.context() as patch:
        annex.use_keys(keys.at(relay.url))
        annex.annex("enableremote", "s3", f"endpoint={relay.url}")
        annex.run("git", "config", "--unset-all", f"s3x.{annex.uuid('s3')}.endpoint")
        patch.delenv("S3X_TRUST_ENDPOINT")
        relay.requests.clear()

        (found,) = status(annex)

        assert relay.requests == []
    assert found["available"] == "unknown"
    assert "no keys were sent" in found["available_because"]


def test_keys_that_expire(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(annex, keys, new_bucket)
    remotes.forget_keys(annex.path, remotes.s3_remotes(annex.path)[0])
    soon = datetime.now(UTC) + timedelta(minutes=20)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_EXPIRATION", soon.isoformat())
        (found,) = status(annex, offline=True)
        seen = annex.run("datalad", "s3-status", "--offline").stdout
        patch.setenv("AWS_EXPIRATION", "2026-01-01T00:00:00Z")
        (expired,) = status(annex)

    assert datetime.fromisoformat(found["credentials"]["expires"]) == soon.replace(microsecond=0)
    assert f"good until {soon:%Y-%m-%d %H:%M} UTC" in seen
    assert "expire within an hour" in seen
    assert "expired on 2026-01-01" in expired["credentials"]["problem"]
    assert expired["available"] == "unknown"


def test_uploads_that_can_go_on_are_told(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    setup(annex, keys, new_bucket)
    folder = annex.path / ".git" / "annex" / "s3x" / annex.uuid("s3")
    with Journals(folder).open("KEY") as journal:
        assert journal is not None
        journal.begin(Begun(keys.url, "KEY", "id", 20 * 1024**2, 8 * 1024**2))
        journal.note(Confirmed(1, "md5:00", "etag"))

    (found,) = status(annex)
    seen = annex.run("datalad", "s3-status").stdout

    assert [(one["object"], one["confirmed_bytes"]) for one in found["unfinished"]] == [
        ("KEY", 8 * 1024**2)
    ]
    assert "an upload was begun and not completed: KEY, 8.0 MiB of 20.0 MiB is there" in seen


def test_built_in_s3_is_shown_too(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    setup(annex, keys, new_bucket, remote_type="S3")

    (found,) = status(annex)

    assert (found["remote_type"], found["available"]) == ("S3", "yes")
    assert "unfinished" not in found


def test_a_tree_has_no_marker(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    annex.init_s3x(keys, new_bucket, "exporttree=yes")

    (found,) = status(annex)

    assert (found["exporttree"], found["available"]) == (True, "yes")
    assert "no marker" in found["available_because"]


@pytest.mark.parametrize(
    ("name", "expected"), [(None, "no sibling on S3 is known"), ("x", "no sibling 'x' on S3 is known")]
)
def test_nothing_to_show(annex: AnnexRepo, name: str | None, expected: str) -> None:
    (found,) = status(annex, name)

    assert found["status"] == ("notneeded" if name is None else "impossible")
    assert expected in found["message"]
