"""Requests and answers of an exported tree in front of a real server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.remote.test_requests import ALL, key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.faults import has_method, s3_error, truncate
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client
from tests.unit.remote.test_exports import tree_of, write_log

pytestmark = pytest.mark.server


@pytest.fixture
def remote(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> Iterator[FakeAnnex]:
    with started(seaweed, new_bucket, tmp_path, exporttree="yes", fileprefix="p/") as annex:
        annex.start()
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        yield annex


def ask(remote: FakeAnnex, name: str, request: str) -> str:
    remote.send(f"EXPORT {name}")
    return remote.ask(request)


def names(endpoint: Endpoint, bucket: str) -> set[str]:
    found = boto3_client(endpoint).list_objects_v2(Bucket=bucket)
    return {row["Key"] for row in found.get("Contents", [])}


def test_a_file_lives_under_its_names(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    content = os.urandom(100_000)
    (tmp_path / "in ").write_bytes(content)
    key = key_of(content)

    assert ask(remote, " ü/a ", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    stored = ask(remote, " ü/a ", f"TRANSFEREXPORT STORE {key} in ")
    assert stored == f"TRANSFER-SUCCESS STORE {key}"
    assert names(seaweed, new_bucket) == {"p/ ü/a "}
    assert ask(remote, " ü/a ", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-SUCCESS {key}"
    assert ask(remote, " ü/a ", f"RENAMEEXPORT {key}  new\r ") == f"RENAMEEXPORT-SUCCESS {key}"
    assert names(seaweed, new_bucket) == {"p/ new\r "}
    assert ask(remote, " ü/a ", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    got = ask(remote, " new\r ", f"TRANSFEREXPORT RETRIEVE {key} out ")
    assert got == f"TRANSFER-SUCCESS RETRIEVE {key}"
    assert (tmp_path / "out ").read_bytes() == content
    for _ in range(2):
        assert ask(remote, " new\r ", f"REMOVEEXPORT {key}") == f"REMOVE-SUCCESS {key}"
    assert names(seaweed, new_bucket) == set()
    gone = ask(remote, " new\r ", f"TRANSFEREXPORT RETRIEVE {key} out2")
    assert gone.startswith(f"TRANSFER-FAILURE RETRIEVE {key} cannot read ")


def test_an_object_of_another_size_is_not_the_file(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    key = key_of(b"twelve bytes")
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="p/f", Body=b"eleven byte")

    assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert "has 11 bytes at the server" in ask(remote, "f", f"TRANSFEREXPORT RETRIEVE {key} f")
    assert ask(remote, "f", f"RENAMEEXPORT {key} g") == f"RENAMEEXPORT-FAILURE {key}"
    assert any("has 11 bytes at the server" in said for said in remote.asked)
    assert names(seaweed, new_bucket) == {"p/f"}


def test_files_of_git_have_keys_without_a_size_and_are_compared_with_its_blobs(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """What git lacks, and what is another text of the same size, is to be stored anew."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "in").write_bytes(b"text")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "in"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    key, lacking = f"GIT--{blob}", f"GIT--{'0' * 40}"

    assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert ask(remote, "f", f"TRANSFEREXPORT STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
    assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-SUCCESS {key}"
    assert ask(remote, "f", f"CHECKPRESENTEXPORT {lacking}") == f"CHECKPRESENT-FAILURE {lacking}"
    for other in (b"texts", b"TEXT"):
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key="p/f", Body=other)
        assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    assert ask(remote, "f", f"RENAMEEXPORT {key} g") == f"RENAMEEXPORT-FAILURE {key}"
    assert any("f was replaced by somebody else" in said for said in remote.asked)


def test_what_is_not_there_is_not_renamed_and_the_reason_is_told(remote: FakeAnnex) -> None:
    assert ask(remote, "gone", "RENAMEEXPORT K--k new") == "RENAMEEXPORT-FAILURE K--k"
    assert any(said.startswith("INFO there is no object 'p/gone'") for said in remote.asked)


def test_no_marker_is_made_in_a_tree(remote: FakeAnnex, seaweed: Endpoint, new_bucket: str) -> None:
    assert remote.ask("INITREMOTE") == "INITREMOTE-SUCCESS"

    assert names(seaweed, new_bucket) == set()


def test_a_directory_that_is_removed_takes_nothing_along(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="p/d/of others", Body=b"x")

    assert remote.ask("REMOVEEXPORTDIRECTORY d") == "REMOVEEXPORTDIRECTORY-SUCCESS"

    assert names(seaweed, new_bucket) == {"p/d/of others"}


REFUSALS = {
    "denied": (s3_error(403, "AccessDenied"), "RENAMEEXPORT-FAILURE K--k"),
    "not implemented": (s3_error(501, "NotImplemented"), "UNSUPPORTED-REQUEST"),
}


@pytest.mark.parametrize(("answer", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_copy_that_is_refused_leaves_the_file(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, answer: object, expected: str
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="f", Body=b"content")
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start()
        relay.answer(has_method("PUT"), answer, 9)  # type: ignore[arg-type]

        assert ask(remote, "f", "RENAMEEXPORT K--k g") == expected

    assert names(seaweed, new_bucket) == {"f"}


def test_a_fault_is_neither_presence_nor_absence(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start()
        assert ask(remote, "f", "CHECKPRESENTEXPORT K--k") == "CHECKPRESENT-FAILURE K--k"
        relay.answer(has_method("HEAD"), s3_error(403, "AccessDenied"), 9)

        answer = ask(remote, "f", "CHECKPRESENTEXPORT K--k")

    assert answer.startswith("CHECKPRESENT-UNKNOWN K--k cannot look for 'f' ")


def test_what_no_key_tells_apart_is_not_present(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    """git-annex would skip storing what has become of the file since. Nor is an annexed one lost."""
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="p/README", Body=b"of last week")

    assert ask(remote, "README", "CHECKPRESENTEXPORT GIT--0123") == "CHECKPRESENT-FAILURE GIT--0123"
    answer = ask(remote, "README", "CHECKPRESENTEXPORT URL--http://x")
    assert answer.startswith("CHECKPRESENT-UNKNOWN URL--http://x README is there, but ")


def test_a_name_that_was_two_files_once_is_not_present(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """Its object was not removed, since it was the other file's: whose it is now, nobody knows."""
    trees = [tree_of(tmp_path, *names) for names in (("qq",), ("q\nq", "qq"), ("qq",))]
    write_log(
        tmp_path,
        *(f"{second}s aaaa:{remote.uuid} {tree}" for second, tree in enumerate(trees, 1)),
    )
    key = key_of(b"content")
    client = boto3_client(seaweed)
    assert ask(remote, "qq", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
    client.put_object(Bucket=new_bucket, Key="p/qq", Body=b"earlier")

    answer = ask(remote, "qq", f"CHECKPRESENTEXPORT {key}")

    assert answer.startswith(f"CHECKPRESENT-UNKNOWN {key} the file ")


def test_jobs_that_talk_at_the_same_time_keep_their_files_apart(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    jobs = [str(number) for number in range(1, 9)]
    keys = {}
    for job in jobs:
        content = os.urandom(1000 + int(job))
        (tmp_path / f"in{job}").write_bytes(content)
        keys[job] = key_of(content)
    with started(seaweed, new_bucket, tmp_path, exporttree="yes") as remote:
        remote.start(ALL)
        for request in ("TRANSFEREXPORT STORE {key} in{job}", "RENAMEEXPORT {key} new {job}",
                        "TRANSFEREXPORT RETRIEVE {key} out{job}"):  # fmt: skip
            name = "new {job}" if "RETRIEVE" in request else "dir/{job}"
            for job in jobs:
                remote.send(f"J {job} EXPORT {name.format(job=job)}")
            for job in reversed(jobs):
                remote.send(f"J {job} {request.format(key=keys[job], job=job)}")
            answers = sorted(remote.receive() for _ in jobs)

            success = {"T": "TRANSFER-SUCCESS {way} {key}", "R": "RENAMEEXPORT-SUCCESS {key}"}[
                request[0]
            ]
            way = request.split(" ")[1]
            assert answers == [f"J {j} {success.format(way=way, key=keys[j])}" for j in jobs]

    assert names(seaweed, new_bucket) == {f"new {job}" for job in jobs}
    for job in jobs:
        assert (tmp_path / f"out{job}").read_bytes() == (tmp_path / f"in{job}").read_bytes()


def test_a_file_that_could_not_be_removed_is_not_taken_for_the_next(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """git-annex would skip storing the file of the same size that has the name now."""
    client = boto3_client(seaweed)
    client.put_object(Bucket=new_bucket, Key="f", Body=b"old")
    (tmp_path / "in").write_bytes(b"new")
    key = key_of(b"new")
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start()
        relay.answer(has_method("DELETE"), s3_error(403, "AccessDenied"))
        assert ask(remote, "f", "REMOVEEXPORT K--k").startswith("REMOVE-FAILURE K--k ")

        answer = ask(remote, "f", f"CHECKPRESENTEXPORT {key}")

        assert answer.startswith(f"CHECKPRESENT-UNKNOWN {key} f is there, but ")
        assert ask(remote, "f", f"TRANSFEREXPORT STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
        assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-SUCCESS {key}"


def test_a_removal_whose_answer_was_lost_leaves_a_file_that_is_absent(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="f", Body=b"old")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "config", "remote.s3x-test.s3x-retries", "0"], cwd=tmp_path, check=True)
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start(ALL)
        relay.shapers_of_answers.add(has_method("DELETE"), truncate(0, reset=True), 9)
        remote.send("J 1 EXPORT f")
        assert remote.ask("J 1 REMOVEEXPORT K--k").startswith("J 1 REMOVE-FAILURE K--k ")

        remote.send("J 2 EXPORT f")
        assert remote.ask("J 2 CHECKPRESENTEXPORT K--k") == "J 2 CHECKPRESENT-FAILURE K--k"


@pytest.mark.parametrize("refused", ["PUT", "DELETE"])
def test_a_file_that_could_not_be_renamed_is_not_taken_for_the_next(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, refused: str
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="f", Body=b"old")
    key = key_of(b"new")
    with (
        Relay(seaweed.url) as relay,
        started(seaweed.at(relay.url), new_bucket, tmp_path, exporttree="yes") as remote,
    ):
        remote.start()
        relay.answer(has_method(refused), s3_error(403, "AccessDenied"), 9)
        assert ask(remote, "f", "RENAMEEXPORT K--k g") == "RENAMEEXPORT-FAILURE K--k"

        answer = ask(remote, "f", f"CHECKPRESENTEXPORT {key}")
        relay.heal()
        is_removed = ask(remote, "f", "REMOVEEXPORT K--k")

        assert answer.startswith(f"CHECKPRESENT-UNKNOWN {key} f is there, but ")
        assert is_removed == "REMOVE-SUCCESS K--k"
        assert ask(remote, "f", f"CHECKPRESENTEXPORT {key}") == f"CHECKPRESENT-FAILURE {key}"
