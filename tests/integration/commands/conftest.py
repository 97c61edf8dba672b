"""Keys of the test servers, the ways a person gives them; places that are public, or do not exist."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.commands.helpers import publish
from tests.support.profiles import use_profile
from tests.support.servers import Endpoint, boto3_client


@contextmanager
def keys_of(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Put the keys of a server into the environment for a while, and that they are for it."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", endpoint.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.secret_access_key)
        patch.setenv("S3X_TRUST_ENDPOINT", endpoint.url)
        yield endpoint


@pytest.fixture
def keys(seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Put the keys of SeaweedFS into the environment."""
    with keys_of(seaweed, monkeypatch) as endpoint:
        yield endpoint


@pytest.fixture
def no_keys(keys: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take the keys of SeaweedFS out of the environment again."""
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        yield


@pytest.fixture
def nobody(keys: Endpoint) -> Endpoint:
    """Return an address where nobody listens, with the keys of SeaweedFS."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return keys.at(f"http://127.0.0.1:{unused.getsockname()[1]}")


@dataclass(frozen=True)
class PublicBucket:
    """A bucket whose objects everybody may read."""

    endpoint: Endpoint
    name: str
    keys: Callable[[], AbstractContextManager[Endpoint]]
    """Puts the keys of its owner into the environment for a while."""

    def settings(self, remote_type: str) -> dict[str, str]:
        """Return what a remote needs to know of it: git-annex's own, that it is public."""
        return {} if remote_type == "s3x" else {"publicurl": f"{self.endpoint.url}/{self.name}/"}


@pytest.fixture
def public(moto: Endpoint, bucket_name: str, monkeypatch: pytest.MonkeyPatch) -> PublicBucket:
    """Return a fresh public bucket on moto; the environment has no keys."""
    boto3_client(moto).create_bucket(Bucket=bucket_name)
    publish(moto, bucket_name)
    return PublicBucket(moto, bucket_name, lambda: keys_of(moto, monkeypatch))


@pytest.fixture
def profile(seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a profile with the keys of SeaweedFS."""
    with monkeypatch.context() as patch:
        yield use_profile(seaweed, tmp_path, patch)
