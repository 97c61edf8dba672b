from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from datalad_s3ext import errors
from datalad_s3ext.store import s3_errors
from datalad_s3ext.store.s3_errors import Place, from_sdk, quotable, rule_for_class
from datalad_s3ext.store.s3_rules import BY_CLASS, BY_CODE, BY_STATUS

PLACE = Place("bucket", "https://s3.example.org", "eu-1", "environment variables")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def refused(
    status: int,
    code: str,
    message: str = "",
    headers: dict[str, str] | None = None,
    operation: str = "GetObject",
    **fields: str,
) -> errors.S3xError:
    answer: Any = {
        "Error": {"Code": code, "Message": message, **fields},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": "REQ1",
            "HTTPHeaders": headers or {},
        },
    }
    return from_sdk(ClientError(answer, operation), "read", "name", PLACE, now=NOW)


SDK_CLASSES = [
    found
    for _, found in inspect.getmembers(botocore.exceptions, inspect.isclass)
    if issubclass(found, Exception) and not issubclass(found, Warning)
    and found.__module__ == "botocore.exceptions"
]  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in SDK_CLASSES if not issubclass(k, ClientError)])
def test_every_class_of_botocore_is_mapped(kind: type[Exception]) -> None:
    assert issubclass(rule_for_class(kind).kind, errors.S3xError)


def test_the_list_of_classes_is_not_empty() -> None:
    assert len(SDK_CLASSES) > 90


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EndpointConnectionError", errors.Unreachable),
        ("ConnectTimeoutError", errors.Unreachable),
        ("ProxyConnectionError", errors.Unreachable),
        ("SSLError", errors.Unreachable),
        ("ReadTimeoutError", errors.TransientError),
        ("ConnectionClosedError", errors.TransientError),
        ("ResponseStreamingError", errors.TransientError),
        ("IncompleteReadError", errors.TransientError),
        ("HTTPClientError", errors.TransientError),
        ("NoCredentialsError", errors.CredentialsError),
        ("PartialCredentialsError", errors.CredentialsError),
        ("CredentialRetrievalError", errors.CredentialsError),
        ("ProfileNotFound", errors.CredentialsError),
        ("TokenRetrievalError", errors.CredentialsError),
        ("SSOTokenLoadError", errors.CredentialsError),
        ("UnauthorizedSSOTokenError", errors.CredentialsError),
        ("LoginRefreshRequired", errors.CredentialsError),
        ("MetadataRetrievalError", errors.CredentialsError),
        ("ParamValidationError", errors.ConfigError),
        ("NoRegionError", errors.ConfigError),
        ("ConfigParseError", errors.ConfigError),
        ("InvalidProxiesConfigError", errors.ConfigError),
        ("EndpointResolutionError", errors.ConfigError),
        ("FlexibleChecksumError", errors.IntegrityError),
        ("PaginationError", errors.IntegrityError),
        ("MissingDependencyException", errors.LocalError),
    ],
)
def test_class(name: str, kind: type[errors.S3xError]) -> None:
    assert rule_for_class(getattr(botocore.exceptions, name)).kind is kind


def test_xml_that_is_none() -> None:
    error = from_sdk(ResponseParserError("invalid XML received: <html>"), "list", "", PLACE)

    assert type(error) is errors.NotS3
    assert "html" not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", errors.ObjectNotFound),
        (404, "NoSuchBucket", errors.BucketNotFound),
        (404, "NoSuchUpload", errors.UploadNotFound),
        (404, "404", errors.NotS3),
        (403, "AccessDenied", errors.AccessDenied),
        (403, "403", errors.AccessDenied),
        (403, "InvalidAccessKeyId", errors.CredentialsError),
        (403, "SignatureDoesNotMatch", errors.CredentialsError),
        (400, "ExpiredToken", errors.CredentialsError),
        (400, "InvalidToken", errors.CredentialsError),
        (403, "RequestTimeTooSkewed", errors.ConfigError),
        (403, "InvalidObjectState", errors.ObjectArchived),
        (503, "SlowDown", errors.TransientError),
        (503, "503", errors.TransientError),
        (502, "502", errors.TransientError),
        (500, "InternalError", errors.TransientError),
        (429, "TooManyRequests", errors.TransientError),
        (400, "RequestTimeout", errors.TransientError),
        (409, "OperationAborted", errors.TransientError),
        (400, "EntityTooLarge", errors.ObjectTooLarge),
        (413, "413", errors.ObjectTooLarge),
        (400, "EntityTooSmall", errors.ConfigError),
        (400, "BadDigest", errors.IntegrityError),
        (400, "InvalidDigest", errors.IntegrityError),
        (400, "XAmzContentSHA256Mismatch", errors.IntegrityError),
        (416, "InvalidRange", errors.IntegrityError),
        (412, "PreconditionFailed", errors.ObjectChanged),
        (412, "412", errors.ObjectChanged),
        (507, "InsufficientStorage", errors.S3xError),
        (403, "QuotaExceeded", errors.S3xError),
        (400, "IllegalLocationConstraintException", errors.ConfigError),
        (400, "AuthorizationHeaderMalformed", errors.ConfigError),
        (301, "PermanentRedirect", errors.ConfigError),
        (302, "302", errors.NotS3),
        (501, "NotImplemented", errors.Unsupported),
        (405, "MethodNotAllowed", errors.Unsupported),
        (400, "SecondLevelDomainForbidden", errors.ConfigError),
        (400, "NeverHeardOf", errors.ConfigError),
        (418, "Teapot", errors.ConfigError),
    ],
)
def test_code(status: int, code: str, kind: type[errors.S3xError]) -> None:
    error = refused(status, code)

    assert type(error) is kind
    assert (error.http_status, error.code, error.request_id) == (status, code, "REQ1")


def test_every_text_is_filled_in_and_one_line() -> None:
    rules = [*BY_CODE.values(), *BY_STATUS.values(), *(rule for _, rule in BY_CLASS)]
    for rule in rules:
        words = s3_errors._words_for(rule, PLACE, server="said", right_region="eu-2")
        assert "{" not in words["cause"] + words["remedy"]
        assert "\n" not in words["cause"]


def test_only_transient_errors_are_retryable() -> None:
    assert refused(503, "SlowDown").retryable
    assert not refused(400, "BadDigest").retryable


def test_retry_after_in_seconds_and_as_a_date() -> None:
    seconds = refused(503, "SlowDown", headers={"Retry-After": "7"})
    date = refused(503, "SlowDown", headers={"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"})
    nonsense = refused(503, "SlowDown", headers={"retry-after": "soon"})

    waits = [error.retry_after_s for error in (seconds, date, nonsense)]  # type: ignore[attr-defined]
    assert waits == [7, 30, None]


def test_wrong_clock_is_measured() -> None:
    error = refused(403, "RequestTimeTooSkewed", headers={"date": "Sun, 22 Nov 2026 11:00:00 GMT"})

    assert "is 60 minutes ahead of the server's" in str(error)
    assert "set the clock of this computer" in str(error)


def test_wrong_clock_explains_a_refusal_without_words() -> None:
    headers = {"date": "Sun, 22 Nov 2026 12:20:00 GMT"}

    assert "20 minutes behind" in str(refused(403, "403", headers=headers))
    assert type(refused(403, "AccessDenied", headers=headers)) is errors.AccessDenied
    right = {"date": "Sun, 22 Nov 2026 12:02:00 GMT"}
    assert type(refused(403, "403", headers=right)) is errors.AccessDenied


def test_no_word_of_what_was_signed() -> None:
    error = refused(
        403,
        "SignatureDoesNotMatch",
        "we calculated another one, Signature=abcdef",
        StringToSign="AWS4-HMAC-SHA256 20261122 STRINGTOSIGN",
        CanonicalRequest="GET / CANONICAL",
        AWSAccessKeyId="AKIAEXAMPLE",
    )

    for word in ("STRINGTOSIGN", "CANONICAL", "abcdef"):
        assert word not in str(error)
    assert "environment variables" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "X-Amz-Signature=s3cr3t&x",
        "Credential=s3cr3t/20261122, more",
        "aws_secret_access_key = s3cr3t",
        "x-amz-security-token: s3cr3t",
        "Authorization: s3cr3t",
        "Authorization: Bearer s3cr3t",
    ],
)
def test_secrets_in_words_of_others_are_masked(text: str) -> None:
    assert "s3cr3t" not in quotable(text)


def test_long_and_broken_words_become_one_short_line() -> None:
    quoted = quotable("a\nb\r\n" + "c" * 1000)

    assert quoted.startswith("a b ccc")
    assert len(quoted) == 200


def test_region_of_the_answer_is_named() -> None:
    by_body = refused(400, "AuthorizationHeaderMalformed", Region="eu-west-3")
    by_header = refused(301, "PermanentRedirect", headers={"x-amz-bucket-region": "ap-1"})
    by_endpoint = refused(301, "PermanentRedirect", Endpoint="bucket.s3.sa-1.example.org")

    assert "eu-west-3" in str(by_body)
    assert "ap-1" in str(by_header)
    assert "bucket.s3.sa-1.example.org" in str(by_endpoint)


def test_web_page_with_an_error_status() -> None:
    html = {"content-type": "text/html; charset=utf-8"}

    assert type(refused(403, "403", headers=html)) is errors.NotS3
    head = refused(403, "403", headers=html, operation="HeadObject")
    assert type(head) is errors.AccessDenied
    empty = refused(403, "403", headers={**html, "content-length": "0"})  # moto, to those without keys
    assert type(empty) is errors.AccessDenied
    assert type(refused(502, "502", headers=html)) is errors.TransientError


def test_our_own_error_from_a_body_comes_through() -> None:
    own = errors.LocalError("disk")
    wrapped: BotoCoreError = botocore.exceptions.HTTPClientError(error=own)

    assert from_sdk(wrapped, "store", "name", PLACE) is own


KEPT = "git-annex's own store for this remote"


def denied(place: Place, code: str = "AccessDenied") -> str:
    answer: Any = {
        "Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 403},
    }  # fmt: skip
    return str(from_sdk(ClientError(answer, "PutObject"), "store", "", place, now=NOW))


def test_a_refusal_says_whose_keys_they_are() -> None:
    assert denied(PLACE) == (
        "cannot store bucket 'bucket': access denied to the keys from environment variables; "
        "ask the owner of bucket 'bucket' for this right, or use other keys"
    )


def test_a_refusal_of_nobody_reads_well() -> None:
    nobody = Place("bucket", "https://s3.example.org", "eu-1", "no credentials (anonymous)", True)

    assert "access denied to requests without keys; ask the owner" in denied(nobody)
    assert "https://s3.example.org refused requests without keys: it takes" in denied(
        nobody, "MissingSecurityHeader"
    )


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_how_to_replace_keys_that_git_annex_keeps_is_part_of_the_remedy(code: str) -> None:
    place = Place("bucket", "https://s3.example.org", "eu-1", KEPT)

    cause, _, remedy = denied(place, code).partition("; ")

    assert f"from {KEPT}" in cause
    assert "to replace the kept keys, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in remedy
    assert "`git annex enableremote NAME` or `datalad s3-enable`" in remedy
    assert "to replace" not in denied(PLACE, code)


def test_all_layers_call_kept_keys_the_same() -> None:

    assert s3_errors.HOW_TO_REPLACE.keys() == {KEPT}
