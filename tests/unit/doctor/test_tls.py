"""Certificates and schemes, with real handshakes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.fronts import Proxy, TlsFront
from tests.support.servers import Endpoint
from tests.unit.doctor.support import by_stage, examine, keys_of, last

pytestmark = pytest.mark.server

LONG_AGO = timedelta(days=30)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Trust the authority, the way an institute tells its users to."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", str(authority.file))
        yield authority


def test_a_good_certificate_of_an_own_authority(
    seaweed: Endpoint, new_bucket: str, trusted: Authority
) -> None:
    with TlsFront(seaweed.url, trusted.issue("localhost")) as front:
        findings = examine(
            front.url, new_bucket, keys_of(seaweed), provider="seaweedfs", until="delete"
        )

    stages = by_stage(findings)
    assert stages["tls"].status == "ok"
    assert "valid until" in stages["tls"].text
    assert str(trusted.file) in stages["tls"].text
    assert stages["delete"].status == "ok"


def test_an_authority_that_is_not_known(seaweed: Endpoint, authority: Authority) -> None:
    with TlsFront(seaweed.url, authority.issue("localhost")) as front:
        findings = examine(front.url)

    assert last(findings) == ("tls", "failed")
    assert "signed by an authority that this computer does not know" in findings[-1].text
    assert "export AWS_CA_BUNDLE=" in findings[-1].remedy


def test_a_certificate_that_has_expired(seaweed: Endpoint, trusted: Authority) -> None:
    expired = trusted.issue("localhost", age=LONG_AGO)
    with TlsFront(seaweed.url, expired) as front:
        findings = examine(front.url)

    assert last(findings) == ("tls", "failed")
    assert "has expired" in findings[-1].text
    assert "date and time of this computer" in findings[-1].remedy


def test_a_certificate_that_is_not_valid_yet(seaweed: Endpoint, trusted: Authority) -> None:
    with TlsFront(seaweed.url, trusted.issue("localhost", age=-LONG_AGO)) as front:
        findings = examine(front.url)

    assert last(findings) == ("tls", "failed")
    assert "is not valid yet" in findings[-1].text


def test_a_certificate_for_another_name(seaweed: Endpoint, trusted: Authority) -> None:
    with TlsFront(seaweed.url, trusted.issue("s3.example.org")) as front:
        findings = examine(front.url)

    assert last(findings) == ("tls", "failed")
    assert "the certificate is not for localhost" in findings[-1].text


def test_a_file_of_authorities_that_is_gone(seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
        findings = examine(seaweed.url.replace("http:", "https:"))

    assert last(findings) == ("tls", "failed")
    assert "/nowhere/ca.pem" in findings[-1].text
    assert "AWS_CA_BUNDLE" in findings[-1].remedy


def test_https_where_http_is_spoken(seaweed: Endpoint) -> None:
    findings = examine(seaweed.url.replace("http:", "https:"))

    assert last(findings) == ("tls", "failed")
    assert "speaks http, not https" in findings[-1].text
    assert f"--endpoint {seaweed.url}" in findings[-1].remedy


def test_http_where_https_is_spoken(seaweed: Endpoint, authority: Authority) -> None:
    with TlsFront(seaweed.url, authority.issue("localhost")) as front:
        findings = examine(front.url.replace("https:", "http:"))

    assert last(findings) == ("s3", "failed")
    assert "speaks https, not http" in findings[-1].text
    assert f"--endpoint {front.url}" in findings[-1].remedy


def test_a_tunnel_through_a_proxy(
    seaweed: Endpoint, new_bucket: str, trusted: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = trusted.issue("localhost")
    with (
        TlsFront(seaweed.url, certificate) as front,
        Proxy() as proxy,
        monkeypatch.context() as patch,
    ):
        patch.delenv("NO_PROXY")
        patch.setenv("HTTPS_PROXY", proxy.url)
        findings = examine(
            front.url, new_bucket, keys_of(seaweed), provider="seaweedfs", until="delete"
        )

    stages = by_stage(findings)
    assert stages["tls"].status == "ok"
    assert stages["put"].status == "ok"
    assert set(proxy.seen) == {f"CONNECT localhost:{front.port}"}


@pytest.mark.parametrize(
    ("names", "status"),
    [(["s3.example.org"], "failed"), (["s3.example.org", "*.s3.example.org"], "ok")],
    ids=["for the service only", "for its buckets, too"],
)
def test_the_bucket_in_front_of_the_host_needs_a_certificate(
    seaweed: Endpoint,
    names: list[str],
    status: str,
    trusted: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        TlsFront(seaweed.url, trusted.issue(*names)) as front,
        Proxy(leads_to=front.port) as proxy,
        monkeypatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", proxy.url)
        findings = examine("https://s3.example.org", "brain", connection={"addressing": "virtual"})

    tls = by_stage(findings)["tls"]
    assert tls.status == status
    assert "CONNECT brain.s3.example.org:443" in proxy.seen
    if status == "failed":
        assert tls.facts["error"] == 12
        assert "requeststyle=path" in tls.remedy
