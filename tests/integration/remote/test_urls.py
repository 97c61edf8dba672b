"""The requests about URLs, in front of a real server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.integration.commands.helpers import publish
from tests.integration.remote.test_requests import ALL, key_of, started
from tests.support.fake_annex import FakeAnnex
from tests.support.servers import Endpoint, boto3_client

CONTENT = b"content at a URL"
KEY = key_of(CONTENT)
LINKS = "INFO GETGITREMOTENAME TRANSFER-RETRIEVE-URL"


@pytest.fixture
def remote(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> Iterator[FakeAnnex]:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="raw/a b", Body=CONTENT)
    with started(seaweed, new_bucket, tmp_path, fileprefix="annex/") as annex:
        annex.start()
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        yield annex


def test_urls_are_claimed_by_remotes_that_can_read_them(remote: FakeAnnex, new_bucket: str) -> None:
    for url in (f"s3://{new_bucket}/x", "s3://another/x", "S3://another/x?versionId=v",
                f"s3://{new_bucket}/x?endpoint={remote.config['endpoint']}",
                "s3://another/x?endpoint=https://s3.example.org"):  # fmt: skip
        assert remote.ask(f"CLAIMURL {url}") == "CLAIMURL-SUCCESS", url
    for url in ("https://example.org/x", "s3:x", "s3://", "s3://another/x?what", "s3:// another/x"):
        assert remote.ask(f"CLAIMURL {url}") == "CLAIMURL-FAILURE", url


def test_who_adds_a_malformed_url_is_told_what_is_wrong(remote: FakeAnnex) -> None:
    assert remote.ask("CLAIMURL s3://another/h#x.txt") == "CLAIMURL-FAILURE"

    (line,) = [line for line in remote.asked if line.startswith("INFO ")]
    assert "%23" in line


@pytest.mark.parametrize("parameters", [{"encryption": "shared"}, {"exporttree": "yes"}])
def test_where_git_annex_would_not_find_the_content_nothing_is_claimed(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, parameters: dict[str, str]
) -> None:
    with started(seaweed, new_bucket, tmp_path, **parameters) as annex:
        annex.start()

        assert annex.ask(f"CLAIMURL s3://{new_bucket}/x") == "CLAIMURL-FAILURE"


def test_a_url_is_described(remote: FakeAnnex, new_bucket: str) -> None:
    check = f"CHECKURL s3://{new_bucket}/raw"

    assert remote.ask(f"{check}/a%20b") == "CHECKURL-CONTENTS 16 a_b"
    assert remote.ask(f"{check}/") == f"CHECKURL-MULTI s3://{new_bucket}/raw/a%20b 16 a_b"
    assert remote.ask(f"{check}/gone").startswith("CHECKURL-FAILURE there is no object 'raw/gone'")
    assert remote.ask(f"{check}/gone/").startswith("CHECKURL-FAILURE there is nothing below s3://")
    assert "no object" in remote.ask(f"{check}/?versionId=v")


def test_names_that_would_be_one_file_are_not_added_together(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="raw/a_b", Body=b"other")

    assert "would become the same file" in remote.ask(f"CHECKURL s3://{new_bucket}/raw/")


def test_content_is_read_from_its_url(remote: FakeAnnex, new_bucket: str, tmp_path: Path) -> None:
    remote.urls[KEY] = ["s3://[x/y", "s3://no-such-bucket-anywhere/x?what", f"s3://{new_bucket}/raw/gone",
                        f"s3://{new_bucket}/raw/a%20b"]  # fmt: skip

    assert remote.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-SUCCESS {KEY}"
    assert remote.ask(f"TRANSFER RETRIEVE {KEY} out") == f"TRANSFER-SUCCESS RETRIEVE {KEY}"
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_where_the_service_takes_no_name_like_the_key_its_urls_count(
    rclone: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """rclone and MinIO refuse names with ``//``; the keys of content without a checksum are URLs."""
    boto3_client(rclone).create_bucket(Bucket=bucket_name)
    boto3_client(rclone).put_object(Bucket=bucket_name, Key="raw/a b", Body=CONTENT)
    url = f"s3://{bucket_name}/raw/a%20b"
    key = f"VURL-s{len(CONTENT)}--{url}"
    with started(rclone, bucket_name, tmp_path, provider="other", fileprefix="annex/") as remote:
        remote.start()
        assert remote.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        assert remote.ask(f"CHECKPRESENT {key}").startswith(f"CHECKPRESENT-UNKNOWN {key} ")
        assert remote.ask(f"REMOVE {key}").startswith(f"REMOVE-FAILURE {key} ")

        remote.urls[key] = [url]

        assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-SUCCESS {key}"
        assert remote.ask(f"TRANSFER RETRIEVE {key} out") == f"TRANSFER-SUCCESS RETRIEVE {key}"
        assert (tmp_path / "out").read_bytes() == CONTENT
        assert remote.ask(f"REMOVE {key}") == f"REMOVE-SUCCESS {key}"
        assert f"SETURIMISSING {key} {url}" in remote.asked
        boto3_client(rclone).head_object(Bucket=bucket_name, Key="raw/a b")
        boto3_client(rclone).delete_object(Bucket=bucket_name, Key="raw/a b")
        assert remote.ask(f"CHECKPRESENT {key}").startswith(f"CHECKPRESENT-UNKNOWN {key} ")


def test_replies_of_several_lines_come_mixed_and_each_job_has_its_own(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    contents = {"1": b"one", "2": b"the second"}
    keys = {job: key_of(content) for job, content in contents.items()}
    for job, content in contents.items():
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key=f"raw/{job}", Body=content)
    with started(seaweed, new_bucket, tmp_path) as remote:
        remote.start(ALL)
        assert remote.ask("J 1 INITREMOTE") == "J 1 INITREMOTE-SUCCESS"
        for job, key in keys.items():
            assert remote.ask(f"J {job} CHECKPRESENT {key}") == f"J {job} CHECKPRESENT-FAILURE {key}"
        remote.answers_questions = False
        for job, key in keys.items():
            remote.send(f"J {job} CHECKPRESENT {key}")
        questions = {remote.receive() for _ in keys}
        assert questions == {f"J {job} GETURLS {key} s3:" for job, key in keys.items()}

        for job in ("2", "1"):
            remote.send(f"J {job} VALUE s3://{new_bucket}/raw/gone")
        for job in ("1", "2"):
            remote.send(f"J {job} VALUE s3://{new_bucket}/raw/{job}")
        remote.answers_questions = True
        for job in ("2", "1"):
            remote.send(f"J {job} VALUE ")

        answers = {remote.receive() for _ in keys}
        assert answers == {f"J {job} CHECKPRESENT-SUCCESS {key}" for job, key in keys.items()}


def test_an_object_that_was_replaced_by_one_of_the_same_size_is_not_the_content(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    """SeaweedFS tells its MD5; copies elsewhere are dropped on the strength of this answer."""
    key = f"MD5E-s{len(CONTENT)}--{hashlib.md5(CONTENT).hexdigest()}.txt"
    remote.urls[key] = [f"s3://{new_bucket}/raw/a%20b"]
    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-SUCCESS {key}"

    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="raw/a b", Body=CONTENT[::-1])

    assert remote.ask(f"CHECKPRESENT {key}") == f"CHECKPRESENT-FAILURE {key}"


def test_a_file_of_the_tree_that_is_called_like_a_key_is_not_its_content(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    client = boto3_client(seaweed)
    client.put_bucket_versioning(Bucket=new_bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=new_bucket, Key=KEY, Body=CONTENT[::-1])
    with started(seaweed, new_bucket, tmp_path, bucketversioning="yes") as annex:
        annex.start()
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"

        assert annex.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"


def test_an_object_of_another_size_is_not_the_content(remote: FakeAnnex, new_bucket: str) -> None:
    other = key_of(b"other")
    remote.urls[other] = [f"s3://{new_bucket}/raw/a%20b"]

    assert remote.ask(f"CHECKPRESENT {other}") == f"CHECKPRESENT-FAILURE {other}"
    assert "has 16 bytes at the server" in remote.ask(f"TRANSFER RETRIEVE {other} out")


def test_what_cannot_be_found_out_is_unknown(remote: FakeAnnex, new_bucket: str) -> None:
    remote.urls[KEY] = ["s3://another/x?endpoint=http://127.0.0.1:1"]

    answer = remote.ask(f"CHECKPRESENT {KEY}")

    assert answer.startswith(f"CHECKPRESENT-UNKNOWN {KEY} ")
    assert "S3X_TRUST_ENDPOINT" in answer


def test_removing_forgets_the_url_and_leaves_its_object(
    remote: FakeAnnex, seaweed: Endpoint, new_bucket: str
) -> None:
    url = f"s3://{new_bucket}/raw/a%20b"
    remote.urls[KEY] = [url]

    assert remote.ask(f"REMOVE {KEY}") == f"REMOVE-SUCCESS {KEY}"

    assert f"SETURIMISSING {KEY} {url}" in remote.asked
    boto3_client(seaweed).head_object(Bucket=new_bucket, Key="raw/a b")


def test_the_url_of_another_remote_is_no_second_copy(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """Both could read it. Only one says that it has the content."""
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="two/x", Body=CONTENT)
    with started(seaweed, new_bucket, tmp_path, fileprefix="one/") as one:
        one.start()
        one.urls[KEY] = [f"s3://{new_bucket}/two/x"]
        assert one.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-SUCCESS {KEY}"
    journal = tmp_path / ".git" / "annex" / "journal"
    journal.mkdir(parents=True)
    (journal / "remote.log").write_text(
        f"99999999-2222-3333-4444-555555555555 type=external externaltype=s3x encryption=none "
        f"provider=seaweedfs endpoint={seaweed.url} bucket={new_bucket} fileprefix=two/ timestamp=1s\n"
    )
    with started(seaweed, new_bucket, tmp_path, fileprefix="one/") as one:
        one.start()
        one.urls[KEY] = [f"s3://{new_bucket}/two/x"]

        assert one.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-FAILURE {KEY}"
        assert one.ask(f"CLAIMURL s3://{new_bucket}/two/x") == "CLAIMURL-FAILURE"
        assert one.ask(f"TRANSFER RETRIEVE {KEY} out") == f"TRANSFER-SUCCESS RETRIEVE {KEY}"


def test_an_unverified_beginning_is_not_gone_on_with(
    remote: FakeAnnex, new_bucket: str, tmp_path: Path
) -> None:
    url = f"s3://{new_bucket}/raw/a%20b"
    key = f"VURL-s{len(CONTENT)}--{url}"
    remote.urls[key] = [url]
    (tmp_path / "out").write_bytes(b"older")

    assert remote.ask(f"TRANSFER RETRIEVE {key} out") == f"TRANSFER-SUCCESS RETRIEVE {key}"
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_public_object_needs_nobodys_word(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="open", Body=CONTENT)
    url = f"s3://{new_bucket}/open"
    key = f"VURL-s{len(CONTENT)}--{url}"
    with started(seaweed, new_bucket, tmp_path, fileprefix="annex/") as annex:
        annex.start()
        annex.urls[key] = [url]

        refused = annex.ask(f"TRANSFER RETRIEVE {key} out")
        publish(seaweed, new_bucket)

        assert "nobody here has asked for it" in refused
        assert annex.ask(f"TRANSFER RETRIEVE {key} out") == f"TRANSFER-SUCCESS RETRIEVE {key}"


def test_a_link_is_handed_out_on_request_only(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    for choice in ("false", "true"):
        with started(seaweed, new_bucket, tmp_path) as annex:
            annex.start(LINKS)
            annex.ask("INITREMOTE")
            annex.ask(f"TRANSFER STORE {KEY} in")
            answer = annex.ask(f"TRANSFER RETRIEVE {KEY} out")
            gone = annex.ask(f"TRANSFER RETRIEVE {key_of(b'gone')} gone")
        config = tmp_path / ".git" / "config"
        config.write_text(
            config.read_text() + f'[remote "{annex.remote_name}"]\n\ts3x-presign = true\n'
        )
        assert gone.startswith(f"TRANSFER-FAILURE RETRIEVE {key_of(b'gone')} cannot read ")
        if choice == "false":
            assert answer == f"TRANSFER-SUCCESS RETRIEVE {KEY}"
            continue
        word, key, url = answer.split(" ")
        assert (word, key) == ("TRANSFER-RETRIEVE-URL", KEY)
        assert seaweed.secret_access_key not in url
        with urlopen(url) as found:
            assert found.read() == CONTENT


def test_another_service_is_asked_when_somebody_here_has_agreed_to_it(
    seaweed: Endpoint, moto: Endpoint, new_bucket: str, bucket_name: str, tmp_path: Path
) -> None:
    client = boto3_client(moto)
    client.create_bucket(Bucket=f"{bucket_name}-far")
    client.put_object(Bucket=f"{bucket_name}-far", Key="x", Body=CONTENT)
    url = f"s3://{bucket_name}-far/x?endpoint={moto.url}"
    config = {
        "provider": "seaweedfs",
        "endpoint": seaweed.url,
        "bucket": new_bucket,
        "encryption": "none",
    }
    env = {
        "AWS_ACCESS_KEY_ID": seaweed.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_access_key,
    }
    with FakeAnnex(config, cwd=tmp_path, env=env) as annex:
        annex.start()
        assert annex.ask("INITREMOTE") == "INITREMOTE-SUCCESS"
        refused = annex.ask(f"CHECKURL {url}")
    with FakeAnnex(config, cwd=tmp_path, env={**env, "S3X_TRUST_ENDPOINT": moto.url}) as annex:
        annex.start()
        annex.urls[KEY] = [url]

        assert f"S3X_TRUST_ENDPOINT={moto.url}" in refused
        assert annex.ask(f"CHECKURL {url}") == "CHECKURL-CONTENTS 16 x"
        assert annex.ask(f"CHECKPRESENT {KEY}") == f"CHECKPRESENT-SUCCESS {KEY}"
        assert annex.ask(f"TRANSFER RETRIEVE {KEY} out") == f"TRANSFER-SUCCESS RETRIEVE {KEY}"
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_many_jobs_add_urls_side_by_side(seaweed: Endpoint, new_bucket: str, tmp_path: Path) -> None:
    boto3_client(seaweed).put_object(Bucket=new_bucket, Key="raw", Body=CONTENT)
    with started(seaweed, new_bucket, tmp_path, fileprefix="annex/") as annex:
        annex.start("INFO GETGITREMOTENAME ASYNC")
        assert annex.ask("J 1 INITREMOTE") == "J 1 INITREMOTE-SUCCESS"
        for job in range(1, 9):
            annex.send(f"J {job} CHECKURL s3://{new_bucket}/raw")
        answers = {annex.receive() for _ in range(8)}

    assert answers == {f"J {job} CHECKURL-CONTENTS 16 raw" for job in range(1, 9)}
    config = (tmp_path / ".git" / "config").read_text()
    assert config.count(f"bucket = s3://{new_bucket}/") == 1
