"""What is examined, and what is known about it while the examination goes on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from datalad_s3ext import places
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store.extras import NO_EXTRAS, Extras

if TYPE_CHECKING:
    from datalad_s3ext.doctor.plain import PlainAnswer, Proxy
    from datalad_s3ext.store.diagnose import Inquiry, Reply

_IN_HOST = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Buckets that clients put in front of the host; with other names they use the path all the same."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for others."""

    connect_s: float = 10.0
    read_s: float = 30.0


@dataclass(frozen=True)
class Subject:
    """One service, perhaps one bucket, as one identity."""

    connection: Connection
    find_identity: Callable[[], Identity]
    """Says who asks; nothing is sent. Raises CredentialsError."""
    bucket: str = ""
    prefix: str = ""
    remote: str = ""
    """Name of the special remote, when one is examined."""
    profile: str | None = None
    no_keys_because: str = ""
    """Set when nobody here chose this endpoint: no request is signed then. It says what to type."""
    writable: bool = True
    """False: nothing is written into the bucket."""
    uuid: str = ""
    """Of the special remote."""
    known_name: str = ""
    """An object that should be there, for keys that may read but not list."""
    patience: Patience = Patience()
    find_extras: Callable[[], Extras] = lambda: NO_EXTRAS
    """Says what goes with all signed requests; nothing is sent. Raises S3xError."""

    @property
    def service(self) -> str:
        """Return how to call the service."""
        return self.connection.endpoint_url or self.connection.provider.name

    @property
    def quoted_remote(self) -> str:
        """Return the name of the special remote as a shell takes it."""
        return shlex.quote(self.remote)

    def setting(self, name: str, value: str) -> str:
        """Return what to type to change one setting of the remote, or of the next attempt.

        Names and values may be other people's text: they cannot act on a shell.
        """
        value = shlex.quote(value)
        if self.remote:
            return f"git annex enableremote {self.quoted_remote} {name}={value}"
        option = {"region": "--region", "endpoint": "--endpoint", "bucket": "--bucket"}.get(name)
        return f"{option} {value}" if option else f"--set {name}={value}"

    def in_preset(self, table: str, line: str) -> str:
        """Return how to change one line of the preset."""
        name = f"{self.connection.provider.id}.toml"
        return f"copy the preset to {places.user_providers() / name} and set {line} below [{table}]"


class Examination:
    """A subject, and what earlier stages found that later ones need."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.url: SplitResult = urlsplit("")
        self.proxy: Proxy | None = None
        self.plain: PlainAnswer | None = None
        """The answer to a request without keys."""
        self.identity: Identity = Anonymous()
        self.extras: Extras = NO_EXTRAS
        """What goes with signed requests, once keys may be sent."""
        self.keys: Keys | None = None
        """What the identity stands for, once it was looked up."""
        self.inquiry: Inquiry | None = None
        """Set once keys may be sent."""
        self.first: Reply | None = None
        """The answer to the first signed request."""
        self.measured: dict[str, object] = {}
        """Capabilities by the name of the field in a preset."""

    @property
    def host(self) -> str:
        """Return the host of the service."""
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        """Return its port."""
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    @property
    def has_tls(self) -> bool:
        """Tell whether https is spoken."""
        return self.url.scheme == "https"

    @property
    def base(self) -> str:
        """Return the URL of the service."""
        return f"{self.url.scheme}://{self.url.netloc}"

    @property
    def bucket_host(self) -> str:
        """Return the host that requests for the bucket go to."""
        subject = self.subject
        by_host = subject.connection.addressing == "virtual" and _IN_HOST.fullmatch(subject.bucket)
        return f"{subject.bucket}.{self.host}" if by_host else self.host

    @property
    def bucket_base(self) -> str:
        """Return the URL below which the objects of the bucket lie."""
        port = f":{self.url.port}" if self.url.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.bucket_host
        path = f"/{self.subject.bucket}" if self.bucket_host == self.host else ""
        return f"{self.url.scheme}://{host}{port}{path}"

    def other_url(self, scheme: str) -> str:
        """Return the URL of the same host and port with another scheme."""
        return f"{scheme}://{self.url.netloc}"

    def close(self) -> None:
        """Free connections."""
        if self.inquiry is not None:
            self.inquiry.close()
