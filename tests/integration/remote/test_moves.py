"""A remote whose bucket is another one than this clone used: somebody else may have moved it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.commands.helpers import publish
from tests.integration.remote.test_requests import UUID, key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.servers import Endpoint, boto3_client

CONTENT = b"what may not get out"
KEY = key_of(CONTENT)


@pytest.fixture
def other(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> str:
    """Another bucket of the same user, with a marker that fits and an object of the right size."""
    name = f"{new_bucket}-other"
    client = boto3_client(seaweed)
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="annex-uuid", Body=UUID.encode())
    client.put_object(Bucket=name, Key=KEY, Body=CONTENT)
    (tmp_path / "file").write_bytes(CONTENT)
    return name


@contextmanager
def process(endpoint: Endpoint, bucket: str, cwd: Path, **config: str) -> Iterator[FakeAnnex]:
    """Start the remote anew, as git-annex does for each command."""
    with started(endpoint, bucket, cwd, **config) as annex:
        annex.start()
        yield annex


def names(endpoint: Endpoint, bucket: str) -> set[str]:
    listed = boto3_client(endpoint).list_objects_v2(Bucket=bucket)
    return {row["Key"] for row in listed.get("Contents", [])}


@pytest.fixture
def used(seaweed: Endpoint, new_bucket: str, tmp_path: Path, other: str) -> str:
    """The bucket that this clone has used."""
    with process(seaweed, new_bucket, tmp_path) as annex:
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
    return new_bucket


def test_nothing_is_done_there_but_reading(
    seaweed: Endpoint, used: str, other: str, tmp_path: Path
) -> None:
    with process(seaweed, other, tmp_path) as annex:
        store = annex.ask(f"TRANSFER STORE {KEY} file")
        present = annex.ask(f"CHECKPRESENT {KEY}")
        remove = annex.ask(f"REMOVE {KEY}")
        retrieve = annex.ask(f"TRANSFER RETRIEVE {KEY} got")

    assert store.startswith(
        f"TRANSFER-FAILURE STORE {KEY} this data set has moved the remote to {other}/"
    )
    assert f"this clone used {used}/" in store
    assert "git annex enableremote NAME" in store
    assert present.startswith(f"CHECKPRESENT-UNKNOWN {KEY} this data set has moved")
    assert remove.startswith(f"REMOVE-FAILURE {KEY} this data set has moved")
    assert retrieve == f"TRANSFER-SUCCESS RETRIEVE {KEY}"
    assert names(seaweed, other) == {"annex-uuid", KEY}


def test_neither_is_a_tree_exported_there(
    seaweed: Endpoint, used: str, other: str, tmp_path: Path
) -> None:
    with process(seaweed, other, tmp_path, exporttree="yes") as annex:
        annex.send("EXPORT index.html")
        stored = annex.ask(f"TRANSFEREXPORT STORE {KEY} file")
        annex.send(f"EXPORT {KEY}")
        present = annex.ask(f"CHECKPRESENTEXPORT {KEY}")
        annex.send(f"EXPORT {KEY}")
        removed = annex.ask(f"REMOVEEXPORT {KEY}")

    for answer in (stored, present, removed):
        assert "has moved the remote" in answer
    assert present.startswith("CHECKPRESENT-UNKNOWN")
    assert names(seaweed, other) == {"annex-uuid", KEY}


def test_another_prefix_is_another_place(
    seaweed: Endpoint, used: str, tmp_path: Path, other: str
) -> None:
    boto3_client(seaweed).put_object(Bucket=used, Key="p/annex-uuid", Body=UUID.encode())
    with process(seaweed, used, tmp_path, fileprefix="p/") as annex:
        answer = annex.ask(f"TRANSFER STORE {KEY} file")

    assert f"moved the remote to {used}/p/" in answer


def test_a_person_can_say_that_it_is_right(
    seaweed: Endpoint, used: str, other: str, tmp_path: Path
) -> None:
    with process(seaweed, other, tmp_path) as annex:
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
    with process(seaweed, other, tmp_path) as annex:
        assert annex.ask(f"REMOVE {KEY}") == f"REMOVE-SUCCESS {KEY}"
        assert annex.ask(f"TRANSFER STORE {KEY} file") == f"TRANSFER-SUCCESS STORE {KEY}"
        assert annex.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-SUCCESS {KEY}"


def test_who_enables_it_is_told(seaweed: Endpoint, used: str, other: str, tmp_path: Path) -> None:
    """Remedies of other troubles say to enable a remote, too."""
    told = f"INFO this remote keeps its content at {other}/ now; this clone used {used}/"
    for times in (1, 0):
        with process(seaweed, other, tmp_path) as annex:
            assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
            assert annex.asked.count(told) == times


def test_a_person_without_keys_can_say_so_too(
    seaweed: Endpoint, used: str, other: str, tmp_path: Path
) -> None:
    publish(seaweed, other)
    config = {"provider": "other", "endpoint": seaweed.url, "bucket": other, "encryption": "none"}
    for before, after in (("UNKNOWN", "SUCCESS"), ("SUCCESS", "SUCCESS")):
        with FakeAnnex(config, cwd=tmp_path, uuid=UUID) as annex:
            annex.start()
            assert annex.ask(f"CHECKPRESENT {KEY}").startswith(f"CHECKPRESENT-{before} {KEY}")
            assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
            assert annex.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-{after} {KEY}"


def test_the_first_place_that_is_written_to_is_noted(
    seaweed: Endpoint, new_bucket: str, other: str, tmp_path: Path
) -> None:
    """A clone from before there was such a note, or one that enabled itself."""
    with process(seaweed, other, tmp_path) as annex:
        assert annex.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-SUCCESS {KEY}"
        assert annex.ask(f"TRANSFER STORE {KEY} file") == f"TRANSFER-SUCCESS STORE {KEY}"
        assert annex.ask(f"TRANSFER STORE {KEY} file") == f"TRANSFER-SUCCESS STORE {KEY}"
    config = (tmp_path / ".git" / "config").read_text()

    assert config.count(f"place = {other}/") == 1
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="annex-uuid", Body=UUID.encode())
    with process(seaweed, new_bucket, tmp_path) as annex:
        assert "has moved the remote" in annex.ask(f"TRANSFER STORE {KEY} file")
