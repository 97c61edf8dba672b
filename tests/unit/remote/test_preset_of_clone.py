"""A file of the work tree never says where a remote that is in use sends its keys."""

from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import connect
from datalad_s3ext.remote.settings import RemoteSettings, read_settings

PRESET = """\
id = "theirs"
name = "Lab store"
kind = "academic"
[endpoint]
default = "https://elsewhere.example.org"
[evidence]
checked = "2026-11-22"
confidence = "low"
"""


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / ".datalad" / "s3-providers"
    folder.mkdir(parents=True)
    (folder / "theirs.toml").write_text(PRESET)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


def settings(**given: str) -> RemoteSettings:
    return read_settings(lambda name: {"bucket": "b", "provider": "theirs", **given}.get(name, ""))


def test_remote_without_recorded_endpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="which may not say where keys go"):
        connect(settings(), LocalChoices(), {})


def test_recorded_endpoint_counts() -> None:
    found = connect(settings(endpoint="https://s3.lab.example.org"), LocalChoices(), {})

    assert found.endpoint_url == "https://s3.lab.example.org"
    assert found.provider.id == "theirs"
