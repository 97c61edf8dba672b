"""Who asks, and does the service accept it: the first request that is signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.doctor.catalogue import explain
from datalad_s3ext.doctor.findings import Finding, failed, of_error, ok, skipped, unknown, warning
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.errors import S3xError
from datalad_s3ext.store.diagnose import Inquiry, Reply, key_facts

SOON = timedelta(hours=1)
_TEMPORARY = "ASIA"  # Amazon's temporary keys begin so, and are nothing without their token
DENIALS = frozenset({"AccessDenied", "AllAccessDisabled", "AccessForbidden", "Forbidden"})
"""Codes that say: known, but not allowed. A service checks keys and signature before."""
_PASTE_AGAIN = "copy it again, without what stands around it"


def source(examination: Examination) -> Iterator[Finding]:
    """Find the keys, say where they come from and when they expire, and look at their form."""
    subject = examination.subject
    if subject.no_keys_because:
        yield failed(
            "credentials",
            f"no keys were sent: nobody on this computer has chosen {subject.service} yet",
            subject.no_keys_because,
        )
        return
    try:
        examination.identity = subject.find_identity()
        if isinstance(examination.identity, Anonymous):
            yield ok("credentials", "no keys are used (anonymous)", source="anonymous")
            return
        facts = key_facts(subject.connection, examination.identity)
    except S3xError as error:
        yield of_error("credentials", error, error=17)
        return
    examination.keys = facts.keys
    problem = _odd_form(facts.keys)
    if problem:
        yield failed(
            "credentials", f"{problem[0]} from {facts.keys.source} {problem[1]}", problem[2], error=17
        )
        return
    yield _found(examination, facts.keys, facts.method)


def accepted(examination: Examination) -> Iterator[Finding]:
    """Send one signed request and see whether signature and keys are accepted."""
    subject = examination.subject
    connection = subject.connection
    try:
        examination.extras = subject.find_extras()
        inquiry = Inquiry(
            connection, examination.identity, subject.bucket,
            connect_timeout_s=subject.patience.connect_s, read_timeout_s=subject.patience.read_s,
            extras=examination.extras,
        )  # fmt: skip
    except S3xError as error:
        yield of_error("credentials", error)
        return
    examination.inquiry = inquiry
    if isinstance(examination.identity, Anonymous):
        if subject.bucket:
            examination.first = _first_request(examination, inquiry)
        yield skipped("signature", "requests without keys are not signed")
        return
    examination.first = reply = _first_request(examination, inquiry)
    if reply.done or reply.code in DENIALS or reply.code == "NoSuchBucket":
        version = connection.signature
        yield ok("signature", f"signature {version} and the keys are accepted", signature=version)
    elif reply.status == 403 and not reply.code:
        yield unknown("signature", "the service refuses without saying why; the next stages tell more")
    else:
        # a service that is busy has not looked at the signature yet
        yield explain(examination, "s3" if reply.status >= 500 else "signature", reply)


def _first_request(examination: Examination, inquiry: Inquiry) -> Reply:
    """Return the answer to the smallest signed request: one row of the bucket, or all buckets."""
    if not examination.subject.bucket:
        return inquiry.ask("list_buckets")
    version = examination.subject.connection.provider.listing.version
    operation = "list_objects" if version == 1 else "list_objects_v2"
    return inquiry.ask(operation, MaxKeys=1, Prefix=examination.subject.prefix)


def _odd_form(keys: Keys) -> tuple[str, str, str] | None:
    """Return (what, what is odd about it, what to do) of keys that can never work."""
    parts = {
        "the access key id": keys.access_key_id,
        "the secret key": keys.secret_access_key,
        "the session token": keys.session_token or "",
    }
    for name, value in parts.items():
        if value != value.strip() or any(char.isspace() for char in value):
            return name, "holds a blank or a line break", _PASTE_AGAIN
        if not value.isascii() or not value.isprintable():
            odd = "holds a character that no key has (a long dash, a curly quote, an invisible one)"
            return name, odd, "copy it again from its source, not through a word processor or a mail"
        if value[:1] in {'"', "'"}:
            return name, "stands in quotes", _PASTE_AGAIN
    if r"\/" in keys.secret_access_key:
        return "the secret key", r"holds \/ as JSON writes it", r"write / instead of each \/"
    if keys.access_key_id.startswith(_TEMPORARY) and not keys.session_token:
        what = "is a temporary one, which needs its session token"
        return "the access key id", what, "set AWS_SESSION_TOKEN, too, or use keys that do not expire"
    return None


def _found(examination: Examination, keys: Keys, method: str) -> Finding:
    how = f", found by {method}" if method else ""
    facts = {"source": keys.source, "method": method or None, "has_token": bool(keys.session_token)}
    text = f"keys from {keys.source}{how}"
    if keys.expires_at is None:
        if keys.session_token:
            text += "; they are temporary, and nothing says how long they last"
        return ok("credentials", text, **facts)
    left = keys.expires_at - datetime.now(UTC)
    until = f"{keys.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    facts["expires_at"] = keys.expires_at.isoformat()
    how_to_renew = (
        examination.subject.connection.provider.help.keys or "aws sso login, or your platform"
    )
    if left < timedelta(0):
        text = f"the keys from {keys.source} expired on {until}"
        return failed("credentials", text, f"get new ones: {how_to_renew}", error=22, **facts)
    if left < SOON:
        minutes = int(left.total_seconds() / 60)
        return warning(
            "credentials",
            f"{text}; they expire in {minutes} minutes",
            f"renew: {how_to_renew}",
            **facts,
        )
    return ok("credentials", f"{text}; they are good until {until}", **facts)
