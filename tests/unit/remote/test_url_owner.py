"""Which remote answers for a URL: never two of them."""

from __future__ import annotations

import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.url_owner import Keeper, other_keepers, owner_of
from datalad_s3ext.store.s3_url import parse_s3_url

ONE, TWO = "https://one.example.org", "https://two.example.org"


def keeper(uuid: str, endpoint: str | None, bucket: str, prefix: str = "") -> Keeper:
    provider = load_provider("other" if endpoint else "aws")
    region = None if endpoint else "eu-west-1"
    connection = resolve(provider, endpoint=endpoint, region=region, environ={})
    return Keeper(uuid, connection, bucket, prefix)


HERE = [
    keeper("a", ONE, "shared"),
    keeper("b", ONE, "shared", "study/"),
    keeper("c", ONE, "own"),
]
ELSEWHERE = keeper("d", TWO, "own")
AMAZON = keeper("e", None, "amazons")


@pytest.mark.parametrize(
    ("url", "keepers", "expected"),
    [
        ("s3://own/x", HERE, "c"),
        ("s3://shared/x", HERE, "a"),
        ("s3://shared/study/x", HERE, "b"),
        ("s3://nobodys/x", HERE, "a"),
        ("s3://own/x", [*HERE, ELSEWHERE], None),
        ("s3://nobodys/x", [*HERE, ELSEWHERE], None),
        (f"s3://own/x?endpoint={ONE}", [*HERE, ELSEWHERE], "c"),
        (f"s3://own/x?endpoint={TWO}", [*HERE, ELSEWHERE], "d"),
        (f"s3://nobodys/x?endpoint={TWO}", [*HERE, ELSEWHERE], "d"),
        ("s3://nobodys/x?endpoint=https://three.example.org", [*HERE, ELSEWHERE], "a"),
        ("s3://amazons/x", [AMAZON, ELSEWHERE], "e"),
        ("s3://any/x?endpoint=https://s3.eu-west-1.amazonaws.com", [AMAZON, ELSEWHERE], "e"),
        ("s3://any/x?endpoint=http://s3.eu-west-1.amazonaws.com", [AMAZON], "e"),
        ("s3://own/x", [], None),
    ],
)
def test_one_remote_answers_in_whichever_order_they_are_known(
    url: str, keepers: list[Keeper], expected: str | None
) -> None:
    for order in permutations(keepers):
        assert owner_of(parse_s3_url(url), order) == expected


@pytest.mark.parametrize(
    "parameters",
    [{"encryption": "shared"}, {"encryption": "none", "exporttree": "yes"},
     {"encryption": "none", "importtree": "yes"}, {"encryption": "none", "provider": "unheard-of"}],
)  # fmt: skip
def test_a_remote_that_keeps_no_plain_content_by_key_answers_for_none(
    parameters: dict[str, str],
) -> None:
    given = {"bucket": "b", "endpoint": ONE, **parameters}
    settings = read_settings(lambda name: given.get(name, ""))

    assert Keeper.of("u", settings, given["encryption"]) is None


def test_the_others_stand_in_the_git_annex_branch(tmp_path: Path) -> None:
    def git(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path, input=stdin, capture_output=True, text=True, check=True
        ).stdout.strip()

    own, other = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
    line = f"bucket=b encryption=none endpoint={ONE} externaltype=s3x type=external timestamp=1s"
    git("init", "-q")
    assert list(other_keepers(tmp_path / ".git", own)) == []
    log = f"{own} {line}\n{other} {line}\n88888888-2222-3333-4444-555555555555 type=S3 bucket=b timestamp=1s\n"
    blob = git("hash-object", "-w", "--stdin", stdin=log)
    tree = git("mktree", stdin=f"100644 blob {blob}\tremote.log\n")
    git("update-ref", "refs/heads/git-annex", git("commit-tree", tree, "-m", "log"))

    assert [found.uuid for found in other_keepers(tmp_path / ".git", own)] == [other]
