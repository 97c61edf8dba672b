"""The frequent errors of S3 services, each with its cause and what to do: a table.

A row fits by S3's error codes, by words in the server's text, by the HTTP status, or by the class of
the library's error; all that are stated must fit. The first row that fits counts, so special ones stand
first. Texts may use ``{service}``, ``{bucket}``, ``{region}``, ``{right_region}``, ``{source}`` (of the
keys), ``{who}`` (asks), ``{said}``, and the settings in :func:`explain`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from datalad_s3ext.doctor.findings import Finding, failed, of_error
from datalad_s3ext.doctor.subject import Examination, Subject
from datalad_s3ext.errors import S3xError
from datalad_s3ext.store.diagnose import Reply


@dataclass(frozen=True)
class Row:
    """One frequent error."""

    number: int
    """Stays the same for ever: reports and tickets name it."""
    cause: str
    remedy: str
    codes: frozenset[str] = frozenset()
    words: str = ""
    """A regular expression to be found in the server's text, whatever the case."""
    statuses: frozenset[int] = frozenset()
    library_error: str = ""
    stage: str = ""
    """The stage to which it belongs; empty: the one in which it happened."""

    def fits(self, reply: Reply) -> bool:
        """Tell whether `reply` shows this error."""
        return (
            (not self.codes or reply.code in self.codes)
            and (not self.statuses or reply.status in self.statuses)
            and (not self.library_error or reply.library_error == self.library_error)
            and (not self.words or re.search(self.words, reply.said, re.IGNORECASE) is not None)
        )


def _row(
    number: int, cause: str, remedy: str, codes: str = "", words: str = "", *,
    status: int | None = None, library_error: str = "", stage: str = "",
) -> Row:  # fmt: skip
    statuses = frozenset() if status is None else frozenset({status})
    return Row(number, cause, remedy, frozenset(codes.split()), words, statuses, library_error, stage)


_KEYS = "credentials"
_NO_TRAILERS = "the service does not take the checksums that the S3 library adds to uploads by itself"

ROWS: tuple[Row, ...] = (
    # 1 to 10: checksums of botocore 1.36 and newer
    _row(1, _NO_TRAILERS, "{no_checksums}", words=r"unsupported header '?x-amz-(sdk-)?checksum"),
    _row(2, _NO_TRAILERS, "{no_checksums}", "SignatureDoesNotMatch", r"^invalid argument"),
    _row(3, _NO_TRAILERS, "{no_checksums}",
         words=r"x-amz-content-sha256 must be|STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    _row(4, "the service computed another SHA-256 of the body than was sent: it does not understand "
         "checksum trailers, or something on the way changes bodies",
         "{no_checksums}; otherwise look for a proxy",
         words=r"content-sha256.{0,60}(did|does) not match|invalid header: x-amz-content-sha256"),
    _row(4, "the service computed another SHA-256 of the body than was sent: it does not understand "
         "checksum trailers, or something on the way changes bodies",
         "{no_checksums}; otherwise look for a proxy", "XAmzContentSHA256Mismatch"),
    _row(6, _NO_TRAILERS, "{no_checksums}", "NotImplemented", r"x-amz-checksum|payload-trailer"),
    _row(7, _NO_TRAILERS, "{no_checksums}", words=r"aws-chunked"),
    _row(8, "the service wants to know the length of a body before it comes", "{no_checksums}",
         "MissingContentLength"),
    _row(9, "the service wants a Content-MD5 with this request, and newer S3 libraries send a CRC32",
         "upgrade the server; git-annex itself deletes objects one by one, which needs none",
         "MissingContentMD5"),
    _row(10, "the parts of an upload carry checksums that were not announced at its beginning",
         "{no_checksums}", words=r"checksum type mismatch"),
    # region and addressing
    _row(11, "the service does not keep buckets in region {region} ({said})",
         "set the region of the bucket: {set_region}",
         "InvalidLocationConstraint IllegalLocationConstraintException", stage="region"),
    _row(11, "the service does not keep buckets in region {region} ({said})",
         "set the region of the bucket: {set_region}", words=r"location constraint", stage="region"),
    _row(13, "the service takes the name of the bucket in front of the host only",
         "use virtual style: {virtual_style}",
         "SecondLevelDomainForbidden VirtualHostDomainRequired", stage="bucket"),
    _row(13, "the service takes the name of the bucket in the path only",
         "use path style: {path_style}", "PathStyleDomainForbidden", stage="bucket"),
    _row(14, "{bucket} is no name that a bucket of this service can have",
         "use 3 to 63 lower-case letters, digits and hyphens; the colon in tenant:bucket works with "
         "Ceph and OpenStack only", "InvalidBucketName", stage="bucket"),
    _row(14, "{bucket} is no name that a bucket of this service can have",
         "use 3 to 63 lower-case letters, digits and hyphens", library_error="ParamValidationError",
         stage="bucket"),
    _row(15, "requests are signed for region {region}, the service wants {right_region}",
         "set the region: {set_region}",
         "AuthorizationHeaderMalformed PermanentRedirect InvalidRegion", stage="region"),
    _row(15, "requests are signed for region {region}, the service wants {right_region}",
         "set the region: {set_region}", status=301, stage="region"),
    # clock and keys
    _row(21, "the clock of this computer differs too much from the server's",
         "turn on network time: timedatectl set-ntp true, or in the system settings",
         "RequestTimeTooSkewed RequestExpired", stage="clock"),
    _row(17, "{service} does not know the access key id from {source}",
         "check that these keys were made at this provider and are still active{keys}",
         "InvalidAccessKeyId InvalidAccessKey InvalidClientTokenId", stage=_KEYS),
    _row(22, "the temporary keys from {source} have expired", "{renew}",
         "ExpiredToken ExpiredTokenException TokenRefreshRequired", stage=_KEYS),
    _row(23, "the session token from {source} was refused: it does not belong to the access key",
         "take access key, secret key and token from the same login; keys that do not expire need no "
         "token (unset AWS_SESSION_TOKEN)", "InvalidToken", stage=_KEYS),
    _row(5, "the secret key from {source} does not fit its access key id, or something on the way "
         "changes requests",
         "enter the secret key again (in keys from Ceph's JSON, \\/ means /); if it is right, check "
         "the region ({region}) and go past any proxy; a very old server may want signature v2: "
         "{signature_v2}",
         "SignatureDoesNotMatch InvalidSecurity InvalidSignature", stage="signature"),
    _row(24, "the service takes no requests without keys, or with this signature ({said})",
         "give keys: --profile NAME, --credential NAME, or the variables AWS_ACCESS_KEY_ID and "
         "AWS_SECRET_ACCESS_KEY; with keys, the service may want another signature: {signature_v2}",
         "Unauthorized UnauthorizedAccess MissingSecurityHeader MissingAuthenticationToken "
         "AuthenticationRequired UnsupportedAlgorithm CredentialsNotSupported", stage="signature"),
    _row(25, "the account of these keys may not use the service now ({said})",
         "look into the provider's console: bills, terms to accept, suspended users",
         "AccountProblem NotSignedUp InvalidPayer OptInRequired UserSuspended AccountSuspended",
         stage=_KEYS),
    # bucket and rights
    _row(26, "there is no bucket {bucket} at {service} in region {region}{near}",
         "check its name and region; datalad s3-setup creates it: datalad s3-setup {provider} --bucket "
         "{quoted_bucket}", "NoSuchBucket", stage="bucket"),
    _row(27, "no room is left ({said})",
         "delete something, or ask the provider for more space (a larger quota)",
         "InsufficientStorage InsufficientCapacity QuotaExceeded StorageFull XMinioStorageFull "
         "EntityQuotaExceeded StorageQuotaExceeded"),
    _row(27, "no room is left ({said})",
         "delete something, or ask the provider for more space (a larger quota)", status=507),
    _row(28, "the service, or a web server in front of it, takes no body of this size",
         "set smaller parts: {part_size}; whoever runs the server can raise the limit "
         "(client_max_body_size of nginx)", status=413),
    _row(20, "the parts of an upload are smaller than the service allows, or not of one size",
         "set larger parts: {part_size}", words=r"non-trailing parts must have the same length"),
    _row(20, "the parts of an upload are smaller than the service allows, or not of one size",
         "set larger parts: {part_size}", "EntityTooSmall"),
    _row(29, "something on the way changed the bytes that were sent ({said})",
         "look for a proxy or a filter between you and {service}, and try from another network",
         "BadDigest InvalidDigest"),
    _row(30, "the object lies in an archive storage class",
         "have it restored first; that takes minutes to hours", "InvalidObjectState"),
    _row(31, "the service asks for fewer requests", "wait a while; use fewer jobs (-J1)",
         "SlowDown TooManyRequests Throttling ThrottlingException RequestLimitExceeded"),
    _row(32, "the service is busy or has a fault ({said})",
         "try again in some minutes; if it stays, look at the provider's status page", status=503),
    _row(32, "the service is busy or has a fault ({said})",
         "try again in some minutes; if it stays, look at the provider's status page", status=500),
    _row(19, "the answer cannot be read: names with control characters, or a listing that the service "
         "does not do properly ({said})",
         "use the other listing: {list_v1}", library_error="ResponseParserError", stage="list"),
    _row(33, "the service, or its plan, does not offer this ({said})",
         "ask the provider, or do without",
         "NotImplemented MethodNotAllowed AccessControlListNotSupported UnsupportedArgument"),
    _row(16, "{who} may not do this",
         "ask the owner of bucket {bucket} for the right {right}, or use other keys{keys}",
         "AccessDenied AllAccessDisabled AccessForbidden Forbidden"),
    _row(16, "{who} may not do this",
         "ask the owner of bucket {bucket} for the right {right}, or use other keys{keys}", status=403),
)  # fmt: skip

RIGHTS = {
    "list_objects": "s3:ListBucket", "list_objects_v2": "s3:ListBucket", "head_bucket": "s3:ListBucket",
    "list_buckets": "s3:ListAllMyBuckets", "put_object": "s3:PutObject", "get_object": "s3:GetObject",
    "head_object": "s3:GetObject", "delete_object": "s3:DeleteObject",
    "create_multipart_upload": "s3:PutObject", "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject", "get_bucket_versioning": "s3:GetBucketVersioning",
}  # fmt: skip
"""What a policy of the bucket must allow for an operation."""


def row_for(reply: Reply) -> Row | None:
    """Return the row that explains a refusal, if one does."""
    return next((row for row in ROWS if row.fits(reply)), None)


def explain(examination: Examination, stage: str, reply: Reply, near: str = "") -> Finding:
    """Return the failure that `reply`, a refusal, means; `near` names buckets that may be meant."""
    row = row_for(reply)
    error = reply.error or S3xError("the service refused", http_status=reply.status, code=reply.code)
    if row is None:
        return of_error(stage, error, operation=reply.operation)
    values = {**_values(examination, reply), "near": near}
    known = {
        "error": row.number, "operation": reply.operation, "code": reply.code,
        "http_status": reply.status, "request_id": error.request_id,
    }  # fmt: skip
    return failed(
        row.stage or stage,
        row.cause.format(**values),
        row.remedy.format(**values),
        **{name: value for name, value in known.items() if value},
    )


def _values(examination: Examination, reply: Reply) -> dict[str, str]:
    subject = examination.subject
    connection = subject.connection
    right_region = reply.right_region or "another one"
    said = ": ".join(text for text in (reply.code, reply.said) if text) or f"status {reply.status}"
    return {
        "service": subject.service,
        "provider": connection.provider.id,
        "bucket": subject.bucket or "(none)",
        "quoted_bucket": shlex.quote(subject.bucket),
        "region": connection.signing_region,
        "right_region": right_region,
        "source": examination.identity.source,
        "who": examination.inquiry.place.who if examination.inquiry else "these keys",
        "said": said,
        "right": RIGHTS.get(reply.operation, reply.operation),
        "set_region": subject.setting("region", reply.right_region or "REGION"),
        "path_style": subject.setting("requeststyle", "path"),
        "virtual_style": subject.setting("requeststyle", "virtual"),
        "signature_v2": _signature_v2(subject),
        "part_size": subject.setting("partsize", "64MiB"),
        "list_v1": subject.in_preset("listing", "version = 1"),
        "no_checksums": _no_checksums(subject),
        "renew": _renew(subject),
        "keys": _replace_keys(subject),
    }


def _signature_v2(subject: Subject) -> str:
    """Return how to ask for the weak signature; of a remote, only this clone can."""
    if subject.remote:
        return f"git config {shlex.quote(f'remote.{subject.remote}.s3x-signature')} v2"
    return "--set signature=v2"


def _no_checksums(subject: Subject) -> str:
    elsewhere = (
        "export AWS_REQUEST_CHECKSUM_CALCULATION=when_required "
        "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
    )
    if subject.connection.provider.requests.checksum_mode == "when_supported":
        own = subject.in_preset("requests", 'checksum_mode = "when_required"')
        return f"{own}; for other programs: {elsewhere}"
    return f"our own uploads do without; for other programs: {elsewhere}; or upgrade the server"


def _renew(subject: Subject) -> str:
    how = subject.connection.provider.help.keys
    general = "aws sso login, or the page of your platform that shows keys"
    return f"get new ones ({how or general}) and try again"


def _replace_keys(subject: Subject) -> str:
    if not subject.remote:
        return ""
    return f"; to give a remote other keys: datalad s3-enable -s {subject.quoted_remote} --profile NAME"
