"""Real git-annex repositories for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import Endpoint

TIMEOUT_S = 240


@dataclass
class AnnexRepo:
    """A repository, and commands run in it with a fixed environment."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, path: Path) -> AnnexRepo:
        path.mkdir(parents=True)
        repo = cls(path)
        repo.run("git", "init", "-q")
        repo.run("git", "annex", "init", "-q", path.name)
        return repo

    def clone(self, path: Path) -> AnnexRepo:
        """Return a clone that cannot get content from here."""
        subprocess.run(["git", "clone", "-q", str(self.path), str(path)], check=True)
        copy = AnnexRepo(path, dict(self.env))
        copy.run("git", "config", "remote.origin.annex-ignore", "true")
        copy.run("git", "annex", "init", "-q", path.name)
        return copy

    def run(
        self, *command: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here; what it prints is kept for assertions."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**os.environ, **self.env, **(env or {})},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=TIMEOUT_S,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def annex(
        self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a git-annex command."""
        return self.run("git", "annex", *arguments, check=check, env=env)

    def use_keys(self, endpoint: Endpoint) -> None:
        """Put the keys of a server into the environment of all further commands, for that server."""
        self.env["AWS_ACCESS_KEY_ID"] = endpoint.access_key_id
        self.env["AWS_SECRET_ACCESS_KEY"] = endpoint.secret_access_key
        self.env["S3X_TRUST_ENDPOINT"] = endpoint.url

    def forget_keys(self) -> None:
        self.env.clear()

    def init_s3x(
        self, endpoint: Endpoint, bucket: str, *parameters: str, name: str = "s3", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Set up `externaltype=s3x` the plain git-annex way."""
        self.use_keys(endpoint)
        given = dict(parameter.split("=", 1) for parameter in parameters)
        wanted = {
            "type": "external",
            "externaltype": "s3x",
            "provider": PROVIDER_OF[endpoint.kind],
            "endpoint": endpoint.url,
            "region": endpoint.region,
            "bucket": bucket,
            "encryption": "none",
        } | given
        return self.annex("initremote", name, *(f"{k}={v}" for k, v in wanted.items()), check=check)

    def init_builtin(self, endpoint: Endpoint, bucket: str, *parameters: str, name: str) -> None:
        """Set up git-annex's own `type=S3` for the same bucket."""
        self.use_keys(endpoint)
        self.run("git", "config", "annex.security.allowed-ip-addresses", "all")
        host, _, port = endpoint.url.removeprefix("http://").partition(":")
        self.annex(
            "initremote", name, "type=S3", f"host={host}", f"port={port}", "protocol=http",
            "requeststyle=path", f"bucket={bucket}", "encryption=none", *parameters,
        )  # fmt: skip

    def add(self, name: str, content: bytes) -> str:
        """Add a file and return its key."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.annex("add", "--", name)
        self.run("git", "commit", "-q", "-m", f"add {name!r}")
        return self.annex("lookupkey", "--", name).stdout.strip()

    def uuid(self, remote: str) -> str:
        return self.run("git", "config", f"remote.{remote}.annex-uuid").stdout.strip()


PROVIDER_OF = {"seaweedfs": "seaweedfs", "rclone": "other", "moto": "other"}
