"""Parameters of one type of remote said as those of another."""

from __future__ import annotations

from typing import Any

import pytest

from datalad_s3ext.commands._settings import RemoteType, Wish
from datalad_s3ext.commands._translate import Translation, is_rclone, rclone_place, translate
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.repo.remotes import SpecialRemote

OTHER = load_provider("other")
PLACE = {"host": "s3.example.org", "port": "443", "protocol": "https", "bucket": "b", "name": "r"}


def remote(kind: str, **parameters: str) -> SpecialRemote:
    external = None if kind in {"S3", "rclone"} else kind
    given = {"type": "external" if external else kind, "encryption": "none", **parameters}
    if external:
        given["externaltype"] = external
    return SpecialRemote("u", "r", given["type"], external, given)


def to(kind: RemoteType, source: SpecialRemote, prefix: str = "", **settings: str) -> Translation:
    connection = resolve(OTHER, endpoint="https://s3.example.org", region="here", environ={})
    wish = Wish("r", OTHER, connection, "b", remote_type=kind, settings=settings)
    return translate(source, wish, prefix)


@pytest.mark.parametrize(
    ("builtin", "ours"),
    [
        ({}, {}),
        ({"storageclass": "STANDARD"}, {}),
        ({"storageclass": "STANDARD_IA"}, {"storageclass": "STANDARD_IA"}),
        ({"partsize": "1GiB"}, {"partsize": "1GiB"}),
        ({"x-amz-meta-lab": "vi sion", "x-amz-meta-g": "7"}, {"x-amz-meta": "lab=vi+sion&g=7"}),
        ({"x-amz-tagging": "a=b"}, {"x-amz-tagging": "a=b"}),
        ({"publicurl": "https://p.example.org/b"}, {"publicurl": "https://p.example.org/b"}),
        ({"versioning": "yes", "exporttree": "yes"}, {"bucketversioning": "yes", "exporttree": "yes"}),
        ({"public": "yes"}, {"acl": "public-read"}),
        ({"public": "no"}, {}),
        ({"signature": "v2", "datacenter": "US"}, {}),
        ({"chunk": "1MiB", "autoenable": "true", "cost": "100"},
         {"chunk": "1MiB", "autoenable": "true", "cost": "100"}),
        ({"encryption": "shared", "cipher": "c==", "mac": "HMACSHA256"},
         {"encryption": "shared", "cipher": "c==", "mac": "HMACSHA256"}),
    ],
)  # fmt: skip
def test_from_builtin_to_ours(builtin: dict[str, str], ours: dict[str, str]) -> None:
    found = to("s3x", remote("S3", **PLACE, **builtin), "p ü")

    expected = {
        "type": "external", "externaltype": "s3x", "provider": "other", "bucket": "b", "name": "r",
        "fileprefix": "p ü", "endpoint": "https://s3.example.org", "region": "here",
        "encryption": "none", **ours,
    }  # fmt: skip
    assert dict(found.parameters) == expected
    assert found.lost == ()


def test_back_and_forth_gives_the_same() -> None:
    own = {
        "storageclass": "STANDARD_IA", "partsize": "1GiB", "x-amz-meta": "lab=vision", "acl": "public-read",
        "bucketversioning": "yes", "exporttree": "yes", "annexobjects": "yes", "restore": "yes",
    }  # fmt: skip
    ours = to("s3x", remote("S3", **PLACE), **own).parameters

    builtin = to("S3", remote("s3x", **{**ours, "name": "r"}))

    assert builtin.lost == ()
    assert builtin.parameters["x-amz-meta-lab"] == "vision"
    assert builtin.parameters["versioning"] == "yes"
    again = to("s3x", remote("S3", **{**builtin.parameters, "name": "r"}))
    assert {name: again.parameters.get(name) for name in own} == own


def test_what_the_other_type_does_not_know_is_named() -> None:
    given: dict[str, Any] = {
        "sse": "AES256",
        "storageclass": "GLACIER_IR>=1MiB STANDARD",
        "acl": "private",
    }

    found = to("S3", remote("s3x", bucket="b", name="r", **given))

    assert found.lost == ("acl", "sse", "storageclass")
    assert not found.parameters.keys() & given.keys()
    assert to("s3x", remote("S3", **PLACE, **{"x-archive-meta-a": "b"})).lost == ("x-archive-meta-a",)


def test_embedded_keys_are_left_behind_and_not_embedded_again() -> None:
    found = to("S3", remote("s3x", bucket="b", encryption="shared", embedcreds="yes", s3xcreds="x"))

    assert found.parameters["embedcreds"] == "no"
    assert "s3xcreds" not in found.parameters


@pytest.mark.parametrize("given", [{"exporttree": "yes", "importtree": "yes"}, {"mungekeys": "ia"}])
def test_what_cannot_be_ours_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        to("s3x", remote("S3", **PLACE, **given))


@pytest.mark.parametrize(
    ("kind", "given", "place"),
    [
        ("rclone", {"rcloneprefix": "b"}, ("b", "")),
        ("rclone-builtin", {"prefix": "/b/p/q/"}, ("b", "p/q/")),
        ("external rclone", {"prefix": "b/p", "rclone_layout": "nodir"}, ("b", "p/")),
    ],
)
def test_where_rclone_keeps_objects(kind: str, given: dict[str, str], place: tuple[str, str]) -> None:
    external = kind.removeprefix("external ") if kind != "rclone" else None
    found = SpecialRemote("u", "r", "external" if external else "rclone", external, given)

    assert is_rclone(found)
    assert rclone_place(found) == place


def test_what_only_a_key_of_ones_own_reads_does_not_become_builtin() -> None:
    recorded = remote("s3x", bucket="b", sse="customer")

    assert to("s3x", recorded).parameters["sse"] == "customer"
    with pytest.raises(ConfigError, match="cannot send"):
        to("S3", recorded)


def test_folders_of_rclone_are_refused() -> None:
    for given in ({"prefix": "b"}, {"prefix": "b", "rclone_layout": "directory"}):
        with pytest.raises(ConfigError, match="layout"):
            rclone_place(SpecialRemote("u", "r", "external", "rclone", given))
