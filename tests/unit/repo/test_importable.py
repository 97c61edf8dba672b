"""Which objects can become files."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from datalad_s3ext.repo.importable import Wanted, folders_too, why_not

GIT_MODULES = (
    ".gitmodules", "s/.gitmodules", ".gitmodules/x", ".GITMODULES", ".gitmodules .", "gitmod~4",
    "GI7EBA~9", "gi7eb~12", "~1000000", ".gitmodules::$DATA", ".gitmodules:x/y", "a\\.gitmodules",
    ".gitmod\u200cules",
)  # fmt: skip
NEVER = (
    "", "d/", "a//b", "/lead", "./f", "a/./b", "..", "../up", "a/..", ".git", ".git/config",
    "x/.GIT/hooks/pre-commit", "git~1/config", "a/GIT~1/x", ".git /config", ".git./x",
    ".git::$INDEX_ALLOCATION/x", ".g\u200cit/config", "a\\.git\\config", "line\nbreak", "cr\rcr",
    "nul\0", "annex-uuid", ".git-annex-tmp-content-SHA256-s1--x", "n" * 256, "d/" * 2100 + "f",
    *GIT_MODULES, ".gitattributes", "s/.GitAttributes", ".datalad/config", ".DATALAD/config",
)  # fmt: skip
FINE = (
    "f",
    "a/b",
    "..fine",
    ".gitignore",
    "a/.datalad/config",
    ".gitmodulesx",
    "gitmod~5",
    "gi7eba~0",
    "gi7ebax~1",
    " blank ",
    "-o",
    "a/annex-uuid",
    "git",
    "ü+%",
)


@pytest.mark.parametrize("name", NEVER)
def test_these_never_become_files(name: str) -> None:
    assert why_not(name)


@pytest.mark.parametrize("name", FINE)
def test_these_do(name: str) -> None:
    assert why_not(name) == ""


@pytest.mark.parametrize("name", [name for name in FINE if name])
def test_git_takes_a_link_of_every_name_that_may_be_a_file(name: str, tmp_path: Path) -> None:
    """With the rules of other systems, too: a clone may be on one."""
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    run(["git", "init", "-q"])
    blob = run(["git", "hash-object", "-w", "--stdin"], input=b"x").stdout.decode().strip()
    everywhere = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]
    add = ["git", *everywhere, "update-index", "--add", "--cacheinfo"]

    run([*add, f"120000,{blob},{name}"])
    for refused in GIT_MODULES:
        with pytest.raises(subprocess.CalledProcessError):
            run([*add, f"120000,{blob},{refused}"])


def test_a_name_below_which_others_lie_is_found() -> None:
    assert folders_too(["a", "a/b/c", "a-", "a/b", "d/e"]) == {"a", "a/b"}


@pytest.mark.parametrize(
    "glob", ["*a" * 100 + "*b", "a*" * 100 + "b", "*" * 1000 + "b", "*?" * 100 + "b"]
)
def test_a_pattern_of_a_hostile_data_set_takes_no_time(glob: str) -> None:
    assert "a" * 1000 not in Wanted([glob])
    assert "a" * 1000 + "b" in Wanted([glob])


def test_stars_fit_as_little_and_as_much_as_there_is() -> None:
    for glob in ("*", "a*c", "*b*", "a?*c", "*abc", "abc*", "**a**", "a*b*c*", "*bc*"):
        assert "abc" in Wanted([glob]), glob
    assert "abbc" in Wanted(["a?*c"])
    assert "ababc" in Wanted(["a*abc"])
    assert "a/x\ny" in Wanted(["a*y"])
    for glob in ("a*b", "*b", "b*", "a?c*d", "*bb*", "a*bc*c"):
        assert "abc" not in Wanted([glob]), glob


def test_patterns_choose_names_and_what_is_listed() -> None:
    wanted = Wanted(["sub-*/x?.nii", "sub-01/*", "README"], ["*.bak"])

    assert wanted.prefixes() == ["README", "sub-"]
    assert "sub-2/deep/x1.nii" in wanted
    assert "sub-01/a.bak" not in wanted
    assert "subs" not in wanted
    assert Wanted().prefixes() == [""]
    assert "anything" in Wanted()
