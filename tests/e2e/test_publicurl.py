"""Content is read below ``publicurl`` by people without keys, where S3 itself does not let them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.export_helpers import export
from tests.e2e.helpers import add_all, confirm, object_names, pattern
from tests.e2e.test_public import stranger
from tests.integration.commands.helpers import QUIET, enable
from tests.support.cdn import Cdn
from tests.support.faults import Answer, every
from tests.support.hostile import PAGE
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

LARGE = pattern(20 * MIB + 5)
SMALL = pattern(2 * MIB + 5)
MAY_BE_THOROUGH = [
    ("seaweedfs", "refused"),
    pytest.param(("rclone", "nobody"), marks=pytest.mark.thorough),
    pytest.param(("moto", "wrong"), marks=pytest.mark.thorough),
]


@pytest.fixture(autouse=True)
def any_address(own_home: Path, annex: AnnexRepo) -> Iterator[None]:
    """Let git-annex connect to this machine in all repositories of a test."""
    config = own_home / ".gitconfig"
    before = config.read_bytes()
    annex.run("git", "config", "--global", "annex.security.allowed-ip-addresses", "all")
    yield
    config.write_bytes(before)


@pytest.fixture(params=MAY_BE_THOROUGH, ids=lambda param: "-".join(param))
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Return a server that those without keys cannot read from, each in another way."""
    kind, how = request.param
    endpoint = request.getfixturevalue({"seaweedfs": "seaweed"}.get(kind, kind))
    with Relay(endpoint.url) as relay:
        yield Service(endpoint, relay, how)


class Service:
    """A server behind a relay."""

    def __init__(self, upstream: Endpoint, relay: Relay, how: str) -> None:
        self.upstream, self.endpoint = upstream, upstream.at(relay.url)
        self._relay, self._how = relay, how

    def for_strangers(self) -> AbstractContextManager[None]:
        """Let nobody read by S3's means within the block."""
        return self._relay.refusing() if self._how == "nobody" else self._closed()

    @contextmanager
    def _closed(self) -> Iterator[None]:
        if self._how == "wrong":
            self._relay.answer(every, Answer(200, PAGE, {"Content-Type": "text/html"}), times=10**6)
        yield
        self._relay.heal()


def names_in(repo: AnnexRepo) -> list[str]:
    """Return the files that the remote is believed to have."""
    return sorted(repo.annex("find", "--in=s3", ".").stdout.splitlines())


def assert_read_without_keys(cdn: Cdn, endpoint: Endpoint) -> None:
    assert cdn.asked
    for _, path, headers in cdn.asked:
        assert "authorization" not in headers
        assert endpoint.access_key_id not in path + json.dumps(headers)


def assert_nothing_is_written(copy: AnnexRepo) -> None:
    (copy.path / "new").write_bytes(b"new")
    copy.annex("add", "new")
    refused = copy.annex("copy", "--to", "s3", "new", check=False)
    assert refused.returncode != 0
    assert "AWS_ACCESS_KEY_ID" in refused.stderr, refused.stderr
    assert copy.annex("drop", "--from", "s3", "--force", "f", check=False).returncode != 0


@pytest.mark.thorough
def test_content_is_read_and_checked(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    prefix = "a b/ü/"
    with Cdn(seaweed, new_bucket) as cdn:
        own = (f"fileprefix={prefix}", f"publicurl={cdn.url}/", "autoenable=true")
        annex.init_s3x(seaweed, new_bucket, *own)
        keys = add_all(annex, {"f": LARGE, "empty": b"", "gone": b"gone"})
        annex.annex("copy", "--to", "s3", ".")
        boto3_client(seaweed).delete_object(Bucket=new_bucket, Key=prefix + keys["gone"])
        before = object_names(seaweed, new_bucket)

        copy = stranger(annex, tmp_path / "copy")
        copy.annex("get", "f", "empty")

        assert (copy.path / "f").read_bytes() == LARGE
        parts = {headers.get("range") for _, path, headers in cdn.asked if path.endswith(keys["f"])}
        assert len(parts) > 2, parts
        copy.annex("fsck", "--from", "s3", "f", "empty")
        copy.annex("fsck", "--fast", "--from", "s3", "gone", check=False)
        assert names_in(copy) == ["empty", "f"]
        assert_nothing_is_written(copy)
        assert_read_without_keys(cdn, seaweed)
    assert object_names(seaweed, new_bucket) == before


def test_content_in_chunks_is_read_and_checked(
    annex: AnnexRepo, service: Service, bucket_name: str, tmp_path: Path
) -> None:
    with Cdn(service.upstream, bucket_name, ranges=False) as cdn:
        own = ("chunk=1MiB", f"publicurl={cdn.url}", "autoenable=true")
        annex.init_s3x(service.endpoint, bucket_name, *own)
        keys = add_all(annex, {"f": SMALL, "gone": pattern(MIB + 1, 1)})
        annex.annex("copy", "--to", "s3", ".")
        gone = keys["gone"].replace("--", f"-S{MIB}-C2--", 1)
        boto3_client(service.upstream).delete_object(Bucket=bucket_name, Key=gone)
        with service.for_strangers():
            copy = stranger(annex, tmp_path / "copy")
            copy.annex("get", "f")

            assert (copy.path / "f").read_bytes() == SMALL
            copy.annex("fsck", "--from", "s3", "f")
            copy.annex("fsck", "--fast", "--from", "s3", "gone", check=False)
            assert names_in(copy) == ["f"]
            assert_nothing_is_written(copy)
        assert_read_without_keys(cdn, service.endpoint)


@pytest.mark.thorough
def test_a_tree_is_read_and_checked(
    annex: AnnexRepo, service: Service, bucket_name: str, tmp_path: Path
) -> None:
    with Cdn(service.upstream, bucket_name) as cdn:
        own = ("exporttree=yes", "fileprefix=p/", f"publicurl={cdn.url}", "autoenable=true")
        annex.init_s3x(service.endpoint, bucket_name, *own)
        add_all(annex, {"a b/f": SMALL, "gone": b"gone"})
        export(annex)
        boto3_client(service.upstream).delete_object(Bucket=bucket_name, Key="p/gone")
        with service.for_strangers():
            copy = stranger(annex, tmp_path / "copy")
            copy.annex("get", "a b/f")

            assert (copy.path / "a b" / "f").read_bytes() == SMALL
            copy.annex("fsck", "--from", "s3", "a b/f")
            copy.annex("fsck", "--fast", "--from", "s3", "gone", check=False)
            assert names_in(copy) == ["a b/f"]
            assert copy.annex("export", "HEAD~1", "--to", "s3", check=False).returncode != 0
        assert_read_without_keys(cdn, service.endpoint)
    assert "p/a b/f" in object_names(service.upstream, bucket_name)


@pytest.mark.thorough
@pytest.mark.parametrize("layout", ["chunk=1MiB", "exporttree=yes"])
def test_a_migrated_remote_goes_on_for_those_without_keys(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, layout: str, tmp_path: Path
) -> None:
    """They have read from git-annex's own type=S3 by its ``publicurl``."""
    from datalad_s3ext.commands.s3_migrate import S3Migrate

    with Cdn(seaweed, bucket_name) as cdn:
        add_all(annex, {"f": SMALL, "later": LARGE})
        own = (layout, f"publicurl={cdn.url}", "autoenable=true")
        annex.init_builtin(seaweed, bucket_name, *own, name="s3")
        if "exporttree" in layout:
            export(annex)
        else:
            annex.annex("copy", "--to", "s3", ".")
        copy = stranger(annex, tmp_path / "copy")
        copy.annex("get", "f")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in annex.env.items():
                patch.setenv(name, value)
            (record,) = S3Migrate()("s3", dataset=str(annex.path), **QUIET)
        assert record["status"] == "ok", record["message"]
        cdn.asked.clear()

        for clone in (copy, stranger(annex, tmp_path / "new")):
            clone.run("git", "pull", "-q")
            (enabled,) = enable(clone)
            assert enabled["status"] in {"ok", "notneeded"}, enabled["message"]
            clone.annex("get", "--from", "s3", "later")
            assert (clone.path / "later").read_bytes() == LARGE
            clone.annex("fsck", "--from", "s3", "later")
        assert_read_without_keys(cdn, seaweed)


@pytest.mark.thorough
@pytest.mark.parametrize("tells_versions", [True, False])
def test_old_versions_are_read_where_they_are_told(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path, tells_versions: bool
) -> None:
    """A server that sends the newest version instead is found out, also before it is believed."""
    with Cdn(seaweed, bucket_name, versions=tells_versions) as cdn:
        add_all(annex, {"f": b"old content", "stays": SMALL})
        old = annex.annex("lookupkey", "f").stdout.strip()
        own = ("bucketversioning=yes", "autoenable=true", f"publicurl={cdn.url}")
        annex.init_s3x(seaweed, bucket_name, "exporttree=yes", *own)
        export(annex)
        annex.annex("unlock", "f")
        add_all(annex, {"f": b"new content"})
        export(annex)
        annex.init_s3x(seaweed, bucket_name, *own, "--sameas=s3", name="old")
        annex.annex("fsck", "--fast", "--from", "old", "--all")

        copy = stranger(annex, tmp_path / "copy")
        confirm(copy, "old")
        got = copy.annex("get", "--from", "old", "--key", old, check=False)
        checked = copy.annex("fsck", "--fast", "--from", "old", "--key", old, check=False)

        assert (got.returncode, checked.returncode) == ((0, 0) if tells_versions else (1, 1)), got
        said = copy.annex("whereis", "--key", old, check=False)
        assert "s3" in said.stdout
