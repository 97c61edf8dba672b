"""The examination as a text to attach to a ticket: what was asked and found, and no secrets."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.credentials.redact import redacted
from datalad_s3ext.doctor.findings import Finding
from datalad_s3ext.doctor.subject import Subject
from datalad_s3ext.errors import ConfigError, LocalError

FIRST_LINE = "# Report of datalad s3-doctor"
MARKS = {"ok": "ok", "warning": "!!", "failed": "XX", "unknown": "??", "skipped": "--"}
_PACKAGES = ("datalad-s3ext", "datalad", "boto3", "botocore", "urllib3")
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}\b")


def write(path: Path, subject: Subject, findings: Iterable[Finding], keys: Keys | None) -> str:
    """Write the report to `path` and say where it is; only a report is replaced, no other file.

    Secrets and tokens never get into findings; here they are looked for once more. Key ids of Amazon,
    the name of the user and the home folder are taken out, too. Names of hosts and buckets stay.

    Raises
    ------
    ConfigError
        When `path` is another file.
    LocalError
        When it cannot be written.
    """
    text = "\n".join(_lines(subject, findings)) + "\n"
    text = redacted(text, keys) if keys else text
    text = _KEY_ID.sub("(key id)", _without_home(text))
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(FIRST_LINE):
            raise ConfigError(f"{path} exists and is no report", remedy="give another name to --report")
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"cannot write the report {path}: {error}") from error
    return f"the report is in {path}"


def line(finding: Finding) -> str:
    """Return a finding as one line for people; what to do is not in it."""
    return f"{MARKS[finding.status]}  {finding.stage:<13} {finding.text}"


def _lines(subject: Subject, findings: Iterable[Finding]) -> Iterator[str]:
    connection = subject.connection
    yield FIRST_LINE
    yield ""
    yield f"service    {subject.service}"
    yield f"preset     {connection.provider.id}"
    yield f"bucket     {subject.bucket or '(none)'}"
    yield f"prefix     {subject.prefix or '(none)'}"
    yield f"region     {connection.region}, signed for {connection.signing_region}"
    yield f"requests   {connection.addressing} style, signature {connection.signature}"
    yield f"system     {platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield f"packages   {', '.join(_versions())}"
    yield ""
    for finding in findings:
        yield line(finding)
        if finding.remedy:
            yield f"        to do: {finding.remedy}"
        facts = {name: value for name, value in finding.facts.items() if value is not None}
        if facts:
            yield f"        facts: {', '.join(f'{name}={value}' for name, value in facts.items())}"


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} (not installed)"


def _without_home(text: str) -> str:
    home, user = os.environ.get("HOME", ""), os.environ.get("USER", "")
    if len(home) > 1:
        text = text.replace(home, "~")
    if len(user) > 2:
        text = re.sub(rf"\b{re.escape(user)}\b", "(user)", text)
    return text
