"""What each failure of an S3 service or of botocore means, as tables.

A rule is data: which of our errors, why it happened, what to do about it. The texts may use
``{bucket}``, ``{endpoint}``, ``{source}`` (where the keys come from, a noun), ``{who}`` (whose
request it was: "the keys from ...", or "requests without keys"), ``{replace}`` (how to replace keys
that are kept) and ``{or_signature}`` (which other one may be wanted), both of which follow a whole
remedy or are nothing, ``{expired_when}`` (of temporary keys, or nothing), ``{renewal}`` (how to get
new ones), ``{region}`` (where the request went), ``{right_region}`` (where the server
says it belongs) and ``{server}`` (the server's own words, cleaned). Nothing here touches the
network; :mod:`.s3_errors` applies the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from botocore import exceptions as sdk

from datalad_s3ext import errors
from datalad_s3ext.credentials.model import KEPT

HOW_TO_REPLACE: Mapping[str, str] = {
    KEPT: "; to replace the kept keys, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "to the new ones and run `git annex enableremote NAME` or `datalad s3-enable`",
}
"""What to add to a remedy when the keys come from the place named: nothing for all other places."""

OTHER_SIGNATURE = "; or set signature={}, which some servers of this kind want"


@dataclass(frozen=True)
class Rule:
    """One way to fail, in words of the user."""

    kind: type[errors.S3xError]
    cause: str
    remedy: str = ""


_DENIED = Rule(
    errors.AccessDenied,
    "access denied to {who}",
    "ask the owner of bucket {bucket} for this right, or use other keys{replace}",
)
_UNKNOWN_KEY = Rule(
    errors.CredentialsError,
    "{endpoint} does not know the access key id from {source}",
    "check that these keys were made at this provider and are still active{replace}",
)
_WRONG_SECRET = Rule(
    errors.CredentialsError,
    "{endpoint} did not accept the signature: the secret key from {source} does not fit its access "
    "key id",
    "enter the secret key again; if it is right, check the region and any proxy on the way"
    "{or_signature}{replace}",
)
EXPIRED = Rule(
    errors.CredentialsError,
    "the temporary keys from {source} have expired{expired_when}",
    "{renewal} and try again{replace}",
)
_BAD_TOKEN = Rule(
    errors.CredentialsError,
    "the session token from {source} was refused",
    "give access key, secret key and token of the same login; keys that do not expire need no "
    "token{replace}",
)
_NOT_SIGNED = Rule(
    errors.CredentialsError,
    "{endpoint} refused {who}: it takes no such requests without keys, or with this signature",
    "give keys, or choose the provider's own signature version{or_signature}",
)
_ACCOUNT = Rule(
    errors.AccessDenied,
    "the account behind {who} may not use this service now: {server}",
    "look into the provider's console",
)
_BUSY = Rule(errors.TransientError, "the service is busy or failed inside: {server}", "try again")
_SLOW = Rule(errors.TransientError, "the service asks for fewer requests", "wait, or use fewer jobs")
_CUT = Rule(errors.TransientError, "the connection was too slow or broke: {server}", "try again")
_TOO_LARGE = Rule(
    errors.ObjectTooLarge,
    "the service, or a web server before it, takes no body of this size",
    "use smaller parts or chunks",
)
_DAMAGED = Rule(
    errors.IntegrityError,
    "the service received other bytes than were sent ({server})",
    "try again; if it stays, look for a proxy that changes bodies, or choose the right provider",
)
_WRONG_PARTS = Rule(
    errors.IntegrityError,
    "the parts on the server are not the ones that were sent",
    "start the upload anew",
)
_CHANGED = Rule(
    errors.ObjectChanged,
    "the object was replaced in the meantime",
    "read it from its start; if it is an imported file, import again",
)
_FULL = Rule(
    errors.S3xError,
    "no room is left: {server}",
    "delete something, or ask the provider for more space",
)
_WRONG_REGION = Rule(
    errors.ConfigError,
    "the request went to region {region}, but the bucket belongs to {right_region}",
    "set the region (and its endpoint) accordingly",
)
_WRONG_CONSTRAINT = Rule(
    errors.ConfigError,
    "the service does not make buckets for region {region}: {server}",
    "set another region",
)
_UNSUPPORTED = Rule(errors.Unsupported, "this service cannot do it: {server}")
_ARCHIVED = Rule(
    errors.ObjectArchived,
    "the object lies in an archive storage class and must be restored first",
    "restore it (datalad s3-restore), wait some hours and try again",
)
_TAKEN = Rule(
    errors.ConfigError,
    "the bucket name {bucket} is taken by someone else",
    "choose another name",
)
_BAD_NAME = Rule(
    errors.ConfigError,
    "{bucket} is no valid bucket name",
    "use 3 to 63 lower-case letters, digits and hyphens",
)
_LONG_NAME = Rule(errors.Unsupported, "the object name is too long for this service")
_ADDRESSING = Rule(
    errors.ConfigError,
    "the service wants bucket names in the host name or in the path, and got the other",
    "choose the right provider, or set requeststyle=path or requeststyle=virtual",
)
_REFUSED = Rule(
    errors.ConfigError,
    "the service did not understand the request: {server}",
    "check provider, endpoint and region",
)
OTHER_SERVER = Rule(
    errors.NotS3,
    "{endpoint} answers, but not like an S3 service",
    "check host and port: a console, portal or proxy may stand there",
)
_BUG = Rule(errors.S3xError, "the S3 library was used in a wrong way ({server})", "report this")
_INSTALLATION = Rule(
    errors.LocalError, "the S3 library is not installed completely ({server})", "reinstall boto3"
)
_LOOKUP = Rule(
    errors.CredentialsError,
    "no keys could be had from {source} ({server})",
    "log in again, or give keys in the environment or by profile",
)


def _same(rule: Rule, codes: Iterable[str]) -> dict[str, Rule]:
    return dict.fromkeys(codes, rule)


def _words(text: str) -> list[str]:
    return text.split()


BY_CODE: Mapping[str, Rule] = {
    "NoSuchKey": Rule(errors.ObjectNotFound, "there is no such object"),
    "NoSuchVersion": Rule(errors.ObjectNotFound, "there is no such version of the object"),
    "NoSuchBucket": Rule(
        errors.BucketNotFound,
        "there is no bucket {bucket} at {endpoint}",
        "check its name and region, or have it created",
    ),
    "NoSuchUpload": Rule(errors.UploadNotFound, "the multipart upload is gone"),
    **_same(_DENIED, _words("AccessDenied AllAccessDisabled AccessForbidden Forbidden")),
    **_same(_UNKNOWN_KEY, _words("InvalidAccessKeyId InvalidAccessKey InvalidClientTokenId")),
    **_same(_WRONG_SECRET, _words("SignatureDoesNotMatch InvalidSecurity InvalidSignature")),
    **_same(EXPIRED, _words("ExpiredToken ExpiredTokenException TokenRefreshRequired")),
    "InvalidToken": _BAD_TOKEN,
    **_same(
        _NOT_SIGNED,
        _words("Unauthorized UnauthorizedAccess MissingSecurityHeader MissingAuthenticationToken "
               "AuthenticationRequired UnsupportedAlgorithm CredentialsNotSupported"),
    ),
    **_same(
        _ACCOUNT,
        _words("AccountProblem NotSignedUp InvalidPayer OptInRequired UserSuspended "
               "AccountSuspended"),
    ),
    **_same(
        _BUSY,
        _words("InternalError ServiceUnavailable OperationAborted ConditionalRequestConflict Busy "
               "ServerBusy TemporaryRedirect XMinioServerNotInitialized"),
    ),
    **_same(
        _SLOW,
        _words("SlowDown SlowDownRead SlowDownWrite TooManyRequests Throttling RequestThrottled "
               "ThrottlingException RequestLimitExceeded BandwidthLimitExceeded"),
    ),
    **_same(_CUT, _words("RequestTimeout IncompleteBody")),
    **_same(_TOO_LARGE, _words("EntityTooLarge MaxSizeExceeded RequestEntityTooLarge")),
    **_same(
        _DAMAGED,
        _words("BadDigest InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch"),
    ),
    **_same(_WRONG_PARTS, _words("InvalidPart InvalidPartOrder")),
    "EntityTooSmall": Rule(
        errors.ConfigError,
        "the parts are smaller than the service allows",
        "choose a larger part size",
    ),
    "InvalidRange": Rule(errors.IntegrityError, "the object is shorter than expected"),
    "PreconditionFailed": _CHANGED,
    **_same(
        _FULL,
        _words("InsufficientStorage InsufficientCapacity QuotaExceeded StorageFull "
               "XMinioStorageFull EntityQuotaExceeded StorageQuotaExceeded TooManyBuckets"),
    ),
    **_same(_WRONG_REGION, _words("AuthorizationHeaderMalformed PermanentRedirect InvalidRegion")),
    **_same(
        _WRONG_CONSTRAINT,
        _words("IllegalLocationConstraintException InvalidLocationConstraint"),
    ),
    **_same(
        _UNSUPPORTED,
        _words("NotImplemented MethodNotAllowed AccessControlListNotSupported UnsupportedArgument"),
    ),
    "InvalidObjectState": _ARCHIVED,
    "RestoreAlreadyInProgress": Rule(
        errors.ObjectArchived, "the object is being restored", "try again later"
    ),
    "GlacierExpeditedRetrievalNotAvailable": Rule(
        errors.Unsupported,
        "the service has no capacity for expedited restores now",
        "ask with tier standard or bulk",
    ),
    **_same(
        _TAKEN, _words("BucketAlreadyExists BucketNameUnavailable BucketAlreadyOwnedByYou")
    ),
    "InvalidBucketName": _BAD_NAME,
    "KeyTooLongError": _LONG_NAME,
    **_same(_ADDRESSING, _words("SecondLevelDomainForbidden PathStyleDomainForbidden")),
    "InvalidStorageClass": Rule(
        errors.ConfigError, "the service has no such storage class", "choose another storageclass"
    ),
}  # fmt: skip

BY_STATUS: Mapping[int, Rule] = {
    400: _REFUSED,
    401: _NOT_SIGNED,
    403: _DENIED,
    404: OTHER_SERVER,
    405: _UNSUPPORTED,
    408: _CUT,
    409: _BUSY,
    412: _CHANGED,
    413: _TOO_LARGE,
    416: BY_CODE["InvalidRange"],
    429: _SLOW,
    501: _UNSUPPORTED,
    503: _SLOW,
    507: _FULL,
}
"""For answers without an error code that we know."""

_UNREACHABLE_HOST = Rule(
    errors.Unreachable,
    "no connection to {endpoint}",
    "check host, port and network",
)

# The first class that fits counts: special ones stand before their bases.
BY_CLASS: tuple[tuple[type[BaseException], Rule], ...] = (
    (sdk.SSLError, Rule(
        errors.Unreachable, "no secure connection to {endpoint}: {server}",
        "check that the port speaks https; for a certificate of your institute set AWS_CA_BUNDLE",
    )),
    (sdk.ProxyConnectionError, Rule(
        errors.Unreachable, "the proxy on the way to {endpoint} does not answer",
        "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    )),
    (sdk.ConnectTimeoutError, Rule(
        errors.Unreachable, "{endpoint} did not answer in time", "check host, port and firewall",
    )),
    (sdk.ConnectionError, _UNREACHABLE_HOST),
    (sdk.ReadTimeoutError, Rule(
        errors.TransientError, "{endpoint} stopped answering", "try again")),
    (sdk.IncompleteReadError, Rule(
        errors.TransientError, "{endpoint} broke off in the middle of the answer", "try again")),
    (sdk.HTTPClientError, Rule(
        errors.TransientError, "the connection to {endpoint} broke", "try again")),
    (sdk.CapacityNotAvailableError, _SLOW),
    (sdk.ProfileNotFound, Rule(
        errors.CredentialsError, "there is no such profile: {source}",
        "look into ~/.aws/config, or choose another profile",
    )),
    (sdk.NoCredentialsError, Rule(
        errors.CredentialsError, "no keys were found in {source}",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile",
    )),
    (sdk.PartialCredentialsError, Rule(
        errors.CredentialsError, "the keys from {source} are incomplete: {server}",
        "give both the access key id and the secret key",
    )),
    *((kind, EXPIRED) for kind in (
        sdk.SSOError, sdk.LoginError, sdk.TokenRetrievalError, sdk.RefreshWithMFAUnsupportedError)),
    *((kind, _LOOKUP) for kind in (
        sdk.CredentialRetrievalError, sdk.UnknownCredentialError, sdk.NoAuthTokenError,
        sdk.UnknownTokenProviderError, sdk.MetadataRetrievalError, sdk.InvalidIMDSEndpointError,
        sdk.InvalidIMDSEndpointModeError)),
    (sdk.FlexibleChecksumError, _DAMAGED),
    (sdk.ChecksumError, _DAMAGED),
    (sdk.PaginationError, Rule(errors.IntegrityError, "the service repeats a page of its list")),
    *((kind, _INSTALLATION) for kind in (
        sdk.DataNotFoundError, sdk.ApiVersionNotFoundError, sdk.MissingDependencyException,
        sdk.MD5UnavailableError)),
    *((kind, _BUG) for kind in (
        sdk.StubResponseError, sdk.WaiterError, sdk.WaiterConfigError, sdk.InvalidExpressionError,
        sdk.OperationNotPageableError, sdk.UnknownClientMethodError, sdk.MissingParametersError,
        sdk.UndefinedModelAttributeError, sdk.UnseekableStreamError, sdk.AwsChunkedWrapperError,
        sdk.UnknownServiceStyle, sdk.UnsupportedServiceProtocolsError)),
    # whatever else botocore refuses before sending anything is a setting it does not like
    (sdk.BotoCoreError, Rule(
        errors.ConfigError, "the S3 library does not accept a setting: {server}",
        "check bucket, endpoint, region and ~/.aws/config",
    )),
)  # fmt: skip
