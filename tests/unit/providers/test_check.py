"""A preset is checked at once for all that is wrong with it."""

from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.check import check_file

from .support import write_preset


def test_valid_preset_has_no_problem(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "lab", "[endpoint]\ndefault = 'https://s3.lab.example.org'\n")

    assert check_file(path) == []


def test_all_mistakes_of_form_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text("""
id = "lab"
nam = "Lab"
kind = "clod"
[[regions]]
id = 5
[[regions]]
place = "x"
[listing]
version = 3
[upload]
max_put = "much"
[evidence]
checked = "2026-11-22"
""")

    problems = check_file(path)

    assert [problem.split(" ")[0] for problem in problems] == [
        "nam", "name", "kind", "evidence.confidence", "regions[0].id", "regions[1].id",
        "listing.version", "upload.max_put='much'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("[endpoint]\ndefault = 'https://s3.example.org/x'\n",
         "endpoint.default 'https://s3.example.org/x' of host s3.example.org has more than host and "
         "port; write it like https://host:port"),
        ("[endpoint]\ndefault = 's3.example.org'\n",
         "endpoint.default 's3.example.org' must be written in full: https://s3.example.org"),
        ("[endpoint]\ndefault = 'http://s3.example.org'\n",
         "endpoint.default 'http://s3.example.org' is not https: plain http is for this machine only"),
        ("[endpoint]\ndefault = 'https://{a}.example.org'\n",
         "endpoint.default has names in braces: it should be endpoint.template"),
        ("[[regions]]\nid = 'a'\nendpoint = 'ftp://a.example.org'\n",
         "regions[0].endpoint 'ftp://a.example.org' is no URL of a host; write it like "
         "https://host:port"),
        ("[endpoint]\ndefault = 'https://a.example.org'\nvariables = { b = 'which?' }\n",
         "endpoint.variables.b is not used by endpoint.template"),
        ("[endpoint]\nunconfirmed = true\n", "endpoint.unconfirmed is stated, but no host"),
        ("[[regions]]\nid = 'a'\n[[regions]]\nid = 'a'\n", "regions: 'a' stands there twice"),
        ("[region]\ndefault = 'b'\n[[regions]]\nid = 'a'\n",
         "region.default 'b' is none of the regions"),
        ("[region]\nsigning = 'x-{place}'\n",
         "region.signing uses {place}: only {region} is filled in"),
        ("[endpoint]\ntemplate = 'https://{region}.example.org'\n",
         "regions are missing: endpoint.template needs one, and nobody could know which there are"),
        ("[upload]\nmin_part = '6 GiB'\n",
         "upload.min_part must be between 1 byte and upload.max_part"),
        ("[upload]\nmax_parts = 100\n",
         "upload.max_object is 5.0 TiB, but upload.max_parts parts of upload.max_part are 500.0 GiB"),
        ("[[storage_classes]]\nname = 'A'\n[[storage_classes]]\nname = 'A'\n",
         "storage_classes: 'A' stands there twice"),
        ("[help]\npublic_url = 'https://example.org/{tenant}/{key}'\n",
         "help.public_url uses {tenant}; known: bucket, key, region"),
        ("[help]\ndocs = 'example.org'\n", "help.docs must begin with https://"),
        ("[[regions]]\nid = 'a'\n[region]\ndefault = 'a'\n", None),
        ("[endpoint]\naliases = ['http://old.example.org']\n", None),
        ("[endpoint]\ndefault = 'http://127.0.0.1:9000'\n", None),
    ],
)  # fmt: skip
def test_contradiction_is_told(tmp_path: Path, more: str, problem: str | None) -> None:
    path = write_preset(tmp_path, "lab", more)

    assert check_file(path) == ([problem] if problem else [])


def test_date_must_be_one(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "lab")
    path.write_text(path.read_text().replace("2026-11-22", "yesterday"))

    assert check_file(path) == ["evidence.checked is 'yesterday', must be a date like 2026-11-22"]


def test_preset_in_a_dataset_is_checked_for_what_a_clone_may_not_say(tmp_path: Path) -> None:
    more = "[requests]\nsignature = 'v2'\n"
    theirs = write_preset(tmp_path / ".datalad" / "s3-providers", "lab", more)
    own = write_preset(tmp_path, "lab", more)

    assert check_file(theirs) == [
        "requests.signature may not be stated by a preset that comes with a data set"
    ]
    assert check_file(own) == []


def test_file_that_is_no_preset_at_all_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text("[endpoint\n")

    with pytest.raises(ConfigError, match=r"lab\.toml cannot be read"):
        check_file(path)
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        check_file(tmp_path / "none.toml")
