"""``datalad s3-migrate``: another type or place, the same objects; real git-annex, real servers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from datalad_s3ext.repo.remotes import parse_remote_log
from tests.e2e.export_helpers import commit
from tests.e2e.helpers import add_all, confirm, object_names, pattern
from tests.integration.commands.conftest import keys_of
from tests.integration.commands.helpers import QUIET, enable, recorded, state
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

THOROUGH_MOTO = pytest.param("moto", marks=pytest.mark.thorough)
ALL_SERVERS = pytest.mark.parametrize(
    "keys",
    ["seaweed", THOROUGH_MOTO, pytest.param("rclone", marks=pytest.mark.thorough)],
    indirect=True,
)
"""For tests without built-in S3: rclone's server takes neither its signature v2 nor, on a port, its v4."""
FILES = {"one": b"1", "some text": b"text\n" * 100, "large.bin": pattern(300_000)}


@pytest.fixture(params=["seaweed", THOROUGH_MOTO])
def keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Put the keys of one server after the other into the environment."""
    with keys_of(request.getfixturevalue(request.param), monkeypatch) as endpoint:
        yield endpoint


def migrate(repo: AnnexRepo, name: str = "old", *more: str, **options: Any) -> dict[str, Any]:
    """Run s3-migrate and return its only record."""
    from datalad_s3ext.commands.s3_migrate import S3Migrate

    (found,) = S3Migrate()(name, *more, **{"dataset": str(repo.path), **QUIET, **options})
    record: dict[str, Any] = found
    return record


def cannot_keep_keys(repo: AnnexRepo) -> None:
    """Let git-annex fail here, and not in a trial, where it notes the keys of a remote."""
    folder = repo.path / ".git" / "annex" / "creds"
    rmtree(folder)
    folder.touch()


def filled(repo: AnnexRepo, endpoint: Endpoint, bucket: str, *parameters: str) -> AnnexRepo:
    """Return `repo` with files that git-annex's own type=S3 has stored."""
    add_all(repo, FILES)
    repo.init_builtin(endpoint, bucket, *parameters, name="old")
    repo.annex("copy", "--to", "old", ".")
    return repo


def assert_goes_on(repo: AnnexRepo, name: str = "old") -> None:
    """Assert that the remote gives what it had, and takes more."""
    repo.annex("drop", "--force", ".")
    repo.annex("get", "--from", name, ".")
    for file, content in FILES.items():
        assert (repo.path / file).read_bytes() == content, file
    repo.annex("fsck", "--fast", "--from", name, ".")
    repo.add("another", b"stored afterwards")
    repo.annex("copy", "--to", name, "another")
    repo.annex("drop", "--force", "another")
    repo.annex("get", "--from", name, "another")


@pytest.mark.parametrize("keys", ["seaweed", "moto"], indirect=True)
@pytest.mark.parametrize(
    "parameters",
    [
        ("fileprefix=a b/ü", "storageclass=STANDARD_IA", "partsize=6MiB", "x-amz-meta-lab=vision"),
        pytest.param(("encryption=shared", "chunk=100kiB"), marks=pytest.mark.thorough),
    ],
    ids=["plain", "encrypted in chunks"],
)
def test_a_builtin_remote_is_read_and_continued_by_s3x_and_goes_back(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, parameters: tuple[str, ...], tmp_path: Path
) -> None:
    filled(annex, keys, bucket_name, *parameters)
    uuid, before = annex.uuid("old"), recorded(annex)
    objects = object_names(keys, bucket_name)
    colleague = annex.clone(tmp_path / "colleague")
    colleague.annex("enableremote", "old")
    confirm(colleague, "old")

    record = migrate(annex)

    assert record["status"] == "ok", record["message"]
    assert (record["checked"], record["compared"]) == (3, 3)
    assert annex.uuid("old") == uuid == record["uuid"]
    now = recorded(annex)
    assert (now["type"], now["externaltype"], now["endpoint"]) == ("external", "s3x", keys.url)
    for name in ("fileprefix", "chunk", "encryption", "cipher", "partsize"):
        assert now.get(name) == before.get(name), name
    if "fileprefix" in now:
        assert now["x-amz-meta"] == "lab=vision"
        assert now["storageclass"] == "STANDARD_IA"
    assert object_names(keys, bucket_name) == objects
    assert_goes_on(annex)
    for clone in (annex.clone(tmp_path / "clone"), colleague):
        clone.run("git", "pull", "-q")
        (enabled,) = enable(clone)
        assert enabled["status"] == "ok", enabled["message"]
        assert recorded(clone)["type"] == "external"
        clone.annex("get", "--from", "old", ".")
        assert enable(clone)[0]["status"] == "notneeded"

    back = migrate(annex, to="S3")

    assert back["status"] == "ok", back["message"]
    assert "externaltype" not in recorded(annex)
    for name in ("bucket", "fileprefix", "partsize", "x-amz-meta-lab", "chunk", "cipher", "type"):
        assert recorded(annex).get(name) == before.get(name), name
    annex.run("git", "config", "annex.security.allowed-ip-addresses", "all")
    assert_goes_on_after_return(annex)


def assert_goes_on_after_return(repo: AnnexRepo) -> None:
    repo.annex("drop", "--force", "another", "one")
    repo.annex("get", "--from", "old", "another", "one")
    repo.annex("fsck", "--from", "old", "another")


@pytest.mark.thorough
def test_a_tree_exported_by_builtin_is_continued(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    commit(annex, {"data/a": b"first", "b": b"second"})
    annex.init_builtin(keys, bucket_name, "exporttree=yes", name="old")
    annex.annex("export", "main", "--to", "old")

    record = migrate(annex)

    assert record["status"] == "ok", record["message"]
    assert record["compared"] == 2
    annex.annex("drop", "--force", ".")
    annex.annex("get", "--from", "old", ".")
    assert (annex.path / "data/a").read_bytes() == b"first"
    commit(annex, {"c": b"third"})
    annex.run("git", "mv", "b", "renamed")
    annex.run("git", "commit", "-q", "-m", "renamed")
    annex.annex("export", "main", "--to", "old")
    assert object_names(keys, bucket_name) == {"data/a", "renamed", "c"}


def test_a_tree_with_versions_keeps_them(annex: AnnexRepo, keys: Endpoint, bucket_name: str) -> None:
    annex.init_builtin(keys, bucket_name, "exporttree=yes", "versioning=yes", name="old")
    for content in (b"first", b"second"):
        commit(annex, {"a": content})
        annex.annex("export", "main", "--to", "old")

    record = migrate(annex)

    assert record["status"] == "ok", record["message"]
    assert (record["checked"], record["lost"]) == (1, [])
    assert recorded(annex)["bucketversioning"] == "yes"
    annex.annex("drop", "--force", "a")
    annex.annex("get", "--from", "old", "a")
    commit(annex, {"b": b"third"})
    annex.annex("export", "main", "--to", "old")
    assert object_names(keys, bucket_name) == {"a", "b"}


def test_what_only_old_versions_have_is_told_with_what_reads_it(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    annex.init_builtin(keys, bucket_name, "exporttree=yes", "versioning=yes", name="old")
    for content in (b"first", b"second"):
        commit(annex, {"a": content})
        annex.annex("export", "main", "--to", "old")
    first = annex.annex("lookupkey", "--ref", "HEAD~:a", check=False).stdout.strip()
    first = first or annex.run("git", "show", "HEAD~:a").stdout.rpartition("/")[2].strip()

    dry, record = migrate(annex, dry_run=True), migrate(annex)

    assert record["status"] == "ok", record["message"]
    for one in (dry, record):
        assert one["in_old_versions"] == 1
        assert "1 more key is only in old versions" in one["message"]
    command = record["message"].partition("made after the switch by `")[2].partition("`")[0]
    annex.run(*shlex.split(command))
    annex.annex("drop", "--force", "--all")
    annex.annex("get", "--from", "old-old", "--key", first)


def test_the_way_back_of_a_tree_with_versions_is_named(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    """Built-in S3 with versions finds only those that it has noted itself."""
    annex.init_builtin(keys, bucket_name, "exporttree=yes", "versioning=yes", name="old")
    commit(annex, {"a": b"first"})
    annex.annex("export", "main", "--to", "old")
    assert migrate(annex)["status"] == "ok"
    commit(annex, {"a": b"second"})
    annex.annex("export", "main", "--to", "old")

    refused = migrate(annex, to="S3")
    record = migrate(annex, to="S3", settings=["versioning=no"])

    assert refused["status"] == "error"
    assert "--set versioning=no" in refused["message"]
    assert "fsck" not in refused["message"]
    assert record["status"] == "ok", record["message"]
    annex.annex("drop", "--force", "a")
    annex.annex("get", "--from", "old", "a")
    assert (annex.path / "a").read_bytes() == b"second"


@ALL_SERVERS
@pytest.mark.thorough
def test_what_rclone_keeps_by_key_is_taken_over(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    config = tmp_path / "rclone.conf"
    config.write_text(
        "[lab]\ntype = s3\nprovider = SeaweedFS\n"
        f"access_key_id = {keys.access_key_id}\nsecret_access_key = {keys.secret_access_key}\n"
        f"endpoint = {keys.url}\n"
    )
    annex.env["RCLONE_CONFIG"] = str(config)
    add_all(annex, FILES)
    where = (f"rcloneprefix={new_bucket}/annex/data", "rcloneremotename=lab", "rclonelayout=nodir")
    annex.annex("initremote", "old", "type=rclone", "encryption=none", *where)
    annex.annex("copy", "--to", "old", ".")

    assert "name the preset" in migrate(annex)["message"]
    record = migrate(annex, "old", "seaweedfs", endpoint=keys.url)

    assert record["status"] == "ok", record["message"]
    assert (record["bucket"], record["prefix"]) == (new_bucket, "annex/data/")
    annex.use_keys(keys)
    assert_goes_on(annex)
    assert "annex/data/annex-uuid" in object_names(keys, new_bucket)


@ALL_SERVERS
def test_a_service_that_has_moved_is_followed(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    add_all(annex, FILES)
    annex.init_s3x(keys, bucket_name, name="old")
    annex.annex("copy", "--to", "old", ".")
    with Relay(keys.url) as relay:
        record = migrate(annex, endpoint=relay.url)

        assert record["status"] == "ok", record["message"]
        assert record["changed"]["endpoint"] == [keys.url, relay.url]
        before = len(relay.requests)
        annex.annex("drop", "--force", "one")
        annex.annex("get", "--from", "old", "one")
        assert len(relay.requests) > before


@pytest.mark.parametrize("to", ["s3x", pytest.param("S3", marks=pytest.mark.thorough)])
def test_another_way_to_the_same_content_is_switched_too(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, to: str
) -> None:
    """A remote made with --sameas has its encryption from the other one, and no UUID of its own."""
    annex.add("file", b"content")
    annex.init_s3x(keys, bucket_name, "encryption=shared", "chunk=1MiB", name="one")
    annex.annex("copy", "--to", "one", "file")
    ours = ("type=external", "externaltype=s3x", "provider=other", f"endpoint={keys.url}")
    annex.annex("initremote", "old", "--sameas=one", *ours, f"bucket={bucket_name}")
    one, before = logged(annex, "one"), logged(annex, "old")
    with Relay(keys.url) as relay:
        cannot_keep_keys(annex)
        assert "creds" in migrate(annex, endpoint=relay.url)["message"]
        assert logged(annex, "old") == before
        (annex.path / ".git" / "annex" / "creds").unlink()

        record = migrate(annex, endpoint=relay.url, to=to)

        assert record["status"] == "ok", record["message"]
        assert record["uuid"] == annex.uuid("one") == annex.uuid("old")
        assert (record["checked"], record["compared"]) == (1, 1)
        annex.annex("drop", "--force", "file")
        annex.annex("get", "--from", "old", "file")
    assert logged(annex, "one") == one
    now = logged(annex, "old")
    assert not {"encryption", "cipher", "chunk", "name"} & now.keys()
    assert (now["sameas-uuid"], now["sameas-name"]) == (before["sameas-uuid"], "old")


def logged(repo: AnnexRepo, name: str) -> dict[str, str]:
    """Return the parameters that remote.log itself has of the remote `name`."""
    repo.annex("merge")
    lines = parse_remote_log(repo.run("git", "show", "git-annex:remote.log").stdout).values()
    return next(one for one in lines if name in {one.get("name"), one.get("sameas-name")})


def test_a_place_without_the_objects_changes_nothing(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    filled(annex, keys, bucket_name)
    client = boto3_client(keys)
    other = f"{bucket_name}-b"
    client.create_bucket(Bucket=other)
    client.put_object(Bucket=other, Key="something", Body=b"else")
    before = state(annex)

    record = migrate(annex, bucket=other)

    assert record["status"] == "error"
    assert "3 of 3 keys that should be there were not found" in record["message"]
    assert state(annex) == before
    assert object_names(keys, other) == {"something"}
    assert "nothing in bucket" in migrate(annex, bucket=other, prefix="p/")["message"]
    assert state(annex) == before


def test_content_that_was_replaced_is_found_out(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    filled(annex, keys, bucket_name)
    key = annex.annex("lookupkey", "one").stdout.strip()
    boto3_client(keys).put_object(Bucket=bucket_name, Key=key, Body=b"2")
    before = state(annex)

    record = migrate(annex)

    assert record["status"] == "error"
    assert key in record["message"]
    assert state(annex) == before


def test_the_branch_that_is_checked_out_is_left_alone(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """`git annex merge` would merge what a colleague has pushed to synced/main into it."""
    annex.add("one", b"1")
    annex.init_s3x(keys, bucket_name, name="old")
    colleague = annex.clone(tmp_path / "colleague")
    colleague.add("theirs", b"unread")
    colleague.run("git", "push", "-q", "origin", "main:synced/main")
    before = annex.run("git", "rev-parse", "main").stdout

    assert "known: old" in migrate(annex, "typo")["message"]
    record = migrate(annex, settings=["x-amz-meta=lab=vision"])

    assert record["status"] == "ok", record["message"]
    assert recorded(annex)["x-amz-meta"] == "lab=vision"
    assert annex.run("git", "rev-parse", "main").stdout == before


def test_what_fails_at_the_very_end_is_undone(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    filled(annex, keys, bucket_name)
    before = recorded(annex)
    cannot_keep_keys(annex)
    _, config, creds = state(annex)

    record = migrate(annex)

    assert record["status"] == "error"
    assert "creds" in record["message"]
    assert recorded(annex) == before
    _, config_now, creds_now = state(annex)
    assert sorted(config_now.splitlines()) == sorted(config.splitlines())
    assert creds_now == creds
    annex.annex("drop", "--force", "one")
    annex.annex("get", "--from", "old", "one")


def test_a_dry_run_names_the_changes_and_contacts_nothing(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    filled(annex, keys, bucket_name, "fileprefix=p/", "x-archive-meta-a=b")
    before = state(annex)
    with Relay(keys.url) as relay:
        record = migrate(annex, dry_run=True, endpoint=relay.url)
        assert relay.bytes_up == 0

    assert record["status"] == "ok"
    assert record["changed"]["type"] == ["S3", "external"]
    assert "x-archive-meta-a" in record["lost"]
    assert state(annex) == before
    assert migrate(annex)["status"] == "ok"
    assert migrate(annex)["status"] == "notneeded"
