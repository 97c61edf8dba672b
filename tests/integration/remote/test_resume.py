"""However the remote ends in the middle of a transfer: the next one goes on, and nothing is left over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.integration.remote.test_requests import ALL, key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

SIZE = 48 * MIB
PART = 5 * MIB
OVERHEAD = MIB // 4
"""Heads of requests, and the requests that begin and end an upload."""
LIMIT_S = 60
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None]
ENDS = [
    *((number, SIZE, 25) for number in SIGNALS),
    (signal.SIGKILL, 256 * MIB, 50),
    *(
        pytest.param(signal.SIGKILL, 256 * MIB, percent, marks=pytest.mark.thorough)
        for percent in (10, 90)
    ),
]
"""How it ends, the size of the file, and after how many percent of it."""


@contextmanager
def interrupted(annex: FakeAnnex, number: signal.Signals | None) -> Iterator[None]:
    """End the remote after the block, by a signal or by hanging up, within a bounded time."""
    yield
    began = time.monotonic()
    if number is not None:
        os.kill(annex.pid, number)
    annex.hang_up()
    assert time.monotonic() - began < 20


def wait_for(annex: FakeAnnex, arrived: object, wanted: int) -> None:
    end = time.monotonic() + LIMIT_S
    while arrived() < wanted:  # type: ignore[operator]
        assert not annex.has_line()
        assert time.monotonic() < end
        time.sleep(0.02)


def settle(relay: Relay) -> None:
    """Wait until what the system had taken from the dead process has passed the relay."""
    seen = -1
    while seen != relay.bytes_up:
        seen = relay.bytes_up
        time.sleep(0.5)


@pytest.mark.parametrize(("number", "size", "percent"), ENDS)
def test_an_upload_goes_on_where_it_ended(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path,
    number: signal.Signals | None, size: int, percent: int,
) -> None:  # fmt: skip
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    key = key_of(content)
    client = boto3_client(seaweed)
    with Relay(seaweed.url, rate_bytes_per_s=size // 16) as relay:
        with started(seaweed.at(relay.url), marked_bucket, tmp_path, partsize="5MiB") as annex:
            annex.start(ALL)
            annex.send(f"J 1 TRANSFER STORE {key} in")
            with interrupted(annex, number):
                wait_for(annex, lambda: relay.bytes_up, size * percent // 100)
        settle(relay)
        assert "Contents" not in client.list_objects_v2(Bucket=marked_bucket, Prefix="SHA256E")
        (upload,) = client.list_multipart_uploads(Bucket=marked_bucket)["Uploads"]
        parts = client.list_parts(Bucket=marked_bucket, Key=key, UploadId=upload["UploadId"])
        whole = {
            part["PartNumber"] for part in parts.get("Parts", []) if part["Size"] in (PART, size % PART)
        }
        left = size - sum(min(PART, size - PART * (number - 1)) for number in whole)
        before, relay.rate_bytes_per_s = relay.bytes_up, None
        with started(seaweed.at(relay.url), marked_bucket, tmp_path, partsize="5MiB") as annex:
            annex.start(ALL)
            answer = annex.ask(f"J 1 TRANSFER STORE {key} in")
        sent = relay.bytes_up - before

    assert answer == f"J 1 TRANSFER-SUCCESS STORE {key}"
    assert sent <= left * 1.05 + OVERHEAD
    assert client.get_object(Bucket=marked_bucket, Key=key)["Body"].read() == content
    assert client.list_multipart_uploads(Bucket=marked_bucket).get("Uploads", []) == []
    assert list((tmp_path / ".git" / "annex" / "s3x").glob("*/*")) == []


@pytest.mark.parametrize(("number", "size", "percent"), ENDS)
def test_a_download_goes_on_where_it_ended(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path,
    number: signal.Signals | None, size: int, percent: int,
) -> None:  # fmt: skip
    content = os.urandom(size)
    key = key_of(content)
    boto3_client(seaweed).put_object(Bucket=marked_bucket, Key=key, Body=content)
    out = tmp_path / "out"
    with Relay(seaweed.url, rate_bytes_per_s=size // 16) as relay:
        with started(seaweed.at(relay.url), marked_bucket, tmp_path) as annex:
            annex.start(ALL)
            annex.send(f"J 1 TRANSFER RETRIEVE {key} out")
            with interrupted(annex, number):
                wanted = size * percent // 100
                wait_for(annex, lambda: out.stat().st_size if out.exists() else 0, wanted)
        assert content.startswith(out.read_bytes())
        left = size - out.stat().st_size
        before, relay.rate_bytes_per_s = relay.bytes_down, None
        with started(seaweed.at(relay.url), marked_bucket, tmp_path) as annex:
            annex.start(ALL)
            answer = annex.ask(f"J 1 TRANSFER RETRIEVE {key} out")
        received = relay.bytes_down - before

    assert answer == f"J 1 TRANSFER-SUCCESS RETRIEVE {key}"
    assert 0 < left < size
    assert received <= left * 1.05
    assert out.read_bytes() == content


def test_other_bytes_under_the_same_name_begin_anew(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    """As with encryption: git-annex encrypts anew each time, and the name stays."""
    name = "GPGHMACSHA1--0123456789abcdef0123456789abcdef01234567"
    client = boto3_client(seaweed)
    with Relay(seaweed.url, rate_bytes_per_s=8 * MIB) as relay:
        (tmp_path / "in").write_bytes(os.urandom(SIZE))
        with started(seaweed.at(relay.url), marked_bucket, tmp_path, partsize="5MiB") as annex:
            annex.start(ALL)
            annex.send(f"J 1 TRANSFER STORE {name} in")
            with interrupted(annex, signal.SIGKILL):
                wait_for(annex, lambda: relay.bytes_up, SIZE // 2)
    content = os.urandom(SIZE)
    (tmp_path / "in").write_bytes(content)
    with started(seaweed, marked_bucket, tmp_path, partsize="5MiB") as annex:
        annex.config["endpoint"] = seaweed.url
        annex.start(ALL)

        assert annex.ask(f"J 1 TRANSFER STORE {name} in") == f"J 1 TRANSFER-SUCCESS STORE {name}"

    assert client.get_object(Bucket=marked_bucket, Key=name)["Body"].read() == content
