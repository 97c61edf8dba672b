"""No test here sees the presets or the local server of whoever runs it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's own presets, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("S3EXT_SERVER_HOME", str(tmp_path / "server"))
    return tmp_path / "config" / "datalad-s3ext" / "providers"
