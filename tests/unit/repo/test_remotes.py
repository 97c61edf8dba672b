"""What the git-annex branch and the local configuration say about special remotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote, service_host
from tests.support.repos import AnnexRepo

A = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
B = "e0ac14d4-d1f2-470b-bac5-ed30cd91f9a1"


def test_a_line_of_remote_log_becomes_parameters() -> None:
    text = f"{A} bucket=b encryption=none name=s3 type=S3 timestamp=1795346107s\n"

    assert remotes.parse_remote_log(text) == {
        A: {"bucket": "b", "encryption": "none", "name": "s3", "type": "S3"}
    }


def test_white_space_and_ampersands_are_unescaped() -> None:
    """This line was written by git-annex 10.20261026."""
    text = f'{A} name=we preferreddir=a&32;b&38;c=d&9;e&10;f;ä"\\ type=directory timestamp=1s'

    assert remotes.parse_remote_log(text)[A]["preferreddir"] == 'a b&c=d\te\nf;ä"\\'


@pytest.mark.parametrize("reverse", [False, True])
def test_the_newest_line_of_a_uuid_counts_whatever_the_order(reverse: bool) -> None:
    lines = [f"{A} name=old timestamp=1795346107.25s", f"{A} name=new timestamp=1795346107.5s"]

    found = remotes.parse_remote_log("\n".join(sorted(lines, reverse=reverse)))

    assert found == {A: {"name": "new"}}


def test_lines_without_a_timestamp_are_the_oldest() -> None:
    assert remotes.parse_remote_log(f"{A} name=old timestamp=1s\n{A} name=odd") == {A: {"name": "old"}}


def test_empty_lines_and_odd_words_do_no_harm() -> None:
    assert remotes.parse_remote_log(f"\n{A} name=x junk timestamp=oops\n") == {A: {"name": "x"}}


@pytest.mark.parametrize("uuid", ["--force", "-c", "../x", "..", "a/b", ".hidden", "a\\b", "ä", "a=b"])
def test_a_line_whose_first_word_is_no_uuid_is_nobodys(uuid: str) -> None:
    text = f"{uuid} name=evil type=S3 timestamp=2s\n{A} name=good timestamp=1s\n"

    assert remotes.parse_remote_log(text) == {A: {"name": "good"}}


def test_a_remote_is_dead_when_the_newest_word_says_so() -> None:
    text = f"{A} X timestamp=2s\n{A} 1 timestamp=1s\n{B} X timestamp=1s\n{B} ? timestamp=2s\n"

    assert remotes.parse_dead(text) == {A}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"endpoint": "https://S3.example.org/"}, "s3.example.org"),
        ({"endpoint": "https://s3.example.org:443"}, "s3.example.org"),
        ({"endpoint": "http://s3.example.org:9000"}, "s3.example.org:9000"),
        ({"host": "s3.example.org", "port": "9000"}, "s3.example.org:9000"),
        ({"host": "s3.example.org", "port": "443"}, "s3.example.org"),
        ({"provider": "local"}, "provider local"),
        ({"provider": "aws"}, "amazonaws.com"),
        ({"host": "s3.amazonaws.com"}, "amazonaws.com"),
        ({}, "amazonaws.com"),
    ],
)
def test_the_service_has_one_name_in_all_spellings(parameters: dict[str, str], expected: str) -> None:
    assert service_host(parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({}, True), ({"exporttree": "no"}, True), ({"exporttree": "yes"}, False),
     ({"importtree": "true"}, False)],
)  # fmt: skip
def test_trees_of_files_have_no_marker(parameters: dict[str, str], expected: bool) -> None:
    assert SpecialRemote(A, "x", "S3", None, parameters).has_marker is expected


def write_remote_log(annex: AnnexRepo, text: str) -> None:
    """Put a remote.log of somebody else into the git-annex branch, as a clone would bring it."""
    file = annex.path / ".git" / "remote.log"
    file.write_text(text)
    index = {"GIT_INDEX_FILE": str(annex.path / ".git" / "other-index")}
    blob = annex.run("git", "hash-object", "-w", str(file)).stdout.strip()
    annex.run("git", "read-tree", "git-annex", env=index)
    entry = f"100644,{blob},remote.log"
    annex.run("git", "update-index", "--add", "--cacheinfo", entry, env=index)
    tree = annex.run("git", "write-tree", env=index).stdout.strip()
    commit = annex.run("git", "commit-tree", "-p", "git-annex", "-m", "x", tree).stdout.strip()
    annex.run("git", "update-ref", "refs/heads/git-annex", commit)


@pytest.mark.annex
class TestRealRepository:
    """The same, as git-annex writes it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        folder = tmp_path / "store"
        folder.mkdir()
        return folder

    def _init(self, annex: AnnexRepo, name: str, store: Path, *more: str) -> None:
        annex.annex(
            "initremote", name, "type=directory", f"directory={store}", "encryption=none", *more
        )

    def test_a_remote_in_use_is_found_with_its_parameters(self, annex: AnnexRepo, store: Path) -> None:
        self._init(annex, "dir", store, "preferreddir=a b&c\nd")

        (found,) = remotes.special_remotes(annex.path)

        assert found == SpecialRemote(
            uuid=annex.uuid("dir"), name="dir", type="directory", externaltype=None,
            parameters={"encryption": "none", "name": "dir", "preferreddir": "a b&c\nd",
                        "type": "directory"},
            enabled_as="dir",
        )  # fmt: skip

    def test_a_clone_knows_it_before_git_annex_ran_there(
        self, annex: AnnexRepo, store: Path, tmp_path: Path
    ) -> None:
        self._init(annex, "dir", store)
        annex.run("git", "clone", "-q", str(annex.path), str(tmp_path / "clone"))

        (found,) = remotes.special_remotes(tmp_path / "clone")

        assert (found.name, found.enabled_as) == ("dir", None)
        assert not remotes.is_annex(tmp_path / "clone")
        assert remotes.has_annex_branch(tmp_path / "clone")

    def test_a_renamed_remote_is_found_under_both_names(self, annex: AnnexRepo, store: Path) -> None:
        self._init(annex, "dir", store)
        annex.run("git", "config", "--rename-section", "remote.dir", "remote.my.dir")

        (found,) = remotes.special_remotes(annex.path)

        assert (found.name, found.enabled_as) == ("dir", "my.dir")

    def test_a_sameas_remote_shares_the_uuid_and_has_its_own_id(
        self, annex: AnnexRepo, store: Path
    ) -> None:
        self._init(annex, "dir", store)
        annex.annex(
            "initremote", "two", "--sameas=dir", "type=directory", f"directory={store}",
        )  # fmt: skip

        found = {remote.name: remote for remote in remotes.special_remotes(annex.path)}

        assert found["two"].uuid == found["dir"].uuid == annex.uuid("dir")
        assert found["two"].id != found["dir"].id
        assert (found["dir"].enabled_as, found["two"].enabled_as) == ("dir", "two")
        assert found["two"].parameters["encryption"] == "none"

    @pytest.mark.parametrize(
        "content", ["../../x", "&46;&46;&47;x", "--force", "..", "", f"{B}/", f"{B}&10;x", "&0;"]
    )
    def test_a_remote_cannot_claim_a_uuid_that_is_none(self, annex: AnnexRepo, content: str) -> None:
        write_remote_log(
            annex,
            f"{A} name=evil type=S3 bucket=b sameas-uuid={content} timestamp=1s\n"
            f"{content} encryption=shared cipher=abc timestamp=1s\n",
        )

        (found,) = remotes.special_remotes(annex.path)

        assert (found.name, found.uuid, found.id, found.config_uuid) == ("evil", A, A, None)
        assert "cipher" not in found.parameters
        assert remotes.remembered_keys(annex.path, found) is None

    def test_a_remote_with_another_ones_content_takes_over_only_how_it_is_encoded(
        self, annex: AnnexRepo
    ) -> None:
        write_remote_log(
            annex,
            f"{A} sameas-name=two type=S3 bucket=b sameas-uuid={B} timestamp=1s\n"
            f"{B} name=one type=S3 bucket=other encryption=shared cipher=abc chunk=1MiB"
            " autoenable=true timestamp=1s\n",
        )

        found = {remote.name: remote for remote in remotes.special_remotes(annex.path)}

        assert (found["two"].uuid, found["two"].id) == (B, A)
        assert found["two"].parameters == {
            "sameas-name": "two", "sameas-uuid": B, "type": "S3", "bucket": "b",
            "encryption": "shared", "cipher": "abc", "chunk": "1MiB",
        }  # fmt: skip

    def test_a_dead_remote_is_gone(self, annex: AnnexRepo, store: Path) -> None:
        self._init(annex, "dir", store)
        annex.annex("dead", "dir")

        assert remotes.special_remotes(annex.path) == []

    def test_git_remotes_are_named_whatever_their_names(self, annex: AnnexRepo) -> None:
        annex.run("git", "config", "remote.plain.url", "/nowhere")
        annex.run("git", "config", "remote.with.dots.url", "/nowhere")
        annex.run("git", "config", "remote.to-be-enabled.s3x-signature", "v2")

        assert remotes.git_remote_names(annex.path) == ["plain", "with.dots"]

    def test_local_config_is_set_read_and_removed(self, annex: AnnexRepo) -> None:
        remotes.set_config(annex.path, "s.3", "s3x-profile", "my lab")
        assert remotes.get_config(annex.path, "s.3", "s3x-profile") == "my lab"

        remotes.set_config(annex.path, "s.3", "s3x-profile", None)
        remotes.set_config(annex.path, "s.3", "s3x-profile", None)
        assert remotes.get_config(annex.path, "s.3", "s3x-profile") is None

    def test_a_repository_without_git_annex_has_none(self, tmp_path: Path) -> None:
        AnnexRepo(tmp_path).run("git", "init", "-q")

        assert remotes.special_remotes(tmp_path) == []
        assert not remotes.has_annex_branch(tmp_path)

    def test_no_repository_is_an_error_and_not_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is no git repository"):
            remotes.special_remotes(tmp_path)

    @pytest.mark.parametrize(
        ("remote", "file"),
        [(SpecialRemote(A, "x", "S3", None, {}), A),
         (SpecialRemote(A, "x", "external", "s3x", {}), f"{A}-s3xcreds")],
        ids=["S3", "s3x"],
    )  # fmt: skip
    def test_kept_keys_are_found_not_shown_and_can_be_forgotten(
        self, annex: AnnexRepo, remote: SpecialRemote, file: str
    ) -> None:
        folder = annex.path / ".git" / "annex" / "creds"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / B).write_text("OTHER\nhush\n")
        (folder / file).write_text("AKID\nhush\n")

        keys = remotes.remembered_keys(annex.path, remote)
        remotes.forget_keys(annex.path, remote)

        assert keys is not None
        assert (keys.access_key_id, keys.secret_access_key) == ("AKID", "hush")
        assert "hush" not in repr(keys)
        assert remotes.remembered_keys(annex.path, remote) is None
        assert [path.name for path in folder.iterdir()] == [B]
