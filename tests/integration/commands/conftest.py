"""Keys of the test servers, the ways a person gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Endpoint


@pytest.fixture
def keys(seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Put the keys of SeaweedFS into the environment."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_access_key)
        yield seaweed


@pytest.fixture
def profile(seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a profile with the keys of SeaweedFS."""
    file = tmp_path / "credentials"
    file.write_text(
        f"[lab]\naws_access_key_id = {seaweed.access_key_id}\n"
        f"aws_secret_access_key = {seaweed.secret_access_key}\n"
    )
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        yield "lab"
