"""Which version of an exported file is noted for a key, while somebody else writes to the bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from datalad_s3ext.store.s3_url import S3Url, parse_s3_url
from tests.integration.remote.test_requests import key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.faults import Body, Predicate, has_method, is_complete_upload
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

pytestmark = pytest.mark.server

MIB = 1024**2
TEMPORARY = ".git-annex-tmp-content-KEY"


@dataclass
class Tree:
    """An exported tree whose remote speaks through a relay, and somebody else who does not."""

    annex: FakeAnnex
    relay: Relay
    server: Endpoint
    bucket: str
    folder: Path
    theirs: dict[str, bytes] = field(default_factory=dict)

    def ask(self, name: str, request: str) -> str:
        self.annex.send(f"EXPORT {name}")
        answer = self.annex.ask(request)
        for line in self.annex.asked:
            if line.startswith("SETURIPRESENT"):
                _, key, url = line.split(" ", 2)
                self.annex.urls.setdefault(key, []).append(url)
        return answer

    def store(self, name: str, content: bytes) -> str:
        (self.folder / "in").write_bytes(content)
        key = key_of(content)
        assert self.ask(name, f"TRANSFEREXPORT STORE {key} in") == f"TRANSFER-SUCCESS STORE {key}"
        return key

    def rename(self, key: str, old: str, new: str) -> str:
        return self.ask(old, f"RENAMEEXPORT {key} {new}")

    def overwrite(self, name: str, content: bytes) -> None:
        boto3_client(self.server).put_object(Bucket=self.bucket, Key=name, Body=content)

    def overwrite_after(self, predicate: Predicate, name: str, content: bytes) -> None:
        """Store `content` when the server has answered, and before the remote sees that."""

        def shape(message: Body) -> Body:
            self.overwrite(name, content)
            self.theirs[name] = content
            yield from message

        self.relay.shapers_of_answers.add(predicate, shape, 1)

    def noted(self, key: str) -> list[S3Url]:
        return [parse_s3_url(text) for text in dict.fromkeys(self.annex.urls.get(key, []))]

    def content(self, url: S3Url) -> bytes:
        found = boto3_client(self.server).get_object(
            Bucket=self.bucket, Key=url.name, VersionId=str(url.version_id)
        )
        return found["Body"].read()

    def told(self) -> list[str]:
        return [line for line in self.annex.asked if line.startswith("INFO ")]


@pytest.fixture(params=["seaweed", pytest.param("moto", marks=pytest.mark.thorough)])
def server(request: pytest.FixtureRequest) -> Endpoint:
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tree(server: Endpoint, bucket_name: str, tmp_path: Path) -> Iterator[Tree]:
    boto3_client(server).create_bucket(Bucket=bucket_name)
    with Relay(server.url) as relay:
        config = {"exporttree": "yes", "bucketversioning": "yes", "partsize": "5MiB"}
        with started(server.at(relay.url), bucket_name, tmp_path, **config) as annex:
            annex.start()
            assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
            assert annex.ask("PREPARE") == "PREPARE-SUCCESS"
            yield Tree(annex, relay, server, bucket_name, tmp_path)


@pytest.mark.parametrize(
    ("size_bytes", "last"), [(1000, has_method("PUT")), (6 * MIB, is_complete_upload)]
)
def test_what_somebody_stores_after_an_upload_is_not_noted(
    tree: Tree, size_bytes: int, last: Predicate
) -> None:
    content = os.urandom(size_bytes)
    tree.overwrite_after(last, "f", bytes(size_bytes))

    key = tree.store("f", content)

    assert tree.theirs == {"f": bytes(size_bytes)}
    (url,) = tree.noted(key)
    assert tree.content(url) == content


def test_what_somebody_stores_after_a_copy_is_not_noted(tree: Tree) -> None:
    content = b"content"
    key = tree.store("f", content)
    tree.overwrite_after(has_method("PUT"), "g", b"another")

    assert tree.rename(key, "f", "g") == f"RENAMEEXPORT-SUCCESS {key}"

    assert tree.theirs == {"g": b"another"}
    assert [(url.name, tree.content(url)) for url in tree.noted(key)] == [
        ("f", content),
        ("g", content),
    ]


@pytest.mark.parametrize("through", [[], [TEMPORARY]])
def test_a_file_is_noted_under_its_new_name_if_it_is_what_was_stored(
    tree: Tree, through: list[str]
) -> None:
    """git-annex gives many files a name for a moment only."""
    mine, lost = tree.store("mine", b"content 1"), tree.store("lost", b"content 2")
    tree.overwrite("lost", b"content 3")

    for key, old, new in ((mine, "mine", "kept"), (lost, "lost", "taken")):
        names = [old, *through, new]
        for source, target in pairwise(names):
            assert tree.rename(key, source, target) == f"RENAMEEXPORT-SUCCESS {key}"

    assert [(url.name, tree.content(url)) for url in tree.noted(mine)] == [
        ("mine", b"content 1"), ("kept", b"content 1"),
    ]  # fmt: skip
    assert [(url.name, tree.content(url)) for url in tree.noted(lost)] == [("lost", b"content 2")]
    (line,) = [line for line in tree.told() if "not noted" in line]
    assert "the version of taken is not noted" in line


def without_version(message: Body) -> Body:
    """Rename the header: an answer that names no version."""
    for piece in message:
        yield piece.replace(b"x-amz-version-id", b"x-nothing-at-all").replace(
            b"X-Amz-Version-Id", b"X-Nothing-At-All"
        )


@pytest.mark.parametrize(
    ("theirs", "is_noted"), [(None, True), (b"content", True), (b"another", False)]
)
def test_a_version_that_the_answer_does_not_tell_is_asked_for(
    tree: Tree, theirs: bytes | None, is_noted: bool
) -> None:
    """It is believed when it has the very ETag of the answer: then it has the content, too."""

    def shape(message: Body) -> Body:
        if theirs is not None:
            tree.overwrite("f", theirs)
        return without_version(message)

    tree.relay.shapers_of_answers.add(has_method("PUT"), shape, 1)

    key = tree.store("f", b"content")

    assert [tree.content(url) for url in tree.noted(key)] == [b"content"] * is_noted
    told = [line for line in tree.told() if "not noted" in line]
    assert len(told) == (not is_noted)


def test_another_size_is_somebody_elses_for_certain(tree: Tree) -> None:
    def shape(message: Body) -> Body:
        tree.overwrite("f", b"longer content")
        return without_version(message)

    (tree.folder / "in").write_bytes(b"content")
    key = key_of(b"content")
    tree.relay.shapers_of_answers.add(has_method("PUT"), shape, 1)

    answer = tree.ask("f", f"TRANSFEREXPORT STORE {key} in")

    assert answer.startswith(f"TRANSFER-FAILURE STORE {key} f was replaced by somebody else")
    assert tree.noted(key) == []
