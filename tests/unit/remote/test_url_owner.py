"""Which remote answers for a URL: never two of them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.url_owner import Keeper, Occupant, known_remotes, owner_of
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


def occupant(
    uuid: str, endpoint: str | None, bucket: str, prefix: str = "", *, is_tree: bool = False
) -> Occupant:
    return Occupant(uuid, keeper("x", endpoint, bucket).connection, bucket, prefix, is_tree)


def view(uuid: str, bucket: str, prefix: str = "") -> Keeper:
    return replace(keeper(uuid, ONE, bucket, prefix), is_view=True)


BACKUP = keeper("k", ONE, "backup", "annex/")
TREE = occupant("t", ONE, "tree", "p/", is_tree=True)
BESIDE = occupant("t", ONE, "backup", "p/", is_tree=True)
V = "?versionId=v"


@pytest.mark.parametrize(
    ("url", "remotes", "expected"),
    [
        (f"s3://tree/p/f{V}", [BACKUP, TREE], None),
        ("s3://tree/f", [BACKUP, TREE], None),
        (f"s3://tree/f?endpoint={ONE}", [BACKUP, TREE], None),
        ("s3://tree/f?endpoint=http://one.example.org", [BACKUP, TREE], None),
        ("s3://other/f", [BACKUP, TREE], "k"),
        (f"s3://tree/p/f{V}", [BACKUP, TREE, view("v", "tree", "p/")], "v"),
        (f"s3://tree/p/f{V}", [BACKUP, TREE, view("t", "tree", "p/")], "t"),
        (f"s3://tree/p/f{V}", [occupant("t", TWO, "tree", is_tree=True), view("t", "tree", "p/")], "t"),
        ("s3://tree/p/f", [BACKUP, TREE, view("v", "tree", "p/")], None),
        (f"s3://backup/p/f{V}", [BACKUP, BESIDE], None),
        (f"s3://backup/p/f{V}", [keeper("k", ONE, "backup"), BESIDE], None),
        (f"s3://backup/p/f{V}", [keeper("k", ONE, "backup", "p/f"), BESIDE], None),
        (f"s3://backup/p/f{V}", [keeper("a", ONE, "backup"), BESIDE, view("v", "backup")], "v"),
        ("s3://backup/p/f", [BACKUP, BESIDE], None),
        ("s3://backup/raw/f", [BACKUP, BESIDE], "k"),
        ("s3://tree/f", [BACKUP, occupant("e", ONE, "tree")], None),
        ("s3://backup/f", [keeper("k", ONE, "backup"), occupant("k", ONE, "backup")], "k"),
        ("s3://backup/f", [keeper("k", ONE, "backup"), occupant("e", ONE, "backup")], None),
        ("s3://tree/f", [BACKUP, Occupant("e", None, "tree")], None),
        ("s3://tree/f?endpoint=https://far.org", [BACKUP, Occupant("e", None, "tree")], None),
        ("s3://tree/f?endpoint=https://far.org", [BACKUP, TREE], "k"),
        ("s3://tree/f", [BACKUP, occupant("t", TWO, "tree", is_tree=True)], None),
        ("s3://backup/f", [BACKUP, occupant("t", TWO, "backup", is_tree=True)], None),
        ("s3://tree/f", [AMAZON, occupant("s", "https://s3.amazonaws.com", "tree")], None),
        ("s3://tree/f?endpoint=http://localhost:9000",
         [AMAZON, occupant("s", "http://127.0.0.1:9000", "tree")], None),
    ],
)  # fmt: skip
def test_what_lies_in_the_bucket_of_a_remote_is_no_content_of_one_with_another(
    url: str, remotes: list[Keeper | Occupant], expected: str | None
) -> None:
    for order in permutations(remotes):
        keepers = [remote for remote in order if isinstance(remote, Keeper)]
        others = [remote for remote in order if isinstance(remote, Occupant)]
        assert owner_of(parse_s3_url(url), keepers, others) == expected


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
    assert list(known_remotes(tmp_path / ".git")) == []
    log = "".join(
        f"{uuid} {line}\n"
        for uuid, line in {
            own: line,
            other: line,
            "tree": line.replace("=b ", "=t ") + " exporttree=yes fileprefix=p/",
            "view": line.replace("=b ", "=t ").replace("encryption=none ", "")
            + " sameas-uuid=tree bucketversioning=yes",
            "S3": "type=S3 bucket=Built-In host=one.example.org port=80 encryption=none timestamp=1s",
            "broken": "type=external externaltype=s3x bucket=c provider=unheard-of timestamp=1s",
            "directory": "type=directory encryption=none timestamp=1s",
        }.items()
    )
    blob = git("hash-object", "-w", "--stdin", stdin=log)
    tree = git("mktree", stdin=f"100644 blob {blob}\tremote.log\n")
    git("update-ref", "refs/heads/git-annex", git("commit-tree", tree, "-m", "log"))

    found = list(known_remotes(tmp_path / ".git"))

    assert {(r.uuid, r.bucket, r.is_view) for r in found if isinstance(r, Keeper)} == {
        (own, "b", False), (other, "b", False), ("tree", "t", True),
    }  # fmt: skip
    others = {r.uuid: r for r in found if isinstance(r, Occupant)}
    assert {uuid: (r.bucket, r.prefix, r.is_tree) for uuid, r in others.items()} == {
        "tree": ("t", "p/", True), "S3": ("built-in", "", False), "broken": ("c", "", False),
    }  # fmt: skip
    assert others["broken"].connection is None
