"""AWS Signature Version 4 for plain requests: no query, or one that is given encoded and sorted.

Source: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API reference. botocore's
signer is general and slow; tests compare this one with it.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
NO_BODY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class SigningKeys:
    """The keys of one moment; refreshing ones change over time."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Signer:
    """Signs requests to one bucket. Safe in threads."""

    def __init__(
        self,
        keys: Callable[[], SigningKeys],
        region: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._region = region
        self._now = now
        self._lock = threading.Lock()
        self._derived: dict[tuple[str, str], bytes] = {}

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        payload_sha256: str,
    ) -> dict[str, str]:
        """Return `headers` with what makes the request a signed one.

        Parameters
        ----------
        path, query : str
            As they stand in the request, percent-encoded; the query's parameters in order of name.
        headers : mapping
            Names in lower case; ``host`` must be there. All of them are signed.
        """
        keys = self._keys()
        moment = self._now()
        date, stamp = moment.strftime("%Y%m%d"), moment.strftime("%Y%m%dT%H%M%SZ")
        signed = dict(headers)
        signed["x-amz-content-sha256"] = payload_sha256
        signed["x-amz-date"] = stamp
        if keys.session_token:
            signed["x-amz-security-token"] = keys.session_token
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_sha256}"
        scope = f"{date}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._key(keys, date), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def _key(self, keys: SigningKeys, date: str) -> bytes:
        """Return the day's signing key; it takes four more digests, so it is kept."""
        with self._lock:
            found = self._derived.get((date, keys.secret_access_key))
            if found is None:
                found = f"AWS4{keys.secret_access_key}".encode()
                for step in (date, self._region, "s3", "aws4_request"):
                    found = hmac.digest(found, step.encode(), "sha256")
                self._derived = {(date, keys.secret_access_key): found}
        return found
