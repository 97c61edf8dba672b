"""Processes that die in the middle: nothing present is wrong, and the next try goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import (
    kill_group,
    object_bytes,
    pattern,
    remotes_of,
    start,
    unfinished_uploads,
    wait_until,
)
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server, pytest.mark.slow]

SIZE = 64 * MIB
SLOW = 4 * MIB
CONTENT = pattern(SIZE)
END_S = 15.0
THOROUGH = pytest.mark.thorough


class Transfer:
    """A large file, a slow way to the store, and a command that is on its way."""

    def __init__(self, repo: AnnexRepo, relay: Relay, endpoint: Endpoint, bucket: str) -> None:
        self.repo = repo
        self.relay = relay
        self.endpoint = endpoint
        self.bucket = bucket
        repo.init_s3x(endpoint.at(relay.url), bucket)
        self.key = repo.add("large", CONTENT)

    def run_slowly(self, *arguments: str) -> subprocess.Popen[bytes]:
        self.relay.rate_bytes_per_s = SLOW
        return start(self.repo, *arguments)

    def kill(self, process: subprocess.Popen[bytes], victim: str) -> None:
        """Kill -9 `victim`, and wait until everything has ended."""
        remotes = remotes_of(self.repo)
        assert len(remotes) == 1
        if victim == "git-annex":
            os.kill(process.pid, signal.SIGKILL)
            process.wait(20)
        elif victim == "the remote":
            os.kill(remotes[0], signal.SIGKILL)
            process.wait(60)
        else:
            kill_group(process)
            for remote in remotes_of(self.repo):
                os.kill(remote, signal.SIGKILL)
        wait_until(lambda: not remotes_of(self.repo), END_S, "the end of the remote")
        self.relay.rate_bytes_per_s = None

    def wait_for_bytes(self, process: subprocess.Popen[bytes], direction: str, count: int) -> None:
        begin = getattr(self.relay, direction)
        wait_until(
            lambda: getattr(self.relay, direction) - begin >= count or process.poll() is not None,
            60,
            f"{count} {direction}",
        )
        assert process.poll() is None, "it was over before it could be killed"

    def assert_absent_or_right(self) -> bool:
        """Ask the server itself; return whether the object is there."""
        found = object_bytes(self.endpoint, self.bucket, self.key)
        assert found is None or found == CONTENT
        return found is not None


@pytest.fixture
def transfer(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> Iterator[Transfer]:
    with Relay(seaweed.url) as relay:
        yield Transfer(annex, relay, seaweed, bucket_name)


@pytest.mark.parametrize(
    "point_mib", [pytest.param(0, marks=THOROUGH), 24, pytest.param(60, marks=THOROUGH)]
)
@pytest.mark.parametrize("victim", ["git-annex", "the remote", "both"])
def test_an_upload_that_is_killed_leaves_nothing_wrong_and_is_repeated(
    transfer: Transfer, victim: str, point_mib: int
) -> None:
    repo = transfer.repo
    process = transfer.run_slowly("copy", "--to", "s3", "large")
    transfer.wait_for_bytes(process, "bytes_up", point_mib * MIB + 1)

    transfer.kill(process, victim)

    there = transfer.assert_absent_or_right()
    present = repo.annex("checkpresentkey", transfer.key, "s3", check=False).returncode
    assert present == (0 if there else 1)

    repo.annex("copy", "--to", "s3", "large")
    assert transfer.assert_absent_or_right()
    assert unfinished_uploads(transfer.endpoint, transfer.bucket) == []
    repo.annex("fsck", "--from", "s3", "large")


@pytest.mark.parametrize("point_mib", [pytest.param(1, marks=THOROUGH), 40])
@pytest.mark.parametrize("victim", ["git-annex", "the remote", "both"])
def test_a_download_that_is_killed_goes_on_where_it_was(
    transfer: Transfer, victim: str, point_mib: int
) -> None:
    repo, relay = transfer.repo, transfer.relay
    repo.annex("move", "--to", "s3", "large")
    process = transfer.run_slowly("get", "large")
    partial = repo.path / ".git" / "annex" / "tmp" / transfer.key
    transfer.wait_for_bytes(process, "bytes_down", point_mib * MIB)
    wait_until(
        lambda: partial.exists() and partial.stat().st_size > 0, END_S, "the first byte in the file"
    )

    transfer.kill(process, victim)

    done = partial.stat().st_size if partial.exists() else 0
    if partial.exists():
        assert partial.read_bytes() == CONTENT[:done]
        assert done > 0
    before = relay.bytes_down
    repo.annex("get", "large")
    assert (repo.path / "large").read_bytes() == CONTENT
    if partial_was_kept := done > 0:
        assert relay.bytes_down - before <= SIZE - done + MIB, partial_was_kept
    repo.annex("fsck", "large")


def test_interrupting_an_upload_ends_everything_and_the_next_copy_leaves_nothing_over(
    transfer: Transfer,
) -> None:
    process = transfer.run_slowly("copy", "--to", "s3", "large")
    transfer.wait_for_bytes(process, "bytes_up", 16 * MIB)

    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C in a terminal does
    process.wait(20)

    wait_until(lambda: not remotes_of(transfer.repo), END_S, "the end of the remote")
    assert not transfer.assert_absent_or_right()

    transfer.relay.rate_bytes_per_s = None
    transfer.repo.annex("copy", "--to", "s3", "large")
    assert transfer.assert_absent_or_right()
    assert unfinished_uploads(transfer.endpoint, transfer.bucket) == []


def test_a_file_replaced_at_the_server_during_a_download_is_not_mixed(transfer: Transfer) -> None:
    repo = transfer.repo
    repo.annex("move", "--to", "s3", "large")
    process = transfer.run_slowly("get", "large")
    transfer.wait_for_bytes(process, "bytes_down", 8 * MIB)

    other = pattern(SIZE, seed=1)
    boto3_client(transfer.endpoint).put_object(Bucket=transfer.bucket, Key=transfer.key, Body=other)
    transfer.relay.rate_bytes_per_s = None
    process.wait(60)

    assert not (repo.path / "large").exists() or (repo.path / "large").read_bytes() == CONTENT
    boto3_client(transfer.endpoint).put_object(Bucket=transfer.bucket, Key=transfer.key, Body=CONTENT)
    repo.annex("get", "large")
    assert (repo.path / "large").read_bytes() == CONTENT


def test_nothing_of_the_remote_survives_its_git_annex(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    annex.init_s3x(seaweed, bucket_name)
    annex.add("small", b"small")
    annex.annex("copy", "--to", "s3", ".")

    assert remotes_of(annex) == []
