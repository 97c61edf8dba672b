"""The border to botocore: its failures come in, ours go out.

``with translated("store", name, place):`` around a call of the client is all there is to it. The
server's own words are quoted only where they help, on one line, shortened, and never for refused
signatures: such answers repeat what was signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from datalad_s3ext import errors
from datalad_s3ext.store.s3_rules import (
    BY_CLASS,
    BY_CODE,
    BY_STATUS,
    EXPIRED,
    HOW_TO_REPLACE,
    OTHER_SERVER,
    OTHER_SIGNATURE,
    Rule,
)

SKEW_ALLOWED_S = 15 * 60  # S3 refuses requests whose time is further off
QUOTE_LIMIT = 200
_PARSERS = "botocore.parsers"  # imported only by botocore itself: it takes 0.1 s

_SECRETS = re.compile(
    r"(?i)(signature|credential|security-token|secret\w*|session_?token|password)\s*[=:]\s*\S+"
)
_AUTHORIZATION = re.compile(r"(?i)(authorization)\s*[=:].*")
_BUSY_STATUS = BY_CODE["InternalError"]
_OF_OTHER_CAUSE = frozenset({
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidObjectState", "InvalidToken",
})  # fmt: skip
_WRONG_CUSTOMER_KEY = "; or the object was stored with another SSE-C key than the one from {}"
_REDIRECTED = Rule(
    errors.NotS3,
    "{endpoint} sends the request elsewhere instead of answering",
    "check host and port: a login page or proxy may stand there",
)


@dataclass(frozen=True)
class Place:
    """Whom a request was sent to, and with whose keys: what error texts tell."""

    bucket: str
    endpoint: str
    region: str
    source: str
    """Where the keys come from: a noun, to follow "the keys from"."""
    is_anonymous: bool = False
    """Requests are sent without keys."""
    other_signature: str | None = None
    """A signature that this service is known to take, too."""
    expired_when: Callable[[], str] = field(default=str, repr=False)
    """Tells when temporary keys have expired, if that is known: " on ...", to follow "expired"."""
    renewal: str = "get new ones (aws sso login, or the token page of your platform)"
    """How to get keys in place of expired ones."""
    customer_key: str = ""
    """Where the key comes from that the server encrypts with; ``""`` when it is given none."""
    hide: Callable[[str], str] = field(default=str, repr=False)
    """Takes our secrets out of what a server says: it was sent some of them."""

    @property
    def who(self) -> str:
        """Return whose requests they are."""
        return "requests without keys" if self.is_anonymous else f"the keys from {self.source}"


@contextmanager
def translated(operation: str, name: str, place: Place) -> Iterator[None]:
    """Let only errors of :mod:`datalad_s3ext.errors` out of the block.

    Parameters
    ----------
    operation : str
        What is being done, to follow "cannot": ``read``, ``store``, ``list``.
    name : str
        The object, or ``""`` for the bucket itself.

    Notes
    -----
    One of our own errors that was raised while botocore read the body to send comes out as it was.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise from_sdk(error, operation, name, place) from error
    except OSError as error:
        what = f"cannot {operation} {_target(name, place)}: {error}"
        raise errors.LocalError(what) from error
    except Exception as error:
        if _is_vain_refresh(error):
            raise _expired(operation, name, place) from error
        if not _is_of_the_parser(error):
            raise
        raise from_sdk(error, operation, name, place) from error


def from_sdk(
    error: Exception, operation: str, name: str, place: Place, *, now: datetime | None = None
) -> errors.S3xError:
    """Return our error for one of botocore's."""
    what = f"cannot {operation} {_target(name, place)}"
    if isinstance(error, ClientError):
        return _from_answer(error, what, place, now or datetime.now(UTC))
    inner = error.kwargs.get("error") if isinstance(error, HTTPClientError) else None
    if isinstance(inner, errors.S3xError):
        return inner
    rule = rule_for_class(type(error))
    words = _words_for(rule, place, server=quotable(str(error)))
    return rule.kind(f"{what}: {words['cause']}", remedy=words["remedy"])


def rule_for_class(kind: type[BaseException]) -> Rule:
    """Return what an exception class of botocore means."""
    if kind.__module__ == _PARSERS:
        return OTHER_SERVER
    return next(rule for base, rule in BY_CLASS if issubclass(kind, base))


def _is_of_the_parser(error: Exception) -> bool:
    """Tell botocore's ResponseParserError, which is no BotoCoreError, without importing its module."""
    return type(error).__module__ == _PARSERS


def _is_vain_refresh(error: Exception) -> bool:
    """Tell botocore's plain RuntimeError for a source that gives out keys which have expired."""
    return isinstance(error, RuntimeError) and "credentials are still expired" in str(error)


def _expired(operation: str, name: str, place: Place) -> errors.S3xError:
    words = _words_for(EXPIRED, place, server="")
    return EXPIRED.kind(
        f"cannot {operation} {_target(name, place)}: {words['cause']}", remedy=words["remedy"]
    )


def rule_for_answer(code: str, status: int) -> Rule:
    """Return what an answer of the server means; a code that is not known falls back on `status`."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 300 <= status < 400:
        return _REDIRECTED
    return _BUSY_STATUS if status >= 500 else BY_STATUS[400]


def is_spoken_by_s3(error: ClientError) -> bool:
    """Tell whether the answer held an S3 error text, not only a status."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return bool(code) and not code.isdigit()


def clock_skew_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds this machine's clock is ahead of the server's."""
    try:
        server_time = _moment(headers["date"])
        return (now - server_time).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None


def _moment(text: str) -> datetime:
    from email.utils import parsedate_to_datetime  # only when something is wrong: it imports slowly

    return parsedate_to_datetime(text)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long the server asks to wait, which it says in seconds or as a date."""
    text = headers.get("retry-after", "")
    try:
        if text.strip().isdigit():
            return float(text)
        return max(0.0, (_moment(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def quotable(text: str) -> str:
    """Return the words of a server or library fit for a message: one line, short, no secrets."""
    clean = _AUTHORIZATION.sub(r"\1: ***", errors.one_line(text))
    clean = _SECRETS.sub(r"\1=***", clean)
    return clean if len(clean) <= QUOTE_LIMIT else clean[: QUOTE_LIMIT - 1] + "…"


def _from_answer(error: ClientError, what: str, place: Place, now: datetime) -> errors.S3xError:
    answer: Mapping[str, Any] = error.response
    meta = answer.get("ResponseMetadata", {})
    headers = {str(k).lower(): str(v) for k, v in meta.get("HTTPHeaders", {}).items()}
    said = answer.get("Error", {})
    code, status = str(said.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
    details: dict[str, Any] = {
        "http_status": status,
        "code": code,
        "request_id": meta.get("RequestId") or headers.get("x-amz-request-id"),
    }
    skew = _skew_to_blame(code, status, headers, now)
    if skew is not None:
        return _clock_error(what, skew, details)
    rule = rule_for_answer(code, status)
    if _is_web_page(headers, error) and status in (400, 401, 403, 404, 405):
        rule = BY_STATUS[404]
    words = _words_for(
        rule, place, server=_said(said, code, status), right_region=_right_region(said, headers)
    )
    if issubclass(rule.kind, errors.TransientError):
        details["retry_after_s"] = retry_after_s(headers, now)
    if place.customer_key and status in (400, 403) and code not in _OF_OTHER_CAUSE:
        words["remedy"] += _WRONG_CUSTOMER_KEY.format(place.customer_key)
    return rule.kind(f"{what}: {words['cause']}", remedy=words["remedy"], **details)


def _is_web_page(headers: Mapping[str, str], error: ClientError) -> bool:
    # an answer to HEAD shows no body, so that its type proves nothing; a page is not empty
    is_html = headers.get("content-type", "").startswith("text/html")
    has_body = not error.operation_name.startswith("Head") and headers.get("content-length") != "0"
    return is_html and has_body and not is_spoken_by_s3(error)


def _skew_to_blame(code: str, status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the clock's error when it explains the refusal: said so, or a 403 without a text."""
    skew = clock_skew_s(headers, now)
    if code == "RequestTimeTooSkewed":
        return skew or 0.0
    is_bare = code.isdigit() and status in (400, 401, 403)
    return skew if is_bare and skew is not None and abs(skew) > SKEW_ALLOWED_S else None


def _clock_error(what: str, skew: float, details: Mapping[str, Any]) -> errors.ConfigError:
    minutes = round(abs(skew) / 60)
    measured = (
        f"is {minutes} minutes {'ahead of' if skew > 0 else 'behind'} the server's"
        if minutes
        else "differs too much from the server's"
    )
    return errors.ConfigError(
        f"{what}: the clock of this computer {measured}",
        remedy="set the clock of this computer (turn on network time)",
        **details,
    )


def _said(said: Mapping[str, Any], code: str, status: int) -> str:
    message = quotable(str(said.get("Message") or ""))
    label = code if code and not code.isdigit() else f"HTTP status {status}"
    return f"{label}: {message}" if message and message != code else label


def _right_region(said: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    for found in (said.get("Region"), headers.get("x-amz-bucket-region"), said.get("Endpoint")):
        if found:
            return quotable(str(found))
    return "another one"


def _words_for(rule: Rule, place: Place, *, server: str, right_region: str = "") -> dict[str, str]:
    values = {
        "bucket": repr(place.bucket),
        "endpoint": place.endpoint,
        "region": place.region,
        "source": place.source,
        "who": place.who,
        "replace": HOW_TO_REPLACE.get(place.source, ""),
        "or_signature": OTHER_SIGNATURE.format(place.other_signature) if place.other_signature else "",
        "expired_when": place.expired_when(),
        "renewal": place.renewal,
        "server": place.hide(server),
        "right_region": place.hide(right_region),
    }
    return {"cause": rule.cause.format(**values), "remedy": rule.remedy.format(**values)}


def _target(name: str, place: Place) -> str:
    return f"{name!r} in bucket {place.bucket!r}" if name else f"bucket {place.bucket!r}"
