"""URLs of objects, read and written."""

from __future__ import annotations

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.store.s3_url import S3Url, parse_s3_url

HOST = "https://s3.example.org"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a/b.txt", S3Url("bucket", "a/b.txt")),
        ("S3://Bucket/b", S3Url("Bucket", "b")),
        ("s3://bucket", S3Url("bucket", "")),
        ("s3://bucket/", S3Url("bucket", "")),
        ("s3://bucket/a/", S3Url("bucket", "a/")),
        ("s3://bucket//a", S3Url("bucket", "/a")),
        ("s3://bucket/a%20b%25%3F%23", S3Url("bucket", "a b%?#")),
        ("s3://bucket/a+b", S3Url("bucket", "a+b")),
        ("s3://bucket/a?versionId=3%2F4", S3Url("bucket", "a", "3/4")),
        (f"s3://bucket/a?endpoint={HOST}/", S3Url("bucket", "a", None, HOST)),
        (
            "s3://bucket/a?endpoint=http://127.0.0.1:9000&versionId=v",
            S3Url("bucket", "a", "v", "http://127.0.0.1:9000"),
        ),
    ],
)
def test_what_a_url_names(text: str, expected: S3Url) -> None:
    assert parse_s3_url(text) == expected
    assert parse_s3_url(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://bucket/a", "s3://BUCKET/NAME"),
        ("s3://[bucket/a", "s3://BUCKET/NAME"),
        ("s3://b\u2100b/a", "s3://BUCKET/NAME"),
        ("s3://bucket/a%FF", "s3://BUCKET/NAME"),
        ("s3:bucket/a", "s3://BUCKET/NAME"),
        ("s3:///a", "s3://BUCKET/NAME"),
        ("s3://key:secret@bucket/a", "s3://BUCKET/NAME"),
        ("s3://key:se/cr?et=secret@bucket/a", "s3://BUCKET/NAME"),
        ("s3:key:secret@bucket/a", "s3://BUCKET/NAME"),
        ("s3://bucket/a?endpoint=me:secret@h", "without https://"),
        ("s3://bucket/a?X-Amz-Signature=secret", "parameter X-Amz-Signature"),
        ("s3://bucket:9000/a", "s3://BUCKET/NAME"),
        ("s3://bucket/a#b", "%23"),
        ("s3://bucket/what?", "something else"),
        ("s3://bucket/a?really", "parameter really"),
        ("s3://bucket/a?versionid=v", "parameter versionid"),
        ("s3://bucket/a?versionId=", "no usable versionId"),
        ("s3://bucket/a?versionId=v&versionId=w", "something else"),
        ("s3://bucket/a?versionId=%0a", "no usable versionId"),
        ("s3://bucket/a/?versionId=v", "no object"),
        ("s3://bucket/a?endpoint=example.org", "without https://"),
        ("s3://bucket/a?endpoint=file:///etc/passwd", "no URL of a host"),
        ("s3://bucket/a?endpoint=https://me:secret@h", "user name or password"),
        ("s3://bucket/a?endpoint=https://h/path", "more than host and port"),
    ],
)
def test_what_is_none_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_s3_url(text)

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "key:" not in str(caught.value)


def test_a_url_with_nothing_but_a_question_mark_is_not_cut() -> None:
    with pytest.raises(ConfigError):
        parse_s3_url("s3://bucket/what?")


@pytest.mark.parametrize("name", ["a b", "\u00e4\u00f6/\u65e5", "100%", "a?b&c=d", "tab\there", "~-_."])
def test_every_name_makes_the_round_trip_without_blanks(name: str) -> None:
    text = str(S3Url("bucket", name, "v 1"))

    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert parse_s3_url(text) == S3Url("bucket", name, "v 1")


def test_what_no_url_can_say_is_not_sound() -> None:
    assert S3Url("bucket", "a b/\u00e4", "v").is_sound
    for name, version_id in (("x\udcff", "v"), ("folder/", "v"), ("x", "v\n")):
        assert not S3Url("bucket", name, version_id).is_sound
