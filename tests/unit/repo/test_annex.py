"""git-annex's failures in words, and what its processes get to see."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datalad_s3ext.repo import annex
from datalad_s3ext.repo.annex import AnnexError, failure_text
from tests.support.repos import AnnexRepo

HTTP_DUMP = """git-annex: HttpExceptionRequest Request {
  host                 = "127.0.0.1"
  requestHeaders       = [("Authorization","<REDACTED>")]
  method               = "PUT"
}
 (InternalException (ConnectionRestricted "does not allow accessing address 127.0.0.1"))""".splitlines()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["git-annex: bucket not there; make it", "initremote: 1 failed"],
         "bucket not there; make it"),
        (["  Cannot run x -- It is not installed", "git-annex: unable to use x"],
         "Cannot run x -- It is not installed; unable to use x"),
        (["git-annex: Unexpected parameters: foo", "(recording state in git...)", "", "failed"],
         "Unexpected parameters: foo"),
        (HTTP_DUMP, "does not allow accessing address 127.0.0.1"),
        (["initremote: 1 failed"], "failed without giving a reason"),
        ([], "failed without giving a reason"),
    ],
)  # fmt: skip
def test_the_reason_is_one_line_without_noise(lines: list[str], expected: str) -> None:
    assert failure_text(lines) == expected


def test_config_is_added_to_what_the_environment_holds() -> None:
    environ = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}

    assert annex.config_environment({"d.e": "f"}, environ) == {
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_1": "d.e", "GIT_CONFIG_VALUE_1": "f",
    }  # fmt: skip
    assert annex.config_environment({}, environ) == {}


@pytest.mark.parametrize(
    ("version", "expected"),
    [("10.20261026-g351f69f", True), ("10.20230329", True), ("10.20230328", False),
     ("8.20210330", False), ("11.20270101", True)],
)  # fmt: skip
def test_old_versions_are_told_from_new_ones(version: str, expected: bool) -> None:
    assert annex.is_supported(version) is expected


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(annex.LocalError, match=r"git-annex cannot be started.*pip install"):
        annex.run_annex(tmp_path, "version")
    monkeypatch.undo()


@pytest.mark.parametrize(
    "start", [lambda repo: annex.run_annex(repo, "init"), lambda repo: annex.init_remote(repo, "x", {})]
)
def test_git_without_git_annex_is_told_apart(
    start: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = tmp_path / "git"
    git.write_text("""#!/bin/sh\necho "git: 'annex' ist kein Git-Befehl. Siehe" >&2; exit 1\n""")
    git.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

        with pytest.raises(annex.LocalError) as caught:
            start(tmp_path)

    assert caught.value.what == "git-annex was not found in PATH"
    assert "activate the environment it is in" in caught.value.remedy
    assert "pip install git-annex" in caught.value.remedy


def test_a_missing_program_of_a_remote_is_told_apart() -> None:
    said = ["Cannot run git-annex-remote-s3x -- It is not installed in PATH (/bin)",
            "git-annex: unable to use external special remote git-annex-remote-s3x"]  # fmt: skip

    assert "git-annex-remote-s3x was not found" in str(annex._failure(said))


def test_a_program_is_looked_for_in_path() -> None:
    annex.check_program("git")
    with pytest.raises(annex.LocalError, match=r"git-annex-remote-nothing was not found in PATH"):
        annex.check_program("git-annex-remote-nothing")


@pytest.mark.annex
class TestRealGitAnnex:
    def test_the_version_is_a_plain_number(self) -> None:
        version = annex.git_annex_version()

        assert annex.is_supported(version)
        assert "-" not in version

    def test_a_remote_is_created_and_changed(self, annex_repo: AnnexRepo, tmp_path: Path) -> None:
        parameters = {"type": "directory", "directory": str(tmp_path), "encryption": "none"}

        annex.init_remote(annex_repo.path, "dir", parameters)
        annex.enable_remote(annex_repo.path, "dir", {**parameters, "autoenable": "true"})

        log = annex_repo.run("git", "show", "git-annex:remote.log").stdout
        assert "autoenable=true" in log

    def test_what_came_in_with_a_clone_is_confirmed_before_use(
        self, annex_repo: AnnexRepo, tmp_path: Path
    ) -> None:
        parameters = {"type": "directory", "directory": str(tmp_path), "encryption": "none"}
        annex.init_remote(annex_repo.path, "dir", parameters)
        clone = annex_repo.clone(tmp_path / "clone")
        annex.enable_remote(clone.path, "dir", {"directory": str(tmp_path)})

        if annex.unconfirmed(clone.path, "dir") is None:
            pytest.skip("this git-annex asks for no confirmation")
        annex.confirm(clone.path, "dir")

        assert annex.unconfirmed(clone.path, "dir") is None
        assert annex.unconfirmed(annex_repo.path, "dir") is None

    def test_older_versions_ask_for_no_confirmation(
        self, annex_repo: AnnexRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "git-annex"
        program.write_text('#!/bin/sh\necho "Invalid argument \\`$1\'" >&2; exit 1\n')
        program.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

            assert annex.unconfirmed(annex_repo.path, "dir") is None

    def test_a_refusal_carries_the_reason(self, annex_repo: AnnexRepo) -> None:
        with pytest.raises(AnnexError) as caught:
            annex.init_remote(annex_repo.path, "x", {"type": "S3", "foo": "1", "encryption": "none"})

        assert str(caught.value) == "git-annex: Unexpected parameters: foo"

    def test_the_external_remote_sees_environment_and_config_and_its_reason_comes_back(
        self, annex_repo: AnnexRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "git-annex-remote-echo"
        program.write_text(ECHO_REMOTE)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("AWS_PROFILE", "other")

        with pytest.raises(AnnexError) as caught:
            annex.init_remote(
                annex_repo.path, "x",
                {"type": "external", "externaltype": "echo", "encryption": "none"},
                env={"AWS_SECRET_ACCESS_KEY": "hush", "AWS_PROFILE": None},
                config={"remote.x.s3x-profile": "mine"},
            )  # fmt: skip

        assert str(caught.value) == "git-annex: secret has 4 letters; profile gone; config mine"
        assert annex_repo.run("git", "config", "-l").stdout.count("remote.x") == 0
        monkeypatch.undo()


@pytest.fixture
def annex_repo(tmp_path: Path) -> AnnexRepo:
    return AnnexRepo.create(tmp_path / "repo")


ECHO_REMOTE = """#!/bin/sh
echo VERSION 2
while read -r word rest; do
  case $word in
    INITREMOTE)
      echo "INITREMOTE-FAILURE secret has ${#AWS_SECRET_ACCESS_KEY} letters;" \
           "profile ${AWS_PROFILE-gone}; config $(git config remote.x.s3x-profile)";;
    *) echo UNSUPPORTED-REQUEST;;
  esac
done
"""
