"""Jobs whose lines come mixed, and git-annex with fewer extensions: nobody gets what is another's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_annex import FakeAnnex
from tests.unit.remote.test_every_request import CONFIG, EXTENSIONS, MALFORMED, NO_KEYS, K

CONFIGURED = '[remote "wrong"]\n\ts3x-retries = nonsense\n[remote "s3x-test"]\n\ts3x-retries = 0\n'


@pytest.fixture
def annex(tmp_path: Path) -> Iterator[FakeAnnex]:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with (tmp_path / ".git" / "config").open("a") as config:
        config.write(CONFIGURED)
    with FakeAnnex(CONFIG, cwd=tmp_path, env=NO_KEYS) as found:
        yield found.start(f"{EXTENSIONS} ASYNC")


def lines_until(annex: FakeAnnex, last: str) -> list[str]:
    found = [annex.receive()]
    while found[-1] != last:
        found.append(annex.receive())
    return found


def test_two_jobs_in_the_middle_of_a_request_get_each_its_own_reply(annex: FakeAnnex) -> None:
    """Both wait for a reply; the second gets its own first, and a third job is served in between."""
    assert annex.ask("J 1 PREPARE") == "J 1 PREPARE-SUCCESS"
    annex.answers_questions = False
    annex.send("J 1 GETINFO")
    annex.send("J 2 GETINFO")
    questions = {annex.receive(), annex.receive()}
    assert questions == {"J 1 GETGITREMOTENAME", "J 2 GETGITREMOTENAME"}

    assert annex.ask("J 3 GETORDERED") == "J 3 ORDERED"
    annex.send("J 2 VALUE s3x-test")
    second = lines_until(annex, "J 2 INFOEND")
    annex.send("J 1 VALUE wrong")
    first = lines_until(annex, "J 1 INFOEND")

    assert all(line.startswith("J 2 ") for line in second)
    assert "J 2 INFOFIELD bucket" in second
    assert first[0] == "J 1 INFOFIELD problem"
    assert "nonsense" in first[1]


def test_a_reply_that_is_none_fails_its_own_job_and_the_waiting_one_asks_anew(annex: FakeAnnex) -> None:
    annex.answers_questions = False
    annex.send("J 1 PREPARE")
    annex.expect("J 1 GETCONFIG provider")
    annex.send("J 2 PREPARE")

    annex.send("J 1 NONSENSE")

    answers = {annex.receive(), annex.receive()}
    assert "J 2 GETCONFIG provider" in answers
    (failure,) = answers - {"J 2 GETCONFIG provider"}
    assert failure.startswith("J 1 PREPARE-FAILURE ")
    annex.answers_questions = True
    annex.send("J 2 VALUE other")
    annex.expect("J 2 PREPARE-SUCCESS")


def test_a_reply_to_no_question_is_refused_and_does_not_reach_who_waits(annex: FakeAnnex) -> None:
    assert annex.ask("J 1 PREPARE") == "J 1 PREPARE-SUCCESS"
    annex.answers_questions = False
    annex.send("J 1 GETINFO")
    annex.expect("J 1 GETGITREMOTENAME")

    assert annex.ask("J 2 VALUE wrong") == "J 2 UNSUPPORTED-REQUEST"
    assert annex.ask("VALUE wrong") == "UNSUPPORTED-REQUEST"
    annex.send("J 1 VALUE s3x-test")

    assert "J 1 INFOFIELD problem" not in lines_until(annex, "J 1 INFOEND")


def test_each_job_has_names_of_its_own(annex: FakeAnnex) -> None:
    for line in ("J 1 EXPORT one", "J 2 EXPORT two", "J 3 IMPORT three"):
        annex.send(line)

    assert annex.ask(f"J 4 REMOVEEXPORT {K}") == "J 4 UNSUPPORTED-REQUEST"
    assert annex.ask(f"J 3 REMOVEEXPORT {K}") == "J 3 UNSUPPORTED-REQUEST"
    assert annex.ask("J 2 RETRIEVEIMPORT f") == "J 2 UNSUPPORTED-REQUEST"
    annex.send("J 3 IMPORT three")
    assert annex.ask("J 3 RETRIEVEIMPORT f").startswith("J 3 RETRIEVEIMPORT-FAILURE ")
    assert annex.ask(f"J 1 REMOVEEXPORT {K}").startswith(f"J 1 REMOVE-FAILURE {K} ")


def test_what_is_malformed_is_refused_to_its_own_job(annex: FakeAnnex) -> None:
    lines = [line for line in MALFORMED if line]
    for job, line in enumerate(lines):
        annex.send(f"J {job} {line}")

    answers = {annex.receive() for _ in lines}

    assert answers == {f"J {job} UNSUPPORTED-REQUEST" for job in range(len(lines))}
    assert annex.ask("J 1 GETORDERED") == "J 1 ORDERED"


# -- extensions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        *((name, f" {name}") for name in (*EXTENSIONS.split(), "ASYNC")),
        ("", ""),
        ("DELEGATE CHECKPRESENT-URL info", ""),
        ("  IMPORTKEY  INFO INFO ", " INFO IMPORTKEY"),
    ],
)
def test_extensions_are_agreed_on_one_by_one(tmp_path: Path, offered: str, agreed: str) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.expect("VERSION 2")

        assert annex.ask(f"EXTENSIONS {offered}") == f"EXTENSIONS{agreed}"

        job = "J 1 " if offered == "ASYNC" else ""
        assert annex.ask(f"{job}PREPARE") == f"{job}PREPARE-SUCCESS"
        assert annex.asked.count("GETGITREMOTENAME") == 0


@pytest.mark.parametrize(
    ("extension", "answer"), [("UNAVAILABLERESPONSE", "UNAVAILABLE"), ("", "LOCAL")]
)
def test_a_stopped_server_is_unavailable_where_git_annex_knows_the_word(
    tmp_path: Path, extension: str, answer: str
) -> None:
    env = {"S3EXT_SERVER_HOME": str(tmp_path / "none")}
    with FakeAnnex({"provider": "local", "bucket": "some-bucket"}, cwd=tmp_path, env=env) as annex:
        annex.start(extension or "INFO")

        assert annex.ask("GETAVAILABILITY") == f"AVAILABILITY {answer}"


@pytest.mark.parametrize("extension", ["", "GETGITREMOTENAME"])
def test_the_name_of_the_remote_is_asked_for_only_where_that_is_known(
    tmp_path: Path, extension: str
) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path, env=NO_KEYS) as annex:
        annex.start(extension or "INFO")

        annex.ask(f"CHECKPRESENT {K}")

        assert ("GETGITREMOTENAME" in annex.asked) == bool(extension)
