"""What a retrieval does that meets an archived object; the server says what the test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from datalad_s3ext.errors import ObjectArchived, Unsupported
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.remote.archives import CHUNK_LIMIT, ArchiveRequests, _objects_of
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.transfer.pool import Pool
from tests.support.raw_server import RawServer, answer, opened, refusal


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


class Remote(ArchiveRequests):
    annex: Any = None

    def __init__(self, pool: Pool, restore: bool) -> None:
        settings = SimpleNamespace(restore=restore)
        self._shared: Any = SimpleNamespace(settings=lambda _: settings, pool=pool)

    def _choices(self) -> LocalChoices:
        return LocalChoices(restore_tier="bulk")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(connections=2, cancelled=threading.Event())
    yield pool
    pool.close()


def head(storage_class: str) -> bytes:
    return (
        b'HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nETag: "e"\r\nContent-Length: 5\r\n'
        b"x-amz-storage-class: %s\r\n\r\n" % storage_class.encode()
    )


def meet(server: RawServer, remote: Remote, *, preset: str) -> ObjectArchived:
    place: Any = SimpleNamespace(
        store=opened(server.url), connection=SimpleNamespace(provider=load_provider(preset))
    )
    with pytest.raises(ObjectArchived) as met, remote._restored(place, "KEY", "KEY"):
        raise ObjectArchived("no")
    return met.value


def test_amazon_is_expected_to_keep_to_its_hours(server: RawServer, pool: Pool) -> None:
    server.connections = [[head("DEEP_ARCHIVE")], [answer("202 Accepted")]]

    met = meet(server, Remote(pool, restore=True), preset="aws")

    assert "KEY is being restored from DEEP_ARCHIVE, expected by 20" in str(met)
    assert b"<Tier>Bulk</Tier>" in server.requests[1]


def test_a_class_that_the_preset_does_not_know_as_archive_is_restored_too(
    server: RawServer, pool: Pool
) -> None:
    server.connections = [[head("COLDEST")], [answer("202 Accepted")]]

    met = meet(server, Remote(pool, restore=True), preset="aws")

    assert "is being restored from COLDEST, which may take hours" in str(met)


def test_nothing_is_asked_for_unasked(server: RawServer, pool: Pool) -> None:
    met = meet(server, Remote(pool, restore=False), preset="aws")

    assert "restore=yes" in str(met)
    assert server.requests == []


def test_a_restore_that_is_refused_is_told(server: RawServer, pool: Pool) -> None:
    server.connections = [
        [head("GLACIER")], [refusal("503 Slow", "GlacierExpeditedRetrievalNotAvailable")],
    ]  # fmt: skip
    place: Any = SimpleNamespace(
        store=opened(server.url), connection=SimpleNamespace(provider=load_provider("aws"))
    )

    remote = Remote(pool, restore=True)
    with pytest.raises(Unsupported, match="no capacity"), remote._restored(place, "KEY", "KEY"):
        raise ObjectArchived("no")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("SHA256E-s25-S10-C2--x-C2--y", [f"a/SHA256E-s25-S10-C{n}--x-C2--y" for n in (1, 2, 3)]),
        ("SHA256E-s20-S10-C1--x", [f"a/SHA256E-s20-S10-C{n}--x" for n in (1, 2)]),
        ("SHA256E-s20--x", ["a/SHA256E-s20--x"]),
        ("GPGHMACSHA1--x", ["a/GPGHMACSHA1--x"]),
        (f"SHA256E-s{CHUNK_LIMIT + 1}-S1-C1--x", [f"a/SHA256E-s{CHUNK_LIMIT + 1}-S1-C1--x"]),
        ("SHA256E-s20-S0-C1--x", ["a/SHA256E-s20-S0-C1--x"]),
    ],
)
def test_the_other_chunks_of_a_file_are_known_by_its_key(key: str, expected: list[str]) -> None:
    assert _objects_of(key, f"a/{key}") == expected
