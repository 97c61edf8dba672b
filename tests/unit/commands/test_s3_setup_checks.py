"""What is refused before anything is contacted."""

from __future__ import annotations

import pytest

from datalad_s3ext.commands._checks import check_names, check_new, check_wish
from datalad_s3ext.commands._settings import Wish, near_names
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve


def wish(preset: str = "other", **changes: object) -> Wish:
    provider = load_provider(preset)
    endpoint = None if provider.endpoint.by_sdk else "https://s3.example.org"
    settings = changes.get("settings", {})
    connection = resolve(
        provider, endpoint=endpoint, environ={}, addressing=settings.get("requeststyle")
    )
    values = {"name": "s3", "provider": provider, "connection": connection, "bucket": "lab", **changes}
    return Wish(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["s3", "lab.1", "a/b", "lab's", "größe"])
def test_names_that_git_takes_are_fine(name: str) -> None:
    check_names(name, "lab", "")


@pytest.mark.parametrize(
    "name", ["", "a/../b", "bad name", ".foo~", "-x", "a\tb", "a\u00a0b", "x.lock", "a:b", "a\0b"]
)
def test_names_that_git_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="name of a git remote"):
        check_names(name, "lab", "")


@pytest.mark.parametrize("bucket", ["lab", "Lab_1", "tenant:bucket", "a.b", "tenant$x:b"])
def test_bucket_names_that_some_service_takes_are_fine(bucket: str) -> None:
    check_names("s3", bucket, "")


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        ("s3://my-data", "the name only: --bucket my-data$"),
        ("s3://my-data/", "the name only: --bucket my-data$"),
        ("s3://my-data/a/b/", "the name only: --bucket my-data --prefix a/b$"),
        ("my-data/study1", "the name only: --bucket my-data --prefix study1$"),
        ("https://s3.example.org/b", "cannot be the name of a bucket"),
        ("my data", "cannot be the name of a bucket"),
        ("a\nb", "cannot be the name of a bucket"),
        ("", "is empty; give it: --bucket NAME"),
        ("b" * 256, "cannot be the name of a bucket"),
    ],
    ids=str,
)
def test_what_is_no_bucket_name_is_refused_with_what_is_meant(bucket: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_names("s3", bucket, "")


@pytest.mark.parametrize("prefix", ["../x", "a/../b", ".", "a/./b"])
def test_a_prefix_does_not_climb(prefix: str) -> None:
    with pytest.raises(ConfigError, match="--prefix"):
        check_names("s3", "lab", prefix)


@pytest.mark.parametrize("bucket", ["My-Data", "my_data", "ab"])
def test_a_bucket_in_a_host_name_follows_the_rules_of_host_names(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"Amazon S3.*requeststyle=path"):
        check_wish(wish("aws", bucket=bucket))
    check_wish(wish("aws", bucket=bucket, settings={"requeststyle": "path"}))
    check_wish(wish("ceph", bucket=bucket))


def test_built_in_s3_would_write_another_bucket_name() -> None:
    with pytest.raises(ConfigError, match=r"lower case.*--remote-type s3x"):
        check_wish(wish(bucket="Lab", remote_type="S3"))


@pytest.mark.parametrize("remote_type", ["s3x", "S3"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"encryption": "foo"}, r"'foo'; use one of none, shared, hybrid, pubkey, sharedpubkey"),
        ({"settings": {"partsize": "1TB"}}, r"partsize=1TB; choose between 5.0 MiB and 5.0 GiB"),
        ({"settings": {"partsize": "1KB"}}, r"partsize=1KB"),
        ({"settings": {"partsize": "much"}}, "is not a size"),
        ({"settings": {"requeststyle": "x"}}, "requeststyle='x' is not known"),
        ({"settings": {"cost": "low"}}, "cost='low' is not a number"),
        ({"chunk": "1"}, r"--chunk 1 .*64.0 KiB or more"),
        ({"chunk": "much"}, "chunk='much' is not a size"),
    ],
    ids=str,
)  # fmt: skip
def test_values_without_sense_are_refused(
    asked: dict[str, object], expected: str, remote_type: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_wish(wish(**asked, remote_type=remote_type))


@pytest.mark.parametrize("chunk", ["64KiB", "50MiB", "0"])
def test_sensible_chunks_are_fine(chunk: str) -> None:
    check_wish(wish(chunk=chunk, encryption="shared", settings={"partsize": "64MiB"}))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("STANDART_IA", r"did you mean STANDARD_IA\? choose from STANDARD, "),
     ("standard_ia", "did you mean STANDARD_IA"),
     ("FOO", "choose from STANDARD, ")],
)  # fmt: skip
def test_a_storage_class_that_the_service_lacks_is_refused(wanted: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_wish(wish("aws", settings={"storageclass": wanted}))


@pytest.mark.parametrize("preset", ["mdx", "ceph", "other"])
def test_where_storage_classes_are_not_known_any_is_fine(preset: str) -> None:
    check_wish(wish(preset, settings={"storageclass": "COLD"}))


@pytest.mark.parametrize("mode", ["hybrid", "pubkey", "sharedpubkey"])
def test_encryption_to_a_key_needs_one(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"{mode} needs the gpg key"):
        check_new(wish(encryption=mode))
    check_new(wish(encryption=mode, settings={"keyid": "x"}))


def test_encryption_without_a_key_takes_none() -> None:
    with pytest.raises(ConfigError, match="keyid= has no use"):
        check_new(wish(encryption="shared", settings={"keyid": "x"}))


def test_a_plain_misspelling_means_one_name() -> None:
    known = ["storageclass", "sse", "fileprefix", "preferreddir"]

    assert near_names("storageclas", known) == ["storageclass"]
    assert near_names("storage_size", known) == ["storageclass"]
    assert near_names("zzz", known) == []
