"""Requests of an exported tree that are answered without asking a store, and refused names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.remote.layout import Layout
from tests.support.fake_annex import FakeAnnex

NOBODY = "http://127.0.0.1:1"
CONFIG = {"provider": "other", "endpoint": NOBODY, "bucket": "b", "exporttree": "yes"}
ALL = "INFO GETGITREMOTENAME UNAVAILABLERESPONSE ASYNC"
KEY = "MD5-s1--0cc175b9c0f1b6a831c399e269772661"
UNSUPPORTED = "UNSUPPORTED-REQUEST"


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[FakeAnnex]:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        yield annex.start()


KEPT = ["a", "a/b", " a ", "a\r", "a\tb", "ü/日本", ".hidden/x", "...", "a.", "..a/b..", "annex-uuid.txt",
        "sub/annex-uuid", ".git/annex/objects/ab/cd/K/K", "\\", "%2F", "x" * 1024]  # fmt: skip
REFUSED = {
    "": "empty",
    "/a": "empty",
    "a/": "empty",
    "a//b": "empty",
    ".": "empty, . or ..",
    "./a": "empty, . or ..",
    "a/../b": "empty, . or ..",
    "a/..": "empty, . or ..",
    "n\udcff": "not UTF-8",
    "x" * 1025: "1025 bytes",
    "ü" * 513: "1026 bytes",
    "annex-uuid": "UUID",
}


@pytest.mark.parametrize("name", KEPT)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert Layout().of_export_name(name) == name
    if len(name) < 1000:
        assert Layout("p/q").of_export_name(name) == f"p/q{name}"


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_name_that_no_object_can_have_is_refused(name: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason) as caught:
        Layout().of_export_name(name)
    assert str(caught.value).isprintable()


def test_the_prefix_counts() -> None:
    with pytest.raises(Unsupported, match="1026 bytes, and S3 allows 1024"):
        Layout("pre").of_export_name("x" * 1023)
    assert Layout("pre/").of_export_name("annex-uuid.") == "pre/annex-uuid."
    with pytest.raises(Unsupported, match="UUID"):
        Layout("pre/").of_export_name("annex-uuid")


@pytest.mark.parametrize("name", ["../up", "annex-uuid", "n\udcff", "a//b", "x" * 1025])
def test_what_can_never_be_stored_is_refused_absent_and_removed(remote: FakeAnnex, name: str) -> None:
    def ask(request: str) -> str:
        remote.send(f"EXPORT {name}")
        return remote.ask(request)

    refused = ask(f"TRANSFEREXPORT STORE {KEY} some file")
    assert refused.startswith(f"TRANSFER-FAILURE STORE {KEY} the file name ")
    assert refused.endswith("; rename the file and export again")
    assert ask(f"TRANSFEREXPORT RETRIEVE {KEY} f").startswith(f"TRANSFER-FAILURE RETRIEVE {KEY} the fi")
    assert ask(f"CHECKPRESENTEXPORT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"
    assert ask(f"REMOVEEXPORT {KEY}") == f"REMOVE-SUCCESS {KEY}"
    assert ask(f"RENAMEEXPORT {KEY} new") == UNSUPPORTED


def test_a_new_name_that_is_refused_makes_git_annex_store_it_and_hear_why(remote: FakeAnnex) -> None:
    remote.send("EXPORT good")

    assert remote.ask(f"RENAMEEXPORT {KEY} annex-uuid") == UNSUPPORTED


def test_a_remote_that_cannot_be_reached_says_neither_yes_nor_no(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a")
    with FakeAnnex({**CONFIG, "signature": "anonymous"}, cwd=tmp_path) as annex:
        annex.start()

        def ask(request: str) -> str:
            annex.send("EXPORT f")
            return annex.ask(request)

        assert ask(f"CHECKPRESENTEXPORT {KEY}").startswith(f"CHECKPRESENT-UNKNOWN {KEY} cannot ")


def test_export_itself_has_no_answer(remote: FakeAnnex) -> None:
    remote.send("EXPORT a")

    assert remote.ask("EXPORTSUPPORTED") == "EXPORTSUPPORTED-SUCCESS"


def test_directories_are_nothing_to_remove(remote: FakeAnnex) -> None:
    assert remote.ask("REMOVEEXPORTDIRECTORY a b/c") == "REMOVEEXPORTDIRECTORY-SUCCESS"
    assert remote.ask("REMOVEEXPORTDIRECTORY ../..") == "REMOVEEXPORTDIRECTORY-SUCCESS"


REQUESTS = [
    f"TRANSFEREXPORT STORE {KEY} f", f"TRANSFEREXPORT RETRIEVE {KEY} f", f"CHECKPRESENTEXPORT {KEY}",
    f"REMOVEEXPORT {KEY}", f"RENAMEEXPORT {KEY} new",
]  # fmt: skip


@pytest.mark.parametrize("request_line", REQUESTS)
@pytest.mark.parametrize("before", [[], ["EXPORT"], ["EXPORT "], ["EXPORT a", "GETORDERED"],
                                    ["EXPORT a", "FROBNICATE"], ["EXPORT ../a", f"REMOVEEXPORT {KEY}"]])  # fmt: skip
def test_a_file_must_be_named_right_before(
    remote: FakeAnnex, before: list[str], request_line: str
) -> None:
    for line in before:
        remote.send(line)
        if not line.startswith("EXPORT"):
            remote.receive()

    assert remote.ask(request_line) == UNSUPPORTED


@pytest.mark.parametrize(
    "request_line",
    ["TRANSFEREXPORT", "TRANSFEREXPORT STORE", f"TRANSFEREXPORT STORE {KEY}", f"TRANSFEREXPORT FLY {KEY} f",
     "CHECKPRESENTEXPORT", "CHECKPRESENTEXPORT two words", "REMOVEEXPORT", "REMOVEEXPORT two words",
     "RENAMEEXPORT", f"RENAMEEXPORT {KEY}", "REMOVEEXPORTDIRECTORY"],
)  # fmt: skip
def test_what_is_not_whole_is_refused_and_it_goes_on(remote: FakeAnnex, request_line: str) -> None:
    remote.send("EXPORT ../a")

    assert remote.ask(request_line) == UNSUPPORTED
    assert remote.ask("GETORDERED") == "ORDERED"


def test_each_job_has_its_own_file(tmp_path: Path) -> None:
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        annex.start(ALL)
        names = {str(job): f"../{job}" for job in range(1, 6)}

        for job, name in names.items():
            annex.send(f"J {job} EXPORT {name}")
        annex.send(f"J 9 TRANSFEREXPORT STORE {KEY} f")
        for job in reversed(names):
            annex.send(f"J {job} TRANSFEREXPORT STORE {KEY} f")
        answers = sorted(annex.receive() for _ in range(6))

    assert answers.pop() == "J 9 UNSUPPORTED-REQUEST"
    for (job, name), answer in zip(names.items(), answers, strict=True):
        assert answer.startswith(f"J {job} TRANSFER-FAILURE STORE {KEY} the file name {name!r} ")


# -- names that reach us without their line breaks ------------------------------------------------


def git(folder: Path, *words: str, given: bytes = b"") -> str:
    done = subprocess.run(["git", *words], cwd=folder, input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


def tree_of(folder: Path, *names: str) -> str:
    """Write a tree of files of these names, from the top; return its id."""
    blob = git(folder, "hash-object", "-w", "--stdin", given=b"content")
    rows = b"".join(f"100644 blob {blob}\t{name}\0".encode() for name in names)
    return git(folder, "mktree", "-z", given=rows)


def write_log(folder: Path, *rows: str) -> None:
    """Write export.log of the git-annex branch."""
    text = "".join(f"{row}\n" for row in rows).encode()
    blob = git(folder, "hash-object", "-w", "--stdin", given=text)
    tree = git(folder, "mktree", given=f"100644 blob {blob}\texport.log\n".encode())
    commit = git(folder, "commit-tree", tree, "-m", "update")
    git(folder, "update-ref", "refs/heads/git-annex", commit)


@pytest.fixture
def exporting(tmp_path: Path) -> Iterator[FakeAnnex]:
    """Return a remote to which a tree with such names was exported."""
    git(tmp_path, "init", "-q")
    with FakeAnnex(CONFIG, cwd=tmp_path) as annex:
        write_log(
            tmp_path,
            f"1795358318s aaaa:{annex.uuid} {tree_of(tmp_path, 'a', 'q' + chr(10) + 'q', 'qq', f'only{chr(10)}')}",
            f"1795358319s aaaa:other {tree_of(tmp_path, f'a{chr(10)}')}",
        )  # fmt: skip
        yield annex.start()


def ask_of(remote: FakeAnnex, name: str, request: str) -> str:
    remote.send(f"EXPORT {name}")
    return remote.ask(request)


@pytest.mark.parametrize("name", ["qq", "only"])
def test_a_name_without_its_line_break_is_not_stored_nor_renamed(
    exporting: FakeAnnex, name: str
) -> None:
    answer = ask_of(exporting, name, f"TRANSFEREXPORT STORE {KEY} f")

    assert answer.startswith(f"TRANSFER-FAILURE STORE {KEY} the file ")
    assert "without their line breaks" in answer
    assert "rename the file with the line break" in answer
    assert ask_of(exporting, name, f"RENAMEEXPORT {KEY} z") == UNSUPPORTED
    assert ask_of(exporting, "z", f"RENAMEEXPORT {KEY} {name}") == UNSUPPORTED


def test_a_name_of_two_files_is_neither_present_nor_absent_and_not_removed(
    exporting: FakeAnnex,
) -> None:
    answer = ask_of(exporting, "qq", f"CHECKPRESENTEXPORT {KEY}")

    assert answer.startswith(f"CHECKPRESENT-UNKNOWN {KEY} the file ")
    assert ask_of(exporting, "qq", f"REMOVEEXPORT {KEY}") == f"REMOVE-SUCCESS {KEY}"
    assert ask_of(exporting, "only", f"CHECKPRESENTEXPORT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"


def test_the_tree_under_way_counts_before_it_is_in_the_branch(
    exporting: FakeAnnex, tmp_path: Path
) -> None:
    assert "line breaks" in ask_of(exporting, "qq", f"TRANSFEREXPORT STORE {KEY} f")
    journal = tmp_path / ".git" / "annex" / "journal"
    journal.mkdir(parents=True)
    tree = tree_of(tmp_path, "b\nb")
    (journal / "export.log").write_text(f"1795358329.5s aaaa:{exporting.uuid} {tree}\n")

    answer = ask_of(exporting, "bb", f"TRANSFEREXPORT STORE {KEY} f")

    assert "line breaks" in answer


def test_the_tree_that_replaces_another_decides_what_is_removed(
    exporting: FakeAnnex, tmp_path: Path
) -> None:
    """git-annex first removes what is only in the old tree; its log then names old and new."""
    journal = tmp_path / ".git" / "annex" / "journal"
    journal.mkdir(parents=True)
    with_both, only_long = tree_of(tmp_path, "qq", "q\nq"), tree_of(tmp_path, "q\nq")
    line = f"1795358329s aaaa:{exporting.uuid} {with_both} {only_long} {with_both}\n"
    (journal / "export.log").write_text(line)

    answer = ask_of(exporting, "qq", f"REMOVEEXPORT {KEY}")

    assert answer.startswith(
        f"REMOVE-FAILURE {KEY} no keys were found"
    )  # it would have asked the server


# -- where people can read it ---------------------------------------------------------------------


def test_a_file_of_the_exported_tree_is_found_by_its_key_at_its_public_url(tmp_path: Path) -> None:
    """The tree that is there whole counts, not the one under way; no object has a line break."""
    git(tmp_path, "init", "-q")
    config = CONFIG | {
        "exporttree": "yes",
        "publicurl": "https://data.example.org/",
        "fileprefix": "p/",
    }
    with FakeAnnex(config, cwd=tmp_path) as annex:
        annexed = git(
            tmp_path, "hash-object", "-w", "--stdin", given=f"/annex/objects/{KEY}\n".encode()
        )
        other = git(
            tmp_path,
            "hash-object",
            "-w",
            "--stdin",
            given=b"../.git/annex/objects/a/b/MD5-s1--o/MD5-s1--o",
        )
        below = git(tmp_path, "mktree", "-z", given=f"100644 blob {annexed}\tü 1?.txt\0".encode())
        rows = f"40000 tree {below}\tsub\0" + f"120000 blob {other}\tbro\nken\0"
        tree = git(tmp_path, "mktree", "-z", given=rows.encode())
        write_log(tmp_path, f"1795358318s aaaa:{annex.uuid} {tree} {tree_of(tmp_path, 'x')}")
        annex.start()

        found = annex.ask(f"WHEREIS {KEY}")

        assert found == "WHEREIS-SUCCESS https://data.example.org/p/sub/%C3%BC%201%3F.txt"
        for key in ("MD5-s1--o", "SHA256-s1--unknown"):
            assert annex.ask(f"WHEREIS {key}") == "WHEREIS-FAILURE"
