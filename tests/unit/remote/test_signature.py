"""The weak signature v2: who has agreed to it?"""

from __future__ import annotations

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.local import V2, V4, LocalChoices
from datalad_s3ext.remote.place import connect
from datalad_s3ext.remote.settings import RemoteSettings, read_settings


def settings(**given: str) -> RemoteSettings:
    return read_settings(lambda name: {"bucket": "b", "provider": "mdx", **given}.get(name, ""))


@pytest.mark.parametrize("place", [{}, {"endpoint": "https://s3ds.mdx.jp"}])
def test_a_preset_that_knows_it_and_the_host_is_a_word(place: dict[str, str]) -> None:
    assert connect(settings(signature="v2", **place), LocalChoices(), {}).signature == "v2"


def test_what_a_preset_wants_at_its_own_hosts_counts_only_there() -> None:
    own, other = "https://s3.us.archive.org", "https://s3.example.org"
    place = {"provider": "internet-archive"}

    assert connect(settings(**place), LocalChoices(), {}).signature == "v2"
    assert connect(settings(**place, endpoint=own), LocalChoices(), {}).signature == "v2"
    with pytest.raises(ConfigError, match="s3x-signature v2"):
        connect(settings(**place, endpoint=other), LocalChoices(), {})


@pytest.mark.parametrize("signature", ["v4", "anonymous"])
def test_what_is_not_weak_needs_no_word(signature: str) -> None:
    wanted = settings(signature=signature, endpoint="https://s3.example.org")

    assert connect(wanted, LocalChoices(), {}).signature == "v4"


@pytest.mark.parametrize(
    "place",
    [
        {"endpoint": "http://s3ds.mdx.jp"},
        {"endpoint": "https://s3.example.org"},
        {"provider": "wasabi", "region": "us-east-1"},
    ],
)
def test_elsewhere_it_needs_one_of_this_clone(place: dict[str, str]) -> None:
    wanted = settings(signature="v2", **place)

    with pytest.raises(ConfigError, match="s3x-signature v2"):
        connect(wanted, LocalChoices(), {})
    assert connect(wanted, LocalChoices(signature=V2), {}).signature == "v2"
    assert connect(wanted, LocalChoices(signature=V4), {}).signature == "v4"
