"""Data sets that several tests read and none changes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fs.scenes import scene
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint


@pytest.fixture(scope="session")
def scenes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], AnnexRepo]:
    """Return what makes the data set of a server and a layout, once."""
    made: dict[tuple[str, str], AnnexRepo] = {}

    def get(server: str, layout: str) -> AnnexRepo:
        if (server, layout) not in made:
            endpoint: Endpoint = request.getfixturevalue(server)
            path = tmp_path_factory.mktemp("scene") / "repo"
            made[server, layout] = scene(path, layout, endpoint, f"test-{secrets.token_hex(8)}")
        return made[server, layout]

    return get


@pytest.fixture
def in_bucket(scenes: Callable[[str, str], AnnexRepo]) -> AnnexRepo:
    """Return a data set on SeaweedFS whose objects have the names of their keys."""
    return scenes("seaweed", "plain")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Begin each test with nothing in the cache, neither in memory nor on disk."""
    from datalad_s3ext.fs import processwide

    processwide._reset_all()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "datalad-s3ext" / "blocks"
    processwide._reset_all()
