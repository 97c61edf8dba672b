"""A preset that came with a clone gets no keys unasked; doubt and likeness are told beforehand."""

import logging
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.commands._access import Choice
from datalad_s3ext.commands._settings import Wish
from datalad_s3ext.commands.s3_setup import wish_of
from datalad_s3ext.errors import ConfigError

PRESET = """\
id = "{id}"
name = "Lab store"
kind = "academic"
[endpoint]
default = "https://s3.lab.example.org"
[evidence]
checked = "2026-11-22"
confidence = "low"
"""


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config" / "datalad-s3ext" / "providers"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "ds" / ".datalad" / "s3-providers"
    folder.mkdir(parents=True)
    for preset_id in ("theirs", "wasabi"):
        (folder / f"{preset_id}.toml").write_text(PRESET.format(id=preset_id))
    return tmp_path / "ds"


def wish(dataset: Path, provider: str, **asked: Any) -> Wish:
    nothing = dict.fromkeys(("prefix", "endpoint", "region", "encryption", "chunk", "settings"))
    given = {"name": "store", "bucket": "brain", "remote_type": "s3x", "more_settings": ()}
    choice = asked.pop("choice", Choice())
    return wish_of(dataset, {**nothing, **given, "provider": provider, **asked}, choice)


def test_keys_do_not_go_to_a_host_that_a_clone_names(dataset: Path) -> None:
    with pytest.raises(ConfigError) as failure:
        wish(dataset, "theirs")

    file = dataset / ".datalad" / "s3-providers" / "theirs.toml"
    assert str(failure.value) == (
        f"the preset 'theirs' comes with this dataset ({file}) and names https://s3.lab.example.org; "
        "whatever keys you have are not sent there unasked; if you trust it, add --endpoint "
        "https://s3.lab.example.org, or name keys that it may have: --profile NAME or "
        "--credential NAME"
    )


@pytest.mark.parametrize(
    "consent", [{"endpoint": "https://s3.lab.example.org"}, {"choice": Choice(credential="theirs")}]
)
def test_preset_of_a_clone_works_when_asked_for_and_is_told(
    dataset: Path,
    consent: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = dataset / ".datalad" / "s3-providers" / "theirs.toml"
    monkeypatch.setattr(logging.getLogger("datalad"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        found = wish(dataset, "theirs", **consent)

    assert found.connection.endpoint_url == "https://s3.lab.example.org"
    assert found.notices == (f"the preset 'theirs' comes with this dataset: {file}",)
    assert found.notices[0] in caplog.text


def test_preset_of_a_clone_does_not_take_the_place_of_a_known_one(dataset: Path) -> None:
    found = wish(dataset, "wasabi")

    assert found.connection.endpoint_url == "https://s3.us-east-1.wasabisys.com"
    assert found.notices == ()


def test_users_own_preset_needs_no_word(dataset: Path, user_folder: Path) -> None:
    user_folder.mkdir(parents=True)
    (user_folder / "theirs.toml").write_text(PRESET.format(id="theirs"))

    assert wish(dataset, "theirs").notices == ()


def test_host_that_is_unconfirmed_is_told(dataset: Path) -> None:
    assert wish(dataset, "cern").notices == (
        "the host https://s3.cern.ch of the preset 'cern' is unconfirmed: compare it with what your "
        "provider says, and give another one with --endpoint URL",
    )
    assert wish(dataset, "cern", endpoint="https://s3.example.org").notices == ()


def test_endpoint_of_a_known_service_is_told(dataset: Path) -> None:
    assert wish(dataset, "other", endpoint="s3.eu-west-1.wasabisys.com").notices == (
        "https://s3.eu-west-1.wasabisys.com looks like Wasabi: `datalad s3-setup wasabi` knows its "
        "habits",
    )


@pytest.mark.parametrize(
    ("provider", "endpoint"),
    [
        ("wasabi", "https://s3.wasabisys.com"),
        ("other", "https://s3.example.org"),
        ("other", "http://127.0.0.1:8333"),
    ],
)
def test_nothing_is_told_of_an_endpoint_that_fits(dataset: Path, provider: str, endpoint: str) -> None:
    assert wish(dataset, provider, endpoint=endpoint).notices == ()
