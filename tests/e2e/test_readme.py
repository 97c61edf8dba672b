"""The README is run: every block of commands that it shows."""

import configparser
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- test: (\S+) -->\n```console\n(.*?)```", README, re.DOTALL))

FILES = {"scan.bin": bytes(range(256)) * 40_000, "folder/notes on it.txt": b"notes\n", "empty": b""}


def commands(name: str) -> str:
    """Return the block `name` as a script."""
    return "\n".join(line.removeprefix("$ ") for line in BLOCKS[name].splitlines())


def run(script: str, folder: Path, **environment: str) -> str:
    """Run `script` as a person would type it, but stop at the first command that fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Place:
    """A folder with a data set and a local server of its own, after the main job."""

    folder: Path
    server: Path

    def run(self, script: str, folder: str = "") -> str:
        return run(script, self.folder / folder, S3EXT_SERVER_HOME=str(self.server))


@pytest.fixture(scope="module")
def main_job(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Do the five commands of the README."""
    folder = tmp_path_factory.mktemp("readme")
    place = Place(folder, folder / "server")
    place.run("datalad create my-data")
    for name, content in FILES.items():
        path = folder / "my-data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    place.run("datalad save -m 'Add files'", "my-data")
    try:
        place.run(commands("server"))
        place.run(commands("main-job"))
        yield place
    finally:
        place.run(commands("server-stop"))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.annex
@pytest.mark.server
def test_main_job_brings_all_content_to_the_clone(main_job: Place) -> None:
    assert contents(main_job.folder / "a-clone") == FILES


@pytest.mark.annex
@pytest.mark.server
def test_main_job_left_all_content_in_the_store(main_job: Place) -> None:
    main_job.run("datalad clone my-data another", "")
    main_job.run("datalad s3-enable", "another")

    main_job.run("git annex get --from local .", "another")

    assert contents(main_job.folder / "another") == FILES


@pytest.mark.annex
@pytest.mark.server
@pytest.mark.parametrize(
    ("folder", "command"),
    [("my-data", "s3-setup local --bucket my-data"), ("a-clone", "s3-enable")],
)
def test_doing_it_again_changes_nothing(main_job: Place, folder: str, command: str) -> None:
    state = "git for-each-ref --format='%(refname) %(objectname)'; git config --local --list"
    before = main_job.run(state, folder)

    output = main_job.run(f"datalad -f json {command}", folder)

    records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert {record["status"] for record in records} == {"notneeded"}
    assert main_job.run(state, folder) == before


@pytest.mark.annex
@pytest.mark.server
def test_plain_git_annex_needs_no_datalad(annex: AnnexRepo, seaweed: Endpoint, tmp_path: Path) -> None:
    bucket = f"readme-{secrets.token_hex(6)}"
    script = commands("plain-git-annex")
    for placeholder, value in {
        "your-key": seaweed.access_key_id,
        "your-secret": seaweed.secret_access_key,
        "https://minio.example.org": seaweed.url,
        "bucket=my-data": f"bucket={bucket}",
    }.items():
        assert placeholder in script
        script = script.replace(placeholder, value)
    annex.add("a file", b"content")

    run(script, annex.path)

    clone = annex.clone(tmp_path / "clone")
    clone.use_keys(seaweed)
    question = clone.annex("enableremote", "store").stdout
    consent = re.search(r"git-annex verifyremote store --safe (\d+)", question)
    assert consent, question
    clone.annex("verifyremote", "store", "--safe", consent[1])
    clone.annex("get", "--from", "store", "a file")
    assert (clone.path / "a file").read_bytes() == b"content"


def test_providers_are_shown(tmp_path: Path) -> None:
    output = run(commands("providers"), tmp_path)

    assert "cloudflare-r2" in output
    assert "Wasabi" in output


def test_presets_in_the_table_exist() -> None:
    _, _, rest = README.partition("<!-- test: presets -->\n")
    table, _, _ = rest.partition("\n\n")

    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE))

    packaged = {path.stem for path in CHECKOUT.glob("datalad_s3ext/providers/data/*.toml")}
    assert len(named) == 13
    assert named - packaged == set()


def test_install_names_extras_that_exist() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "setup.cfg", encoding="utf-8")

    match = re.fullmatch(r"python3 -m pip install '\.\[([a-z,]+)\]'", commands("install"))

    assert match
    assert set(match[1].split(",")) <= set(parser["options.extras_require"])


def test_every_block_of_commands_is_tested() -> None:
    assert README.count("```console") == len(BLOCKS)
    assert set(BLOCKS) == {
        "install", "server", "main-job", "server-stop", "providers", "plain-git-annex",
    }  # fmt: skip


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")

    named = set(re.findall(r"`make ([a-z]+)", README))

    assert named == {"demo", "test", "docs"}
    assert named <= set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))


def test_every_command_is_named() -> None:
    modules = CHECKOUT.glob("datalad_s3ext/commands/s3_*.py")

    assert {path.stem.replace("_", "-") for path in modules} <= set(re.findall(r"\bs3-[a-z]+", README))


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"[`(]((?:[a-z/-]+/)?[A-Za-z_-]+\.(?:md|rst)|LICENSE)[`)]", README))

    assert {"CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"} <= named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


def test_the_smallest_preset_of_the_how_to_works(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "howto" / "add-a-preset.rst").read_text(encoding="utf-8")
    preset = re.search(r"\.\. code-block:: toml\n\n((?:    .*\n|\n)+)", page)
    folder = tmp_path / "datalad-s3ext" / "providers"
    folder.mkdir(parents=True)
    (folder / "our-lab.toml").write_text(preset[1].replace("\n    ", "\n").strip() + "\n")

    output = run("datalad s3-providers our-lab", tmp_path, XDG_CONFIG_HOME=str(tmp_path))

    assert "Object store of our lab" in output
