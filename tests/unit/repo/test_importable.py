"""Which objects can become files."""

from __future__ import annotations

import pytest

from datalad_s3ext.repo.importable import Wanted, folders_too, why_not

NEVER = (
    "", "d/", "a//b", "/lead", "./f", "a/./b", "..", "../up", "a/..", ".git", ".git/config",
    "x/.GIT/hooks/pre-commit", "git~1/config", "a/GIT~1/x", ".git /config", ".git./x",
    ".git::$INDEX_ALLOCATION/x", ".g\u200cit/config", "a\\.git\\config", "line\nbreak", "cr\rcr",
    "nul\0", "annex-uuid", ".git-annex-tmp-content-SHA256-s1--x", "n" * 256, "d/" * 2100 + "f",
)  # fmt: skip
FINE = (
    "f",
    "a/b",
    "..fine",
    ".gitignore",
    ".gitattributes",
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


def test_a_name_below_which_others_lie_is_found() -> None:
    assert folders_too(["a", "a/b/c", "a-", "a/b", "d/e"]) == {"a", "a/b"}


def test_patterns_choose_names_and_what_is_listed() -> None:
    wanted = Wanted(["sub-*/x?.nii", "sub-01/*", "README"], ["*.bak"])

    assert wanted.prefixes() == ["README", "sub-"]
    assert "sub-2/deep/x1.nii" in wanted
    assert "sub-01/a.bak" not in wanted
    assert "subs" not in wanted
    assert Wanted().prefixes() == [""]
    assert "anything" in Wanted()
