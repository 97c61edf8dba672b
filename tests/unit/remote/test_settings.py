import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.settings import (
    COMMON,
    SETTINGS,
    RemoteSettings,
    known_parameter,
    read_settings,
)


def settings(**given: str) -> RemoteSettings:
    values = {name.replace("_", "-"): value for name, value in given.items()}
    return read_settings(lambda name: values.get(name, ""))


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, None),
        ({"endpoint": "https://s3.example.org"}, "https://s3.example.org"),
        ({"host": "s3.example.org"}, "https://s3.example.org"),
        ({"host": "s3.example.org", "port": "9000"}, "https://s3.example.org:9000"),
        ({"host": "10.0.0.1", "protocol": "http", "port": "80"}, "http://10.0.0.1:80"),
    ],
)
def test_the_endpoint_may_be_given_in_both_forms(given: dict[str, str], endpoint: str | None) -> None:
    assert settings(bucket="b", **given).endpoint == endpoint


@pytest.mark.parametrize(
    ("given", "region"),
    [({}, None), ({"region": "r"}, "r"), ({"datacenter": "EU"}, "eu-west-1"), ({"datacenter": "US"}, "us-east-1"),
     ({"datacenter": "ap-east-1"}, "ap-east-1"), ({"datacenter": "EU", "region": "r"}, "r")],
)  # fmt: skip
def test_the_region_may_carry_its_old_name(given: dict[str, str], region: str | None) -> None:
    assert settings(bucket="b", **given).region == region


def test_values_are_given_their_types() -> None:
    found = settings(
        bucket="b", partsize="64MiB", x_amz_meta="lab=vision&grant=7%20a", fileprefix="a/b/ "
    )

    assert found.partsize == 67108864
    assert dict(found.metadata) == {"lab": "vision", "grant": "7 a"}
    assert found.fileprefix == "a/b/ "


def test_http_is_never_a_default() -> None:
    assert str(settings(bucket="b", host="h").endpoint).startswith("https://")


def test_a_bucket_is_required() -> None:
    with pytest.raises(ConfigError, match="bucket"):
        settings()


def test_no_setting_takes_a_name_that_git_annex_reserves() -> None:
    names = [setting.name for setting in SETTINGS]

    assert "versioning" not in names
    assert not COMMON & set(names)
    assert len(set(names)) == len(names)
    assert all(setting.description and "\n" not in setting.description for setting in SETTINGS)


@pytest.mark.parametrize(
    ("name", "known"), [("bucket", True), ("encryption", True), ("buket", False), ("versioning", False)]
)
def test_parameters_are_told_from_mistakes(name: str, known: bool) -> None:
    assert known_parameter(name) is known


def test_object_names_are_those_of_built_in_s3() -> None:
    layout = Layout("a/b/")

    assert layout.of_key("SHA256E-s3--abc.dat") == "a/b/SHA256E-s3--abc.dat"
    assert layout.marker == "a/b/annex-uuid"
    assert layout.url_below("https://x.org/d/", "K-s1--ä b") == "https://x.org/d/a/b/K-s1--%C3%A4%20b"
    assert Layout().of_key("K") == "K"


@pytest.mark.parametrize(
    "given",
    [
        {"x_amz_meta": "a=b%0d%0ax-amz-acl:public-read"},
        {"x_amz_meta": "a%20b=c"},
        {"x_amz_meta": "a=%E2%82%AC"},
        {"storageclass": "STANDARD\x01"},
        {"storageclass": "STÄNDARD"},
        {"x_amz_tagging": "a=\u2028"},
        {"fileprefix": "a\x1b[2J/"},
        {"bucket": "b\u009b31m"},
    ],
)
def test_what_would_act_in_a_header_or_on_a_terminal_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**{"bucket": "b", **given})

    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["publicurl", "endpoint", "host"])
@pytest.mark.parametrize(
    "url", ["http://u:SECRET@h/b", "https://SECRET@h", "u:SECRET@h", "http://u:SEC/RET@h?x=http://y"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} holds a user name or password") as refused:
        settings(bucket="b", **{name: url})

    assert "SEC" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://h/a@b:c/", "http://h:80/a@b", "https://h/?x=http://a:b@c"])
def test_a_publicurl_may_hold_an_at_sign_behind_its_host(url: str) -> None:
    assert settings(bucket="b", publicurl=url).publicurl == url
