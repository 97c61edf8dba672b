"""Lines of remote.log as git-annex would write them."""

from __future__ import annotations

import time

import pytest

from datalad_s3ext.repo.remote_log import changed_log, escape
from datalad_s3ext.repo.remotes import parse_remote_log, timestamp_of, unescape

LOG = "aaaa type=S3 name=one bucket=b timestamp=5s\nbbbb type=S3 name=two timestamp=7.5s\n"


@pytest.mark.parametrize("value", ["a b", "&32;", "line\nbreak", "\t", "ü", "a=b", ""])
def test_what_is_escaped_is_read_again(value: str) -> None:
    assert not any(map(str.isspace, escape(value)))
    assert unescape(escape(value)) == value
    log = changed_log(LOG, "aaaa", {"name": value, "type": "external"})
    assert parse_remote_log(log)["aaaa"] == {"name": value, "type": "external"}


def test_others_stay_and_the_new_line_is_the_newest() -> None:
    future = time.time() + 1000
    log = changed_log(f"aaaa type=S3 timestamp={future}s\n{LOG}", "aaaa", {"type": "external"})

    other, changed = log.splitlines()
    assert other == LOG.splitlines()[1]
    assert timestamp_of(changed) >= future + 1
    merged = log + f"aaaa type=S3 timestamp={future}s\n"
    assert parse_remote_log(merged)["aaaa"] == {"type": "external"}
