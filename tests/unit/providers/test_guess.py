"""A provider is recognised by its endpoint, from what the presets say of their hosts."""

from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.guess import candidates, guess, is_own_host
from datalad_s3ext.providers.load import load_file, load_provider

from .support import write_preset


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.eu-central-2.wasabisys.com", "wasabi"),
        ("s3.wasabisys.com", "wasabi"),
        ("https://s3.eu-new-9.wasabisys.com", "wasabi"),
        ("https://S3DS.mdx.jp:443/", "mdx"),
        ("https://0123abc.r2.cloudflarestorage.com", "cloudflare-r2"),
        ("https://s3.eu-west-1.amazonaws.com", "aws"),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", "aws"),
        ("https://s3.us-gov-east-1.amazonaws.com", "aws-us-gov"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("https://s3.fra.eu.cloud-object-storage.appdomain.cloud", "ibm-cos"),
        ("https://x9.fra.idrivee2-34.com", "idrive-e2"),
        ("https://ns.compat.objectstorage.uk-london-1.oraclecloud.com", "oracle-oci"),
        ("https://stack.nerc.mghpcc.org:13808", "nerc"),
        ("https://s3-eu-central-1.ionoscloud.com", "ionos"),
        ("https://minio.lab.sspcloud.fr", "onyxia-sspcloud"),
        ("http://127.0.0.1:3900", "garage"),
        # nobody's, or somebody's only in part
        ("https://s3.example.org", None),
        ("https://stack.nerc.mghpcc.org", None),
        ("https://wasabisys.com", None),
        ("https://s3.wasabisys.com.example.org", None),
        ("https://evils3.wasabisys.com", None),
        # several at once: MinIO and Exaba by their port, Selectel and Servercore by their host
        ("http://127.0.0.1:9000", None),
        ("https://s3.ru-1.storage.selcloud.ru", None),
    ],
)
def test_endpoint_tells_the_provider(url: str, expected: str | None) -> None:
    found = guess(url)

    assert (found and found.id) == expected


def test_host_that_is_spelled_out_wins_over_a_template(tmp_path: Path) -> None:
    wide = write_preset(tmp_path, "wide", "[endpoint]\ntemplate = 'https://{region}.example.org'\n")
    exact = write_preset(tmp_path, "exact", "[endpoint]\ndefault = 'https://a.example.org'\n")
    everything = write_preset(tmp_path, "all", "[endpoint]\naliases = ['https://{host}']\n")
    presets = [load_file(path) for path in (wide, exact, everything)]

    assert [one.id for one in candidates("https://a.example.org", presets)] == ["exact"]
    assert [one.id for one in candidates("https://b.example.org", presets)] == ["wide"]
    assert candidates("https://example.com", presets) == []


def test_all_that_fit_equally_well_are_candidates(tmp_path: Path) -> None:
    more = "[endpoint]\ndefault = 'https://a.example.org'\n"
    presets = [load_file(write_preset(tmp_path, name, more)) for name in ("one", "two")]

    assert [one.id for one in candidates("https://a.example.org", presets)] == ["one", "two"]


def test_users_preset_is_recognised_and_a_broken_one_left_out(user_folder: Path) -> None:
    write_preset(user_folder, "lab", "[endpoint]\ndefault = 'https://s3.lab.example.org'\n")
    write_preset(user_folder, "broken", "[endpoint\n")

    found = guess("https://s3.lab.example.org")

    assert found is not None
    assert found.id == "lab"


def test_what_is_no_endpoint_is_an_error() -> None:
    with pytest.raises(ConfigError):
        guess("https://s3.example.org/path")


@pytest.mark.parametrize(
    ("provider", "endpoint", "expected"),
    [
        ("mdx", "https://s3ds.mdx.jp", True),
        ("mdx", "https://S3DS.mdx.jp:443", True),
        ("mdx", "http://s3ds.mdx.jp", False),
        ("mdx", "https://s3ds.mdx.jp.example.org", False),
        ("mdx", "https://s3ds.mdx.jp:8443", False),
        ("other", "https://s3.example.org", False),
    ],
)
def test_a_preset_answers_for_its_own_hosts_under_tls_alone(
    provider: str, endpoint: str, expected: bool
) -> None:
    assert is_own_host(load_provider(provider), endpoint) is expected
