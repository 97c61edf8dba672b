"""From the name to a connection: stages that know nothing of S3, with plain sockets."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from datalad_s3ext.doctor.findings import Finding, failed, ok, warning
from datalad_s3ext.doctor.plain import proxy_for
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.store.diagnose import service_url

SLOW_S = 1.0  # more than any handshake on this planet takes

REFUSED = "connection refused"
_CHECK_NAME = (
    "check how the endpoint is spelt, whether this computer is online, and whether you need the VPN of "
    "your institute"
)
_OTHER_PORT = (
    "check the port of the endpoint (https: 443, MinIO: 9000, SeaweedFS: 8333, Ceph: 7480), and "
    "whether the server runs"
)
_FIREWALL = (
    "a firewall may be in between: try from another network or with the VPN of your institute, and "
    "check the port of the endpoint"
)


def proxies(examination: Examination) -> Iterator[Finding]:
    """Say whether a proxy stands between: then it looks up names, and it is what we connect to."""
    examination.url = urlsplit(service_url(examination.subject.connection))
    found = proxy_for(examination.url.scheme, examination.bucket_host)
    examination.proxy = found
    if found is not None:
        yield ok(
            "proxy",
            f"requests go through the proxy {found.shown} (variable {found.variable}); to go past it, "
            f"add {examination.host} to NO_PROXY",
            proxy=found.shown, variable=found.variable,
        )  # fmt: skip


def name(examination: Examination) -> Iterator[Finding]:
    """Look up the host, then the host of the bucket where that is another."""
    if examination.proxy is not None:
        host, port = examination.proxy.address
        yield _resolved(host, port, examination, f"the proxy's host {host}")
        return
    host, port = examination.host, examination.port
    service = _resolved(host, port, examination, f"host {host}")
    yield service
    if service.status == "ok" and examination.bucket_host != host:
        found, problem = _look_up(examination.bucket_host, port, examination.subject.patience.connect_s)
        if not found:
            yield _no_bucket_host(examination, problem)


def tcp(examination: Examination) -> Iterator[Finding]:
    """Connect to each address of the host."""
    address = examination.proxy.address if examination.proxy else (examination.host, examination.port)
    host, port = address
    patience_s = examination.subject.patience.connect_s
    tried = [_connect(found, port, patience_s) for found in _addresses(host, port)]
    good = [one for one in tried if not one.problem]
    facts = {"addresses": [one.address for one in tried], "answering": [one.address for one in good]}
    if not good:
        yield _nobody_answers(examination, host, port, tried, facts)
        return
    slow = [one.address for one in tried if one.problem and one.seconds > SLOW_S]
    if slow:
        yield warning(
            "tcp",
            f"port {port} of {host} answers at {good[0].address}, but not at {', '.join(slow)}: each "
            "new connection may lose time there",
            "report it to whoever runs your network"
            + (" (IPv6 does not work)" if all(":" in one for one in slow) else ""),
            **facts,
        )
        return
    yield ok(
        "tcp", f"port {port} of {host} answers within {math.ceil(good[0].seconds * 1000)} ms", **facts
    )


@dataclass(frozen=True)
class _Tried:
    address: str
    seconds: float
    problem: str


def _resolved(host: str, port: int, examination: Examination, called: str) -> Finding:
    found, problem = _look_up(host, port, examination.subject.patience.connect_s)
    if found:
        return ok("name", f"{called} has the address {', '.join(found)}", addresses=found)
    if examination.proxy is not None:
        what = f"{called} is not known: {problem}"
        return failed("name", what, f"correct the variable {examination.proxy.variable}, or unset it")
    return failed("name", f"{called} is not known: {problem}", _CHECK_NAME, host=host)


def _no_bucket_host(examination: Examination, problem: str) -> Finding:
    subject = examination.subject
    return failed(
        "name",
        f"the service is known, but {examination.bucket_host} is not ({problem}): this service wants "
        "the name of the bucket in the path of the URL, not in front of the host",
        f"use path style: {subject.setting('requeststyle', 'path')}",
        error=12, host=examination.bucket_host,
    )  # fmt: skip


def _look_up(host: str, port: int, patience_s: float) -> tuple[list[str], str]:
    """Return the addresses of `host`, or none and why. The system has no time limit for this."""
    answer: tuple[list[str], str] = ([], f"no name server answered within {patience_s:g} s")

    def ask() -> None:
        nonlocal answer
        try:
            answer = (_addresses(host, port), "")
        except socket.gaierror as error:
            asked_in_vain = error.errno == socket.EAI_AGAIN
            answer = ([], "no name server answered" if asked_in_vain else "no such host")
        except UnicodeError:
            answer = ([], "this can be no host name")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience_s)
    return answer


def _addresses(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _connect(address: str, port: int, patience_s: float) -> _Tried:
    began = time.monotonic()
    problem = ""
    try:
        socket.create_connection((address, port), patience_s).close()
    except TimeoutError:
        problem = f"no answer within {patience_s:g} s"
    except ConnectionRefusedError:
        problem = REFUSED
    except OSError as error:
        problem = error.strerror or type(error).__name__
    return _Tried(address, time.monotonic() - began, problem)


def _nobody_answers(
    examination: Examination, host: str, port: int, tried: list[_Tried], facts: dict[str, list[str]]
) -> Finding:
    problem = tried[0].problem if tried else "it has no address"
    where = f"port {port} of {host}"
    if examination.proxy is not None:
        remedy = f"correct the variable {examination.proxy.variable}, or unset it"
        return failed("tcp", f"the proxy at {where} does not answer: {problem}", remedy, **facts)
    if problem == REFUSED:
        text = f"{where} refuses connections: nothing listens there, or a firewall is in between"
        return failed("tcp", text, _OTHER_PORT, **facts)
    return failed("tcp", f"{where} does not answer: {problem}", _FIREWALL, **facts)
