"""What a measurement of the doctor works with, and what it finds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.doctor.workplace import Workplace
from datalad_s3ext.store.diagnose import Inquiry, Reply


@dataclass(frozen=True)
class Measured:
    """One capability as it was found."""

    field: str
    """As the preset calls it (``listing.version``), or a name of our own without a dot."""
    value: object
    """``None``: it could not be found out."""
    text: str


@dataclass(frozen=True)
class Bench:
    """What a measurement works with: a place of its own that holds one object named ``object``."""

    examination: Examination
    workplace: Workplace
    data: bytes
    etag: str

    @property
    def inquiry(self) -> Inquiry:
        """What asks the service."""
        return self.workplace.inquiry

    def read(self, **parameters: Any) -> Reply:
        """Ask for the object."""
        return self.inquiry.ask("get_object", Key=self.workplace.name("object"), **parameters)


def why(reply: Reply) -> str:
    """Return in few words why something was refused."""
    words = ": ".join(text for text in (reply.code, reply.said) if text)
    return words or (f"status {reply.status}" if reply.status else "no answer")


def md5_of(data: bytes) -> bytes:
    """Return the MD5 of `data`."""
    return hashlib.md5(data, usedforsecurity=False).digest()
