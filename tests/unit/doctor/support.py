"""Examinations as tests ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from datalad_s3ext.credentials.model import Identity, Keys
from datalad_s3ext.doctor.findings import Finding
from datalad_s3ext.doctor.run import Doctor
from datalad_s3ext.doctor.subject import Patience, Subject
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from tests.support.servers import Endpoint

QUICK = Patience(connect_s=5.0, read_s=20.0)  # a busy machine answers late
IMPATIENT = Patience(connect_s=0.3, read_s=0.3)
ANY_KEYS = Keys("AKIAEXAMPLE", "a-secret-of-nobody", source="the test")


def keys_of(endpoint: Endpoint, **changes: Any) -> Keys:
    given = {
        "access_key_id": endpoint.access_key_id,
        "secret_access_key": endpoint.secret_access_key,
        "source": "the test",
    }
    return Keys(**{**given, **changes})


def subject(
    url: str, bucket: str = "", identity: Identity = ANY_KEYS, *, provider: str = "other",
    connection: Mapping[str, Any] | None = None, **more: Any,
) -> Subject:  # fmt: skip
    """Return a service at `url` with the preset `provider`."""
    reached = resolve(load_provider(provider), endpoint=url, environ={}, **(connection or {}))
    return Subject(
        **{
            "connection": reached, "find_identity": lambda: identity, "bucket": bucket,
            "patience": QUICK, **more,
        }
    )  # fmt: skip


def examine(url: str, *arguments: Any, until: str = "", **options: Any) -> list[Finding]:
    """Return all findings, or those up to the first of the stage `until`."""
    found: list[Finding] = []
    with closing(Doctor(subject(url, *arguments, **options)).findings()) as findings:
        for finding in findings:
            found.append(finding)
            if finding.stage == until:
                break
    return found


def last(findings: list[Finding]) -> tuple[str, str]:
    """Return stage and status of the finding that ended the examination."""
    return findings[-1].stage, findings[-1].status


def by_stage(findings: list[Finding]) -> dict[str, Finding]:
    """Return the last finding of each stage."""
    return {finding.stage: finding for finding in findings}


def capability(findings: list[Finding], field: str) -> Any:
    """Return what was measured."""
    (found,) = [one for one in findings if one.facts.get("capability") == field]
    return found.facts["measured"]
