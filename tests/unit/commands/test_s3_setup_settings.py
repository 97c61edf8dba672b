"""What a remote shall be, how it differs from what it is, and what follows from that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datalad_s3ext.commands._checks import check_names, check_wish
from datalad_s3ext.commands._decide import changed_parameters, decide
from datalad_s3ext.commands._settings import (
    Change,
    RemoteType,
    Wish,
    changes_to,
    normal_prefix,
    parameters_of,
    split_settings,
)
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.repo.remotes import SpecialRemote

UUID = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
URL = "https://s3.example.org"
OTHER = load_provider("other")


def wish(**changes: object) -> Wish:
    given = {"endpoint": URL, "region": None, **changes}
    connection = resolve(OTHER, endpoint=given.pop("endpoint"), region=given.pop("region"), environ={})
    values = {"name": "s3", "provider": OTHER, "connection": connection, "bucket": "lab", **given}
    return Wish(**values)  # type: ignore[arg-type]


RECORDED = {
    "type": "external", "externaltype": "s3x", "provider": "other", "bucket": "lab",
    "endpoint": URL, "region": "us-east-1", "encryption": "none", "name": "s3",
}  # fmt: skip


def remote(enabled_as: str | None = "s3", **changes: str) -> SpecialRemote:
    parameters = {**RECORDED, **changes}
    externaltype = parameters.get("externaltype") if parameters["type"] == "external" else None
    return SpecialRemote(
        UUID, parameters["name"], parameters["type"], externaltype, parameters, enabled_as
    )


@pytest.mark.parametrize(
    ("prefix", "below", "expected"),
    [(None, "", ""), ("", "", ""), ("a", "", "a/"), ("/a/b/", "", "a/b/"), ("a", "sub/x", "a/sub/x/"),
     (None, "sub", "sub/"), ("/", "", "")],
)  # fmt: skip
def test_a_prefix_ends_in_a_slash_and_is_extended_by_the_subdataset(
    prefix: str | None, below: str, expected: str
) -> None:
    assert normal_prefix(prefix, below) == expected


def test_parameters_say_where_and_how_and_nothing_else() -> None:
    assert parameters_of(wish(), "") == {
        "type": "external", "externaltype": "s3x", "provider": "other", "bucket": "lab",
        "endpoint": URL, "region": "us-east-1", "encryption": "none",
    }  # fmt: skip


def test_everything_asked_for_is_recorded() -> None:
    asked = wish(
        region="eu-west-1", encryption="shared", chunk="50MiB", settings={"storageclass": "COLD"}
    )

    found = parameters_of(asked, "study/")

    assert found["fileprefix"] == "study/"
    assert found["region"] == "eu-west-1"
    assert (found["encryption"], found["chunk"]) == ("shared", "50MiB")
    assert found["storageclass"] == "COLD"


def test_the_place_of_a_local_server_is_not_recorded() -> None:
    """Its port changes; the remote finds it in the server's own record."""
    found = parameters_of(wish(record_endpoint=False), "")

    assert {"endpoint", "region"} & found.keys() == set()


def test_built_in_s3_gets_its_own_words() -> None:
    found = parameters_of(wish(remote_type="S3", endpoint="http://127.0.0.1:9000"), "p/")

    assert found["type"] == "S3"
    assert (found["host"], found["port"], found["protocol"]) == ("127.0.0.1", "9000", "http")
    assert found["fileprefix"] == "p/"
    assert {"endpoint", "provider", "externaltype"} & found.keys() == set()


def test_settings_and_variables_are_told_apart() -> None:
    provider = load_provider("cloudflare-r2")

    assert split_settings(["storageclass=COLD", "account_id=1"], provider, "s3x") == (
        {"storageclass": "COLD"}, {"account_id": "1"},
    )  # fmt: skip
    assert split_settings({"cost": "100"}, provider, "s3x") == ({"cost": "100"}, {})
    assert split_settings(None, provider, "s3x") == ({}, {})


@pytest.mark.parametrize(
    ("pair", "expected"),
    [("storageclas=COLD", r"did you mean storageclass\?$"), ("bucket=b", "give --bucket"),
     ("host=h", "give --endpoint"), ("zzzz=1", "known are .*storageclass"),
     ("partsize", "has not the form KEY=VALUE"), ("=x", "has not the form KEY=VALUE")],
)  # fmt: skip
def test_a_setting_that_is_not_known_is_refused_with_similar_names(pair: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        split_settings([pair], OTHER, "s3x")


@pytest.mark.parametrize("pair", ["aws_secret_access_key=hush-hush", "hush-hush"])
def test_a_secret_in_the_wrong_place_is_not_repeated(pair: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_settings([pair], OTHER, "s3x")

    assert "hush" not in str(caught.value)


def test_each_remote_type_takes_its_own_settings() -> None:
    assert split_settings(["x-amz-meta-lab=1"], OTHER, "S3")[0] == {"x-amz-meta-lab": "1"}
    with pytest.raises(ConfigError):
        split_settings(["sse=AES256"], OTHER, "S3")
    with pytest.raises(ConfigError):
        split_settings(["versioning=yes"], OTHER, "s3x")


@pytest.mark.parametrize(
    ("recorded", "asked", "prefix", "expected"),
    [
        ({}, {}, "", []),
        ({"partsize": "8MiB"}, {}, "", []),
        ({"encryption": "shared"}, {}, "", []),
        ({"encryption": "hybrid", "cipherkeys": "ABCDEF"},
         {"encryption": "hybrid", "settings": {"keyid": "me@example.org"}}, "", []),
        ({"encryption": "shared"}, {"encryption": "none"}, "",
         [Change("encryption", "shared", "none")]),
        ({"autoenable": "yes"}, {"settings": {"autoenable": "true"}}, "", []),
        ({}, {"settings": {"autoenable": "false"}}, "", []),
        ({}, {"settings": {"partsize": "9MiB"}}, "", [Change("partsize", "", "9MiB")]),
        ({"fileprefix": "a/"}, {}, "", [Change("fileprefix", "a/", "")]),
        ({}, {}, "b/", [Change("fileprefix", "", "b/")]),
        ({}, {"bucket": "other"}, "", [Change("bucket", "lab", "other")]),
        ({}, {"region": "eu-west-1"}, "", [Change("region", "us-east-1", "eu-west-1")]),
        ({}, {"endpoint": "https://new.example.org"}, "",
         [Change("endpoint", URL, "https://new.example.org")]),
        ({}, {"endpoint": "http://s3.example.org"}, "",
         [Change("endpoint", URL, "http://s3.example.org")]),
    ],
)  # fmt: skip
def test_differences_are_what_was_asked_and_is_otherwise(
    recorded: dict[str, str], asked: dict[str, object], prefix: str, expected: list[Change]
) -> None:
    asked_wish = wish(**asked)

    wanted = parameters_of(asked_wish, prefix)

    assert changes_to(remote(**recorded), wanted, asked=asked_wish) == expected


def test_a_change_reads_old_to_new() -> None:
    assert str(Change("partsize", "", "9MiB")) == "partsize: (none) → 9MiB"


def test_a_changed_endpoint_of_built_in_s3_becomes_host_and_port() -> None:
    wanted = parameters_of(wish(remote_type="S3", endpoint="http://127.0.0.1:9000"), "")

    found = changed_parameters([Change("endpoint", "a", "b")], wanted)

    assert found == {
        "host": "127.0.0.1", "port": "9000", "protocol": "http", "region": "us-east-1",
    }  # fmt: skip


def _decide(
    known: list[SpecialRemote], asked: Wish, existing: str = "error", names: tuple[str, ...] = ()
) -> str:
    wanted = parameters_of(asked, asked.prefix)
    return decide(known, names, asked, wanted, existing).step  # type: ignore[arg-type]


def test_an_unknown_remote_is_created() -> None:
    assert _decide([], wish()) == "create"


def test_a_known_remote_that_is_not_in_use_is_enabled() -> None:
    assert _decide([remote(enabled_as=None)], wish()) == "enable"


@pytest.mark.parametrize("existing", ["skip", "error", "reconfigure"])
def test_the_same_again_changes_nothing(existing: str) -> None:
    assert _decide([remote()], wish(), existing, ("s3",)) == "nothing"


def test_other_settings_are_refused_skipped_or_changed() -> None:
    asked = wish(settings={"partsize": "9MiB"})

    assert _decide([remote()], asked, "skip") == "nothing"
    assert _decide([remote()], asked, "reconfigure") == "reconfigure"
    with pytest.raises(ConfigError, match=r"partsize: \(none\) → 9MiB.*--existing reconfigure"):
        _decide([remote()], asked, "error")


@pytest.mark.parametrize("existing", ["error", "reconfigure"])
@pytest.mark.parametrize(
    "asked", [{"bucket": "new"}, {"prefix": "new/"}, {"encryption": "shared"}], ids=str
)
def test_a_change_that_would_hide_content_is_refused(existing: str, asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"out of sight.*another --name"):
        _decide([remote()], wish(**asked), existing)


def test_a_git_remote_of_that_name_is_left_alone() -> None:
    with pytest.raises(ConfigError, match=r"no special remote.*--name"):
        _decide([], wish(), names=("s3",))


def test_a_special_remote_of_another_type_is_left_alone() -> None:
    with pytest.raises(ConfigError, match="of type directory already"):
        _decide([remote(type="directory")], wish())


def test_git_annex_cannot_change_the_type() -> None:
    with pytest.raises(ConfigError, match=r"cannot change the type.*s3-migrate s3 --to"):
        _decide([remote(type="S3", host="s3.example.org")], wish())


def test_two_remotes_do_not_share_a_place() -> None:
    other = remote(name="first", enabled_as="first", fileprefix="p/")

    with pytest.raises(ConfigError, match=r"'first' already.*--prefix"):
        _decide([other], wish(prefix="p/"))
    assert _decide([other], wish(prefix="q/")) == "create"


def test_built_in_s3_in_the_same_place_is_seen() -> None:
    other = remote(name="first", enabled_as="first", type="S3", endpoint="", host="s3.example.org")

    with pytest.raises(ConfigError, match="'first' already"):
        _decide([other], wish())


def test_two_remotes_of_one_name_are_ambiguous_unless_one_is_in_use() -> None:
    first, second = remote(enabled_as=None), remote(enabled_as=None)

    with pytest.raises(ConfigError, match="2 special remotes named 's3'"):
        _decide([first, second], wish())
    assert _decide([first, remote()], wish(), names=("s3",)) == "nothing"


def test_metadata_may_be_given_in_the_form_of_built_in_s3() -> None:
    pairs = ["x-amz-meta-lab=vision group", "x-amz-meta=grant=7", "x-archive-meta-title=a&b"]

    settings, _ = split_settings(pairs, OTHER, "s3x")

    assert settings == {"x-amz-meta": "grant=7&lab=vision+group&title=a%26b"}
    assert split_settings(pairs[:1], OTHER, "S3")[0] == {"x-amz-meta-lab": "vision group"}


def test_storage_classes_by_size_are_settings_like_others() -> None:
    pair = "storageclass=GLACIER_IR>=1MiB STANDARD"

    assert split_settings([pair], OTHER, "s3x")[0] == {"storageclass": "GLACIER_IR>=1MiB STANDARD"}


def test_an_access_point_may_be_the_bucket() -> None:
    bucket = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lab"
    aws = load_provider("aws")
    there = resolve(aws, region="eu-west-1", environ={})

    check_names("s3", bucket, "")
    check_wish(replace(wish(), provider=aws, connection=there, bucket=bucket))


@pytest.mark.parametrize("remote_type", ["s3x", "S3"])
def test_a_password_in_publicurl_is_refused_for_every_type(remote_type: RemoteType) -> None:
    with pytest.raises(ConfigError, match="user name or password") as refused:
        split_settings(["publicurl=http://u:SECRET@h/b"], load_provider("other"), remote_type)

    assert "SECRET" not in str(refused.value)
