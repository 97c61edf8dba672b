"""Exported trees, by real git-annex commands in front of real servers.

`git annex testremote` sends no EXPORT to external remotes, so these tests are the proof there is.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.export_helpers import commit, export, in_bucket, init_export
from tests.e2e.helpers import (
    confirm,
    kill_group,
    object_bytes,
    object_names,
    pattern,
    remotes_of,
    start,
    unfinished_uploads,
    wait_until,
)
from tests.integration.commands.helpers import publish
from tests.support.relay import Relay
from tests.support.repos import PROVIDER_OF, AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]
thorough = pytest.mark.thorough

BIG = pattern(MIB)
TREE = {
    "big": BIG,
    "README": b"what this is\n",
    "data/a.bin": b"\0" * 1000,
    "data/deep er/ü.txt": b"text\n",
    " blank ": b"a blank on both sides",
    "c\rr": b"a carriage return",
    "empty": b"",
}


def test_a_tree_goes_up_under_its_names_and_comes_back(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit(annex, TREE)
    init_export(annex, any_endpoint, bucket_name)

    export(annex)

    assert in_bucket(any_endpoint, bucket_name, set(TREE)) == TREE
    assert object_names(any_endpoint, bucket_name) == set(TREE)
    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "s3")
    confirm(copy, "s3")
    copy.annex("get", "--from", "s3", ".")
    for name, content in TREE.items():
        assert (copy.path / name).read_bytes() == content, name
    copy.annex("fsck", "--from", "s3", ".")


# -- another tree ---------------------------------------------------------------------------------


@thorough
def test_a_changed_tree_moves_what_it_has_and_sends_only_what_is_new(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    commit(annex, {"big": BIG, "first": b"1", "second": b"2", "gone/x": b"x", "changed": b"old"})
    with Relay(endpoint.url) as relay:
        init_export(annex, endpoint.at(relay.url), bucket_name)
        export(annex)
        (annex.path / "moved to").mkdir()
        annex.run("git", "mv", "big", "moved to/big er")
        annex.run("git", "mv", "first", "t")
        annex.run("git", "mv", "second", "first")
        annex.run("git", "mv", "t", "second")
        annex.run("git", "rm", "-qr", "gone")
        commit(annex, {"changed": b"new"})
        sent = relay.bytes_up

        said = export(annex)

        assert "deleting instead" not in said
        assert relay.bytes_up - sent < MIB // 2
        puts = count_puts(relay)
        export(annex)
        assert count_puts(relay) == puts

    expected = {"moved to/big er": BIG, "first": b"2", "second": b"1", "changed": b"new"}
    assert object_names(endpoint, bucket_name) == set(expected)
    assert in_bucket(endpoint, bucket_name, set(expected)) == expected


def count_puts(relay: Relay) -> int:
    return sum(method == "PUT" for method, _ in relay.requests)


@thorough
def test_what_is_there_already_is_not_sent_again(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """Another clone, with another tree, that knows nothing of the first export."""
    commit(annex, {"same": BIG, "other": b"1"})
    init_export(annex, endpoint, bucket_name)
    copy = annex.clone(tmp_path / "copy")
    copy.run("git", "config", "remote.origin.annex-ignore", "false")
    copy.annex("get", ".")
    export(annex)
    with Relay(endpoint.url) as relay:
        copy.annex("enableremote", "s3", f"endpoint={relay.url}")
        confirm(copy, "s3")
        commit(copy, {"more": b"more"})

        export(copy)

        stored = [path for method, path in relay.requests if method == "PUT"]
    assert stored == [f"/{bucket_name}/more"]
    assert object_names(endpoint, bucket_name) == {"same", "other", "more"}


@thorough
def test_many_files_at_once_each_get_their_own_name(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    files = {f"d{number % 3}/f {number} ": b"%d" % number * number for number in range(40)}
    commit(annex, files)
    init_export(annex, endpoint, bucket_name)

    export(annex, "-J4")

    assert in_bucket(endpoint, bucket_name, set(files)) == files
    for number in range(0, 40, 2):
        annex.run("git", "mv", f"d{number % 3}/f {number} ", f"moved {number}")
    annex.run("git", "commit", "-q", "-m", "moved")
    assert "deleting instead" not in export(annex, "-J4")
    expected = {
        name if number % 2 else f"moved {number}": content
        for number, (name, content) in enumerate(files.items())
    }
    assert in_bucket(endpoint, bucket_name, object_names(endpoint, bucket_name)) == expected


# -- annexobjects=yes -----------------------------------------------------------------------------


@thorough
def test_content_that_is_in_no_tree_is_kept_beside_it(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit(annex, {"stays": b"stays", "goes": BIG})
    key = annex.annex("lookupkey", "goes").stdout.strip()
    with Relay(endpoint.url) as relay:
        init_export(annex, endpoint.at(relay.url), bucket_name, "annexobjects=yes", "fileprefix=p/")
        export(annex)
        assert object_names(endpoint, bucket_name) == {"p/stays", "p/goes"}
        annex.run("git", "rm", "-q", "goes")
        annex.run("git", "commit", "-q", "-m", "gone")
        sent = relay.bytes_up

        export(annex)
        aside = object_names(endpoint, bucket_name) - {"p/stays"}
        annex.run("git", "revert", "--no-edit", "HEAD")
        annex.run("git", "mv", "goes", "is back")
        annex.run("git", "commit", "-q", "-m", "back")
        export(annex)

        assert relay.bytes_up - sent < MIB // 2
    [name] = aside
    assert name.startswith("p/.git/annex/objects/")
    assert name.endswith(f"/{key}/{key}")
    assert object_names(endpoint, bucket_name) == {"p/stays", "p/is back"}


@thorough
def test_with_annexobjects_content_is_copied_and_got_without_a_tree(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit(annex, {"f": b"content"})
    init_export(annex, endpoint, bucket_name, "annexobjects=yes")

    annex.annex("copy", "--to", "s3", "f")

    copy = annex.clone(tmp_path / "copy")
    copy.annex("enableremote", "s3")
    confirm(copy, "s3")
    copy.annex("get", "--from", "s3", "f")
    assert (copy.path / "f").read_bytes() == b"content"


# -- large files ----------------------------------------------------------------------------------


SMALL = """id = "small"
name = "Takes little at once"
kind = "self-hosted"
[upload]
etag_is_md5 = {etags}
multipart_etag_is_md5_of_md5s = {etags}
max_put = "6 MiB"
[evidence]
checked = "2026-11-22"
confidence = "high"
"""


@thorough
def test_a_file_too_large_for_one_copy_is_copied_in_parts_where_that_works(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """rclone takes a part's copy for a part without bytes: there, the whole is copied at once."""
    presets = tmp_path / "config" / "datalad-s3ext" / "providers"
    presets.mkdir(parents=True)
    etags = "false" if endpoint.kind == "rclone" else "true"
    (presets / "small.toml").write_text(SMALL.format(etags=etags))
    annex.env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    content = pattern(13 * MIB)
    commit(annex, {"large": content})
    with Relay(endpoint.url) as relay:
        init_export(annex, endpoint.at(relay.url), bucket_name, "provider=small")
        export(annex)
        annex.run("git", "mv", "large", "larger")
        annex.run("git", "commit", "-q", "-m", "moved")
        before, sent = len(relay.requests), relay.bytes_up

        said = export(annex)

        assert "deleting instead" not in said
        assert relay.bytes_up - sent < MIB
        parts = [path for _, path in relay.requests[before:] if "partNumber=" in path]
    assert len(parts) >= (1 if endpoint.kind == "rclone" else 3)
    assert in_bucket(endpoint, bucket_name, object_names(endpoint, bucket_name)) == {"larger": content}
    assert unfinished_uploads(endpoint, bucket_name) == []


@thorough
def test_an_upload_that_was_killed_goes_on_at_the_next_export(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    content = pattern(40 * MIB)
    commit(annex, {"large": content})
    with Relay(endpoint.url) as relay:
        init_export(annex, endpoint.at(relay.url), bucket_name, "partsize=5MiB")
        relay.rate_bytes_per_s = 4 * MIB
        process = start(annex, "export", "main", "--to", "s3")
        wait_until(lambda: bool(confirmed_parts(annex)), 60, "a part that the server has")
        kill_group(process)
        wait_until(lambda: not remotes_of(annex), 30, "the end of the remote")
        relay.rate_bytes_per_s = None
        assert object_names(endpoint, bucket_name) == set()
        sent = relay.bytes_up

        export(annex)

        assert relay.bytes_up - sent < 40 * MIB
    assert object_bytes(endpoint, bucket_name, "large") == content
    assert unfinished_uploads(endpoint, bucket_name) == []


def confirmed_parts(repo: AnnexRepo) -> list[str]:
    """Return the lines of journals about parts."""
    journals = (repo.path / ".git" / "annex" / "s3x").glob("*/*.jsonl")
    return [line for path in journals for line in path.read_text().splitlines()[1:]]


# -- who else reads it ----------------------------------------------------------------------------


@thorough
@pytest.mark.parametrize("first", ["builtin", "s3x"])
@pytest.mark.parametrize("server", ["seaweed", "moto"])
def test_what_one_has_exported_the_other_reads_and_goes_on_with(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, first: str, server: str
) -> None:
    """rclone's server takes no signatures of the built-in remote, which copies nothing on moto."""
    endpoint: Endpoint = request.getfixturevalue(server)
    common = ("exporttree=yes", "fileprefix=a b/ü/")
    second = {"builtin": "s3x", "s3x": "builtin"}[first]
    files = {"plain": b"plain", "d/ü+%": b"odd", "big": BIG}
    commit(annex, files)
    for position, kind in enumerate((first, second)):
        same = (f"--sameas={first}",) if position else ()
        if kind == "s3x":
            annex.init_s3x(endpoint, bucket_name, *same, *common, name="s3x")
        else:
            annex.init_builtin(endpoint, bucket_name, *same, *common, name="builtin")
    export(annex, to=first)
    assert object_names(endpoint, bucket_name) == {f"a b/ü/{name}" for name in files}

    annex.annex("fsck", "--fast", "--from", second, ".")
    annex.run("git", "config", f"remote.{first}.annex-ignore", "true")
    annex.annex("drop", "--force", ".")
    annex.annex("get", "--from", second, ".")
    for name, content in files.items():
        assert (annex.path / name).read_bytes() == content
    annex.run("git", "mv", "big", "bigger")
    annex.run("git", "commit", "-q", "-m", "moved")
    is_sent_again = "deleting instead" in export(annex, to=second)
    assert not is_sent_again or (second == "builtin" and endpoint.kind == "moto")
    expected = {f"a b/ü/{name}" for name in ("plain", "d/ü+%", "bigger")}
    assert object_names(endpoint, bucket_name) == expected


@thorough
def test_everybody_can_read_a_tree_in_a_public_bucket_without_a_marker(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    commit(annex, {"f": b"content"})
    init_export(annex, moto, bucket_name)
    export(annex)
    publish(moto, bucket_name)
    copy = annex.clone(tmp_path / "copy")
    copy.forget_keys()

    copy.annex("enableremote", "s3")
    confirm(copy, "s3")
    copy.annex("get", "--from", "s3", "f")

    assert (copy.path / "f").read_bytes() == b"content"


@thorough
def test_the_place_of_a_remote_with_content_by_key_is_refused(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(endpoint, bucket_name, name="keys")

    done = annex.init_s3x(endpoint, bucket_name, "exporttree=yes", name="tree", check=False)

    assert done.returncode != 0
    assert annex.uuid("keys") in done.stderr
    boto3_client(endpoint).head_object(Bucket=bucket_name, Key="annex-uuid")


@thorough
def test_datalad_push_works_with_annexobjects_and_the_export_moves_what_it_sent(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """DataLad's push copies by key; into a tree alone git-annex does not let it."""
    annex.run("datalad", "create", "--force", ".")
    files = {"big": BIG, "d/small": b"x"}
    commit(annex, files)
    annex.use_keys(endpoint)
    with Relay(endpoint.url) as relay:
        annex.run(
            "datalad", "s3-setup", PROVIDER_OF[endpoint.kind], "--endpoint", relay.url, "--bucket", bucket_name,
            "--name", "s3", "--set", "exporttree=yes", "--set", "annexobjects=yes",
        )  # fmt: skip

        annex.run("datalad", "push", "--to", "s3")
        sent = relay.bytes_up
        export(annex)

        assert sent > MIB
        assert relay.bytes_up - sent < MIB // 2
        copy = annex.clone(tmp_path / "copy")
        copy.run("datalad", "s3-enable", "--trust-endpoint", relay.url)
        copy.run("datalad", "get", ".")
    assert (copy.path / "big").read_bytes() == BIG
    names = object_names(endpoint, bucket_name)
    assert not any(name.startswith(".git/annex") for name in names)
    assert in_bucket(endpoint, bucket_name, set(files)) == files
