"""How each object is stored, and what goes with every request."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from datalad_s3ext.credentials.model import EMBEDDED, Keys
from datalad_s3ext.errors import ConfigError, CredentialsError, LocalError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.remote.customer_key import read_customer_key
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import open_place
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.remote.storing import (
    archive_classes,
    check_storage_classes,
    extras_for,
    marker_options,
    rules_for,
    upload_rules,
)
from datalad_s3ext.store.base import PutOptions
from datalad_s3ext.store.extras import NO_EXTRAS

AWS = load_provider("aws")
DIGEST = hashlib.sha256(b"12345").hexdigest()
KEY = f"SHA256E-s5--{DIGEST}.csv"
SECRET = bytes(range(32))


def settings(**given: str) -> RemoteSettings:
    values = {"bucket": "lab"} | {name.replace("_", "-"): value for name, value in given.items()}
    return read_settings(lambda name: values.get(name, ""))


def at(url: str | None = "https://s3.example.org", preset: str = "other") -> Connection:
    return resolve(load_provider(preset), endpoint=url, environ={})


def options_for(given: RemoteSettings, key: str = KEY, size: int = 5, name: str = "") -> PutOptions:
    rules = upload_rules(given, at())
    classes = archive_classes(AWS)
    return rules_for(rules, given, classes, key=key, size_bytes=size, name=name).options


@pytest.mark.parametrize(
    ("key", "size_bytes", "expected"),
    [
        ("SHA256E-s2000--x", 5, "GLACIER"),  # a chunk, or a file of another size: the key counts
        ("SHA256E-s2000-S5-C1--x", 5, "GLACIER"),
        ("SHA256E-s5--x", 2000, "STANDARD"),
        ("GPGHMACSHA1--x", 2000, "GLACIER"),
        ("URL--http&c%%x", 5, "STANDARD"),
        ("GITBUNDLE-s2000--x", 2000, None),  # no clone waits for an archive
        ("GITMANIFEST--x", 5, "STANDARD"),
    ],
)
def test_the_storage_class_follows_the_size_of_the_content(
    key: str, size_bytes: int, expected: str | None
) -> None:
    given = settings(storageclass="GLACIER>=1kB STANDARD")

    assert options_for(given, key, size_bytes).storage_class == expected


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        (KEY, "", "text/csv"),
        (KEY, "a/b.png", "image/png"),
        (KEY, "a.csv.gz", "application/octet-stream"),
        ("SHA256-s5--x", "", "application/octet-stream"),
    ],
)
def test_the_media_type_may_follow_the_name(key: str, name: str, expected: str) -> None:
    assert options_for(settings(content_type="by-name"), key, name=name).content_type == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KEY, bytes.fromhex(DIGEST)),
        (f"SHA256E-s5-S3-C1--{DIGEST}", None),
        (f"GPGHMACSHA256--{DIGEST}", None),
        ("MD5E-s5--x", None),
        ("SHA256E-s5--this-is-a-test-key", None),
    ],
)
def test_the_key_is_the_checksum_where_it_holds_one(key: str, expected: bytes | None) -> None:
    assert options_for(settings(checksum="sha256"), key).sha256 == expected
    assert options_for(settings(), key).sha256 is None


def test_the_checksum_of_parts_may_be_chosen() -> None:
    assert upload_rules(settings(), at(None, "aws")).part_kind == "crc32"
    assert upload_rules(settings(checksum="md5"), at(None, "aws")).part_kind == "md5"
    assert upload_rules(settings(checksum="crc32"), at()).part_kind == "crc32"


@pytest.mark.parametrize("sse", ["aws:kms", "customer"])
def test_no_etag_is_expected_to_be_a_digest_of_what_is_encrypted_with_a_key(sse: str) -> None:
    rules = upload_rules(settings(sse=sse), at(preset="seaweedfs"))

    assert not rules.etags.raises_doubt("0" * 32, "1" * 32)
    assert upload_rules(settings(), at(preset="seaweedfs")).etags.raises_doubt("0" * 32, "1" * 32)


def test_an_upload_that_began_with_other_properties_is_not_gone_on_with() -> None:
    places = [
        upload_rules(settings(**given), at()).place
        for given in (
            {}, {"acl": "private"}, {"x_amz_meta": "a=1"}, {"storageclass": "STANDARD_IA"},
            {"sse": "AES256"}, {"sse": "customer"}, {"cache_control": "no-cache"},
        )
    ]  # fmt: skip

    assert len(set(places)) == len(places)
    assert places[0] == "https://s3.example.org/lab"


def test_the_marker_is_encrypted_but_never_archived() -> None:
    options = marker_options(settings(storageclass="DEEP_ARCHIVE", sse="AES256"))

    assert (options.storage_class, options.sse) == (None, "AES256")


def test_a_class_that_the_service_lacks_is_refused_with_those_it_has() -> None:
    check_storage_classes(settings(storageclass="GLACIER>=1MiB STANDARD_IA"), AWS)
    check_storage_classes(settings(storageclass="WHATEVER"), load_provider("minio"))
    with pytest.raises(ConfigError, match="'GLACEIR'") as refused:
        check_storage_classes(settings(storageclass="GLACEIR>=1MiB STANDARD"), AWS)

    assert "did you mean GLACIER?" in refused.value.remedy
    assert "DEEP_ARCHIVE" in refused.value.remedy


def test_presets_tell_which_classes_are_archives() -> None:
    assert archive_classes(AWS) == {"GLACIER", "DEEP_ARCHIVE"}
    assert archive_classes(load_provider("gcs")) == frozenset()
    assert archive_classes(load_provider("tencent-cos")) == {"ARCHIVE"}
    assert archive_classes(load_provider("other")) == {"GLACIER", "DEEP_ARCHIVE"}


# -- what goes with every request --------------------------------------------------------------


def test_nothing_goes_along_unasked() -> None:
    assert extras_for(settings(), LocalChoices(), at()) == NO_EXTRAS


def test_a_person_here_must_agree_to_pay() -> None:
    with pytest.raises(ConfigError, match="nobody in this clone has agreed"):
        extras_for(settings(requester_pays="yes"), LocalChoices(), at())

    agreed = LocalChoices(requester_pays=True)
    assert extras_for(settings(requester_pays="yes"), agreed, at()).requester_pays
    assert extras_for(settings(), agreed, at()).requester_pays


@pytest.mark.parametrize("name", ["dualstack", "accelerate"])
def test_amazons_hosts_are_not_asked_for_elsewhere(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=yes"):
        extras_for(settings(**{name: "yes"}), LocalChoices(), at())

    assert extras_for(settings(**{name: "yes"}), LocalChoices(), at(None, "aws")) != NO_EXTRAS


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def test_the_key_goes_along_where_nobody_can_listen(key_file: Path) -> None:
    choices = LocalChoices(customer_key_file=str(key_file))
    given = settings(sse="customer")

    for url in ("https://s3.example.org", "http://127.0.0.1:9000", None):
        preset = "other" if url else "aws"
        assert extras_for(given, choices, at(url, preset)).customer_key == SECRET
    with pytest.raises(ConfigError, match="use https"):
        extras_for(given, choices, at("http://s3.example.org"))


def test_the_key_goes_to_no_place_that_only_the_data_set_names(key_file: Path) -> None:
    given = settings(sse="customer", endpoint="https://evil.example.org")
    choices = LocalChoices(customer_key_file=str(key_file))
    embedded = Keys("AKIA", "secret", source=EMBEDDED)

    with pytest.raises(CredentialsError, match="nobody here has agreed"):
        open_place(given, choices, may_send_keys=lambda _: False, remembered=embedded)

    open_place(given, choices, may_send_keys=lambda _: True, remembered=embedded).store.close()


def test_a_key_that_would_not_be_used_is_not_ignored(key_file: Path) -> None:
    with pytest.raises(ConfigError, match="sse=customer"):
        extras_for(settings(), LocalChoices(customer_key_file=str(key_file)), at())


@pytest.mark.parametrize(
    "written",
    [SECRET, SECRET.hex().encode(), b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", SECRET.hex().upper().encode()],
    ids=["plain", "hex", "base64", "HEX"],
)  # fmt: skip
def test_the_key_may_be_written_in_several_ways(key_file: Path, written: bytes) -> None:
    key_file.write_bytes(written)

    assert read_customer_key(LocalChoices(customer_key_file=str(key_file))) == (SECRET, str(key_file))


@pytest.mark.parametrize("written", [b"", b"short", b"x" * 33, b"A" * 64 + b"!", b"\xff" * 31])
def test_what_is_no_key_is_refused_and_not_shown(key_file: Path, written: bytes) -> None:
    key_file.write_bytes(written)

    with pytest.raises(ConfigError, match="holds no key") as refused:
        read_customer_key(LocalChoices(customer_key_file=str(key_file)))

    assert not written or written.decode("latin-1") not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_touch_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(LocalError, match="others can read"):
        read_customer_key(LocalChoices(customer_key_file=str(key_file)))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("false", "ended with 1"),
        ("/nowhere/to/be/found", "failed"),
        ("'", "failed"),
        ("echo no", "no key"),
    ],
)
def test_a_command_that_gives_no_key_is_named(command: str, expected: str) -> None:
    with pytest.raises((LocalError, ConfigError), match=expected):
        read_customer_key(LocalChoices(customer_key_command=command))
