"""What this clone's git config says, in front of a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.local import LocalChoices, read_choices
from datalad_s3ext.repo import trust
from datalad_s3ext.units import MIB


@pytest.fixture(autouse=True)
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def config(**values: str) -> None:
    for name, value in values.items():
        git("config", name.replace("__", ".").replace("_", "-"), value)


def limits(name: str = "s3") -> tuple[int | None, int | None]:
    choices = read_choices(name)
    return choices.upload_bytes_per_s, choices.download_bytes_per_s


def test_nothing_is_chosen_by_default() -> None:
    assert read_choices("s3") == LocalChoices()


def test_the_places_that_this_clone_has_agreed_to_are_read_along() -> None:
    for place in ("first/", "second/p=\n x/"):
        trust.agree_to_place(Path(".git"), "aa-bb", place)
    trust.agree_to_place(Path(".git"), "Cc", "other/")
    git("config", "s3x.aa-bb.endpoint", "https://s3.example.org")

    found = read_choices("s3").agreed_places

    assert found == {("aa-bb", "first/"), ("aa-bb", "second/p=\n x/"), ("Cc", "other/")}


def test_other_remotes_have_no_say() -> None:
    config(remote__other__s3x_profile="lab", remote__other__annex_bwlimit="1MB")

    assert read_choices("s3") == LocalChoices()
    assert read_choices("") == LocalChoices()


def test_values_of_a_remote_with_dots_and_capitals() -> None:
    git("config", "remote.My.s3.s3x-profile", "lab")
    git("config", "remote.My.s3.annex-bwLimit", "1MiB")

    assert read_choices("My.s3") == LocalChoices(
        profile="lab", upload_bytes_per_s=MIB, download_bytes_per_s=MIB
    )


def test_how_long_to_try_is_read() -> None:
    config(remote__s3__s3x_retries="0", remote__s3__s3x_patience="3600")
    config(remote__s3__s3x_stall_timeout="7.5")

    assert read_choices("s3") == LocalChoices(retries=0, patience_s=3600, stall_s=7.5)


def test_connections_and_memory_are_read() -> None:
    config(remote__s3__s3x_connections="8", remote__s3__s3x_memory="32MiB")

    assert read_choices("s3") == LocalChoices(connections=8, memory_bytes=32 * MIB)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote.s3.s3x-retries", "-1"),
        ("remote.s3.s3x-retries", "many"),
        ("remote.s3.s3x-connections", "0"),
        ("remote.s3.s3x-connections", "257"),
        ("remote.s3.s3x-connections", "four"),
        ("remote.s3.s3x-memory", "1 MiB"),
        ("remote.s3.s3x-memory", "much"),
        ("remote.s3.s3x-patience", "0"),
        ("remote.s3.s3x-patience", "nan"),
        ("remote.s3.s3x-stall-timeout", "inf"),
        ("remote.s3.annex-bwlimit", "fast"),
        ("annex.bwlimit-upload", ""),
    ],
)
def test_what_is_no_number_is_refused_by_name(name: str, value: str) -> None:
    git("config", name, value)

    with pytest.raises(ConfigError, match=name):
        read_choices("s3")


def test_a_limit_holds_for_both_directions_and_every_remote() -> None:
    config(annex__bwlimit="500kB")

    assert limits() == (500_000, 500_000)
    assert limits("") == (500_000, 500_000)


def test_one_direction_goes_before_both_and_one_remote_before_all() -> None:
    """The order in which git-annex asks."""
    config(annex__bwlimit="1MB")
    assert limits() == (1_000_000, 1_000_000)
    config(remote__s3__annex_bwlimit="2MB")
    assert limits() == (2_000_000, 2_000_000)
    config(annex__bwlimit_upload="3MB")
    assert limits() == (3_000_000, 2_000_000)
    config(remote__s3__annex_bwlimit_upload="4MB", remote__s3__annex_bwlimit_download="5MB")
    assert limits() == (4_000_000, 5_000_000)


def test_zero_lifts_a_limit() -> None:
    config(annex__bwlimit="1MB", remote__s3__annex_bwlimit="0")

    assert limits() == (None, None)
    assert limits("other") == (1_000_000, 1_000_000)


def test_limits_of_the_user_hold_in_every_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "global").write_text("[annex]\n\tbwlimit-download = 10MB\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global"))

    assert limits() == (None, 10_000_000)
