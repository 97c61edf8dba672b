"""One signed S3 request with the standard library alone.

The server package must not import boto3, and "ready" has to mean that a signed write works.
Covers what that takes: path style, no query, a body in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from datetime import UTC, datetime

from datalad_s3ext.server.state import REGION, Record


def request(
    record: Record, method: str, path: str, body: bytes = b"", *, timeout_s: float = 5.0
) -> int:
    """Send a signed request to the server of `record` and return the status of the answer.

    Raises
    ------
    OSError, http.client.HTTPException
        When there is no answer.
    """
    headers = _signed_headers(record, method, path, body, datetime.now(UTC))
    return send(record.ports["s3"], method, path, body, headers, timeout_s=timeout_s)[0]


def send(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    timeout_s: float = 5.0,
) -> tuple[int, bytes]:
    """Send one request to a loopback `port`; return status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _signed_headers(
    record: Record, method: str, path: str, body: bytes, now: datetime
) -> dict[str, str]:
    payload_hash = hashlib.sha256(body).hexdigest()
    headers = {
        "host": _host(record.ports["s3"]),
        "x-amz-content-sha256": payload_hash,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    names = ";".join(headers)  # the dict above is in the order that signing wants: sorted
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join((method, path, "", lines, names, payload_hash))
    scope = f"{now:%Y%m%d}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(("AWS4-HMAC-SHA256", headers["x-amz-date"], scope, _sha256(canonical)))
    key = f"AWS4{record.secret_access_key}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{record.access_key_id}/{scope}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _host(port: int) -> str:
    """Return the Host header of an S3 client: without the port that http means anyway.

    SeaweedFS verifies signatures of port 80 with that form alone.
    """
    return "127.0.0.1" if port == http.client.HTTP_PORT else f"127.0.0.1:{port}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
