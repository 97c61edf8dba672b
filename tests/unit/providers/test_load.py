"""Presets are found in three places, read strictly, and those of a clone are not trusted."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import (
    PACKAGED,
    all_providers,
    find_all,
    find_file,
    load_file,
    load_provider,
    load_recorded,
)
from datalad_s3ext.providers.schema import Region, StorageClass, Upload

from .support import write_preset

PACKAGED_IDS = sorted(path.stem for path in PACKAGED.glob("*.toml"))
COMMON_IDS = [
    "aws", "backblaze-b2", "ceph", "cloudflare-r2", "garage", "gcs", "local", "mdx", "minio",
    "onyxia", "other", "seaweedfs", "wasabi",
]  # fmt: skip


def in_dataset(root: Path) -> Path:
    return root / ".datalad" / "s3-providers"


def test_every_packaged_preset_is_found_and_no_other() -> None:
    assert list(find_all()) == PACKAGED_IDS
    assert set(COMMON_IDS) <= set(PACKAGED_IDS)
    assert [provider.id for provider in all_providers()] == PACKAGED_IDS


@pytest.mark.parametrize("preset_id", COMMON_IDS)
def test_preset_that_many_need_says_how_to_get_keys(preset_id: str) -> None:
    assert load_provider(preset_id).help.keys


@pytest.mark.parametrize("preset_id", PACKAGED_IDS)
def test_packaged_preset_never_uses_plain_http_beyond_this_machine(preset_id: str) -> None:
    provider = load_provider(preset_id)
    rule = provider.endpoint

    for url in (rule.default, rule.template, *(row.endpoint for row in provider.regions)):
        assert url is None or url.startswith(("https://", "http://127.0.0.1:"))


def test_every_fact_of_a_file_arrives(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "acme", """
unverified = ["upload"]
[endpoint]
template = "https://{region}.{tenant}.example.org"
env = ["ACME_URL"]
variables = { tenant = "your tenant" }
[region]
default = "north"
signing = "auto"
[listing]
version = 1
[upload]
min_part = "8 MiB"
max_put = 1000
etag_is_md5 = false
max_parts = 50
[requests]
signature_fallback = "v2"
[[regions]]
id = "north"
place = "Tromsø"
[[storage_classes]]
name = "COLD"
restore_needed = true
""")  # fmt: skip

    provider = load_file(path)

    assert provider.endpoint.template == "https://{region}.{tenant}.example.org"
    assert provider.endpoint.env == ("ACME_URL",)
    assert dict(provider.endpoint.variables) == {"tenant": "your tenant"}
    assert (provider.region.default, provider.region.signing) == ("north", "auto")
    assert provider.listing.version == 1
    assert provider.upload == Upload(min_part=8388608, max_put=1000, etag_is_md5=False, max_parts=50)
    assert provider.requests.signature_fallback == "v2"
    assert provider.regions == (Region("north", place="Tromsø"),)
    assert provider.storage_classes == (StorageClass("COLD", restore_needed=True),)
    assert provider.evidence.unverified == ("upload",)


def test_what_a_file_leaves_out_is_unknown_not_false(tmp_path: Path) -> None:
    provider = load_file(write_preset(tmp_path, "acme"))

    for item in fields(provider.capabilities):
        assert getattr(provider.capabilities, item.name) is None


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("[listing]\nversin = 1\n", "listing.versin is not known (did you mean version?)"),
        ("[uplaod]\n", "uplaod is not known (did you mean upload?)"),
        ("[upload]\nmin_part = true\n", "upload.min_part must be a whole number, not true or false"),
        ("[upload]\nmin_part = 'big'\n", "upload.min_part='big' is not a size"),
        ("[upload]\nmax_parts = '5 MiB'\n", "upload.max_parts must be a whole number, not a string"),
        ("[upload]\nequal_parts = 1\n", "upload.equal_parts must be true or false"),
        ("[upload]\nverified_checksums = 'MD5'\n", "upload.verified_checksums must be a list"),
        ("[upload]\nverified_checksums = [5]\n", "upload.verified_checksums[0] must be a string"),
        ("[requests]\nsignature = 'v5'\n", "requests.signature is 'v5', must be one of 'v4', 'v2'"),
        ("[listing]\nversion = true\n", "listing.version is True, must be one of 1, 2"),
        ("[listing]\nversion = '2'\n", "listing.version is '2', must be one of 1, 2"),
        ("[endpoint]\nvariables = { a = 5 }\n", "endpoint.variables.a must be a string"),
        ("[endpoint]\nvariables = 'a'\n", "endpoint.variables must be a table"),
        ("[[regions]]\nplace = 'x'\n", "regions[0].id is missing"),
        ("[[regions]]\nid = 'x'\nurl = 'y'\n", "regions[0].url is not known"),
        ("[endpoint]\ntemplate = 'https://{x}.org'\n", "endpoint.template uses {x}"),
        ('[help]\nkeys = "\\u001b[31mred"\n', "help.keys holds a line break or a control character"),
        ('[help]\nkeys = "a\\nb"\n', "help.keys holds a line break or a control character"),
        ('"\\u001b[2J" = 1\n', r"evidence.'\x1b[2J' is not known"),
        ('[endpoint]\nvariables = { "\\u001b" = "x" }\n', r"endpoint.variables.'\x1b' holds a line"),
        ("[help\n", "cannot be read"),
    ],
)
def test_mistake_is_told_with_file_and_key(tmp_path: Path, more: str, complaint: str) -> None:
    path = write_preset(tmp_path, "acme", more)

    with pytest.raises(ConfigError) as failure:
        load_file(path)

    assert str(path) in str(failure.value)
    assert complaint in str(failure.value)


def test_unknown_key_is_told_with_the_known_ones(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "acme", "[listing]\nverzion = 1\n")

    with pytest.raises(ConfigError, match="known: version, url_encoding"):
        load_file(path)


def test_missing_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text('id = "acme"\nname = "Acme"\n')

    with pytest.raises(ConfigError, match=r"acme\.toml: kind is missing"):
        load_file(path)


def test_file_must_have_the_name_of_its_preset(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "acme").rename(tmp_path / "other-name.toml")

    with pytest.raises(ConfigError, match="id must be 'other-name', the name of the file"):
        load_file(path)


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"acme\.toml cannot be read"):
        load_file(path)


def test_unknown_id_suggests_similar_ones() -> None:
    with pytest.raises(ConfigError) as failure:
        load_provider("wassabi")

    assert str(failure.value) == (
        "there is no preset 'wassabi' (did you mean wasabi?); `datalad s3-providers` lists all presets"
    )


@pytest.mark.parametrize("name", ["../aws", "a/b", "AWS", "", "aws.toml", "aws\n", "."])
def test_id_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a preset"):
        load_provider(name)


def test_only_the_file_that_is_asked_for_is_read(user_folder: Path) -> None:
    write_preset(user_folder, "broken", "[help\n")

    assert load_provider("mdx").id == "mdx"


def test_users_preset_replaces_a_packaged_one(user_folder: Path) -> None:
    path = write_preset(user_folder, "aws")

    assert find_file("aws").path == path
    assert load_provider("aws").name == "Test service"
    assert [p.name for p in all_providers() if p.id == "aws"] == ["Test service"]


def test_datasets_preset_is_found_but_replaces_no_other(tmp_path: Path, user_folder: Path) -> None:
    folder = in_dataset(tmp_path / "ds")
    for preset_id in ("aws", "mine", "theirs"):
        write_preset(folder, preset_id)
    own = write_preset(user_folder, "mine")

    assert load_provider("theirs", dataset=tmp_path / "ds").name == "Test service"
    assert find_file("aws", dataset=tmp_path / "ds").path == PACKAGED / "aws.toml"
    assert find_file("mine", dataset=tmp_path / "ds").path == own
    origins = {key: file.origin for key, file in find_all(dataset=tmp_path / "ds").items()}
    assert (origins["aws"], origins["mine"], origins["theirs"]) == ("packaged", "user", "data set")


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("[endpoint]\nenv = ['AWS_S3_ENDPOINT']\n", "endpoint.env"),
        ("[endpoint]\nlocal_server = true\n", "endpoint.local_server"),
        ("[endpoint]\nvariables = { password = 'yours' }\n", "endpoint.variables"),
        ("[endpoint]\ndefault = 'http://s3.example.org'\n", "an endpoint with http://"),
        ("[[regions]]\nid = 'x'\nendpoint = 'http://s3.example.org'\n", "an endpoint with http://"),
        ("[requests]\nsignature = 'v2'\n", "requests.signature"),
        ("[requests]\nsignature_fallback = 'v2'\n", "requests.signature_fallback"),
    ],
)
def test_datasets_preset_may_not_weaken_security(tmp_path: Path, more: str, key: str) -> None:
    write_preset(in_dataset(tmp_path), "theirs", more)

    with pytest.raises(ConfigError, match=f"{key} may not be stated by a preset that comes with"):
        load_provider("theirs", dataset=tmp_path)
    with pytest.raises(ConfigError):
        all_providers(dataset=tmp_path)


def test_user_may_state_what_a_dataset_may_not(user_folder: Path) -> None:
    write_preset(user_folder, "mine", "[requests]\nsignature = 'v2'\n")

    assert load_provider("mine").requests.signature == "v2"


def test_folder_and_device_are_no_preset(tmp_path: Path) -> None:
    folder = in_dataset(tmp_path)
    (folder / "folder.toml").mkdir(parents=True)
    (folder / "endless.toml").symlink_to("/dev/zero")

    assert list(find_all(dataset=tmp_path)) == PACKAGED_IDS
    with pytest.raises(ConfigError, match="there is no preset"):
        load_provider("endless", dataset=tmp_path)


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from datalad_s3ext.providers.load import load_provider; load_provider('aws');"
        "print(sorted({'boto3','botocore','git','datalad','difflib','json'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_preset_of_a_dataset_never_says_where_a_recorded_remote_sends_keys(tmp_path: Path) -> None:
    write_preset(in_dataset(tmp_path), "theirs", "[endpoint]\ndefault = 'https://s3.example.org'\n")

    with pytest.raises(ConfigError, match="may not say where keys go") as failure:
        load_recorded("theirs", dataset=tmp_path, endpoint=None)
    assert "endpoint=https://HOST" in str(failure.value)
    assert load_recorded("theirs", dataset=tmp_path, endpoint="https://s3.example.org").id == "theirs"
    assert load_recorded("mdx", dataset=tmp_path, endpoint=None).id == "mdx"


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    path = write_preset(tmp_path, "acme", "[listing]\nversin = 1\nurl_encoding = 5\n[uplaod]\n")

    with pytest.raises(ConfigError) as failure:
        load_file(path)

    assert "uplaod is not known (did you mean upload?)" in str(failure.value)
    assert f"(and 2 more); `datalad s3-providers --check {path}` lists all" in str(failure.value)
