"""Names of folders that something may be mounted on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datalad_s3ext.commands._mount import _told
from datalad_s3ext.fs import mounted


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("folder", "folder"),
        ("sub/../folder", "folder"),
        ("other", "folder"),
        ("sub/up/folder", "folder"),
        ("not-there", "not-there"),
        ("sub/inner", "sub/inner"),
        ("sub/up", "."),
        ("sub/..", "."),
    ],
)
def test_links_are_followed_without_looking_at_the_folder(
    tmp_path: Path, target: str, meant: str
) -> None:
    top = tmp_path.resolve()
    (top / "folder").mkdir()
    (top / "sub").mkdir()
    (top / "other").symlink_to(top / "folder")
    (top / "sub" / "up").symlink_to("..")
    (top / "link").symlink_to(target)

    assert mounted.resolved(top / "link") == os.path.normpath(top / meant)
    assert mounted.resolved(top / "sub" / "up" / "link") == os.path.normpath(top / meant)
    assert mounted.resolved(top / target) == os.path.normpath(top / meant)


def test_a_circle_of_links_is_no_endless_work(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert mounted.state_of(tmp_path / "one") == "none"


def test_the_warning_that_libfuse_gives_each_time_is_no_reason() -> None:
    noise = "Ignoring invalid max threads value 4294967295 > max (100000)."

    assert _told([noise, "", "fusermount3: mount failed: Operation not permitted"]) == (
        "fusermount3: mount failed: Operation not permitted"
    )
    assert _told([noise]) == "it has said nothing"
