"""What a stage of the examination found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from datalad_s3ext.errors import S3xError, one_line

Status = Literal["ok", "warning", "failed", "unknown", "skipped"]

NO_FACTS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    stage: str
    status: Status
    """``failed`` ends the examination after its stage; ``unknown`` is neither yes nor no."""
    text: str
    """What was found and, of a failure, its cause. One line without secrets."""
    remedy: str = ""
    """What to type or to set; empty when there is nothing to do."""
    facts: Mapping[str, object] = field(default_factory=lambda: NO_FACTS)
    """The same for programs."""


def ok(stage: str, text: str, **facts: object) -> Finding:
    """Return that all is well."""
    return Finding(stage, "ok", one_line(text), facts=facts)


def warning(stage: str, text: str, remedy: str, **facts: object) -> Finding:
    """Return what does not stop anything now, but will or may."""
    return Finding(stage, "warning", one_line(text), one_line(remedy), facts)


def failed(stage: str, text: str, remedy: str, **facts: object) -> Finding:
    """Return what must be mended first."""
    return Finding(stage, "failed", one_line(text), one_line(remedy), facts)


def unknown(stage: str, text: str, remedy: str = "", **facts: object) -> Finding:
    """Return that it could not be found out, and why."""
    return Finding(stage, "unknown", one_line(text), one_line(remedy), facts)


def skipped(stage: str, text: str, remedy: str = "", **facts: object) -> Finding:
    """Return that it was not tried, and why."""
    return Finding(stage, "skipped", one_line(text), one_line(remedy), facts)


def of_error(stage: str, error: S3xError, /, **facts: object) -> Finding:
    """Return the failure that `error` tells of."""
    known = {"code": error.code, "http_status": error.http_status, "request_id": error.request_id}
    given = {name: value for name, value in known.items() if value}
    return failed(stage, error.what, error.remedy, **given, **facts)
