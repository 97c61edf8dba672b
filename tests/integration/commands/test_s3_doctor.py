"""``datalad s3-doctor``: what is examined, with whose keys, and what is told, mended and kept."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext import places, server
from datalad_s3ext.doctor.report import FIRST_LINE
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.annex import confirm
from tests.integration.commands.helpers import QUIET, objects, setup, state
from tests.support.certificates import Authority
from tests.support.faults import Answer, s3_error
from tests.support.fronts import TlsFront
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]

ALLOWED = "annex.security.allowed-ip-addresses"


def examine(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """Run s3-doctor and return its records."""
    from datalad_s3ext.commands.s3_doctor import S3Doctor

    found: list[dict[str, Any]] = S3Doctor()(*arguments, **{**QUIET, **options})
    return found


def by_stage(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["stage"]: record for record in records}


def watching(relay: Relay) -> list[Request]:
    """Return a list that fills with all requests."""
    sent: list[Request] = []

    def note(request: Request) -> bool:
        sent.append(request)
        return False

    relay.answer(note, Answer(200))
    return sent


@pytest.fixture
def no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "nothing"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a local server, which is stopped in the end."""
    home = tmp_path / "server"
    with monkeypatch.context() as patch:
        patch.setenv("S3EXT_SERVER_HOME", str(home))
        yield home
        server.stop(home, grace_s=0)


def test_the_local_server_is_started_by_fix_and_examined(own_server: Path, no_dataset: Path) -> None:
    (record,) = examine("local")
    assert (record["status"], record["stage"]) == ("error", "settings")
    assert "--fix does it" in record["message"]

    stages = by_stage(examine("local", fix=True))

    assert server.status(own_server) is not None
    assert stages["signature"]["status"] == "ok"
    assert stages["bucket"]["finding"] == "skipped"
    assert by_stage(examine("local", fix=True))["settings"]["text"].startswith("http")


def test_a_sibling_is_examined_with_its_own_keys(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(annex, keys, new_bucket, prefix="p")
    before, stored = state(annex), objects(keys, new_bucket)
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")

        records = examine("s3", dataset=str(annex.path))

    stages = by_stage(records)
    assert {record["status"] for record in records} == {"ok"}
    assert "git-annex's own store" in stages["credentials"]["text"]
    assert "keeps the content of s3" in stages["marker"]["text"]
    assert stages["delete"]["finding"] == "ok"
    assert stages["put"]["name"] == "s3"
    assert stages["put"]["bucket"] == new_bucket
    assert state(annex) == before
    assert objects(keys, new_bucket) == stored
    assert keys.secret_access_key not in json.dumps(records, default=str)


def test_without_a_name_all_siblings_are_examined(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, prefix="a", name="first")
    setup(annex, keys, new_bucket, prefix="b", name="second")

    records = examine(dataset=str(annex.path))

    assert {record["name"] for record in records} == {"first", "second"}


def test_keys_do_not_go_where_a_clone_says(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    with Relay(keys.url) as relay:
        setup(annex, keys.at(relay.url), new_bucket)
        copy = annex.clone(tmp_path / "clone")
        sent = watching(relay)

        records = examine("s3", dataset=str(copy.path))

        assert sent
        assert not any("authorization" in request.headers for request in sent)
    stages = by_stage(records)
    assert stages["s3"]["finding"] == "ok"
    assert records[-1]["stage"] == "credentials"
    assert records[-1]["status"] == "error"
    assert "datalad s3-enable -s s3 --dry-run" in records[-1]["message"]


def test_nor_where_a_change_that_came_in_later_says(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """Somebody who may push moves the place of a sibling that this clone uses."""
    from tests.integration.commands.helpers import enable

    setup(annex, keys, new_bucket)
    copy = annex.clone(tmp_path / "clone")
    enable(copy)
    with Relay(keys.url) as relay:
        annex.use_keys(keys)
        # git-annex notes whole seconds: of two changes in one, either may count
        later = {"GIT_ANNEX_VECTOR_CLOCK": str(int(time.time()) + 60)}
        annex.annex("enableremote", "s3", f"endpoint={relay.url}", env=later)
        copy.run("git", "fetch", "-q", "origin")
        copy.annex("merge")
        sent = watching(relay)

        records = examine("s3", dataset=str(copy.path))

        assert not any("authorization" in request.headers for request in sent)
    assert records[-1]["stage"] == "credentials"
    assert records[-1]["status"] == "error"


def test_nor_where_a_preset_of_the_data_set_says(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = annex.path / ".datalad" / "s3-providers"
    folder.mkdir(parents=True)
    authority = Authority(tmp_path)
    certificate = authority.issue("localhost")
    options = {"dataset": str(annex.path), "bucket": new_bucket}
    with (
        Relay(keys.url) as relay,
        TlsFront(relay.url, certificate) as front,
        monkeypatch.context() as patch,
    ):
        patch.setenv("AWS_CA_BUNDLE", str(authority.file))
        (folder / "club.toml").write_text(
            f'id = "club"\nname = "Club"\nkind = "academic"\n[endpoint]\ndefault = "{front.url}"\n'
            '[evidence]\nchecked = "2026-11-22"\nconfidence = "low"\n'
        )
        sent = watching(relay)

        records = examine("club", **options)

        assert sent
        assert not any("authorization" in request.headers for request in sent)
        chosen = examine("club", **options, endpoint=front.url)
    assert records[-1]["stage"] == "credentials"
    assert f"--endpoint {front.url}" in records[-1]["message"]
    assert by_stage(chosen)["put"]["finding"] == "ok"


def test_the_bucket_of_another_sibling_is_told(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket)
    boto3_client(keys).put_object(
        Bucket=new_bucket, Key="annex-uuid", Body=b"7880a225-1bc6-4012-8f21-f4b877be1b6b"
    )

    records = examine("s3", dataset=str(annex.path))

    assert records[-1]["stage"] == "marker"
    assert "another special remote" in records[-1]["message"]


def test_a_sibling_that_is_only_imported_from_is_not_written_to(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    boto3_client(keys).put_object(Bucket=new_bucket, Key="file", Body=b"1")
    with Relay(keys.url) as relay:
        annex.init_s3x(keys.at(relay.url), new_bucket)
        log = annex.run("git", "show", "git-annex:remote.log").stdout
        changed = log.replace(" name=s3", " importtree=yes name=s3")
        _rewrite_remote_log(annex, changed)
        confirm(annex.path, "s3")
        relay.requests.clear()

        records = examine("s3", dataset=str(annex.path))

    assert {method for method, _ in relay.requests} <= {"GET", "HEAD"}
    assert by_stage(records)["get"]["finding"] == "ok"
    assert by_stage(records)["put"]["finding"] == "skipped"


def _rewrite_remote_log(annex: AnnexRepo, text: str) -> None:
    """Change remote.log behind git-annex's back, as a merge from elsewhere does."""
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=annex.path, input=text, text=True,
        capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip
    tree = annex.run("git", "ls-tree", "git-annex").stdout.splitlines()
    rows = [row for row in tree if not row.endswith("\tremote.log")]
    rows.append(f"100644 blob {blob}\tremote.log")
    made = subprocess.run(
        ["git", "mktree"], cwd=annex.path, input="\n".join(rows) + "\n", text=True,
        capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip
    commit = annex.run("git", "commit-tree", "-p", "git-annex", "-m", "x", made).stdout.strip()
    annex.run("git", "update-ref", "refs/heads/git-annex", commit)


def test_built_in_s3_on_this_machine_is_allowed_by_fix(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, remote_type="S3")
    remotes.set_local(annex.path, ALLOWED, None)

    before = examine("s3", dataset=str(annex.path))
    assert any(ALLOWED in record["message"] and record["finding"] == "warning" for record in before)
    after = examine("s3", dataset=str(annex.path), fix=True)

    assert any("mended" in record["message"] for record in after)
    assert keys.url.rpartition(":")[2] in (remotes.get_local(annex.path, ALLOWED) or "")


def test_a_credential_that_was_asked_for_is_stored_once_it_proved_good(
    keys: Endpoint, new_bucket: str, no_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datalad.ui
    from datalad.support.keyring_ import keyring

    secrets = ["wrong", keys.secret_access_key]

    class Person:
        is_interactive = True

        def question(self, text: str, *, hidden: bool = False, **_: object) -> str | None:
            if "key_id" in text:
                return keys.access_key_id
            return secrets.pop(0) if "secret_id" in text else None

        def message(self, *_: object, **__: object) -> None:
            pass

    options = {"endpoint": keys.url, "bucket": new_bucket, "credential": new_bucket}
    with monkeypatch.context() as patch:
        patch.setattr(datalad.ui, "ui", Person())
        patch.setattr("datalad.downloaders.credentials.ui", Person())
        refused = examine("other", **options)
        assert refused[-1]["stage"] == "signature"
        assert keyring.get(new_bucket, "key_id") is None

        records = examine("other", **options)

    assert by_stage(records)["put"]["finding"] == "ok"
    assert keyring.get(new_bucket, "secret_id") == keys.secret_access_key


def test_an_address_alone_is_enough(keys: Endpoint, new_bucket: str, no_dataset: Path) -> None:
    records = examine(endpoint=keys.url, bucket=new_bucket)

    assert records[0]["provider"] == "other"
    assert by_stage(records)["put"]["finding"] == "ok"


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        (None, {}, "there is nothing to examine"),
        ("nobody", {}, "'nobody' is neither a sibling on S3 nor a provider"),
        ("other", {}, "--endpoint URL"),
        ("other", {"endpoint": "https://a b"}, "characters that no URL has"),
        ("other", {"endpoint": "https://h", "settings": ["regin=x"]}, "'regin' is neither"),
        ("other", {"endpoint": "https://h", "bucket": "s3://b/p"}, "the name only"),
        ("other", {"endpoint": "https://h", "anonymous": True, "profile": "p"}, "exclude each other"),
    ],
    ids=str,
)
def test_words_that_make_no_sense(
    target: str | None, options: dict[str, Any], expected: str, no_dataset: Path
) -> None:
    (record,) = examine(target, **options)

    assert record["status"] == "error"
    assert expected in record["message"]


def test_a_sibling_with_words_for_a_provider_is_explained(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket)

    (record,) = examine("s3", bucket="another", dataset=str(annex.path))

    assert record["status"] == "error"
    assert "'s3' is a sibling" in record["message"]


def test_a_bucket_without_the_marker_of_the_sibling(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket)
    boto3_client(keys).delete_object(Bucket=new_bucket, Key="annex-uuid")

    marker = by_stage(examine("s3", dataset=str(annex.path)))["marker"]

    assert marker["finding"] == "warning"
    assert "git annex fsck --fast --from s3" in marker["remedy"]


def test_a_report_has_everything_but_secrets(
    keys: Endpoint, new_bucket: str, no_dataset: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = no_dataset / "report.txt"
    token = "FwoGZXIvYXdzEXAMPLE+token/with=signs"
    said = f"no {keys.secret_access_key} {token} AKIAIOSFODNN7EXAMPLE {own_home}/x"
    with Relay(keys.url) as relay, monkeypatch.context() as patch:
        patch.setenv("AWS_SESSION_TOKEN", token)
        relay.answer(
            lambda request: "authorization" in request.headers, s3_error(400, "Odd", said), 100
        )
        records = examine("other", endpoint=relay.url, bucket=new_bucket, report=str(file))

    text = file.read_text("utf-8")
    assert records[-1]["stage"] == "report"
    assert f"bucket     {new_bucket}" in text
    assert "boto3 " in text
    assert "XX" in text
    for hidden in (keys.secret_access_key, token, "AKIAIOSFODNN7EXAMPLE", str(own_home)):
        assert hidden not in text
    assert keys.secret_access_key not in json.dumps(records, default=str)


def test_a_report_replaces_only_a_report(keys: Endpoint, no_dataset: Path) -> None:
    data, old = no_dataset / "data.csv", no_dataset / "old.txt"
    data.write_text("1,2\n")
    old.write_text(f"{FIRST_LINE}\nold\n")

    refused = examine("other", endpoint=keys.url, report=str(data))
    examine("other", endpoint=keys.url, report=str(old))

    assert "is no report" in refused[-1]["message"]
    assert data.read_text() == "1,2\n"
    assert "old\n" not in old.read_text("utf-8")


def test_what_was_measured_is_kept(
    keys: Endpoint, new_bucket: str, no_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(no_dataset))
        records = examine("other", endpoint=keys.url, bucket=new_bucket, save=True)
        (file,) = places.measured_services().glob("*.toml")

    assert str(file) in records[-1]["message"]


def test_people_see_a_line_for_each_stage_and_what_to_do(keys: Endpoint, no_dataset: Path) -> None:
    command = ["datalad", "s3-doctor", "other", "--endpoint", keys.url, "--bucket", "no-such-bucket"]

    seen = subprocess.run(command, capture_output=True, text=True, check=False)
    for_programs = subprocess.run(
        ["datalad", "-f", "json", *command[1:]], capture_output=True, text=True, check=False
    )

    assert seen.returncode == for_programs.returncode == 1
    assert "  ok  tcp " in seen.stdout
    assert "  XX  bucket " in seen.stdout
    assert "-> check its name and region; datalad s3-setup creates it" in seen.stdout
    assert "Traceback" not in seen.stderr
    records = [json.loads(line) for line in for_programs.stdout.splitlines()]
    assert [record["stage"] for record in records][-1] == "bucket"
    assert records[-1]["facts"]["error"] == 26
