"""What goes wrong for a newcomer: one line with cause and remedy, nothing recorded, nothing lost."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import (
    add_all,
    clone_of,
    copies,
    failure,
    init_failure,
    is_here,
    object_names,
    pattern,
    report,
)
from tests.support import faults
from tests.support.hostile import PAGE, HtmlServer
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server]

WRONG_SECRET = "wrongsecretwrongsecretwrongsecretwrongse"
EVERY_TIME = 10_000


# -- initremote: nothing is recorded --------------------------------------------------------------


def test_a_key_id_unknown_to_the_server_is_named(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    wrong = dataclasses.replace(seaweed, access_key_id="AKIAWRONGWRONGWRONG1")

    said = init_failure(annex, wrong, bucket_name)

    assert "does not know the access key id" in said
    assert "AWS_ACCESS_KEY_ID" in said
    assert "check that these keys" in said


def test_a_wrong_secret_is_named_and_not_shown(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    wrong = dataclasses.replace(seaweed, secret_access_key=WRONG_SECRET)

    said = init_failure(annex, wrong, bucket_name)

    assert "secret key" in said
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert "enter the secret key again" in said
    assert WRONG_SECRET not in said


@pytest.mark.parametrize("kind", ["wrong key", "wrong secret"])
def test_rclone_too_gets_a_word_about_wrong_keys(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str, kind: str
) -> None:
    field = "access_key_id" if kind == "wrong key" else "secret_access_key"
    wrong = dataclasses.replace(rclone, **{field: WRONG_SECRET})

    said = init_failure(annex, wrong, bucket_name)

    assert "key" in said
    assert "AWS_" in said


def test_no_keys_at_all_are_asked_for(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> None:
    done = annex.annex(
        "initremote", "s3", "type=external", "externaltype=s3x", "provider=seaweedfs",
        f"endpoint={seaweed.url}", f"bucket={bucket_name}", "encryption=none", check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert "no keys were found" in done.stderr
    assert "AWS_ACCESS_KEY_ID" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2, done.stderr  # ours, and git-annex's count


def test_a_missing_bucket_that_may_not_be_created_is_named(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    client = boto3_client(seaweed)
    before = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    with Relay(seaweed.url) as relay:
        relay.answer(
            lambda request: request.method == "PUT" and urlsplit(request.path).path.count("/") == 1,
            faults.s3_error(403, "AccessDenied", "Access Denied"),
            times=EVERY_TIME,
        )
        said = init_failure(annex, seaweed.at(relay.url), bucket_name)

    assert f"there is no bucket '{bucket_name}'" in said
    assert "may not create" in said
    assert "ask the owner" in said
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == before


def test_a_port_where_nobody_listens_is_named(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    with Relay(seaweed.url) as relay:
        gone = relay.url

    said = init_failure(annex, seaweed.at(gone), bucket_name)

    assert f"no connection to {gone}" in said
    assert "check host, port and network" in said


def test_a_host_that_does_not_exist_is_named(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    said = init_failure(annex, seaweed.at("http://nonexistent.invalid"), bucket_name)

    assert "no connection to http://nonexistent.invalid" in said
    assert "check host" in said


def test_a_web_page_instead_of_s3_is_refused(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    with HtmlServer() as html:
        said = init_failure(annex, seaweed.at(html.url), bucket_name)

    assert html.url in said
    assert "not like an S3 service" in said
    assert "check host and port" in said


def test_a_clock_30_minutes_off_is_named(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(faults.every, clock_refusal(), times=EVERY_TIME)
        said = init_failure(annex, seaweed.at(relay.url), bucket_name)

    assert "clock of this computer is 30 minutes behind" in said
    assert "set the clock" in said


def test_after_a_failed_initremote_the_same_line_works(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(faults.every, clock_refusal(), times=EVERY_TIME)
        init_failure(annex, seaweed.at(relay.url), bucket_name)
        relay.heal()

        annex.init_s3x(seaweed.at(relay.url), bucket_name)

    assert object_names(seaweed, bucket_name) == {"annex-uuid"}


# -- a remote that worked until something broke ---------------------------------------------------


class Broken:
    """A repository whose remote worked, and a way to break it from outside and mend it again."""

    def __init__(self, repo: AnnexRepo, endpoint: Endpoint, bucket: str, relay: Relay) -> None:
        self.repo = repo
        self.bucket = bucket
        self.endpoint = endpoint
        self.relay = relay
        self.url = relay.url

    @contextmanager
    def by(self, cause: str) -> Iterator[None]:
        """Break the way to the store, or the keys, within the block."""
        keys = dict(self.repo.env)
        if cause == "wrong key":
            self.repo.env["AWS_ACCESS_KEY_ID"] = "AKIAWRONGWRONGWRONG1"
            self._forget_remembered_keys()
        elif cause == "wrong secret":
            self.repo.env["AWS_SECRET_ACCESS_KEY"] = WRONG_SECRET
            self._forget_remembered_keys()
        elif cause == "clock":
            self.relay.answer(faults.every, clock_refusal(), times=EVERY_TIME)
        elif cause == "missing bucket":
            missing = faults.s3_error(404, "NoSuchBucket", "The specified bucket does not exist")
            self.relay.answer(faults.every, missing, times=EVERY_TIME)
        elif cause == "web page":
            self.relay.answer(faults.every, web_page(), times=EVERY_TIME)
        elif cause == "unreachable":
            self.relay.__exit__()
        yield
        self.repo.env.update(keys)
        if cause == "unreachable":
            self.relay = relay_at(urlsplit(self.url).port or 0, self.endpoint)
        self.relay.heal()

    def _forget_remembered_keys(self) -> None:
        for path in (self.repo.path / ".git" / "annex" / "creds").iterdir():
            path.unlink()


def relay_at(port: int, endpoint: Endpoint) -> Relay:
    """Return a running relay on the port that another one has left."""
    relay = Relay(endpoint.url)
    relay._listener.close()
    relay._listener = socket.create_server(("127.0.0.1", port), backlog=128)
    return relay.__enter__()


def clock_refusal() -> faults.Answer:
    """Return what a server says whose clock is 30 minutes ahead of ours."""
    refusal = faults.clock_skewed()
    its_time = datetime.now(UTC) + timedelta(minutes=30)
    return dataclasses.replace(
        refusal, headers={**refusal.headers, "Date": format_datetime(its_time, usegmt=True)}
    )


def web_page() -> faults.Answer:
    headers = {"Content-Type": "text/html", "ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}
    return faults.Answer(200, PAGE, headers)


CAUSES = {
    "wrong key": ("key", "AWS_ACCESS_KEY_ID"),
    "wrong secret": ("key", "AWS_ACCESS_KEY_ID"),
    "missing bucket": ("no bucket",),
    "unreachable": ("no connection to", "check host, port and network"),
    "web page": ("not like an S3 service", "check host and port"),
    "clock": ("clock of this computer is 30 minutes behind", "set the clock"),
}


@pytest.fixture
def broken(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> Iterator[Broken]:
    """Return a remote with content, and content that is only here."""
    relay = Relay(seaweed.url).__enter__()
    broken = Broken(annex, seaweed, bucket_name, relay)
    try:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        add_all(annex, {name: name.encode() * 1000 for name in ("here and there", "there", "here")})
        annex.annex("copy", "--to", "s3", "here and there", "there")
        annex.annex("drop", "there")
        yield broken
    finally:
        broken.relay.__exit__()


@pytest.mark.parametrize("cause", CAUSES)
def test_every_command_says_why_it_failed_and_nothing_is_recorded_or_lost(
    broken: Broken, cause: str
) -> None:
    repo, s3 = broken.repo, broken.repo.uuid("s3")
    before = object_names(broken.endpoint, broken.bucket)

    with broken.by(cause):
        said = {
            "copy": failure(repo, "copy", "--to", "s3", "here"),
            "get": failure(repo, "get", "there"),
            "fsck": failure(repo, "fsck", "--fast", "--from", "s3", "there"),
            "drop from": failure(repo, "drop", "--from", "s3", "here and there"),
        }
        # git-annex keeps the remote's own words from the user here
        drop_code, _ = report(repo, "drop", "here and there")

    assert object_names(broken.endpoint, broken.bucket) == before
    assert s3 not in copies(repo, "here")
    assert s3 in copies(repo, "there")
    assert s3 in copies(repo, "here and there")
    assert not is_here(repo, "there")
    assert drop_code != 0
    assert (repo.path / "here and there").read_bytes() == b"here and there" * 1000
    for command, text in said.items():
        assert broken.endpoint.secret_access_key not in text
        for words in CAUSES[cause]:
            assert words in text, command

    repo.annex("copy", "--to", "s3", "here")
    repo.annex("get", "there")
    assert (repo.path / "there").read_bytes() == b"there" * 1000
    repo.annex("fsck", "--from", "s3", ".")


def test_a_message_about_remembered_keys_reads_like_a_sentence(broken: Broken) -> None:
    refusal = faults.s3_error(403, "AccessDenied", "Access Denied")
    broken.relay.answer(faults.every, refusal, times=EVERY_TIME)

    said = failure(broken.repo, "copy", "--to", "s3", "here")

    assert "keys of keys" not in said


# -- full disk ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a file system of 40 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)], check=False)
    if done.returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_next_get_goes_on(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, small_disk: Path
) -> None:
    content = pattern(64 * MIB)
    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        key = annex.add("large", content)
        annex.annex("copy", "--to", "s3", ".")
        clone = clone_of(annex, small_disk / "clone")

        # git-annex itself looks for free space first; --force is how it is told not to
        said = failure(clone, "get", "--force", "large")

        assert "No space left on device" in said
        assert "free space" in said
        partial = (clone.path / ".git" / "annex" / "tmp" / key).stat().st_size
        assert partial > 16 * MIB
        assert clone.uuid("s3") in copies(clone, "large")

        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        before = relay.bytes_down
        clone.annex("get", "large")

        assert (clone.path / "large").read_bytes() == content
        assert relay.bytes_down - before < len(content) - partial + MIB


def test_a_file_size_limit_is_named_and_the_next_get_goes_on(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    content = pattern(32 * MIB)
    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        key = annex.add("large", content)
        annex.annex("move", "--to", "s3", ".")
        path = limited_program(tmp_path / "bin", blocks=20 * 1024)
        unlimited = annex.env.get("PATH", os.environ["PATH"])
        annex.env["PATH"] = f"{path}{os.pathsep}{unlimited}"

        said = failure(annex, "get", "large")

        assert "File too large" in said
        partial = (annex.path / ".git" / "annex" / "tmp" / key).stat().st_size
        assert partial == 20 * MIB

        annex.env["PATH"] = unlimited
        before = relay.bytes_down
        annex.annex("get", "large")

        assert (annex.path / "large").read_bytes() == content
        assert relay.bytes_down - before < len(content) - partial + MIB


def limited_program(folder: Path, *, blocks: int) -> Path:
    """Return a folder with the special remote, which may write no file beyond `blocks` KiB."""
    folder.mkdir()
    script = folder / "git-annex-remote-s3x"
    script.write_text(
        f'#!/bin/bash\nulimit -f {blocks}\nexec {shutil.which("git-annex-remote-s3x")} "$@"\n'
    )
    script.chmod(0o755)
    return folder
