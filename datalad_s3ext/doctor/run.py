"""The order of the examination. It ends after the first stage that fails: the rest depends on it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.credentials.redact import redacted
from datalad_s3ext.doctor import bucket, keys, measure, network, rights, service, tls
from datalad_s3ext.doctor.findings import Finding, failed, of_error
from datalad_s3ext.doctor.saved import save
from datalad_s3ext.doctor.subject import Examination, Subject
from datalad_s3ext.errors import S3xError

Stage = Callable[[Examination], Iterator[Finding]]

STAGES: tuple[tuple[str, Stage], ...] = (
    ("proxy", network.proxies),
    ("name", network.name),
    ("tcp", network.tcp),
    ("tls", tls.tls),
    ("s3", service.is_s3),
    ("clock", service.clock),
    ("region", service.region),
    ("credentials", keys.source),
    ("signature", keys.accepted),
    ("bucket", bucket.exists),
    ("marker", bucket.marker),
    ("rights", rights.rights),
    ("capabilities", measure.capabilities),
)


class Doctor:
    """One examination, and what can be done with its outcome."""

    def __init__(self, subject: Subject) -> None:
        self.examination = Examination(subject)

    @property
    def keys(self) -> Keys | None:
        """Return the keys that were used, to be looked for in what is written."""
        return self.examination.keys

    def save(self) -> Path:
        """Keep what was measured and return the file; see :func:`.saved.save`."""
        subject = self.examination.subject
        provider = subject.connection.provider
        return save(self.examination.base, provider, subject.bucket, self.examination.measured)

    def findings(self) -> Generator[Finding]:
        """Yield what each stage finds, as it is found; nothing of ours stays in the bucket.

        Requests are sent once, not again and again. Closing the generator cleans up, too.
        """
        try:
            for stage, look in STAGES:
                is_broken = False
                for finding in _guarded(stage, look, self.examination):
                    yield _clean(finding, self.keys)
                    is_broken |= finding.status == "failed"
                if is_broken:
                    return
        finally:
            self.examination.close()


def _guarded(stage: str, look: Stage, examination: Examination) -> Iterator[Finding]:
    """Yield from a stage; what it did not expect is an answer, too, and no traceback."""
    try:
        yield from look(examination)
    except S3xError as error:
        yield of_error(stage, error)
    except OSError as error:
        text = f"this computer or its network failed: {error.strerror or type(error).__name__}"
        yield failed(stage, text, "try again, perhaps from another network")


def _clean(finding: Finding, keys: Keys | None) -> Finding:
    """Return `finding` without our secrets, should a server have repeated them."""
    if keys is None:
        return finding
    facts = {
        name: redacted(value, keys) if isinstance(value, str) else value
        for name, value in finding.facts.items()
    }
    text, remedy = redacted(finding.text, keys), redacted(finding.remedy, keys)
    return replace(finding, text=text, remedy=remedy, facts=facts)
