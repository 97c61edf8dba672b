"""From presets to places: endpoints, regions, and the parameters of built-in type=S3."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import load_file, load_provider
from datalad_s3ext.providers.resolve import (
    builtin_parameters,
    normal_endpoint,
    resolve,
    server_record,
)
from datalad_s3ext.providers.schema import EndpointRule, Region

from .support import write_preset

NO_ENV: Mapping[str, str] = {}
RECORD = {
    "endpoint": "http://127.0.0.1:18333",
    "region": "us-east-1",
    "access_key_id": "local-key",
    "secret_access_key": "local-secret-value",
}


@pytest.fixture
def running_server(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "server.json").write_text(json.dumps({**RECORD, "pid": 1}))


# -- endpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset_id", "given", "expected"),
    [
        ("aws", {}, (None, "us-east-1", "us-east-1", "virtual", "v4")),
        ("aws", {"region": "eu-north-1"}, (None, "eu-north-1", "eu-north-1", "virtual", "v4")),
        ("mdx", {}, ("https://s3ds.mdx.jp", "us-east-1", "us-east-1", "path", "v4")),
        ("mdx", {"signature": "v2"}, ("https://s3ds.mdx.jp", "us-east-1", "us-east-1", "path", "v2")),
        ("minio", {}, ("http://127.0.0.1:9000", "us-east-1", "us-east-1", "path", "v4")),
        ("seaweedfs", {}, ("http://127.0.0.1:8333", "us-east-1", "us-east-1", "path", "v4")),
        ("garage", {}, ("http://127.0.0.1:3900", "garage", "garage", "path", "v4")),
        ("gcs", {}, ("https://storage.googleapis.com", "auto", "auto", "virtual", "v4")),
        ("gcs", {"region": "EU"}, ("https://storage.googleapis.com", "EU", "auto", "virtual", "v4")),
        ("wasabi", {},
         ("https://s3.us-east-1.wasabisys.com", "us-east-1", "us-east-1", "virtual", "v4")),
        ("wasabi", {"region": "eu-central-2", "addressing": "path"},
         ("https://s3.eu-central-2.wasabisys.com", "eu-central-2", "eu-central-2", "path", "v4")),
        ("backblaze-b2", {"region": "us-west-004"},
         ("https://s3.us-west-004.backblazeb2.com", "us-west-004", "us-west-004", "path", "v4")),
        ("cloudflare-r2", {"variables": {"account_id": "abc123"}},
         ("https://abc123.r2.cloudflarestorage.com", "auto", "auto", "path", "v4")),
        ("ceph", {"endpoint": "rgw.example.org"},
         ("https://rgw.example.org", "us-east-1", "us-east-1", "path", "v4")),
        ("other", {"endpoint": "localhost:9000", "region": "here"},
         ("http://localhost:9000", "here", "here", "path", "v4")),
        ("onyxia", {"environ": {"AWS_S3_ENDPOINT": "minio.lab.example.fr",
                                "AWS_DEFAULT_REGION": "eu-lab"}},
         ("https://minio.lab.example.fr", "eu-lab", "eu-lab", "path", "v4")),
        ("onyxia", {"environ": {"AWS_S3_ENDPOINT": "a.example"}, "endpoint": "https://b.example/"},
         ("https://b.example", "us-east-1", "us-east-1", "path", "v4")),
    ],
)  # fmt: skip
def test_place_of_packaged_preset(preset_id: str, given: dict, expected: tuple) -> None:
    found = resolve(load_provider(preset_id), **{"environ": NO_ENV, **given})

    assert found.provider.id == preset_id
    assert expected == (
        found.endpoint_url, found.region, found.signing_region, found.addressing, found.signature
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3.example.org", "https://s3.example.org"),
        ("s3.example.org:9000", "https://s3.example.org:9000"),
        ("https://s3.example.org/", "https://s3.example.org"),
        ("HTTPS://S3.Example.org", "https://s3.example.org"),
        ("http://s3.example.org", "http://s3.example.org"),
        ("localhost:9000", "http://localhost:9000"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("s3.localhost:1", "http://s3.localhost:1"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("https://localhost:9000", "https://localhost:9000"),
    ],
)
def test_endpoint_becomes_scheme_host_and_port(text: str, expected: str) -> None:
    assert normal_endpoint(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "https://", "ftp://host", "file:///etc/passwd", "https://host/path", "host/path",
        "https://host?x=SECRET", "https://host#SECRET", "https://host/?", "https://host:port",
        "https://host:99999", "https://ho st", "https://host\n.example", "https://-host",
        "https://host\\@other", "https://[::1", "https://a:b:c",
    ],
)  # fmt: skip
def test_malformed_endpoint_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like https://host:port") as failure:
        normal_endpoint(text)

    assert "SECRET" not in str(failure.value)


@pytest.mark.parametrize(
    "text",
    ["https://me:SECRET@host", "me:SECRET@host:9000", "https://SECRET@host", "https://me:SECRET@h/p",
     "https://me:SEC/RET@host", "http://me:SECRET@host:port"],
)  # fmt: skip
def test_password_in_endpoint_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as failure:
        normal_endpoint(text)

    for secret in ("SECRET", "SEC/", "RET"):
        assert secret not in str(failure.value)
    assert failure.value.__cause__ is None


def test_region_with_an_endpoint_of_its_own_wins_over_environment_and_template() -> None:
    rule = EndpointRule(env=("X",), template="https://{region}.example", default="https://d.example")
    provider = replace(
        load_provider("other"), endpoint=rule, regions=(Region("a", "https://own.example"),)
    )

    def endpoint(environ: Mapping[str, str], region: str | None) -> str | None:
        return resolve(provider, region=region, environ=environ).endpoint_url

    assert endpoint({"X": "env.example"}, "a") == "https://own.example"
    assert endpoint({"X": "env.example"}, "b") == "https://env.example"
    assert endpoint({"X": ""}, "b") == "https://b.example"


def test_endpoint_that_nobody_knows_is_asked_for() -> None:
    with pytest.raises(ConfigError) as failure:
        resolve(load_provider("ceph"), environ=NO_ENV)

    assert str(failure.value) == (
        "the endpoint of Ceph Object Gateway (RGW) is not known; give it with --endpoint URL"
    )


def test_unset_variables_of_the_preset_are_named() -> None:
    with pytest.raises(ConfigError, match="AWS_S3_ENDPOINT and AWS_ENDPOINT_URL_S3 and"):
        resolve(load_provider("onyxia"), environ=NO_ENV)


def test_malformed_endpoint_in_the_environment_is_blamed_on_the_variable() -> None:
    with pytest.raises(ConfigError, match="the AWS_S3_ENDPOINT of host h has more than"):
        resolve(load_provider("onyxia"), environ={"AWS_S3_ENDPOINT": "h/minio"})


def test_missing_variable_is_asked_for_with_the_presets_question() -> None:
    with pytest.raises(ConfigError) as failure:
        resolve(load_provider("cloudflare-r2"), environ=NO_ENV)

    assert str(failure.value) == (
        "Cloudflare R2 needs account_id: Cloudflare account id, shown on the R2 page of the"
        " dashboard; give it on the command line as account_id=VALUE"
    )


@pytest.mark.parametrize("value", ["evil.org/", "a@b", "a:1", "a?b", "a#b", "a b"])
def test_variable_cannot_change_the_host(value: str) -> None:
    with pytest.raises(ConfigError, match="cannot be part of a host name"):
        resolve(load_provider("cloudflare-r2"), variables={"account_id": value}, environ=NO_ENV)


# -- regions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset_id", "given", "environ", "expected"),
    [
        # Amazon's own variables win over the default of Amazon's preset ...
        ("aws", None, {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ("aws", None, {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ("aws", "eu-west-3", {"AWS_REGION": "eu-west-1"}, "eu-west-3"),
        ("aws", "xx-new-1", {}, "xx-new-1"),
        # ... but not elsewhere, where they only fill a gap
        ("wasabi", None, {"AWS_REGION": "eu-west-1"}, "us-east-1"),
        ("minio", None, {"AWS_REGION": "eu-west-1"}, "us-east-1"),
        ("mdx", None, {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("mdx", None, {"AWS_REGION": ""}, "us-east-1"),
        ("backblaze-b2", None, {"AWS_DEFAULT_REGION": "us-east-005"}, "us-east-005"),
        # unknown to the preset, but the template takes any
        ("wasabi", "xx-new-1", {}, "xx-new-1"),
    ],
)
def test_region(preset_id: str, given: str | None, environ: dict[str, str], expected: str) -> None:
    assert resolve(load_provider(preset_id), region=given, environ=environ).region == expected


@pytest.mark.parametrize("environ", [{}, {"AWS_DEFAULT_REGION": "eu-west-1"}])
def test_region_of_another_service_never_becomes_a_host_name(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="needs a region; give --region, one of: us-west-000,"):
        resolve(load_provider("backblaze-b2"), environ=environ)


def test_region_that_the_service_has_not_is_refused() -> None:
    given = {"variables": {"account_id": "a"}, "environ": NO_ENV}
    r2 = load_provider("cloudflare-r2")

    with pytest.raises(ConfigError, match="Cloudflare R2 has no region 'moon'; choose from auto"):
        resolve(r2, region="moon", **given)
    assert resolve(r2, region="moon", endpoint="https://h.example", environ=NO_ENV).region == "moon"


@pytest.mark.parametrize("region", ["", "a/b", "a@b", "a b", "a\nb"])
def test_malformed_region_is_refused(region: str) -> None:
    with pytest.raises(ConfigError, match="is no region"):
        resolve(load_provider("aws"), region=region, environ=NO_ENV)


# -- the local server --------------------------------------------------------------------------


@pytest.mark.usefixtures("running_server")
def test_local_server_is_found_by_its_record() -> None:
    found = resolve(load_provider("local"), environ={"AWS_REGION": "eu-west-1"})

    assert (found.endpoint_url, found.region) == ("http://127.0.0.1:18333", "us-east-1")


def test_local_server_that_does_not_run_is_told() -> None:
    with pytest.raises(ConfigError) as failure:
        resolve(load_provider("local"), environ=NO_ENV)

    assert str(failure.value) == (
        "the local S3 server does not run; start it: datalad s3-serve --background"
    )


def test_local_server_need_not_run_when_its_endpoint_is_given() -> None:
    found = resolve(load_provider("local"), endpoint="127.0.0.1:5", environ={"AWS_REGION": "x"})

    assert (found.endpoint_url, found.region) == ("http://127.0.0.1:5", "us-east-1")


@pytest.mark.parametrize("text", ["{", "[]", '{"endpoint": "http://x", "secret_access_key": "S3CR"}'])
def test_damaged_record_of_the_local_server_is_told_without_its_secret(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.json").write_text(text)

    with pytest.raises(ConfigError, match=r"server\.json") as failure:
        server_record()
    assert "S3CR" not in str(failure.value)


# -- built-in type=S3 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset_id", "given", "expected"),
    [
        ("aws", {"region": "eu-north-1"},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "datacenter": "eu-north-1"}),
        # git-annex's word for us-east-1: it would send anything else as LocationConstraint
        ("aws", {},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "datacenter": "US"}),
        ("aws", {"endpoint": "vpce.example.org"},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "host": "vpce.example.org", "port": "443", "region": "us-east-1"}),
        ("mdx", {},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "host": "s3ds.mdx.jp", "port": "443", "region": "us-east-1", "requeststyle": "path"}),
        ("mdx", {"signature": "v2"},
         {"bucket": "b", "fileprefix": "p/", "signature": "v2", "protocol": "https",
          "host": "s3ds.mdx.jp", "port": "443", "region": "us-east-1", "requeststyle": "path"}),
        # its v4 leaves the port out of the signature
        ("seaweedfs", {},
         {"bucket": "b", "fileprefix": "p/", "signature": "v2", "protocol": "http",
          "host": "127.0.0.1", "port": "8333", "region": "us-east-1", "requeststyle": "path"}),
        ("seaweedfs", {"endpoint": "http://s3.example.org"},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "http",
          "host": "s3.example.org", "port": "80", "region": "us-east-1", "requeststyle": "path"}),
        ("gcs", {},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "host": "storage.googleapis.com", "port": "443", "region": "auto"}),
        ("wasabi", {"region": "eu-west-1"},
         {"bucket": "b", "fileprefix": "p/", "signature": "v4", "protocol": "https",
          "host": "s3.eu-west-1.wasabisys.com", "port": "443", "region": "eu-west-1"}),
    ],
)  # fmt: skip
def test_builtin_parameters(preset_id: str, given: dict, expected: dict[str, str]) -> None:
    place = resolve(load_provider(preset_id), environ=NO_ENV, **given)

    assert builtin_parameters(place, "b", "p/") == expected


def test_builtin_parameters_leave_out_an_empty_prefix() -> None:
    place = resolve(load_provider("mdx"), environ=NO_ENV)

    assert "fileprefix" not in builtin_parameters(place, "b", "")


def test_preset_of_a_user_is_enough_to_reach_a_service(tmp_path: Path) -> None:
    provider = load_file(write_preset(tmp_path, "lab", "[endpoint]\ndefault = 's3.lab.example'\n"))

    assert resolve(provider, environ=NO_ENV).endpoint_url == "https://s3.lab.example"
