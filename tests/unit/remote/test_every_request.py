"""Every request of git-annex, answered under its name, also when nothing can be reached."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.support.fake_annex import FakeAnnex
from tests.unit.remote.test_protocol_page import REQUESTS

CONFIG = {
    "provider": "other", "endpoint": "http://127.0.0.1:1", "bucket": "some-bucket",
    "encryption": "none",
}  # fmt: skip
NO_KEYS = {"AWS_ACCESS_KEY_ID": "only-half"}
"""What needs the store fails at once: nothing is sent with these, and nobody listens at port 1."""
K = f"SHA256E-s1--{'0' * 64}"
EXTENSIONS = "INFO GETGITREMOTENAME UNAVAILABLERESPONSE TRANSFER-RETRIEVE-URL IMPORTKEY"

ANSWERS = [
    (["INITREMOTE"], "INITREMOTE-FAILURE "),
    (["PREPARE"], "PREPARE-SUCCESS"),
    (["TRANSFER STORE {K} f"], "TRANSFER-FAILURE STORE {K} "),
    (["TRANSFER RETRIEVE {K} a file"], "TRANSFER-FAILURE RETRIEVE {K} "),
    (["CHECKPRESENT {K}"], "CHECKPRESENT-UNKNOWN {K} "),
    (["REMOVE {K}"], "REMOVE-FAILURE {K} "),
    (["LISTCONFIGS"], "CONFIG "),
    (["GETCOST"], "COST 175"),
    (["GETORDERED"], "ORDERED"),
    (["GETAVAILABILITY"], "AVAILABILITY LOCAL"),
    (["CLAIMURL s3://some-bucket/x"], "CLAIMURL-SUCCESS"),
    (["CLAIMURL https://example.org/x"], "CLAIMURL-FAILURE"),
    (["CHECKURL s3://some-bucket/x"], "CHECKURL-FAILURE "),
    (["WHEREIS {K}"], "WHEREIS-FAILURE"),
    (["GETINFO"], "INFOFIELD "),
    (["EXPORTSUPPORTED"], "EXPORTSUPPORTED-SUCCESS"),
    (["EXPORT a name", "TRANSFEREXPORT STORE {K} f"], "TRANSFER-FAILURE STORE {K} "),
    (["EXPORT n", "TRANSFEREXPORT RETRIEVE {K} f"], "TRANSFER-FAILURE RETRIEVE {K} "),
    (["EXPORT n", "CHECKPRESENTEXPORT {K}"], "CHECKPRESENT-UNKNOWN {K} "),
    (["EXPORT n", "REMOVEEXPORT {K}"], "REMOVE-FAILURE {K} "),
    (["EXPORT n", "RENAMEEXPORT {K} a new name"], "RENAMEEXPORT-FAILURE {K}"),
    (["REMOVEEXPORTDIRECTORY d"], "REMOVEEXPORTDIRECTORY-SUCCESS"),
    (["IMPORTSUPPORTED"], "IMPORTSUPPORTED-SUCCESS"),
    (["LISTIMPORTABLECONTENTS"], "LISTIMPORTABLECONTENTS-FAILURE "),
    (["IMPORT a name", "RETRIEVEIMPORT f"], "RETRIEVEIMPORT-FAILURE "),
    (["IMPORT n", "CHECKPRESENTIMPORT {K}"], "CHECKPRESENT-UNKNOWN {K} "),
    (["IMPORT n", "IMPORTKEY 3 an identifier"], "IMPORTKEY-FAILURE "),
    (["ERROR something", "GETORDERED"], "ORDERED"),
    (["SOMETHINGNEW x"], "UNSUPPORTED-REQUEST"),
]
SEVERAL_LINES = {"CONFIG ": "CONFIGEND", "INFOFIELD ": "INFOEND"}

MALFORMED = [
    "", " ", "J", "J 1", "J x PREPARE", "J -1 PREPARE", "PREPARE ", "PREPARE x", "INITREMOTE x",
    "TRANSFER", "TRANSFER STORE", "TRANSFER STORE k", "TRANSFER store k f", "TRANSFER RETRIEVE k",
    "CHECKPRESENT", "CHECKPRESENT a b", "REMOVE", "REMOVE a b", "WHEREIS", "WHEREIS a b", "CLAIMURL",
    "CHECKURL", "GETCOST x", "GETORDERED x", "GETAVAILABILITY x", "GETINFO x", "LISTCONFIGS x",
    "EXPORTSUPPORTED x", "TRANSFEREXPORT STORE k f", "CHECKPRESENTEXPORT k", "REMOVEEXPORT k",
    "RENAMEEXPORT k n", "REMOVEEXPORTDIRECTORY", "RETRIEVEIMPORT f", "CHECKPRESENTIMPORT k",
    "IMPORTKEY 3 c", "IMPORTSUPPORTED x", "LISTIMPORTABLECONTENTS x", "VALUE x", "VALUE", "EXTENSIONS",
    "VERSION 1", "UNSUPPORTED-REQUEST", "\udcff\udcfe", "\0", "do_PREPARE", "__class__", "x" * 100_000,
]  # fmt: skip

MALFORMED_AFTER_A_NAME = {
    "EXPORT n": [
        "TRANSFEREXPORT", "TRANSFEREXPORT STORE", "TRANSFEREXPORT STORE k", "TRANSFEREXPORT FLY k f",
        "CHECKPRESENTEXPORT", "CHECKPRESENTEXPORT ", "CHECKPRESENTEXPORT a b", "REMOVEEXPORT",
        "REMOVEEXPORT ", "REMOVEEXPORT a b", "RENAMEEXPORT", "RENAMEEXPORT k", "RENAMEEXPORT k ",
        "RENAMEEXPORT  n", "RETRIEVEIMPORT f", "EXPORTED",
    ],
    "IMPORT n": [
        "IMPORTKEY", "IMPORTKEY 3", "IMPORTKEY 3 ", "IMPORTKEY x c", "IMPORTKEY -3 c", "IMPORTKEY ³ c",
        "RETRIEVEIMPORT", "RETRIEVEIMPORT ", "CHECKPRESENTIMPORT", "CHECKPRESENTIMPORT ",
        "CHECKPRESENTIMPORT a b", "REMOVEEXPORT k", "IMPORTED",
    ],
}  # fmt: skip


@pytest.fixture
def annex(tmp_path: Path) -> FakeAnnex:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with (tmp_path / ".git" / "config").open("a") as config:
        config.write('[remote "s3x-test"]\n\ts3x-retries = 0\n')
    return FakeAnnex(CONFIG, cwd=tmp_path, env=NO_KEYS)


def test_the_table_knows_every_request() -> None:
    asked = {line.split(" ")[0] for lines, _ in ANSWERS for line in lines}

    assert asked | {"EXTENSIONS"} >= REQUESTS


def test_each_is_answered_one_after_the_other(annex: FakeAnnex) -> None:
    with annex:
        annex.start(EXTENSIONS)
        for lines, beginning in ANSWERS:
            for line in lines:
                annex.send(line.format(K=K))
            answer = annex.receive()

            assert is_it(answer, beginning.format(K=K)), (lines, answer)
            if beginning in SEVERAL_LINES:
                while annex.receive() != SEVERAL_LINES[beginning]:
                    pass


def test_all_are_answered_side_by_side(annex: FakeAnnex) -> None:
    """In any order, with the questions of all jobs in between, and none mistaken for another's."""
    jobs = [found for found in ANSWERS if found[1] not in SEVERAL_LINES]
    lines = [(number, line) for number, (asked, _) in enumerate(jobs, 1) for line in asked]
    order = random.Random(7)
    with annex:
        annex.start(f"{EXTENSIONS} ASYNC")
        while lines:
            number, _ = order.choice(lines)
            found = next(entry for entry in lines if entry[0] == number)  # a job's own stay in order
            lines.remove(found)
            annex.send(f"J {number} {found[1].format(K=K)}")
        answers = {}
        for _ in jobs:
            _, number_text, message = annex.receive().split(" ", 2)
            assert number_text not in answers
            answers[number_text] = message

    for number, (asked, beginning) in enumerate(jobs, 1):
        assert is_it(answers[str(number)], beginning.format(K=K)), (asked, answers[str(number)])


def test_what_is_malformed_is_refused_and_the_next_is_answered(annex: FakeAnnex) -> None:
    with annex:
        annex.start(EXTENSIONS)
        for line in MALFORMED:
            answer = annex.ask(line)

            assert answer == "UNSUPPORTED-REQUEST", (line[:80], answer)
            assert annex.ask("GETORDERED") == "ORDERED"


@pytest.mark.parametrize(("name", "requests"), MALFORMED_AFTER_A_NAME.items())
def test_a_name_makes_what_is_malformed_no_better(
    annex: FakeAnnex, name: str, requests: list[str]
) -> None:
    with annex:
        annex.start(EXTENSIONS)
        for line in requests:
            annex.send(name)

            assert annex.ask(line) == "UNSUPPORTED-REQUEST", line


def test_a_name_holds_for_one_request_only(annex: FakeAnnex) -> None:
    with annex:
        annex.start(EXTENSIONS)
        for lines in (["EXPORT n", "GETORDERED", f"REMOVEEXPORT {K}"],
                      ["EXPORT n", "nonsense", f"REMOVEEXPORT {K}"],
                      ["IMPORT n", "GETORDERED", "RETRIEVEIMPORT f"],
                      ["EXPORT n", "RETRIEVEIMPORT f"], ["IMPORT n", f"REMOVEEXPORT {K}"],
                      ["EXPORT n", "EXPORT", f"REMOVEEXPORT {K}"]):  # fmt: skip
            for line in lines[:-1]:
                annex.send(line)
                if not line.startswith(("EXPORT", "IMPORT")):
                    annex.receive()

            assert annex.ask(lines[-1]) == "UNSUPPORTED-REQUEST", lines


@pytest.mark.parametrize("reply", ["NONSENSE", "", "VALUE", "CREDS a b", "J 1 VALUE x", "ERROR no"])
def test_a_reply_that_is_none_is_a_failure_of_the_request(tmp_path: Path, reply: str) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start(EXTENSIONS)
        annex.answers_questions = False
        annex.send("PREPARE")
        annex.expect("GETCONFIG provider")

        annex.send(reply)
        answer = annex.receive()
        while answer.startswith("GETCONFIG "):  # "VALUE" alone is an answer: there is none
            answer = annex.ask("VALUE")

        assert answer.startswith(("PREPARE-FAILURE ", "UNSUPPORTED-REQUEST")), answer


def is_it(answer: str, beginning: str) -> bool:
    """Tell whether an answer is as it should be; a reason, where one belongs, is not empty."""
    if beginning.endswith(" "):
        return answer.startswith(beginning) and len(answer) > len(beginning)
    return answer == beginning
