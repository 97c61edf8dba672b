"""The program as git-annex sees it, before anything is sent to a store."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_annex import PROGRAM, FakeAnnex

CONFIG = {"provider": "other", "endpoint": "http://127.0.0.1:1", "bucket": "b"}
ALL = "INFO GETGITREMOTENAME UNAVAILABLERESPONSE ASYNC"


def test_it_uses_only_extensions_that_both_sides_know(tmp_path: Path) -> None:
    with FakeAnnex(cwd=tmp_path) as annex:
        annex.expect("VERSION 2")

        answer = annex.ask("EXTENSIONS INFO TRANSFER-RETRIEVE-URL ASYNC SOMETHINGNEW")

        assert answer == "EXTENSIONS INFO TRANSFER-RETRIEVE-URL ASYNC"


def test_nothing_heavy_is_imported_before_the_store_is_needed(tmp_path: Path) -> None:
    log = tmp_path / "imports"
    with FakeAnnex(CONFIG, cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"}, stderr=log) as annex:
        annex.start()
        assert annex.ask("LISTCONFIGS").startswith("CONFIG accelerate ")
        while annex.receive() != "CONFIGEND":
            pass
        assert annex.ask("EXPORTSUPPORTED") == "EXPORTSUPPORTED-SUCCESS"
        assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
        assert annex.ask("GETCOST") == "COST 175"
        assert annex.ask("GETAVAILABILITY") == "AVAILABILITY LOCAL"
        annex.hang_up()

    imported = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert "datalad_s3ext.remote.handlers" in imported
    assert {name.partition(".")[0] for name in imported} & {
        "boto3",
        "botocore",
        "datalad",
        "git",
    } == set()


def test_listconfigs_never_names_what_git_annex_reserves(tmp_path: Path) -> None:
    with FakeAnnex(cwd=tmp_path) as annex:
        annex.start()
        line, names = annex.ask("LISTCONFIGS"), []
        while line != "CONFIGEND":
            match = re.fullmatch(r"CONFIG ([a-z-]+) \S.*", line)
            assert match, line
            names.append(match[1])
            line = annex.receive()

    assert {"bucket", "provider", "endpoint", "host", "fileprefix", "partsize"} <= set(names)
    assert not {"versioning", "encryption", "chunk", "autoenable", "exporttree"} & set(names)


@pytest.mark.parametrize(
    "request_line",
    ["FROBNICATE x", "", "TRANSFER", "TRANSFER STORE", "TRANSFER FLY k f", "PREPARE x y", "do_PREPARE"],
)
def test_what_it_does_not_understand_is_refused_and_it_goes_on(
    tmp_path: Path, request_line: str
) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start()

        assert annex.ask(request_line) == "UNSUPPORTED-REQUEST"
        assert annex.ask("GETORDERED") == "ORDERED"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["bucket is not set", "bucket=NAME"]),
        ({"bucket": "b", "partsize": "big"}, ["partsize='big'", "8MiB"]),
        ({"bucket": "b", "requeststyle": "odd"}, ["requeststyle='odd'", "path or virtual"]),
        ({"bucket": "b", "port": "9000"}, ["without host"]),
        ({"bucket": "b", "host": "h", "port": "nine"}, ["port='nine'"]),
        ({"bucket": "b", "host": "h", "protocol": "ftp"}, ["protocol='ftp'"]),
    ],
)
def test_wrong_parameters_are_named_with_a_remedy(
    tmp_path: Path, config: dict[str, str], words: list[str]
) -> None:
    with FakeAnnex(config, cwd=tmp_path) as annex:
        annex.start()

        answer = annex.ask("PREPARE")

    assert answer.startswith("PREPARE-FAILURE ")
    assert all(word in answer for word in words), answer


def test_jobs_are_answered_side_by_side_each_under_its_number(tmp_path: Path) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start(ALL)

        for job in range(1, 9):
            annex.send(f"J {job} GETORDERED")
        answers = {annex.receive() for _ in range(8)}

        assert answers == {f"J {job} ORDERED" for job in range(1, 9)}
        assert annex.ask("J 2 PREPARE") == "J 2 PREPARE-SUCCESS"


def test_a_failing_job_answers_for_itself_and_the_others_go_on(tmp_path: Path) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path, env={"AWS_ACCESS_KEY_ID": "only-half"}) as annex:
        annex.start(ALL)

        failed = annex.ask("J 1 CHECKPRESENT SHA256E-s1--x")

        assert failed.startswith("J 1 CHECKPRESENT-UNKNOWN SHA256E-s1--x ")
        assert "AWS_SECRET_ACCESS_KEY" in failed
        assert annex.ask("J 2 GETORDERED") == "J 2 ORDERED"


def test_it_ends_when_git_annex_hangs_up_in_the_middle_of_a_question(tmp_path: Path) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start(ALL)
        annex.answers_questions = False
        annex.send("J 1 PREPARE")
        annex.expect("J 1 GETCONFIG provider")

        assert annex.hang_up() == 0


def test_an_error_of_git_annex_is_not_thrown_back(tmp_path: Path) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start()
        annex.send("ERROR something is wrong")

        assert annex.ask("GETORDERED") == "ORDERED"


def test_no_request_goes_without_an_answer(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with FakeAnnex(CONFIG, cwd=folder) as annex:
        annex.start(ALL)
        shutil.rmtree(folder)

        assert annex.ask("J 1 GETAVAILABILITY").startswith("J 1 ")
        assert annex.ask("J 1 TRANSFEREXPORT STORE k f") == "J 1 UNSUPPORTED-REQUEST"
        assert annex.ask("J 1 GETORDERED") == "J 1 ORDERED"


def test_started_by_hand_it_says_what_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--help"], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert "git annex initremote" in done.stdout
    assert "datalad s3-setup" in done.stdout


def test_a_checkout_runs_without_being_installed(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[3] / "git-annex-remote-s3x"

    done = subprocess.run(
        [sys.executable, checkout],
        input=b"EXTENSIONS INFO\n",
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )

    assert done.stdout == b"VERSION 2\nEXTENSIONS INFO\n"
