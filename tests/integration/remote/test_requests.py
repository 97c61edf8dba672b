"""Requests and answers of the special remote in front of a real server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_annex import FakeAnnex
from tests.support.hostile import HtmlServer
from tests.support.servers import Endpoint, boto3_client

UUID = "11111111-2222-3333-4444-555555555555"
ALL = "INFO GETGITREMOTENAME UNAVAILABLERESPONSE ASYNC"


def key_of(content: bytes) -> str:
    return f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def remote(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> Iterator[FakeAnnex]:
    with started(seaweed, new_bucket, tmp_path) as annex:
        annex.start()
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        yield annex


@contextmanager
def started(endpoint: Endpoint, bucket: str, cwd: Path, **config: str) -> Iterator[FakeAnnex]:
    given = {
        "provider": "seaweedfs", "endpoint": endpoint.url, "bucket": bucket, "encryption": "none",
        **config,
    }  # fmt: skip
    keys = {
        "AWS_ACCESS_KEY_ID": endpoint.access_key_id,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_access_key,
    }
    with FakeAnnex(given, cwd=cwd, env=keys) as annex:
        yield annex


def test_content_comes_back_as_it_went(remote: FakeAnnex, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "in ").write_bytes(content)
    key = key_of(content)

    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert remote.ask(f"TRANSFER STORE {key} in ") == f"TRANSFER-SUCCESS STORE {key}"
    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-SUCCESS {key}"
    assert remote.ask(f"TRANSFER RETRIEVE {key} out ") == f"TRANSFER-SUCCESS RETRIEVE {key}"
    assert (tmp_path / "out ").read_bytes() == content
    assert remote.ask(f"REMOVE {key}") == f"REMOVE-SUCCESS {key}"
    assert remote.ask(f"REMOVE {key}") == f"REMOVE-SUCCESS {key}"
    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert remote.ask(f"TRANSFER RETRIEVE {key} gone").startswith(
        f"TRANSFER-FAILURE RETRIEVE {key} cannot read "
    )


def test_an_object_of_the_wrong_size_is_not_the_content(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    key = key_of(b"twelve bytes")
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key=key, Body=b"eleven byte")

    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert "has 11 bytes at the server" in remote.ask(f"TRANSFER RETRIEVE {key} f")


def test_content_without_a_known_size_is_found(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    key = "GPGHMACSHA1--0123456789abcdef0123456789abcdef01234567"
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key=key, Body=b"")

    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-SUCCESS {key}"
    assert remote.ask(f"TRANSFER RETRIEVE {key} f") == f"TRANSFER-SUCCESS RETRIEVE {key}"
    assert (tmp_path / "f").read_bytes() == b""


def test_initremote_may_be_repeated_and_marks_the_place(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    assert remote.ask("INITREMOTE") == "INITREMOTE-SUCCESS"

    marker = boto3_client(seaweed).get_object(Bucket=new_bucket, Key="annex-uuid")["Body"].read()
    assert marker.decode() == remote.uuid


def test_initremote_creates_the_bucket_and_says_so(
    seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    with started(seaweed, bucket_name, tmp_path) as annex:
        annex.start()

        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert f"INFO created bucket {bucket_name}" in annex.asked

    boto3_client(seaweed).head_bucket(Bucket=bucket_name)


def test_a_place_of_another_remote_is_refused(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with started(seaweed, new_bucket, tmp_path) as other:
        other.uuid = "99999999-2222-3333-4444-555555555555"
        other.start()

        answer = other.ask("INITREMOTE")

    assert answer.startswith("INITREMOTE-FAILURE ")
    assert remote.uuid in answer
    assert "fileprefix=" in answer


def test_two_remotes_share_a_bucket_by_prefixes(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with started(seaweed, new_bucket, tmp_path, fileprefix="second/ä b/") as other:
        other.uuid = "99999999-2222-3333-4444-555555555555"
        other.start()
        (tmp_path / "f").write_bytes(b"mine")
        key = key_of(b"mine")

        assert other.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert other.ask(f"TRANSFER STORE {key} f") == f"TRANSFER-SUCCESS STORE {key}"

    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"
    boto3_client(seaweed).head_object(Bucket=new_bucket, Key=f"second/ä b/{key}")


def test_after_the_bucket_changed_hands_nothing_is_absent(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="annex-uuid", Body=b"somebody else")
    key = key_of(b"x")

    with started(seaweed, new_bucket, tmp_path) as annex:
        annex.start()

        assert annex.ask(f"CHECKPRESENT {key}").startswith(f"CHECKPRESENT-UNKNOWN {key} ")
        assert annex.ask(f"REMOVE {key}").startswith(f"REMOVE-FAILURE {key} ")


def test_a_missing_bucket_is_no_missing_content(
    seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    key = key_of(b"x")

    with started(seaweed, bucket_name, tmp_path) as annex:
        annex.start()

        answer = annex.ask(f"CHECKPRESENT {key}")

    assert answer.startswith(f"CHECKPRESENT-UNKNOWN {key} ")
    assert bucket_name in answer


@pytest.mark.parametrize("key", [key_of(b"x"), key_of(b"y" * 80), "GPGHMACSHA1--0123456789abcdef"])
def test_a_web_page_is_neither_presence_nor_absence(
    seaweed: Endpoint, tmp_path: Path, key: str
) -> None:
    (tmp_path / "f").write_bytes(b"x")

    with HtmlServer() as page, started(seaweed.at(page.url), "bucket", tmp_path) as annex:
        annex.start()

        assert annex.ask("INITREMOTE").startswith("INITREMOTE-FAILURE ")
        assert annex.ask(f"CHECKPRESENT {key}").startswith(f"CHECKPRESENT-UNKNOWN {key} ")
        assert annex.ask(f"TRANSFER STORE {key} f").startswith("TRANSFER-FAILURE ")
        assert annex.ask(f"TRANSFER RETRIEVE {key} g").startswith("TRANSFER-FAILURE ")
        assert annex.ask(f"REMOVE {key}").startswith("REMOVE-FAILURE ")


@pytest.mark.parametrize("encryption", ["none", "shared", "hybrid"])
def test_lasting_keys_are_kept_in_this_clone_only(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, encryption: str
) -> None:
    with started(seaweed, new_bucket, tmp_path, encryption=encryption) as annex:
        annex.start()

        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert not [line for line in annex.asked if "CREDS" in line]

    kept = tmp_path / ".git" / "annex" / "creds" / f"{annex.uuid}-s3xcreds"
    assert kept.read_text() == f"{seaweed.access_key_id}\n{seaweed.secret_access_key}"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_keys_are_embedded_when_that_is_asked_for(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with started(seaweed, new_bucket, tmp_path, embedcreds="yes") as annex:
        annex.start()
        annex.ask("INITREMOTE")

        assert f"SETCREDS s3xcreds {seaweed.access_key_id} {seaweed.secret_access_key}" in annex.asked


@pytest.mark.parametrize("embedded", [False, True])
def test_remembered_keys_are_used_without_any_environment(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path, embedded: bool
) -> None:
    config = {"provider": "seaweedfs", "endpoint": seaweed.url, "bucket": new_bucket}
    folder, creds = tmp_path, ("", "")
    if embedded:
        config["embedcreds"] = "yes"
        creds = (seaweed.access_key_id, seaweed.secret_access_key)
        folder = tmp_path / "elsewhere"
        folder.mkdir()
    key = key_of(b"x")

    with FakeAnnex(config, cwd=folder, creds=creds) as annex:
        annex.start()

        assert annex.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"


def test_eight_jobs_work_side_by_side_in_one_process(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    contents = [os.urandom(20_000 + n) for n in range(24)]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)

    with started(seaweed, marked_bucket, tmp_path) as annex:
        annex.start(ALL)
        assert annex.ask("J 1 PREPARE") == "J 1 PREPARE-SUCCESS"
        answers = set()
        for first in range(0, 24, 8):
            for number in range(first, first + 8):
                key = key_of(contents[number])
                annex.send(f"J {number % 8 + 1} TRANSFER STORE {key} {number}")
            answers |= {annex.receive() for _ in range(8)}

    assert answers == {
        f"J {number % 8 + 1} TRANSFER-SUCCESS STORE {key_of(content)}"
        for number, content in enumerate(contents)
    }


def test_it_tells_about_itself_without_asking_the_store(tmp_path: Path) -> None:
    config = {
        "provider": "wasabi", "bucket": "b", "region": "eu-west-1", "fileprefix": "p/",
        "publicurl": "https://data.example.org/b",
    }  # fmt: skip
    with FakeAnnex(config, cwd=tmp_path) as annex:
        annex.start()
        fields, line = {}, annex.ask("GETINFO")
        while line != "INFOEND":
            fields[line.removeprefix("INFOFIELD ")] = annex.receive().removeprefix("INFOVALUE ")
            line = annex.receive()

        assert (
            annex.ask("WHEREIS K-s1--ä") == "WHEREIS-SUCCESS https://data.example.org/b/p/K-s1--%C3%A4"
        )
        assert annex.ask("GETCOST") == "COST 200"
        assert annex.ask("GETAVAILABILITY") == "AVAILABILITY GLOBAL"

    assert fields["bucket"] == "b"
    assert fields["endpoint"] == "https://s3.eu-west-1.wasabisys.com"
    assert fields["fileprefix"] == "p/"


def test_a_local_server_that_does_not_run_is_unavailable(tmp_path: Path) -> None:
    env = {"S3EXT_SERVER_HOME": str(tmp_path / "none")}
    with FakeAnnex({"provider": "local", "bucket": "b"}, cwd=tmp_path, env=env) as annex:
        annex.start()

        assert annex.ask("GETAVAILABILITY") == "AVAILABILITY UNAVAILABLE"
        assert "datalad s3-serve --background" in annex.ask("CHECKPRESENT SHA256E-s1--x")


@pytest.mark.parametrize("preset", ["other", "ceph", "seaweedfs"])
@pytest.mark.parametrize("local", [False, True])
def test_the_weak_signature_needs_a_word_from_this_machine(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, local: bool, preset: str
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if local:
        subprocess.run(
            ["git", "-C", tmp_path, "config", "remote.s3x-test.s3x-signature", "v2"], check=True
        )
    with started(seaweed, new_bucket, tmp_path, signature="v2", provider=preset) as annex:
        annex.start()

        answer = annex.ask("INITREMOTE")

    assert answer == "INITREMOTE-SUCCESS" if local else "s3x-signature" in answer


def test_keys_of_the_local_server_go_nowhere_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    record = '{"endpoint":"http://127.0.0.1:1","region":"r","access_key_id":"A","secret_access_key":"S","pid":1}'
    (home / "server.json").write_text(record)
    config = {"provider": "local", "bucket": "b", "endpoint": "http://127.0.0.1:2"}
    with FakeAnnex(config, cwd=tmp_path, env={"S3EXT_SERVER_HOME": str(home)}) as annex:
        annex.start()

        assert "no keys were found" in annex.ask("CHECKPRESENT SHA256E-s1--x")


def test_a_stopped_local_server_is_unavailable(tmp_path: Path) -> None:
    record = '{"endpoint":"http://127.0.0.1:1","region":"r","access_key_id":"A","secret_access_key":"S","pid":null}'
    (tmp_path / "server.json").write_text(record)
    with FakeAnnex(
        {"provider": "local", "bucket": "b"}, cwd=tmp_path, env={"S3EXT_SERVER_HOME": str(tmp_path)}
    ) as annex:
        annex.start()

        assert annex.ask("GETAVAILABILITY") == "AVAILABILITY UNAVAILABLE"
        assert "s3-serve --background" in annex.ask("CHECKPRESENT SHA256E-s1--x")


def test_a_public_place_can_be_enabled_and_read_without_keys(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    rule = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{new_bucket}/*",
    }  # fmt: skip
    client = boto3_client(seaweed)
    client.put_bucket_policy(
        Bucket=new_bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    )
    client.put_object(Bucket=new_bucket, Key=key_of(b"x"), Body=b"x")
    config = {"provider": "other", "endpoint": seaweed.url, "bucket": new_bucket}
    with FakeAnnex(config, cwd=tmp_path, uuid=remote.uuid) as annex:
        annex.start()

        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert annex.ask(f"CHECKPRESENT {key_of(b'x')}") == f"CHECKPRESENT-SUCCESS {key_of(b'x')}"
        assert annex.ask(f"TRANSFER RETRIEVE {key_of(b'x')} f").startswith("TRANSFER-SUCCESS")


def test_in_a_place_of_another_remote_nothing_is_present_or_stored(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    client = boto3_client(seaweed)
    client.put_object(Bucket=new_bucket, Key="annex-uuid", Body=b"99999999-2222-3333-4444-555555555555")
    client.put_object(Bucket=new_bucket, Key=key_of(b"x"), Body=b"x")
    (tmp_path / "f").write_bytes(b"x")
    with started(seaweed, new_bucket, tmp_path) as annex:
        annex.start()

        assert annex.ask(f"CHECKPRESENT {key_of(b'x')}").startswith("CHECKPRESENT-UNKNOWN")
        assert annex.ask(f"TRANSFER STORE {key_of(b'x')} f").startswith("TRANSFER-FAILURE")


def test_with_keys_at_hand_nothing_heavy_is_imported_at_all(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    content, log = os.urandom(1000), tmp_path / "imports"
    (tmp_path / "in").write_bytes(content)
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="annex-uuid", Body=UUID.encode())
    config = {"provider": "seaweedfs", "endpoint": seaweed.url, "bucket": new_bucket}
    env = {
        "AWS_ACCESS_KEY_ID": seaweed.access_key_id, "PYTHONPROFILEIMPORTTIME": "1",
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_access_key,
    }  # fmt: skip
    with FakeAnnex(config, cwd=tmp_path, env=env, stderr=log, uuid=UUID) as annex:
        annex.start()
        assert annex.ask(f"TRANSFER STORE {key_of(content)} in").startswith("TRANSFER-SUCCESS")
        assert annex.ask(f"CHECKPRESENT {key_of(content)}").startswith("CHECKPRESENT-SUCCESS")
        assert annex.ask(f"TRANSFER RETRIEVE {key_of(content)} out").startswith("TRANSFER-SUCCESS")
        annex.hang_up()

    imported = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert "datalad_s3ext.store.lean_client" in imported
    assert not imported & {"boto3", "botocore.session", "botocore.client", "urllib3", "git", "datalad"}
