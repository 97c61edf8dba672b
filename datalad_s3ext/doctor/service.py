"""Is it S3 at all, is the clock right, is it the right region? Asked without keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode, urljoin, urlsplit

from datalad_s3ext.doctor import plain
from datalad_s3ext.doctor.findings import Finding, failed, ok, skipped, unknown, warning
from datalad_s3ext.doctor.plain import PlainAnswer
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.errors import one_line
from datalad_s3ext.store.diagnose import secure_context, trusted_authorities
from datalad_s3ext.store.s3_errors import SKEW_ALLOWED_S, clock_skew_s

SKEW_WORTH_TELLING_S = 5 * 60
_SET_CLOCK = "turn on network time: timedatectl set-ntp true, or in the system settings"
_CHECK = "check host and port of the endpoint in the provider's documentation"


def is_s3(examination: Examination) -> Iterator[Finding]:
    """Ask what S3 services answer in their own way, and others do not."""
    import urllib3

    try:
        answer = _most_like_s3(examination)
    except urllib3.exceptions.HTTPError as error:
        yield _no_answer(examination, error)
        return
    examination.plain = answer
    if answer.is_s3:
        software = one_line(answer.headers.get("server", ""))
        called = f" (it calls itself {software[:60]!r})" if software else ""
        yield ok(
            "s3", f"{examination.base} speaks S3{called}", server=software, http_status=answer.status
        )
    elif answer.status >= 500:
        yield failed(
            "s3",
            f"{examination.base} answers with status {answer.status}: the service, or what stands in "
            "front of it, has a fault or is overloaded",
            "try again in some minutes; if it stays, look at the provider's status page",
            http_status=answer.status,
        )
    else:
        yield _something_else(examination, answer)


def clock(examination: Examination) -> Iterator[Finding]:
    """Compare the clock with the server's: signed requests are refused when it is far off."""
    headers = examination.plain.headers if examination.plain else {}
    ahead_s = clock_skew_s(headers, datetime.now(UTC))
    if ahead_s is None:
        yield unknown("clock", "the service does not tell its time, so the clock was not compared")
        return
    minutes = round(abs(ahead_s) / 60)
    direction = "ahead of" if ahead_s > 0 else "behind"
    text = f"the clock of this computer is {minutes} minutes {direction} the server's"
    if abs(ahead_s) > SKEW_ALLOWED_S:
        what = f"{text}; S3 refuses signed requests from {SKEW_ALLOWED_S // 60} minutes on"
        yield failed("clock", what, _SET_CLOCK, ahead_s=round(ahead_s))
    elif abs(ahead_s) > SKEW_WORTH_TELLING_S:
        yield warning("clock", text, _SET_CLOCK, ahead_s=round(ahead_s))
    else:
        yield ok("clock", "the clock agrees with the server's", ahead_s=round(ahead_s))


def region(examination: Examination) -> Iterator[Finding]:
    """Ask where the bucket is, without keys: Amazon and some others say so even when they refuse."""
    import urllib3

    subject = examination.subject
    used = subject.connection.signing_region
    if not subject.bucket:
        yield skipped("region", f"requests are signed for region {used}; a bucket would tell more")
        return
    try:
        answer = ask_as_anybody(examination, examination.bucket_base, method="HEAD")
    except urllib3.exceptions.HTTPError:
        yield unknown("region", f"the service does not say; requests are signed for {used}")
        return
    told = one_line(answer.headers.get("x-amz-bucket-region", ""))
    if not told:
        yield ok("region", f"requests are signed for region {used}; no other is asked for", region=used)
    elif told == used:
        yield ok("region", f"the bucket is in region {told}, as requests say", region=told)
    else:
        # at Amazon that fails for sure; many other services take any region
        matters = subject.connection.provider.endpoint.by_sdk
        tell = failed if matters else warning
        yield tell(
            "region",
            f"the bucket is in region {told}, but requests are signed for {used}",
            f"set the region: {subject.setting('region', told)}",
            error=15, region=used, right_region=told,
        )  # fmt: skip


def _most_like_s3(examination: Examination) -> PlainAnswer:
    """Return the first answer that is S3's, else the first of all.

    The root may be a web page or lead to one. OpenStack Swift speaks S3 only to who seems to have
    keys: so one request is signed by nobody with a signature of zeros.
    """
    first = ask_as_anybody(examination, f"{examination.base}/")
    if first.is_s3 or first.status >= 500:
        return first
    others = [f"{examination.base}/?{_signed_by_nobody(examination)}"]
    if examination.subject.bucket:
        others.append(f"{examination.bucket_base}?max-keys=1")
    answers = (ask_as_anybody(examination, url) for url in others)
    return next((answer for answer in answers if answer.is_s3), first)


def _signed_by_nobody(examination: Examination) -> str:
    now = datetime.now(UTC)
    scope = f"nobody/{now:%Y%m%d}/{examination.subject.connection.signing_region}/s3/aws4_request"
    return urlencode({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": scope,
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}", "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host", "X-Amz-Signature": "0" * 64,
    })  # fmt: skip


def ask_as_anybody(examination: Examination, url: str, method: str = "GET") -> PlainAnswer:
    """Send one request without keys, but else as transfers do: same proxy, same authorities."""
    authorities = trusted_authorities(examination.subject.profile)
    context = secure_context(authorities) if examination.has_tls else None
    return plain.ask(url, examination.proxy, context, examination.subject.patience, method=method)


def _no_answer(examination: Examination, error: Exception) -> Finding:
    import urllib3

    address = (examination.host, examination.port)
    where = f"port {examination.port} of {examination.host}"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return failed(
            "s3",
            f"{where} takes the request and does not answer within "
            f"{examination.subject.patience.read_s:g} s",
            "check the port of the endpoint; a firewall or an overloaded server may be the reason",
        )
    if isinstance(error, urllib3.exceptions.ProxyError):
        variable = examination.proxy.variable if examination.proxy else "HTTP_PROXY"
        return failed(
            "s3", "the proxy does not pass the request on", f"correct {variable}, or unset it"
        )
    is_direct = not examination.has_tls and examination.proxy is None
    if is_direct and plain.speaks_tls(address, examination.subject.patience):
        return _wants_https(examination)
    return failed("s3", f"what listens on {where} does not speak http ({type(error).__name__})", _CHECK)


def _wants_https(examination: Examination) -> Finding:
    url = examination.other_url("https")
    return failed(
        "s3",
        f"port {examination.port} of {examination.host} speaks https, not http",
        f"write https:// in front: {examination.subject.setting('endpoint', url)}",
    )


def _something_else(examination: Examination, answer: PlainAnswer) -> Finding:
    facts = {"http_status": answer.status, "error": 18}
    if not examination.has_tls and answer.status == 400 and b"https" in answer.body.lower():
        return _wants_https(examination)
    if 300 <= answer.status < 400 and "location" in answer.headers:
        return _sent_elsewhere(examination, answer)
    if answer.status == 407:
        variable = examination.proxy.variable if examination.proxy else "HTTP_PROXY"
        remedy = f"write name and password into {variable}, as in http://NAME:PASSWORD@HOST:PORT"
        return failed("s3", "the proxy wants a name and a password", remedy, **facts)
    if not answer.is_page:
        kind = answer.headers.get("content-type", "no stated type")
        text = f"{examination.base} answers, but not like S3 (status {answer.status}, {kind})"
        return failed("s3", text, _CHECK, **facts)
    title = f" with the title {answer.title!r}" if answer.title else ""
    return failed(
        "s3",
        f"{examination.base} sends a web page{title} instead of S3: the console of the server, a login "
        "page of the network, or a proxy",
        "use the port of the API instead of the console's (MinIO: 9000, not 9001); on a guest network, "
        "open a web browser and log in first",
        **facts,
    )


def _sent_elsewhere(examination: Examination, answer: PlainAnswer) -> Finding:
    try:
        target = urlsplit(urljoin(examination.base, answer.headers["location"]))
    except ValueError:  # its Location is no URL
        target = urlsplit("")
    place = one_line(f"{target.scheme}://{target.netloc}")
    if target.hostname == examination.host and target.scheme == "https" and not examination.has_tls:
        url = examination.other_url("https").removesuffix(":80")
        return failed(
            "s3",
            f"{examination.base} takes https only",
            f"write https:// in front: {examination.subject.setting('endpoint', url)}",
            http_status=answer.status,
        )
    return failed(
        "s3",
        f"{examination.base} sends requests on to {place} instead of answering: a login page of the "
        "network, or a web address instead of the API's",
        "open a web browser and log in to the network; then check the endpoint in the provider's "
        "documentation",
        http_status=answer.status, location=place, error=18,
    )  # fmt: skip
