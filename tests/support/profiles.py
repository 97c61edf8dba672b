"""Profiles of the AWS configuration with the keys of a test server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.servers import Endpoint

if TYPE_CHECKING:
    import pytest


def use_profile(endpoint: Endpoint, folder: Path, patch: pytest.MonkeyPatch, name: str = "lab") -> str:
    """Let the environment name a credentials file in `folder` with one profile; return its name."""
    file = folder / "credentials"
    file.write_text(
        f"[{name}]\naws_access_key_id = {endpoint.access_key_id}\n"
        f"aws_secret_access_key = {endpoint.secret_access_key}\n"
    )
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    return name
