"""Web servers below ``publicurl`` that are not what the data set says, and those that are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.commands.helpers import publish
from tests.integration.remote.test_requests import UUID, key_of
from tests.support.cdn import Cdn, Said
from tests.support.fake_annex import FakeAnnex
from tests.support.hostile import PAGE
from tests.support.servers import Endpoint, boto3_client

CONTENT = bytes(range(256)) * 5000
HERE, GONE, SHORT = key_of(CONTENT), key_of(b"gone"), key_of(b"this is another content")
SIZELESS = "URL--http&c%%example.org%one"
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def cdn(seaweed: Endpoint, marked_bucket: str) -> Iterator[Cdn]:
    client = boto3_client(seaweed)
    for name, content in {HERE: CONTENT, SHORT: b"short", SIZELESS: b"1"}.items():
        client.put_object(Bucket=marked_bucket, Key=name, Body=content)
    with Cdn(seaweed, marked_bucket) as found:
        yield found


@contextmanager
def without_keys(
    cdn: Cdn, cwd: Path, *, addresses: str = "all", endpoint: str = CLOSED, **config: str
) -> Iterator[FakeAnnex]:
    given = {
        "provider": "other", "endpoint": endpoint, "bucket": "bucket", "encryption": "none",
        "publicurl": cdn.url, **config,
    }  # fmt: skip
    with FakeAnnex(given, cwd=cwd, uuid=UUID) as annex:
        git_config(cwd, "annex.security.allowed-ip-addresses", addresses)
        yield annex.start()


def git_config(cwd: Path, name: str, value: str) -> None:
    subprocess.run(["git", "-C", str(cwd), "config", name, value], check=True)


def instead(cdn: Cdn, said: Said, *, of: str = "") -> None:
    """Have the server say this of all objects whose names hold `of`."""
    cdn.instead = lambda name: said if of in name else None


def is_present(annex: FakeAnnex, key: str) -> str:
    """Return the answer and why."""
    return annex.ask(f"CHECKPRESENT {key}").removeprefix("CHECKPRESENT-").replace(f" {key}", "")


def get(annex: FakeAnnex, key: str, name: str = "out") -> str:
    return annex.ask(f"TRANSFER RETRIEVE {key} {name}")


def test_what_is_there_is_found_and_received(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert is_present(annex, HERE) == "SUCCESS"
        assert is_present(annex, SIZELESS) == "SUCCESS"
        assert is_present(annex, GONE) == "FAILURE"
        assert is_present(annex, SHORT) == "FAILURE"
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"
        assert (tmp_path / "out").read_bytes() == CONTENT
        assert "has 5 bytes at the server" in get(annex, SHORT, "short")
        assert not (tmp_path / "short").read_bytes()
        (tmp_path / "in").write_bytes(b"gone")
        for request in (f"TRANSFER STORE {GONE} in", f"REMOVE {HERE}"):
            assert "AWS_ACCESS_KEY_ID" in annex.ask(request)
    assert {method for method, *_ in cdn.asked} == {"GET", "HEAD"}


@pytest.mark.thorough
def test_a_download_goes_on_where_it_ended(cdn: Cdn, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(CONTENT[:1_000_000])
    with without_keys(cdn, tmp_path) as annex:
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"

    assert (tmp_path / "out").read_bytes() == CONTENT
    assert "bytes=1000000-" in cdn.asked[-1][2]["range"]


@pytest.mark.thorough
def test_a_server_that_sends_no_parts_is_read(
    seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    boto3_client(seaweed).put_object(Bucket=marked_bucket, Key=HERE, Body=CONTENT)
    (tmp_path / "begun").write_bytes(CONTENT[:1_000_000])
    with (
        Cdn(seaweed, marked_bucket, ranges=False) as cdn,
        without_keys(cdn, tmp_path) as annex,
    ):
        for name in ("begun", "new"):
            assert get(annex, HERE, name) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"
            assert (tmp_path / name).read_bytes() == CONTENT


def test_an_error_says_nothing_about_content(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        git_config(tmp_path, f"remote.{annex.remote_name}.s3x-retries", "0")
        assert is_present(annex, HERE) == "SUCCESS"
        for said, words in (
            ((403, {}, b""), "403"),
            ((500, {}, b""), "500"),
            ((401, {}, b""), "401"),
            ((451, {}, b""), "451"),
            ((302, {"Location": "file:///etc/passwd"}, b""), "cannot be reached"),
            ((302, {"Location": "/SHA256"}, b""), "cannot be reached"),
        ):
            instead(cdn, said, of="SHA256")
            for key in (HERE, GONE):
                answer = is_present(annex, key)
                assert answer.startswith("UNKNOWN "), answer
                assert words in answer
            assert get(annex, HERE).startswith("TRANSFER-FAILURE")
            assert not (tmp_path / "out").exists() or not (tmp_path / "out").read_bytes()


def test_a_site_with_a_page_for_everything_is_not_believed(cdn: Cdn, tmp_path: Path) -> None:
    def page(name: str) -> Said | None:
        return None if name in {"annex-uuid", HERE} else (200, {}, PAGE)

    cdn.instead = page
    with without_keys(cdn, tmp_path) as annex:
        for key in (HERE, GONE, SIZELESS):
            answer = is_present(annex, key)
            assert answer.startswith("UNKNOWN "), answer
            assert "even what cannot exist is there" in answer
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"


def test_what_a_cache_remembers_is_not_believed(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        for status in (200, 404):
            instead(cdn, (status, {"Age": "3600"}, CONTENT), of=HERE)
            answer = is_present(annex, HERE)
            assert answer.startswith("UNKNOWN "), answer
            assert "Age: 3600" in answer
        instead(cdn, (200, {"Age": "0"}, CONTENT), of=HERE)
        assert is_present(annex, HERE) == "SUCCESS"
    assert any(headers.get("cache-control") == "no-cache" for _, _, headers in cdn.asked)


def test_a_place_that_is_not_shown_to_be_the_remotes_is_not_read(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        for said in ((404, {}, b""), (403, {}, b""), (200, {}, PAGE), (200, {}, b"another-uuid")):
            instead(cdn, said, of="annex-uuid")
            assert annex.ask("INITREMOTE").startswith("INITREMOTE-FAILURE")
            for answer in (is_present(annex, HERE), get(annex, HERE)):
                assert "its publicurl cannot be read either" in answer
                assert cdn.url in answer
            assert not (tmp_path / "out").exists()


def test_hostile_answers_do_no_harm(cdn: Cdn, tmp_path: Path) -> None:
    """What is received is no longer than its key says, and its own size."""
    size, endless = len(CONTENT), {"Content-Length": str(10**15)}
    with without_keys(cdn, tmp_path) as annex:
        for said in (
            (200, endless, b"x" * 1000),
            (206, {**endless, "Content-Range": f"bytes 0-{10**15 - 1}/{10**15}"}, b"x" * 1000),
            (206, {"Content-Range": f"bytes 5-14/{size}", "Content-Length": "10"}, b"x" * 10),
            (206, {"Content-Length": "10"}, b"x" * 10),
            (200, {"Content-Encoding": "gzip"}, CONTENT),
        ):
            instead(cdn, said, of=HERE)
            answer = get(annex, HERE)
            assert answer.startswith("TRANSFER-FAILURE"), answer
            assert not (tmp_path / "out").exists() or not (tmp_path / "out").read_bytes()


@pytest.mark.parametrize(
    "config",
    [
        {"addresses": ""},
        pytest.param({"addresses": "[127.0.0.1]:1"}, marks=pytest.mark.thorough),
        pytest.param({"publicurl": "file:///"}, marks=pytest.mark.thorough),
        pytest.param({"publicurl": "ftp://127.0.0.1/"}, marks=pytest.mark.thorough),
    ],
)
def test_this_machine_is_not_asked_unless_its_user_allows_it(
    cdn: Cdn, tmp_path: Path, config: dict[str, str]
) -> None:
    with without_keys(cdn, tmp_path, **config) as annex:  # type: ignore[arg-type]
        assert get(annex, HERE).startswith("TRANSFER-FAILURE")
        assert is_present(annex, HERE).startswith("UNKNOWN ")
    assert cdn.asked == []


@pytest.mark.thorough
def test_nor_by_a_redirect(cdn: Cdn, seaweed: Endpoint, marked_bucket: str, tmp_path: Path) -> None:
    with Cdn(seaweed, marked_bucket) as inner:
        instead(cdn, (302, {"Location": f"{inner.url}/{HERE}"}, b""), of=HERE)
        port = cdn.url.rpartition(":")[2]
        with without_keys(cdn, tmp_path, addresses=f"[127.0.0.1]:{port}") as annex:
            assert "is not a public address" in get(annex, HERE)
            assert is_present(annex, HERE).startswith("UNKNOWN ")
        assert inner.asked == []


@pytest.mark.thorough
def test_a_scheme_that_the_user_forbids_is_not_used(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        git_config(tmp_path, "annex.security.allowed-url-schemes", "https")
        assert get(annex, HERE).startswith("TRANSFER-FAILURE")
    assert cdn.asked == []


def test_nothing_is_present_at_a_url_that_the_data_set_has_changed(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path) as annex:
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
    with without_keys(cdn, tmp_path, publicurl=f"{cdn.url}//") as annex:
        assert is_present(annex, HERE) == "SUCCESS"
    with without_keys(cdn, tmp_path, publicurl=cdn.url.replace("127.0.0.1", "localhost")) as annex:
        answer = is_present(annex, HERE)
        assert answer.startswith("UNKNOWN ")
        assert "nothing is taken for present" in answer
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"


def test_s3_is_asked_first_where_it_lets_everybody_read(
    cdn: Cdn, seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    publish(seaweed, marked_bucket)
    with without_keys(cdn, tmp_path, endpoint=seaweed.url, bucket=marked_bucket) as annex:
        assert is_present(annex, HERE) == "SUCCESS"
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"
    assert cdn.asked == []


@pytest.mark.thorough
def test_a_tree_whose_files_are_not_known_is_read_from_s3_as_before(
    cdn: Cdn, seaweed: Endpoint, marked_bucket: str, tmp_path: Path
) -> None:
    publish(seaweed, marked_bucket)
    boto3_client(seaweed).put_object(Bucket=marked_bucket, Key="file", Body=CONTENT)
    given = {"endpoint": seaweed.url, "bucket": marked_bucket, "exporttree": "yes"}
    for more in (given, {"exporttree": "yes"}):
        with without_keys(cdn, tmp_path, **more) as annex:
            annex.send("EXPORT file")
            said = annex.ask(f"TRANSFEREXPORT RETRIEVE {HERE} out")
            assert said == f"TRANSFER-SUCCESS RETRIEVE {HERE}"
        assert (tmp_path / "out").read_bytes() == CONTENT
        assert bool(cdn.asked) is (more is not given)
        (tmp_path / "out").unlink()


@pytest.mark.thorough
def test_who_wants_to_ask_without_keys_reads_there_too(cdn: Cdn, tmp_path: Path) -> None:
    with without_keys(cdn, tmp_path, signature="anonymous") as annex:
        assert is_present(annex, HERE) == "SUCCESS"
        assert get(annex, HERE) == f"TRANSFER-SUCCESS RETRIEVE {HERE}"
        (tmp_path / "in").write_bytes(b"gone")
        assert annex.ask(f"TRANSFER STORE {GONE} in").startswith("TRANSFER-FAILURE")
    assert (tmp_path / "out").read_bytes() == CONTENT
