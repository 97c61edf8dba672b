"""A data set whose git-annex branch names a place of an attacker: no keys get there.

The attacker's port writes down every byte. The person who clones has keys in the environment, clones,
lets git-annex enable what it likes, and then tries to use the remote in all ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import connect
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.repo import trust
from tests.integration.commands.helpers import enable
from tests.support.attacker import UUID, Listener, remote_line, write_remote_log
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

KEY_ID = "AKIAVICTIMVICTIM0001"
SECRET = "victims-secret-victims-secret-victims-00"
TOKEN = "victims-session-token-victims-session-token"
PRESET = """\
id = "theirs"
name = "Lab store"
kind = "academic"
[endpoint]
default = "https://127.0.0.1:{port}"
[evidence]
checked = "2026-11-22"
confidence = "low"
"""
HTTP = "http://127.0.0.1:{port}"
BY_NAME = {"endpoint": "http://localhost:{port}", "requeststyle": "virtual"}
PLACES: dict[str, dict[str, str]] = {
    "endpoint": {"endpoint": HTTP},
    "without-scheme": {"endpoint": "127.0.0.1:{port}"},
    "host": {"host": "127.0.0.1", "port": "{port}", "protocol": "http"},
    "escaped": {"host": "&49;27.0.0&0000000046;1", "port": "0{port}", "protocol": "http"},
    "of-amazon": {"provider": "aws", "endpoint": HTTP},
    "of-a-known-service": {"provider": "wasabi", "endpoint": HTTP},
    "of-the-local-server": {"provider": "local", "endpoint": HTTP},
    "of-the-platform": {"provider": "onyxia", "endpoint": HTTP},
    "preset-of-the-dataset": {"provider": "theirs"},
    "preset-and-endpoint": {"provider": "theirs", "endpoint": HTTP},
    "virtual-host": BY_NAME,
    "bucket-as-host": {**BY_NAME, "bucket": "x@127.0.0.1:{port}/"},
    "bucket-as-path": {"endpoint": HTTP, "bucket": "../../lab"},
    "signature-v2": {"endpoint": HTTP, "signature": "v2"},
    "publicurl": {"endpoint": HTTP, "publicurl": HTTP + "/lab/"},
    "exported-tree": {"endpoint": HTTP, "exporttree": "yes"},
    "embedcreds": {"endpoint": HTTP, "embedcreds": "yes"},
}
BUILT_IN = {"type": "S3", "externaltype": "", "provider": "", "host": "127.0.0.1", "port": "{port}",
            "protocol": "http", "requeststyle": "path", "autoenable": "false"}  # fmt: skip


@pytest.fixture
def attacker() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(autouse=True)
def victim(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put keys into the environment, as a platform does."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_SESSION_TOKEN", TOKEN)
        patch.setenv("AWS_S3_ENDPOINT", "minio.platform.example.org")
        yield


@pytest.fixture
def poisoned(annex: AnnexRepo, attacker: Listener) -> Callable[..., AnnexRepo]:
    """Return what makes a clone, in which git-annex has not run, of a data set with such remotes."""

    def make(*places: dict[str, str]) -> AnnexRepo:
        folder = annex.path / ".datalad" / "s3-providers"
        folder.mkdir(parents=True)
        (folder / "theirs.toml").write_text(PRESET.format(port=attacker.port))
        annex.run("git", "add", ".datalad")
        annex.add("data", b"some content")
        write_remote_log(annex, *(_line(place, n, attacker) for n, place in enumerate(places)))
        path = annex.path.parent / "clone"
        annex.run("git", "clone", "-q", str(annex.path), str(path))
        return AnnexRepo(path)

    return make


def _line(place: dict[str, str], number: int, attacker: Listener) -> str:
    parameters = {name: text.format(port=attacker.port) for name, text in place.items()}
    name = {"name": f"store{number}"} if number else {}
    return remote_line({**parameters, **name}, UUID[:-2] + f"{0x11 + number:02x}")


def marks_of_keys(heard: bytes) -> list[str]:
    """Return which marks of keys are in what the attacker heard."""
    marks = (KEY_ID, SECRET, TOKEN, "AWS4-HMAC-SHA256", "authorization:", "x-amz-security-token",
             "Signature=")  # fmt: skip
    return [mark for mark in marks if mark.lower().encode() in heard.lower()]


def test_git_annex_sends_no_keys_to_places_that_only_the_clone_names(
    poisoned: Callable[..., AnnexRepo], attacker: Listener
) -> None:
    clone = poisoned(*PLACES.values())

    clone.annex("init", "-q", "clone", check=False)  # enables what it likes
    for name in clone.run("git", "remote").stdout.split():
        clone.annex("verifyremote", name, "--safe", "1", check=False)
        clone.annex("copy", "--to", name, "data", check=False)

    assert b"annex-uuid" in attacker.heard  # that everybody may read was looked for
    assert marks_of_keys(attacker.heard) == []


def test_s3_enable_sends_no_keys_unasked(
    poisoned: Callable[..., AnnexRepo], attacker: Listener
) -> None:
    clone = poisoned(*PLACES.values(), BUILT_IN)

    records = enable(clone)

    assert len(records) == len(PLACES) + 1
    assert {record["status"] for record in records} <= {"ok", "impossible"}
    sources = {record.get("credential_source") for record in records}
    assert sources <= {None, "no credentials (anonymous)"}
    assert b"annex-uuid" in attacker.heard
    assert marks_of_keys(attacker.heard) == []
    assert not list((clone.path / ".git" / "annex").glob("creds/*"))


@pytest.mark.parametrize("command", ["enableremote", "s3-enable"])
def test_keys_are_sent_after_a_person_has_agreed(
    poisoned: Callable[..., AnnexRepo], attacker: Listener, command: str
) -> None:
    """The same place, so that the tests above could fail."""
    clone = poisoned({"endpoint": HTTP, "autoenable": "false"})
    clone.annex("init", "-q")

    if command == "s3-enable":
        enable(clone, trust_endpoint=attacker.url)
    else:
        clone.annex("enableremote", "store", env={"S3X_TRUST_ENDPOINT": attacker.url})

    assert KEY_ID in marks_of_keys(attacker.heard)
    assert trust.trusted_endpoints(clone.path / ".git", UUID) == {attacker.url}


@pytest.mark.parametrize("kept", [True, False])
def test_keys_do_not_follow_a_remote_that_moves(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, attacker: Listener, tmp_path: Path, kept: bool
) -> None:
    """A colleague changes the endpoint of a remote in use, and all others pull."""
    annex.env["AWS_SESSION_TOKEN"] = ""
    annex.init_s3x(seaweed, new_bucket)
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    clone = annex.clone(tmp_path / "clone")
    clone.use_keys(seaweed)
    clone.annex("enableremote", "s3")
    clone.forget_keys()
    given = {"name": "s3", "endpoint": attacker.url, "bucket": new_bucket, "embedcreds": "yes"}
    write_remote_log(annex, remote_line(given, annex.uuid("s3")).replace("1700000000s", "2700000000s"))
    clone.run("git", "fetch", "-q", "origin")
    clone.annex("merge")
    key_id = seaweed.access_key_id
    if not kept:
        key_id = KEY_ID
        (clone.path / ".git" / "annex" / "creds" / f"{annex.uuid('s3')}-s3xcreds").unlink()

    clone.annex("verifyremote", "s3", "--safe", "1", check=False)
    clone.annex("fsck", "--fast", "--from", "s3", "data", check=False)
    clone.annex("enableremote", "s3", check=False)

    assert clone.annex("info", "s3").stdout.count(attacker.url) == 1  # it has moved
    assert marks_of_keys(attacker.heard) == []
    assert key_id.encode() not in attacker.heard


def test_a_clone_does_not_put_the_keys_of_its_user_into_the_branch(
    poisoned: Callable[..., AnnexRepo], attacker: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = poisoned({"endpoint": HTTP, "embedcreds": "yes", "autoenable": "false",
                      "exporttree": "yes"})  # fmt: skip
    clone.annex("init", "-q")
    with monkeypatch.context() as patch:
        patch.delenv("AWS_SESSION_TOKEN")
        clone.annex("enableremote", "store", env={"S3X_TRUST_ENDPOINT": attacker.url}, check=False)

    assert KEY_ID in marks_of_keys(attacker.heard)
    assert "s3xcreds=" not in clone.run("git", "show", "git-annex:remote.log").stdout


@pytest.mark.parametrize(
    "parameters",
    [
        {"provider": "aws", "region": "x/@127.0.0.1:1/"},
        {"provider": "wasabi", "region": "127.0.0.1:1/"},
        {"provider": "wasabi", "region": "a@127.0.0.1"},
        {"provider": "wasabi", "region": "x#"},
        {"provider": "wasabi", "datacenter": "127.0.0.1/x"},
        {"provider": "../../theirs"},
        {"endpoint": "https://minio.example.org@127.0.0.1"},
        {"endpoint": "https://127.0.0.1\\@minio.example.org"},
        {"endpoint": "https://127.0.0.1/?minio.example.org"},
        {"endpoint": "ftp://127.0.0.1"},
        {"host": "minio.example.org@127.0.0.1"},
        {"host": "127.0.0.1/minio.example.org"},
        {"host": "minio.example.org", "protocol": "ftp"},
    ],
)
def test_parameters_that_would_lead_elsewhere_are_refused(parameters: dict[str, str]) -> None:
    given = {"bucket": "lab", "provider": "other", **parameters}

    with pytest.raises(ConfigError):
        connect(read_settings(lambda name: given.get(name, "")), LocalChoices(), {})
