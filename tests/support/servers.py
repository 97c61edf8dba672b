"""Real S3 servers from PyPI wheels, one class each, on free loopback ports.

    with RcloneServer() as endpoint:
        boto3_client(endpoint).list_buckets()

Each is a process of its own with its data in a temporary folder; leaving the block ends it and
removes the data.  Entering the block returns when the server stores and returns an object.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sysconfig
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datalad_s3ext import server
from datalad_s3ext.server import process

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READY_TIMEOUT_S = 60


class ServerFailed(RuntimeError):
    """A test server ended or did not become ready; the message has the end of its log."""


@dataclass(frozen=True)
class Endpoint:
    """How a test reaches a server."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    kind: str

    def at(self, url: str) -> Endpoint:
        """Return the same server as reached through `url`, which may be a relay's."""
        return Endpoint(url, self.access_key_id, self.secret_access_key, self.region, self.kind)


def boto3_client(endpoint: Endpoint, **options: Any) -> S3Client:
    """Return a plain client: path style, no checksums unless asked for, no retries."""
    settings: dict[str, Any] = {
        "signature_version": "s3v4",  # URLs too: rclone knows no other
        "s3": {"addressing_style": "path"},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 5,
        "read_timeout": 30,
        "max_pool_connections": 32,
    }
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        config=Config(**{**settings, **options}),
    )


class SeaweedServer:
    """SeaweedFS, the way ``datalad s3-serve`` runs it."""

    kind = "seaweedfs"

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="s3ext-seaweed-"))

    def __enter__(self) -> Endpoint:
        try:
            info = server.start(self.home, timeout_s=READY_TIMEOUT_S)
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        return Endpoint(
            info.endpoint, info.access_key_id, info.secret_access_key, info.region, self.kind
        )

    def __exit__(self, *_: object) -> None:
        try:
            server.stop(self.home, grace_s=0)  # nobody needs the data any more
        finally:
            shutil.rmtree(self.home, ignore_errors=True)


class ProcessServer(ABC):
    """A server that is one program with its output in a log."""

    kind: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"s3ext-{self.kind}-"))
        self.log = self.folder / "log"
        self.port = process.free_ports(1)[0]
        self.access_key_id = secrets.token_hex(10).upper()
        self.secret_access_key = secrets.token_hex(20)  # rclone refuses short ones
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line; no secret in it."""

    def environment(self) -> Mapping[str, str]:
        """Return what the program needs to find besides PATH and HOME."""
        return {}

    def __enter__(self) -> Endpoint:
        env = {"PATH": os.defpath, "HOME": str(self.folder), **self.environment()}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, env=env, stdout=log, stderr=log
            )
        try:
            return self._ready_endpoint()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready_endpoint(self) -> Endpoint:
        endpoint = Endpoint(
            f"http://127.0.0.1:{self.port}",
            self.access_key_id,
            self.secret_access_key,
            "us-east-1",
            self.kind,
        )
        ended_or_ready = process.wait_until(
            lambda: self._has_ended() or stores_objects(endpoint), READY_TIMEOUT_S
        )
        if not ended_or_ready or self._has_ended():
            raise ServerFailed(f"{self.kind} is not ready: {process.last_lines(self.log)}")
        return endpoint

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


class RcloneServer(ProcessServer):
    """``rclone serve s3`` over a local folder: no conditions, versions or policies."""

    kind = "rclone"

    def command(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir()
        config = self.folder / "rclone.conf"
        config.touch()
        return [
            *(program("rclone"), "serve", "s3", str(data), f"--config={config}"),
            *(f"--addr=127.0.0.1:{self.port}", f"--cache-dir={self.folder / 'cache'}"),
        ]

    def environment(self) -> Mapping[str, str]:
        return {"RCLONE_AUTH_KEY": f'"{self.access_key_id},{self.secret_access_key}"'}


class MotoServer(ProcessServer):
    """moto: versions, policies and STS, but all in memory, and any keys will do."""

    kind = "moto"

    def command(self) -> list[str]:
        return [program("moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]


def program(name: str) -> str:
    """Return the path of a program that a wheel has put beside this Python."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def stores_objects(endpoint: Endpoint) -> bool:
    """Return whether one byte can be stored and read back; leave nothing behind."""
    client = boto3_client(endpoint)
    bucket, key = "s3ext-readiness", "byte"
    try:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=b"1")
        stored = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return stored == b"1"
