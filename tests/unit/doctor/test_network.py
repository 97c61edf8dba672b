"""Names, addresses and proxies: each stage is broken from outside."""

from __future__ import annotations

import socket

import pytest

from tests.support.fronts import Proxy
from tests.support.hostile import BlackHole
from tests.support.servers import Endpoint
from tests.unit.doctor.support import IMPATIENT, by_stage, examine, keys_of, last

pytestmark = pytest.mark.server


def unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def test_a_host_that_does_not_exist() -> None:
    findings = examine("https://no-such-host.invalid")

    assert last(findings) == ("name", "failed")
    assert "host no-such-host.invalid is not known" in findings[-1].text
    assert "spelt" in findings[-1].remedy


def test_a_bucket_in_front_of_a_host_that_has_no_such_name(seaweed: Endpoint) -> None:
    findings = examine(seaweed.url, "brain", connection={"addressing": "virtual"})

    assert last(findings) == ("name", "failed")
    assert "brain.127.0.0.1 is not" in findings[-1].text
    assert "requeststyle=path" in findings[-1].remedy
    assert findings[-1].facts["error"] == 12


def test_a_port_where_nothing_listens() -> None:
    findings = examine(f"http://127.0.0.1:{unused_port()}")

    assert last(findings) == ("tcp", "failed")
    assert "refuses connections" in findings[-1].text
    assert "check the port" in findings[-1].remedy


def test_a_firewall_that_swallows_everything() -> None:
    """A listener whose queue is full drops what more comes: so does a firewall."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname(), 1):
            port = listener.getsockname()[1]
            findings = examine(f"http://127.0.0.1:{port}", patience=IMPATIENT)

    assert last(findings) == ("tcp", "failed")
    assert "no answer within 0.3 s" in findings[-1].text
    assert "firewall" in findings[-1].remedy


def test_an_address_of_ipv6_is_no_obstacle() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        findings = examine(f"http://[::1]:{listener.getsockname()[1]}", patience=IMPATIENT)

    stages = by_stage(findings)
    assert stages["name"].facts["addresses"] == ["::1"]
    assert stages["tcp"].status == "ok"
    assert last(findings) == ("s3", "failed")  # it listens and says nothing


def test_a_port_that_takes_requests_and_says_nothing() -> None:
    with BlackHole() as hole:
        findings = examine(hole.url, patience=IMPATIENT)

    assert last(findings) == ("s3", "failed")
    assert "does not answer within 0.3 s" in findings[-1].text


def test_a_port_that_takes_a_handshake_and_says_nothing() -> None:
    with BlackHole() as hole:
        findings = examine(hole.url.replace("http:", "https:"), patience=IMPATIENT)

    assert last(findings) == ("tls", "failed")
    assert "says nothing" in findings[-1].text


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let proxies of the environment count for this machine, too."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_proxy_is_named_and_used(
    seaweed: Endpoint, new_bucket: str, through: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy, through.context() as patch:
        patch.setenv("HTTP_PROXY", f"http://me:word@127.0.0.1:{proxy.port}")
        findings = examine(seaweed.url, new_bucket, keys_of(seaweed), provider="seaweedfs", until="put")

    stages = by_stage(findings)
    assert f"through the proxy {proxy.url} (variable HTTP_PROXY)" in stages["proxy"].text
    assert "NO_PROXY" in stages["proxy"].text
    assert "word" not in str(findings)
    assert stages["put"].status == "ok"
    assert any(line.startswith("PUT http://") for line in proxy.seen)


def test_a_proxy_that_is_gone(through: pytest.MonkeyPatch) -> None:
    with through.context() as patch:
        patch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
        findings = examine("http://s3.example.org")

    assert last(findings) == ("tcp", "failed")
    assert "the proxy at port" in findings[-1].text
    assert "HTTP_PROXY" in findings[-1].remedy


def test_a_proxy_whose_name_is_wrong(through: pytest.MonkeyPatch) -> None:
    with through.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:3128")
        findings = examine("https://s3.example.org")

    assert last(findings) == ("name", "failed")
    assert "HTTPS_PROXY" in findings[-1].remedy


@pytest.mark.parametrize(
    ("status", "scheme", "stage", "expected"),
    [
        (407, "https", "tls", "http://NAME:PASSWORD@HOST:PORT"),
        (407, "http", "s3", "http://NAME:PASSWORD@HOST:PORT"),
        (403, "https", "tls", "ask whoever runs the proxy"),
    ],
)
def test_a_proxy_that_refuses(
    status: int, scheme: str, stage: str, expected: str, through: pytest.MonkeyPatch
) -> None:
    with Proxy(refuse_with=status) as proxy, through.context() as patch:
        patch.setenv(f"{scheme.upper()}_PROXY", proxy.url)
        findings = examine(f"{scheme}://s3.example.org")

    assert last(findings) == (stage, "failed")
    assert "proxy" in findings[-1].text
    assert expected in findings[-1].remedy
