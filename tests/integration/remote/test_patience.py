"""A server that stalls, drips or asks for fewer requests; a line that many jobs share."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datalad_s3ext.units import KIB, MIB
from tests.integration.remote.test_requests import ALL, key_of, started
from tests.support import faults
from tests.support.fake_annex import FakeAnnex
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

FOR_EVER = 10_000
STALL_S = 1
LONG_S = 60
"""A stall that nobody waits for to end."""
CONTENT = os.urandom(3 * MIB)
KEY = key_of(CONTENT)


class Place:
    """A bucket behind a relay, and remotes in a repository with a git config of its own."""

    def __init__(self, endpoint: Endpoint, bucket: str, folder: Path, relay: Relay) -> None:
        self.endpoint, self.bucket, self.folder, self.relay = endpoint, bucket, folder, relay
        subprocess.run(["git", "init", "-q", folder], check=True)
        (folder / "in").write_bytes(CONTENT)

    def choose(self, **values: object) -> None:
        """Set values of the remote in the local git config."""
        for name, value in values.items():
            name = f"remote.s3x-test.{name.replace('_', '-')}"
            subprocess.run(["git", "-C", self.folder, "config", name, str(value)], check=True)

    @contextmanager
    def remote(self, **config: str) -> Iterator[FakeAnnex]:
        endpoint = self.endpoint.at(self.relay.url)
        with started(endpoint, self.bucket, self.folder, **config) as annex:
            annex.start(ALL)
            yield annex

    def upload(self, *contents: bytes) -> None:
        client = boto3_client(self.endpoint)
        for content in contents:
            client.put_object(Bucket=self.bucket, Key=key_of(content), Body=content)

    def uploaded(self, key: str) -> bytes:
        return boto3_client(self.endpoint).get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def count(self, predicate: faults.Predicate) -> int:
        requests = [faults.Request(*request, {}) for request in list(self.relay.requests)]
        return sum(map(predicate, requests))


@pytest.fixture
def place(seaweed: Endpoint, marked_bucket: str, tmp_path: Path) -> Iterator[Place]:
    with Relay(seaweed.url) as relay:
        yield Place(seaweed, marked_bucket, tmp_path, relay)


def is_get(request: faults.Request) -> bool:
    return request.method == "GET" and "/SHA256E-" in request.path


def is_put(request: faults.Request) -> bool:
    return request.method == "PUT" and "/SHA256E-" in request.path


def drip(relay: Relay, after_bytes: int) -> faults.Shaper:
    """Let a beginning pass, then one byte at a time for ever: often enough for any time-out."""

    def shape(body: faults.Body) -> faults.Body:
        passed = 0
        for piece in body:
            free = max(0, after_bytes - passed)
            yield piece[:free]
            for offset in range(free, len(piece)):
                relay.wait(STALL_S / 10)
                yield piece[offset : offset + 1]
            passed += len(piece)

    return shape


def answer_within(seconds: float, annex: FakeAnnex, request: str) -> str:
    """Ask, and do not wait for ever for one who reports progress for ever."""
    deadline = time.monotonic() + seconds
    annex.send(request)
    while not annex.has_line():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return annex.receive()


# -- stalls and drips -----------------------------------------------------------------------------


def test_a_download_that_stalls_goes_on_over_another_connection(place: Place) -> None:
    place.upload(CONTENT)
    place.choose(s3x_stall_timeout=STALL_S)
    place.relay.stall(LONG_S, is_get, after_bytes=MIB)

    with place.remote() as annex:
        answer = answer_within(10, annex, f"J 1 TRANSFER RETRIEVE {KEY} out")

    assert answer == f"J 1 TRANSFER-SUCCESS RETRIEVE {KEY}"

    assert (place.folder / "out").read_bytes() == CONTENT


def test_an_upload_that_stalls_goes_on_over_another_connection(place: Place) -> None:
    place.choose(s3x_stall_timeout=STALL_S)
    place.relay.shapers_up.add(is_put, faults.stall(LONG_S, place.relay.wait, MIB), 1)

    with place.remote() as annex:
        answer = answer_within(10, annex, f"J 1 TRANSFER STORE {KEY} in")

    assert answer == f"J 1 TRANSFER-SUCCESS STORE {KEY}"

    assert place.uploaded(KEY) == CONTENT


def test_a_download_that_drips_goes_on_over_another_connection(place: Place) -> None:
    place.upload(CONTENT)
    place.choose(s3x_stall_timeout=STALL_S)
    place.relay.shapers_down.add(is_get, drip(place.relay, MIB), 1)

    with place.remote() as annex:
        answer = answer_within(10, annex, f"J 1 TRANSFER RETRIEVE {KEY} out")

    assert answer == f"J 1 TRANSFER-SUCCESS RETRIEVE {KEY}"

    assert (place.folder / "out").read_bytes() == CONTENT


def test_a_server_that_only_drips_is_given_up_in_time(place: Place) -> None:
    place.upload(CONTENT)
    place.choose(s3x_stall_timeout=STALL_S, s3x_patience=2)
    place.relay.shapers_down.add(is_get, drip(place.relay, 100), FOR_EVER)

    with place.remote() as annex:
        answer = answer_within(20, annex, f"J 1 TRANSFER RETRIEVE {KEY} out")

    assert answer.startswith(f"J 1 TRANSFER-FAILURE RETRIEVE {KEY} reading ")
    assert "TooSlow" in answer
    assert CONTENT.startswith((place.folder / "out").read_bytes())


def test_a_slow_line_is_no_stall(place: Place) -> None:
    """Each connection gets less than a KiB in the time in which silence would be a stall."""
    content = os.urandom(4 * KIB)
    place.upload(content)
    place.choose(s3x_stall_timeout=STALL_S, s3x_retries=0)
    place.relay.rate_bytes_per_s = 2 * KIB

    def in_small_pieces(body: faults.Body) -> faults.Body:
        for piece in body:
            for offset in range(0, len(piece), 256):
                yield piece[offset : offset + 256]

    place.relay.shapers_down.add(is_get, in_small_pieces, 1)

    with place.remote() as annex:
        answer = annex.ask(f"J 1 TRANSFER RETRIEVE {key_of(content)} out")

    assert answer == f"J 1 TRANSFER-SUCCESS RETRIEVE {key_of(content)}"


def test_a_limit_of_ones_own_is_no_stall(place: Place) -> None:
    content = os.urandom(3 * KIB)
    place.upload(content)
    place.choose(s3x_stall_timeout=STALL_S, s3x_retries=0, annex_bwlimit=KIB)

    with place.remote() as annex:
        began = time.monotonic()
        answer = annex.ask(f"J 1 TRANSFER RETRIEVE {key_of(content)} out")
        took_s = time.monotonic() - began

    assert answer == f"J 1 TRANSFER-SUCCESS RETRIEVE {key_of(content)}"
    assert took_s > 2


def test_who_waits_for_his_turn_hears_that_git_annex_has_gone(place: Place) -> None:
    place.choose(annex_bwlimit=100)

    with place.remote() as annex:
        annex.send(f"J 1 TRANSFER STORE {KEY} in")
        deadline = time.monotonic() + 10
        while not place.count(is_put):
            assert not annex.has_line(), annex.receive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        annex.hang_up()

    assert time.monotonic() - began < 3


# -- trying again ---------------------------------------------------------------------------------


def test_how_often_to_try_is_the_users_choice(place: Place) -> None:
    place.choose(s3x_retries=0)
    place.relay.answer(is_put, faults.slow_down(), times=FOR_EVER)

    with place.remote() as annex:
        answer = annex.ask(f"J 1 TRANSFER STORE {KEY} in")

    assert answer.startswith(f"J 1 TRANSFER-FAILURE STORE {KEY} ")
    assert "fewer requests" in answer
    assert place.count(is_put) == 1


def test_one_retry_gets_over_one_refusal(place: Place) -> None:
    place.choose(s3x_retries=1)
    place.relay.answer(is_put, faults.slow_down(), times=1)

    with place.remote() as annex:
        assert annex.ask(f"J 1 TRANSFER STORE {KEY} in") == f"J 1 TRANSFER-SUCCESS STORE {KEY}"

    assert place.count(is_put) == 2


def test_a_malformed_choice_is_refused_by_name(place: Place) -> None:
    place.choose(annex_bwlimit="fast")

    with place.remote() as annex:
        answer = annex.ask(f"J 1 TRANSFER STORE {KEY} in")

    assert "remote.s3x-test.annex-bwlimit='fast' is not a size" in answer


class UnderWay:
    """How many bodies of uploads are on their way at once, over time."""

    def __init__(self, relay: Relay) -> None:
        self.now, self.most = 0, 0
        self._lock = threading.Lock()
        relay.shapers_up.add(faults.is_upload_part, self.shape, FOR_EVER)

    def shape(self, body: faults.Body) -> faults.Body:
        self._count(1)
        try:
            yield from body
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self.now += step
            self.most = max(self.most, self.now)


def test_after_slow_down_fewer_parts_are_sent_at_once(place: Place) -> None:
    content = os.urandom(50 * MIB)
    (place.folder / "large").write_bytes(content)
    place.relay.rate_bytes_per_s = 5 * MIB  # a second for each, longer than any of them waits
    place.relay.answer(faults.is_upload_part, faults.slow_down(), times=10)
    under_way = UnderWay(place.relay)

    with place.remote(partsize="5MiB") as annex:
        key = key_of(content)
        assert annex.ask(f"J 1 TRANSFER STORE {key} large") == f"J 1 TRANSFER-SUCCESS STORE {key}"

    assert place.uploaded(key) == content
    assert 1 < under_way.most <= 6  # half, and one more after as many successes


# -- fairness -------------------------------------------------------------------------------------


SMALL = [os.urandom(4 * KIB) for _ in range(20)]


def slow_relay(place: Place) -> None:
    place.relay.rate_bytes_per_s = 2 * MIB


def shared_line(place: Place) -> None:
    place.choose(annex_bwlimit=f"{8 * MIB}")


def test_jobs_share_the_bandwidth_for_downloads(place: Place) -> None:
    """At the relay nothing of it is seen: the system takes what nobody has read yet."""
    contents = [os.urandom(size) for size in (500_000, 300_000, 200_000, 100_000, 100_000)]
    place.choose(annex_bwlimit="100MB", annex_bwlimit_download="1MB")
    place.upload(*contents)

    with place.remote() as annex:
        annex.ask(f"J 1 CHECKPRESENT {KEY}")
        began = time.monotonic()
        for job, content in enumerate(contents):
            annex.send(f"J {job} TRANSFER RETRIEVE {key_of(content)} {job}")
        answers = {annex.receive() for _ in contents}
        took_s = time.monotonic() - began

    assert answers == {
        f"J {job} TRANSFER-SUCCESS RETRIEVE {key_of(content)}" for job, content in enumerate(contents)
    }
    assert 0.8 * 1.2 < took_s < 3 * 1.2


@pytest.mark.parametrize("slow", [slow_relay, shared_line])
@pytest.mark.parametrize("direction", ["STORE", "RETRIEVE"])
def test_small_files_do_not_wait_for_a_large_one(
    place: Place, slow: Callable[[Place], None], direction: str
) -> None:
    large = os.urandom(32 * MIB)
    (place.folder / "large").write_bytes(large)
    for number, content in enumerate(SMALL):
        (place.folder / str(number)).write_bytes(content)
    if direction == "RETRIEVE":
        place.upload(large, *SMALL)
    slow(place)

    ending = ".out" if direction == "RETRIEVE" else ""
    with place.remote(partsize="5MiB") as annex:
        annex.send(f"J 1 TRANSFER {direction} {key_of(large)} large{ending}")
        while not annex.progress:
            assert not annex.has_line(), annex.receive()
            time.sleep(0.01)
        for number, content in enumerate(SMALL):
            key = key_of(content)
            # who answers is the small one: the large one is still under way
            answer = annex.ask(f"J 2 TRANSFER {direction} {key} {number}{ending}")
            assert answer == f"J 2 TRANSFER-SUCCESS {direction} {key}"
        assert not annex.has_line(), annex.receive()
