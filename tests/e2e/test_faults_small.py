"""A network that breaks, as git-annex sees it: right content or one clean line, and nothing believed.

Each fault at each request is tried in tests/integration/remote/test_fault_matrix.py; here is what
git-annex makes of the answers: what it records, drops, keeps and tells its user.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import (
    add_all,
    assert_clean,
    copies,
    failure,
    is_here,
    object_bytes,
    pattern,
    reasons,
    report,
    unfinished_uploads,
)
from tests.support import faults
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

SMALL = pattern(300_000)
LARGE = pattern(11 * MIB, seed=1)
FOR_EVER = 1_000_000


def is_get(request: faults.Request) -> bool:
    """Match the reading of content."""
    return request.method == "GET" and "/SHA256E-" in request.path


def is_put(request: faults.Request) -> bool:
    """Match the sending of content, whole or in parts."""
    return request.method == "PUT" and "/SHA256E-" in request.path


class Store:
    """A remote behind a relay with files that are there and files that are not."""

    def __init__(self, repo: AnnexRepo, endpoint: Endpoint, bucket: str, relay: Relay) -> None:
        self.repo, self.endpoint, self.bucket, self.relay = repo, endpoint, bucket, relay
        repo.init_s3x(endpoint.at(relay.url), bucket, "partsize=5MiB")
        repo.run("git", "config", "remote.s3.s3x-retries", "1")
        self.content = {"small": SMALL, "large": LARGE}
        self.keys = add_all(repo, self.content)

    def outcome(self, command: str, name: str) -> bool:
        """Run copy or get; tell whether it worked, after asserting that the end is clean."""
        direction = "--to" if command == "copy" else "--from"
        code, (record,) = report(self.repo, command, direction, "s3", name)
        assert (code == 0) is record["success"]
        if code:
            for text in reasons(record):
                assert_clean(text)
                assert "\n" not in text
        self.assert_nothing_wrong(name)
        if command == "copy":
            assert (self.repo.uuid("s3") in copies(self.repo, name)) is (code == 0)
            left = unfinished_uploads(self.endpoint, self.bucket)
            assert left == [] if code == 0 else left in ([], [self.keys[name]])
        return code == 0

    def assert_nothing_wrong(self, name: str) -> None:
        found = object_bytes(self.endpoint, self.bucket, self.keys[name])
        assert found is None or found == self.content[name]
        if is_here(self.repo, name):
            assert (self.repo.path / name).read_bytes() == self.content[name]

    def assert_repeatable(self, command: str, name: str) -> None:
        self.relay.heal()
        assert self.outcome(command, name)
        assert object_bytes(self.endpoint, self.bucket, self.keys[name]) == self.content[name]
        assert is_here(self.repo, name)


@pytest.fixture
def store(annex: AnnexRepo, seaweed: Endpoint, bucket_name: str) -> Iterator[Store]:
    with Relay(seaweed.url) as relay:
        yield Store(annex, seaweed, bucket_name, relay)


def test_a_reset_in_the_middle_is_got_over_both_ways(store: Store) -> None:
    for name, content in store.content.items():
        store.relay.kill_after_bytes_up(200_000)
        assert store.outcome("copy", name), name
        assert object_bytes(store.endpoint, store.bucket, store.keys[name]) == content

        store.repo.annex("drop", name)
        store.relay.kill_after_bytes_down(200_000)
        assert store.outcome("get", name), name
        assert (store.repo.path / name).read_bytes() == content


def test_damage_on_the_way_up_is_found(store: Store) -> None:
    for name in store.content:
        store.relay.flip_byte_up(is_put, offset=100_000)

        store.outcome("copy", name)  # it asserts that nothing wrong is there

        store.assert_repeatable("copy", name)


@pytest.mark.parametrize("name", ["small", "large"])
def test_damage_on_the_way_down_never_becomes_content(store: Store, name: str) -> None:
    store.repo.annex("move", "--to", "s3", name)
    store.relay.flip_byte_down(is_get, offset=100_000)

    store.outcome("get", name)

    assert store.repo.uuid("s3") in copies(store.repo, name)
    store.assert_repeatable("get", name)


def test_a_server_that_fails_to_complete_an_upload_leaves_no_doubt(store: Store) -> None:
    store.relay.answer(faults.is_complete_upload, faults.internal_error(200), times=FOR_EVER)

    assert not store.outcome("copy", "large")

    store.assert_repeatable("copy", "large")


def test_an_answer_lost_after_completion_is_success(store: Store) -> None:
    def cut(body: Iterator[bytes]) -> Iterator[bytes]:
        next(body, None)
        raise faults.CutConnection(reset=True)

    store.relay.shapers_down.add(faults.is_complete_upload, cut, 1)

    assert store.outcome("copy", "large")


def test_an_upload_that_is_refused_throughout_fails_cleanly(store: Store) -> None:
    store.relay.answer(is_put, faults.s3_error(403, "AccessDenied"), times=FOR_EVER)

    said = failure(store.repo, "copy", "--to", "s3", "large")

    assert "access denied" in said.lower()
    assert unfinished_uploads(store.endpoint, store.bucket) == []
    store.assert_nothing_wrong("large")
    store.assert_repeatable("copy", "large")


def test_a_storm_of_503_on_parts_ends_in_one_line_and_the_next_copy_goes_on(store: Store) -> None:
    store.relay.answer(faults.is_upload_part, faults.slow_down(), times=FOR_EVER)

    said = failure(store.repo, "copy", "--to", "s3", "large")

    assert "fewer requests" in said
    store.assert_repeatable("copy", "large")
    assert unfinished_uploads(store.endpoint, store.bucket) == []


PAGE = faults.Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    "answer",
    [faults.slow_down(), faults.s3_error(403, "AccessDenied"), PAGE],
    ids=["503", "403", "404 of a web page"],
)
def test_presence_that_cannot_be_asked_for_is_unknown(store: Store, answer: faults.Answer) -> None:
    store.repo.annex("copy", "--to", "s3", "small")
    store.relay.answer(faults.every, answer, times=FOR_EVER)

    asked = store.repo.annex("checkpresentkey", store.keys["small"], "s3", check=False)
    assert asked.returncode == 100, asked.stderr  # "could not be determined"
    assert report(store.repo, "drop", "small")[0] != 0
    assert is_here(store.repo, "small")
    failure(store.repo, "fsck", "--fast", "--from", "s3", "small")
    assert store.repo.uuid("s3") in copies(store.repo, "small")

    store.relay.heal()
    store.repo.annex("drop", "small")
    store.assert_repeatable("get", "small")
