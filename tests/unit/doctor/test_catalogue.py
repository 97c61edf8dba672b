"""Each frequent error, as a server words it on the wire, gets its cause and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from datalad_s3ext.doctor.catalogue import ROWS
from datalad_s3ext.providers.load import load_provider
from tests.support.faults import (
    Answer,
    Predicate,
    clock_skewed,
    has_method,
    is_complete_upload,
    is_upload_part,
    s3_error,
    slow_down,
)
from tests.support.relay import Relay
from tests.support.servers import Endpoint
from tests.support.wire import Request
from tests.unit.doctor.support import examine, keys_of, last

pytestmark = [pytest.mark.server, pytest.mark.thorough]


def lists(request: Request) -> bool:
    return "list-type=2" in request.path


def puts_object(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" not in request.path


def begins_upload(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.path


CONTROL = b"<ListBucketResult><Name>b</Name><Contents><Key>a\x01</Key></Contents></ListBucketResult>"
TOO_LARGE = Answer(413, b"<html><title>413</title></html>", {"Content-Type": "text/html"})


@dataclass(frozen=True)
class Case:
    """An error as it comes over the wire, and what must be said about it."""

    number: int
    where: Predicate
    answer: Answer | None
    """None: the server itself says it."""
    stage: str
    text: str
    remedy: str
    options: dict[str, Any] = field(default_factory=dict)


def refusal(status: int, code: str, message: str = "said", **headers: str) -> Answer:
    return s3_error(status, code, message, **headers)


CASES = [
    Case(1, puts_object,
         refusal(400, "InvalidArgument",
                 "Unsupported header 'x-amz-checksum-crc32' received for this API call."),
         "put", "checksums that the S3 library adds", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required"),
    Case(2, puts_object, refusal(403, "SignatureDoesNotMatch", "Invalid argument."),
         "put", "checksums that the S3 library adds", "when_required"),
    Case(3, puts_object,
         refusal(400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                 "STREAMING-AWS4-HMAC-SHA256-PAYLOAD or a valid sha256 value."),
         "put", "checksums that the S3 library adds", "when_required"),
    Case(4, puts_object,
         refusal(400, "XAmzContentSHA256Mismatch",
                 "The Content-SHA256 you specified did not match what we received"),
         "put", "another SHA-256", "proxy"),
    Case(4, puts_object,
         refusal(400, "InvalidRequest",
                 "The provided 'x-amz-content-sha256' header does not match what was computed."),
         "put", "another SHA-256", "proxy"),
    Case(6, puts_object,
         refusal(501, "NotImplemented", "Header 'x-amz-checksum-crc32' with value 'x' not implemented"),
         "put", "checksums that the S3 library adds", "when_required"),
    Case(7, puts_object,
         refusal(400, "InvalidArgument", "aws-chunked encoding is not supported with the specified "
                 "x-amz-content-sha256 value."),
         "put", "checksums that the S3 library adds", "when_required"),
    Case(8, puts_object,
         refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header."),
         "put", "length of a body", "when_required"),
    Case(9, has_method("DELETE"),
         refusal(400, "MissingContentMD5", "Missing required header for this request: Content-Md5."),
         "delete", "Content-MD5", "upgrade the server"),
    Case(10, is_upload_part,
         refusal(400, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "
                 "null, actual checksum Type: crc32"),
         "multipart", "not announced", "when_required"),
    Case(11, lists,
         refusal(400, "IllegalLocationConstraintException", "The unspecified location constraint is "
                 "incompatible for the region specific endpoint this request was sent to."),
         "region", "does not keep buckets in region", "--region"),
    Case(11, lists, refusal(400, "InvalidRequest", "Cannot satisfy location constraint `x`"),
         "region", "does not keep buckets in region", "--region"),
    Case(13, lists,
         refusal(403, "SecondLevelDomainForbidden", "must be addressed using third level domain"),
         "bucket", "in front of the host only", "requeststyle=virtual"),
    Case(13, lists, refusal(400, "PathStyleDomainForbidden"),
         "bucket", "in the path only", "requeststyle=path"),
    Case(14, lists, refusal(400, "InvalidBucketName", "The specified bucket is not valid."),
         "bucket", "no name that a bucket", "lower-case letters"),
    Case(14, lists, None, "bucket", "no name that a bucket", "lower-case letters", {"bucket": "a!b"}),
    Case(15, lists,
         refusal(400, "AuthorizationHeaderMalformed", "The region 'x' is wrong; expecting 'eu-9'",
                 x_amz_bucket_region="eu-9"),
         "region", "the service wants eu-9", "--region eu-9"),
    Case(15, lists, refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-9"),
         "region", "the service wants eu-9", "--region eu-9"),
    Case(16, puts_object, refusal(403, "AccessDenied", "Access Denied."),
         "put", "may not do this", "s3:PutObject"),
    Case(16, puts_object, Answer(403, b"", {}), "put", "may not do this", "s3:PutObject"),
    Case(17, lists, None, "credentials", "does not know the access key id", "made at this provider",
         {"access_key_id": "AKIANOBODY"}),
    Case(19, lists, Answer(200, CONTROL), "list", "cannot be read", "version = 1"),
    Case(20, is_complete_upload,
         refusal(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum"),
         "multipart", "smaller than the service allows", "partsize="),
    Case(20, is_complete_upload,
         refusal(400, "InvalidPart", "All non-trailing parts must have the same length."),
         "multipart", "smaller than the service allows", "partsize="),
    Case(21, lists, clock_skewed(), "clock", "clock of this computer", "network time"),
    Case(22, lists, refusal(400, "ExpiredToken", "The provided token has expired."),
         "credentials", "have expired", "get new ones"),
    Case(23, lists, refusal(400, "InvalidToken", "The provided token is malformed"),
         "credentials", "does not belong to the access key", "same login"),
    Case(24, lists, refusal(401, "Unauthorized"), "signature", "no requests without keys", "signature=v2"),
    Case(25, lists, refusal(403, "AccountProblem"), "credentials", "may not use the service now", "bills"),
    Case(5, lists, None, "signature", "does not fit its access key id", "\\/ means /",
         {"secret_access_key": "another-secret-than-that-of-the-server"}),
    Case(26, lists, None, "bucket", "there is no bucket", "datalad s3-setup", {"bucket": "{bucket}x"}),
    Case(27, puts_object, refusal(507, "XMinioStorageFull", "Storage backend has reached its minimum"),
         "put", "no room is left", "quota"),
    Case(27, puts_object, refusal(403, "QuotaExceeded", "over quota"), "put", "no room is left", "quota"),
    Case(27, puts_object, Answer(507), "put", "no room is left", "quota"),
    Case(28, puts_object, TOO_LARGE, "put", "no body of this size", "client_max_body_size"),
    Case(29, puts_object, refusal(400, "BadDigest"), "put", "changed the bytes", "proxy"),
    Case(30, has_method("GET"), refusal(403, "InvalidObjectState"), "get", "archive", "restored",
         {"only": lambda request: "doctor" in request.path}),
    Case(31, puts_object, slow_down(), "put", "fewer requests", "-J1"),
    Case(32, puts_object, Answer(503, b"", {}), "put", "busy or has a fault", "status page"),
    Case(32, puts_object, refusal(500, "InternalError"), "put", "busy or has a fault", "status page"),
    Case(33, begins_upload, refusal(501, "NotImplemented", "not in your plan"),
         "multipart", "does not offer this", "do without"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.stage}-{case.text[:20]}")
def test_an_error_of_the_table(seaweed: Endpoint, new_bucket: str, case: Case) -> None:
    options = dict(case.options)
    bucket = options.pop("bucket", "{bucket}").format(bucket=new_bucket)
    only = options.pop("only", lambda _: True)
    with Relay(seaweed.url) as relay:
        if case.answer is not None:
            relay.answer(lambda request: case.where(request) and only(request), case.answer)
        findings = examine(relay.url, bucket, keys_of(seaweed, **options))

    found = next(one for one in findings if one.status == "failed")
    assert (found.stage, found.facts["error"]) == (case.stage, case.number)
    assert case.text in found.text
    assert case.remedy in found.remedy
    assert "{" not in found.text + found.remedy
    assert not any(one.stage == "capabilities" for one in findings)


def test_every_row_is_shown_by_a_case() -> None:
    assert {row.number for row in ROWS} == {case.number for case in CASES}
    assert len({row.number for row in ROWS}) > 20


def test_a_name_that_is_nearly_right(seaweed: Endpoint, new_bucket: str) -> None:
    findings = examine(seaweed.url, f"{new_bucket}s", keys_of(seaweed))

    assert last(findings) == ("bucket", "failed")
    assert f"(there is {new_bucket}" in findings[-1].text


def test_a_preset_that_asks_for_checksums_is_said_to_be_changed(
    seaweed: Endpoint, new_bucket: str
) -> None:
    said = "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call."
    assert load_provider("aws").requests.checksum_mode == "when_supported"
    with Relay(seaweed.url) as relay:
        relay.answer(puts_object, refusal(400, "InvalidArgument", said))
        findings = examine(
            relay.url, new_bucket, keys_of(seaweed), provider="aws", connection={"addressing": "path"}
        )

    found = next(one for one in findings if one.status == "failed")
    assert 'checksum_mode = "when_required" below [requests]' in found.remedy
    assert "aws.toml" in found.remedy
