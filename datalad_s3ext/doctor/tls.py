"""Whether the server is the one it claims to be, and the line encrypted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from datalad_s3ext.doctor import plain
from datalad_s3ext.doctor.findings import Finding, failed, ok, unknown, warning
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.providers.resolve import is_loopback_host
from datalad_s3ext.store.diagnose import secure_context, trusted_authorities

_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_*: stable numbers of OpenSSL
_NAME_DIFFERS = (62, 64)
_OWN_AUTHORITY = (18, 19, 20, 21)
_UNKNOWN_AUTHORITY = (
    "was signed by an authority that this computer does not know: that of an institute, a proxy that "
    "reads along, or the server itself"
)
_RENEW_IT = (
    "check date and time of this computer; if they are right, tell whoever runs the server to renew "
    "its certificate"
)
_TRUST_IT = (
    "get the authority's certificate from whoever runs the server or your network, and: export "
    "AWS_CA_BUNDLE=/path/to/authorities.pem"
)


def tls(examination: Examination) -> Iterator[Finding]:
    """Make a TLS handshake as transfers do, and say what is wrong with the certificate."""
    if not examination.has_tls:
        yield _not_encrypted(examination)
        return
    if examination.proxy is not None and examination.proxy.url.startswith("https:"):
        text = "the proxy is reached by https itself, so the certificate was not looked at apart"
        yield unknown("tls", text)
        return
    authorities = trusted_authorities(examination.subject.profile)
    try:
        context = secure_context(authorities)
    except OSError as error:
        yield failed(
            "tls",
            f"the certificates in {authorities} cannot be used: {error.strerror or error}",
            "correct AWS_CA_BUNDLE (or ca_bundle in ~/.aws/config), or unset it",
        )
        return
    try:
        yield _handshake(examination, context, authorities)
    except _ProxyRefused as refusal:
        yield _of_proxy(examination, str(refusal))
    except ssl.SSLCertVerificationError as error:
        yield _bad_certificate(examination, error, authorities)
    except (OSError, ValueError) as error:
        yield _no_handshake(examination, error)


class _ProxyRefused(Exception):
    """The proxy does not let us through; its status line."""


def _handshake(examination: Examination, context: ssl.SSLContext, authorities: str | None) -> Finding:
    patience = examination.subject.patience
    proxy = examination.proxy
    host, port = examination.bucket_host, examination.port
    address = proxy.address if proxy else (host, port)
    with socket.create_connection(address, patience.connect_s) as connection:
        if proxy is not None:
            _tunnel(connection, host, port, proxy.authorization)
        with context.wrap_socket(connection, server_hostname=host) as secured:
            version, certificate = secured.version() or "TLS", secured.getpeercert() or {}
    until = str(certificate.get("notAfter", ""))
    own = f", trusted by {authorities}" if authorities else ""
    text = f"{version}; the certificate is for {host} and valid until {until}{own}"
    return ok("tls", text, version=version, valid_until=until)


def _tunnel(connection: socket.socket, host: str, port: int, authorization: str) -> None:
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65536:
        if not (more := connection.recv(4096)):
            break
        head += more
    status = head.split(b"\r\n")[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise _ProxyRefused(status or "it closed the connection")


def _not_encrypted(examination: Examination) -> Finding:
    if is_loopback_host(examination.host):
        return ok("tls", "http on this machine: nothing to encrypt")
    return warning(
        "tls",
        f"{examination.base} is not encrypted: others on the way can read and change your data (the "
        "secret key itself is not sent)",
        f"try {examination.subject.setting('endpoint', examination.other_url('https'))}",
    )


def _of_proxy(examination: Examination, status: str) -> Finding:
    proxy = examination.proxy
    variable = proxy.variable if proxy else "HTTPS_PROXY"
    if " 407" in status:
        remedy = f"write name and password into {variable}, as in http://NAME:PASSWORD@HOST:PORT"
        return failed("tls", "the proxy wants a name and a password", remedy)
    return failed(
        "tls",
        f"the proxy does not let requests through to {examination.host}: {status}",
        f"ask whoever runs the proxy, or add {examination.host} to NO_PROXY",
    )


def _bad_certificate(
    examination: Examination, error: ssl.SSLCertVerificationError, authorities: str | None
) -> Finding:
    code = error.verify_code
    facts: dict[str, object] = {"verify_code": code, "verify_message": error.verify_message}
    if code in _NAME_DIFFERS:
        return _for_another_name(examination, facts)
    text, remedy = f"is refused: {error.verify_message}", "show this to whoever runs the server"
    if code in (_EXPIRED, _NOT_YET):
        text = "has expired" if code == _EXPIRED else "is not valid yet"
        remedy = _RENEW_IT
    elif code in _OWN_AUTHORITY:
        also = f" (AWS_CA_BUNDLE={authorities} does not hold it)" if authorities else ""
        text, remedy = f"{_UNKNOWN_AUTHORITY}{also}", _TRUST_IT
    return failed(
        "tls", f"the certificate of {examination.bucket_host} {text}", remedy, error=35, **facts
    )


def _for_another_name(examination: Examination, facts: dict[str, object]) -> Finding:
    host = examination.bucket_host
    text = f"the certificate is not for {host}"
    remedy = "give the endpoint by the name that the provider's documentation uses"
    if host != examination.host:
        text += ": the service wants the name of the bucket in the path of the URL"
        remedy = f"use path style: {examination.subject.setting('requeststyle', 'path')}"
    return failed("tls", text, remedy, error=12, **facts)


def _no_handshake(examination: Examination, error: Exception) -> Finding:
    address = (examination.host, examination.port)
    patience = examination.subject.patience
    if examination.proxy is None and plain.speaks_plain_http(address, patience):
        url = examination.other_url("http")
        return failed(
            "tls",
            f"port {examination.port} of {examination.host} speaks http, not https",
            "write http:// in front, or use the https port: "
            f"{examination.subject.setting('endpoint', url)}",
        )
    if isinstance(error, TimeoutError):
        return _silent(examination)
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return failed(
        "tls",
        f"{examination.host} breaks off the TLS handshake ({reason})",
        "check the port of the endpoint; a very old server may speak an outdated TLS only",
    )


def _silent(examination: Examination) -> Finding:
    """Say that the port takes connections and is silent then."""
    return failed(
        "tls",
        f"port {examination.port} of {examination.host} takes connections and says nothing",
        "check the port of the endpoint; a firewall or an overloaded server may be the reason",
    )
