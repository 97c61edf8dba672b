"""A network that breaks: right content or a clean failure, and never anything wrong in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
LARGE = pattern(18 * MIB, seed=1)
PARTS = 4
FOR_EVER = 10_000


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


@pytest.fixture
def any_store(annex: AnnexRepo, endpoint: Endpoint, bucket_name: str) -> Iterator[Store]:
    with Relay(endpoint.url) as relay:
        yield Store(annex, endpoint, bucket_name, relay)


Fault = Callable[[Relay], None]

PASSING_UP: dict[str, Fault] = {
    "a reset at the beginning": lambda relay: relay.kill_after_bytes_up(0),
    "a reset in the middle": lambda relay: relay.kill_after_bytes_up(200_000),
    "503 to the first requests": lambda relay: relay.answer(faults.every, faults.slow_down(), times=3),
    "503 with Retry-After": lambda relay: relay.answer(is_put, faults.slow_down(1), times=1),
    "500 to each part once": lambda relay: relay.answer(is_put, faults.internal_error(), times=PARTS),
}
PASSING_DOWN: dict[str, Fault] = {
    "a reset at the beginning": lambda relay: relay.kill_after_bytes_down(0),
    "a reset in the middle": lambda relay: relay.kill_after_bytes_down(200_000),
    "a body that ends early": lambda relay: relay.truncate_down(123_456, is_get),
    "an empty body": lambda relay: relay.truncate_down(0, is_get),
    "503 to the first requests": lambda relay: relay.answer(faults.every, faults.slow_down(), times=3),
    "500 to the first requests": lambda relay: relay.answer(is_get, faults.internal_error(), times=2),
}


@pytest.mark.parametrize("fault", PASSING_UP)
def test_an_upload_gets_over_a_fault_that_passes(store: Store, fault: str) -> None:
    for name, content in store.content.items():
        PASSING_UP[fault](store.relay)

        assert store.outcome("copy", name), name

        assert object_bytes(store.endpoint, store.bucket, store.keys[name]) == content
        store.relay.heal()


@pytest.mark.parametrize("fault", PASSING_DOWN)
def test_a_download_gets_over_a_fault_that_passes(store: Store, fault: str) -> None:
    store.repo.annex("move", "--to", "s3", ".")
    for name, content in store.content.items():
        PASSING_DOWN[fault](store.relay)

        assert store.outcome("get", name), name

        assert (store.repo.path / name).read_bytes() == content
        store.relay.heal()


@pytest.mark.parametrize("name", ["small", "large"])
def test_damage_on_the_way_up_is_found_whatever_the_server_checks(any_store: Store, name: str) -> None:
    any_store.relay.flip_byte_up(is_put, offset=100_000)

    any_store.outcome("copy", name)  # it asserts that nothing wrong is there

    any_store.assert_repeatable("copy", name)


@pytest.mark.parametrize("name", ["small", "large"])
def test_damage_on_the_way_down_never_becomes_content(store: Store, name: str) -> None:
    store.repo.annex("move", "--to", "s3", name)
    store.relay.flip_byte_down(is_get, offset=100_000)

    store.outcome("get", name)

    assert store.repo.uuid("s3") in copies(store.repo, name)
    store.assert_repeatable("get", name)


@pytest.mark.parametrize("status", [500, 200])
@pytest.mark.parametrize("times", [1, FOR_EVER])
def test_a_server_that_fails_to_complete_an_upload_leaves_no_doubt(
    store: Store, status: int, times: int
) -> None:
    refusal = faults.internal_error(status)
    store.relay.answer(faults.is_complete_upload, refusal, times=times)

    worked = store.outcome("copy", "large")

    assert worked is (times == 1)
    store.assert_repeatable("copy", "large")


def test_an_answer_lost_after_completion_is_success(store: Store) -> None:
    def cut(body: Iterator[bytes]) -> Iterator[bytes]:
        next(body, None)
        raise faults.CutConnection(reset=True)

    store.relay.shapers_down.add(faults.is_complete_upload, cut, 1)

    assert store.outcome("copy", "large")


@pytest.mark.parametrize("name", ["small", "large"])
def test_an_upload_that_is_refused_throughout_fails_cleanly(store: Store, name: str) -> None:
    store.relay.answer(is_put, faults.s3_error(403, "AccessDenied"), times=FOR_EVER)

    said = failure(store.repo, "copy", "--to", "s3", name)

    assert "access denied" in said.lower()
    assert unfinished_uploads(store.endpoint, store.bucket) == []
    store.assert_nothing_wrong(name)
    store.assert_repeatable("copy", name)


def test_a_storm_of_503_on_parts_ends_in_one_line_and_the_next_copy_goes_on(store: Store) -> None:
    store.relay.answer(faults.is_upload_part, faults.slow_down(), times=FOR_EVER)

    said = failure(store.repo, "copy", "--to", "s3", "large")

    assert "fewer requests" in said
    store.assert_repeatable("copy", "large")
    assert unfinished_uploads(store.endpoint, store.bucket) == []


@pytest.mark.parametrize(
    "answer",
    [faults.slow_down(), faults.internal_error(), faults.s3_error(403, "AccessDenied")],
    ids=["503", "500", "403"],
)
def test_presence_that_cannot_be_asked_for_is_unknown(store: Store, answer: faults.Answer) -> None:
    store.repo.annex("copy", "--to", "s3", "small")
    store.relay.answer(faults.every, answer, times=FOR_EVER)

    asked = store.repo.annex("checkpresentkey", store.keys["small"], "s3", check=False)
    assert asked.returncode == 100  # "could not be determined"
    assert report(store.repo, "drop", "small")[0] != 0
    assert is_here(store.repo, "small")
    failure(store.repo, "fsck", "--fast", "--from", "s3", "small")
    assert store.repo.uuid("s3") in copies(store.repo, "small")

    store.relay.heal()
    store.repo.annex("drop", "small")
    store.assert_repeatable("get", "small")


def test_a_404_that_is_no_s3_answer_is_not_absence(store: Store) -> None:
    store.repo.annex("copy", "--to", "s3", "small")
    page = faults.Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
    store.relay.answer(faults.every, page, times=FOR_EVER)

    asked = store.repo.annex("checkpresentkey", store.keys["small"], "s3", check=False)

    assert asked.returncode == 100, asked.stderr
    failure(store.repo, "fsck", "--fast", "--from", "s3", "small")
    assert store.repo.uuid("s3") in copies(store.repo, "small")
