"""``datalad s3-providers``: records for programs, a table and an explanation for people."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datalad.support.exceptions import IncompleteResultsError

from datalad_s3ext.commands.s3_providers import (
    S3Providers,
    explanation,
    next_command,
    plain,
    table,
)
from datalad_s3ext.providers.load import PACKAGED, load_provider

PRESET = """\
id = "{id}"
name = "Lab store"
kind = "academic"
{more}
[evidence]
checked = "2026-11-22"
confidence = "low"
"""


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config" / "datalad-s3ext" / "providers"


def write(folder: Path, preset_id: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset_id}.toml"
    path.write_text(PRESET.format(id=preset_id, more=more))
    return path


def records(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    return S3Providers.__call__(
        *args, result_renderer="disabled", on_failure="ignore", return_type="list", **kwargs
    )


def command(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "datalad"
    return subprocess.run(
        [program, *args], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )


def test_list_has_a_record_for_every_preset(user_folder: Path) -> None:
    own = write(user_folder, "lab")

    found = {record["name"]: record for record in records()}

    assert {"aws", "mdx", "onyxia", "lab"} <= found.keys()
    assert {record["action"] for record in found.values()} == {"s3_providers"}
    assert {record["type"] for record in found.values()} == {"provider"}
    assert {record["status"] for record in found.values()} == {"ok"}
    assert found["aws"]["path"] == str(PACKAGED / "aws.toml")
    assert (found["lab"]["path"], found["lab"]["origin"]) == (str(own), "user")


def test_record_of_one_preset_is_plain_data() -> None:
    (record,) = records("mdx")

    assert record["preset"] == json.loads(json.dumps(record["preset"]))
    assert record["preset"]["endpoint"]["default"] == "https://s3ds.mdx.jp"
    assert record["preset"]["listing"] == {"version": 1, "url_encoding": False}


def test_unknown_id_is_impossible_and_says_which_one_was_meant() -> None:
    (record,) = records("wassabi")

    assert record["status"] == "impossible"
    assert record["message"] == (
        "%s",
        "there is no preset 'wassabi' (did you mean wasabi?); `datalad s3-providers` lists all presets",
    )
    with pytest.raises(IncompleteResultsError):
        S3Providers.__call__("wassabi", result_renderer="disabled")


def test_broken_preset_does_not_hide_the_others(user_folder: Path) -> None:
    path = write(user_folder, "lab", "colour = 1")

    found = {record["name"]: record for record in records()}

    assert found["lab"]["status"] == "error"
    assert f"{path}: colour is not known" in found["lab"]["message"][1]
    assert found["aws"]["status"] == "ok"


def test_presets_of_the_dataset_around_the_current_directory_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", "ds"], cwd=tmp_path, check=True)
    write(tmp_path / "ds" / ".datalad" / "s3-providers", "theirs")

    assert "theirs" not in {record["name"] for record in records()}
    monkeypatch.chdir(tmp_path / "ds")
    (record,) = records("theirs")
    assert record["origin"] == "data set"


def test_table_is_aligned() -> None:
    lines = table([plain(load_provider(name)) for name in ("aws", "cern", "ceph", "onyxia")])

    assert lines == [
        "ID      NAME                                   KIND         ENDPOINT           CONFIDENCE",
        "aws     Amazon S3                              cloud        (by region)        high",
        "cern    CERN S3                                academic     s3.cern.ch         unconfirmed",
        "ceph    Ceph Object Gateway (RGW)              self-hosted  (give --endpoint)  high",
        "onyxia  Onyxia datalab (SSP Cloud, Nubonyxia)  academic     $AWS_S3_ENDPOINT   medium",
    ]


def test_explanation_has_what_a_person_needs() -> None:
    text = "\n".join(explanation(plain(load_provider("mdx")), "packaged", "/p/mdx.toml"))

    for line in (
        "mdx object storage S3DS (academic, runs DDN EXAScaler S3 Data Services)",
        "\nEndpoint\n  https://s3ds.mdx.jp\n",
        "\nHow to get keys\n  mdx user portal\n",
        "  largest object: 5.0 TiB\n",
        "  object versions: unknown\n",
        "  reading without keys: yes\n",
        "\nSources (checked 2026-11-22)\n",
        "\nConfidence\n  medium\n",
        "\nPreset file\n  /p/mdx.toml (comes with this program)\n",
        "\nNext\n  datalad s3-setup mdx --bucket NAME",
    ):
        assert line in text


def test_preset_that_came_with_a_clone_is_marked() -> None:
    text = "\n".join(explanation(plain(load_provider("mdx")), "data set", "/ds/x.toml"))

    assert "/ds/x.toml (comes with the dataset)" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wasabi", "datalad s3-setup wasabi --bucket NAME"),
        ("onyxia", "datalad s3-setup onyxia --bucket NAME"),
        ("local", "datalad s3-setup local --bucket NAME"),
        ("cloudflare-r2", "datalad s3-setup cloudflare-r2 --bucket NAME account_id=VALUE"),
        ("backblaze-b2", "datalad s3-setup backblaze-b2 --bucket NAME --region REGION"),
        ("other", "datalad s3-setup other --bucket NAME --endpoint URL"),
        ("switch", "datalad s3-setup switch --bucket NAME --region REGION"),
    ],
)
def test_next_command_asks_for_what_the_preset_cannot_know(name: str, expected: str) -> None:
    assert next_command(plain(load_provider(name))) == expected


def test_command_line_shows_a_table(tmp_path: Path) -> None:
    done = command("s3-providers", cwd=tmp_path)

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "KIND", "ENDPOINT", "CONFIDENCE"]
    assert lines[1].startswith("abci ")
    assert max(map(len, lines)) <= 140
    assert lines[-1] == (
        "More about one: datalad s3-providers ID; fewer: datalad s3-providers WORD, or --kind academic"
    )


def test_command_line_explains_one(tmp_path: Path) -> None:
    done = command("s3-providers", "garage", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("Garage (self-hosted, runs Garage)\n")
    assert done.stdout.endswith("datalad s3-setup garage --bucket NAME\n")


def test_json_output_is_clean(tmp_path: Path) -> None:
    done = command("-f", "json", "s3-providers", cwd=tmp_path)

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert "aws" in {record["preset"]["id"] for record in found}


def test_command_line_fails_for_an_unknown_id(tmp_path: Path) -> None:
    done = command("s3-providers", "mimio", cwd=tmp_path)

    assert done.returncode == 1
    assert "did you mean minio?" in done.stdout + done.stderr


def test_word_lists_the_services_that_have_it() -> None:
    def names(*args: str, **kwargs: str) -> list[str]:
        return [record["name"] for record in records(*args, **kwargs)]

    assert names("zurich") == ["aws", "switch"]
    assert names("MinIO") == ["dkrz", "minio", "onyxia", "onyxia-sspcloud"]  # by software, too
    assert names("exascaler") == ["mdx"]
    assert names("zurich", kind="academic") == ["switch"]
    assert "ceph" in names("ceph", kind="self-hosted")


def test_kind_lists_only_its_own() -> None:
    found = records(kind="academic")

    assert {"mdx", "csc-allas", "osn"} <= {record["name"] for record in found}
    assert {record["preset"]["kind"] for record in found} == {"academic"}


def test_word_of_another_kind_is_impossible() -> None:
    (record,) = records("exascaler", kind="cloud")

    assert record["status"] == "impossible"
    assert "no service of kind cloud has 'exascaler'" in record["message"][1]


def test_check_reports_each_mistake_on_a_line_and_fails(tmp_path: Path) -> None:
    path = write(tmp_path, "lab", 'colour = 1\n[listing]\nversion = 3\n[endpoint]\ndefault = "x"\n')

    done = command("s3-providers", "--check", str(path), cwd=tmp_path)

    assert done.returncode == 1
    told = [line for line in (done.stdout + done.stderr).splitlines() if str(path) in line]
    assert len(told) == 2
    assert f"{path}: colour is not known" in told[0]
    assert f"{path}: listing.version is 3, must be one of 1, 2" in told[1]


def test_check_says_that_a_preset_is_right(tmp_path: Path) -> None:
    path = write(tmp_path, "lab", '[endpoint]\ndefault = "https://s3.lab.example.org"\n')

    (record,) = records(check=str(path))
    assert (record["status"], record["name"]) == ("ok", "lab")
    done = command("s3-providers", "--check", str(path), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"{path}: a valid preset; next: datalad s3-setup lab --bucket NAME\n"


def test_check_of_no_file_is_an_error(tmp_path: Path) -> None:
    (record,) = records(check=str(tmp_path / "none.toml"))

    assert record["status"] == "error"
    assert "none.toml cannot be read" in record["message"][1]
