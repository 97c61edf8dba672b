"""Ways to a server that institutes have: an authority of their own, proxies, signature v2."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext import errors
from datalad_s3ext.providers.schema import Signature
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.s3 import open_store
from tests.integration.store.conftest import connection_to, keys_of
from tests.support.certificates import Authority
from tests.support.fronts import Proxy, TlsFront
from tests.support.servers import Endpoint

pytestmark = pytest.mark.server

SIGNATURES = pytest.mark.parametrize("signature", ["v4", "v2"])
"""v4 goes the short way where that is possible, v2 through botocore."""
DATA = bytes(range(256)) * 1000


def store_by(url: str, seaweed: Endpoint, bucket: str, signature: Signature) -> ObjectStore:
    where = dataclasses.replace(connection_to(url), signature=signature)
    return open_store(where, keys_of(seaweed), bucket, read_timeout_s=5)


def goes_round(store: ObjectStore) -> bool:
    store.put("n/a +ü", io.BytesIO(DATA), len(DATA))
    with store.get("n/a +ü", start=100) as reader:
        got = b"".join(iter(lambda: reader.read(50_000), b""))
    listed = [found.name for found in store.list()]
    store.delete("n/a +ü")
    return got == DATA[100:] and listed == ["n/a +ü"]


@pytest.fixture
def front(seaweed: Endpoint, tmp_path: Path) -> Iterator[tuple[TlsFront, Path]]:
    """Return a server whose certificate is by an authority that only a file knows."""
    authority = Authority(tmp_path)
    with TlsFront(seaweed.url, authority.issue("localhost")) as front:
        yield front, authority.file


@SIGNATURES
def test_an_authority_of_ones_own_is_trusted_by_its_file(
    front: tuple[TlsFront, Path],
    seaweed: Endpoint,
    new_bucket: str,
    signature: Signature,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, authority = front
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", str(authority))
        store = store_by(server.url, seaweed, new_bucket, signature)

        assert goes_round(store)
        store.close()


@SIGNATURES
def test_without_its_file_an_authority_is_unknown(
    front: tuple[TlsFront, Path], seaweed: Endpoint, new_bucket: str, signature: Signature
) -> None:
    store = store_by(front[0].url, seaweed, new_bucket, signature)

    with pytest.raises(errors.Unreachable, match="certificate"):
        store.head("a")


@SIGNATURES
def test_a_proxy_is_used(
    seaweed: Endpoint, new_bucket: str, signature: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy, monkeypatch.context() as patch:
        patch.setenv("http_proxy", proxy.url)
        patch.delenv("NO_PROXY")
        store = store_by(seaweed.url, seaweed, new_bucket, signature)

        assert goes_round(store)
        store.close()

    assert any(seen.startswith(f"PUT {seaweed.url}/{new_bucket}/n/a") for seen in proxy.seen)


def test_a_proxy_lets_tls_through(
    front: tuple[TlsFront, Path],
    seaweed: Endpoint,
    new_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, authority = front
    with Proxy() as proxy, monkeypatch.context() as patch:
        patch.setenv("https_proxy", proxy.url)
        patch.setenv("AWS_CA_BUNDLE", str(authority))
        patch.delenv("NO_PROXY")
        store = store_by(server.url, seaweed, new_bucket, "v4")

        assert goes_round(store)
        store.close()

    assert set(proxy.seen) == {f"CONNECT localhost:{server.port}"}


@SIGNATURES
def test_an_endpoint_without_scheme_is_reached(
    seaweed: Endpoint, new_bucket: str, signature: Signature
) -> None:
    from datalad_s3ext.providers.load import load_provider
    from datalad_s3ext.providers.resolve import resolve

    bare = seaweed.url.removeprefix("http://")
    where = resolve(load_provider("onyxia"), environ={"AWS_S3_ENDPOINT": bare}, signature=signature)
    store = open_store(where, keys_of(seaweed), new_bucket)

    assert goes_round(store)
    store.close()
