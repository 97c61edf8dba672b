"""Whether the digest of a body is signed is the preset's word; where it has none, TLS decides."""

import ssl

import pytest

from datalad_s3ext.store.lean_client import base_from_url


@pytest.mark.parametrize(
    ("scheme", "unsigned_payload", "expected"),
    [
        ("https", None, True),
        ("https", True, True),
        ("https", False, False),
        ("http", None, False),
        ("http", True, True),
        ("http", False, False),
    ],
)
def test_preset_decides_before_tls_does(
    scheme: str, unsigned_payload: bool | None, expected: bool
) -> None:
    tls = ssl.create_default_context() if scheme == "https" else None
    base = base_from_url(f"{scheme}://h.example.org/b/", "b", tls, unsigned_payload=unsigned_payload)

    assert base.may_be_unsigned is expected
