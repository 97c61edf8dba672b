"""The rule by which an import leaves to git what git keeps."""

from __future__ import annotations

import pytest

from datalad_s3ext.commands._import import LONGEST_RULE_BYTES, largefiles
from datalad_s3ext.errors import ConfigError


def test_without_files_of_git_all_is_annexed() -> None:
    assert largefiles([]) == "anything"


def test_names_stand_in_it_so_that_nothing_in_them_is_part_of_the_rule() -> None:
    rule = largefiles(["README", "a) or anything (*b", "new\nline"])

    assert rule == (
        "largerthan=10mb or not ( include=README or include=./README or "
        "include=a??or?anything???b or include=./a??or?anything???b or "
        "include=new?line or include=./new?line )"
    )


def test_what_no_environment_can_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="too many to tell git-annex of"):
        largefiles([f"{number:0100}" for number in range(LONGEST_RULE_BYTES // 200)])
