"""``datalad s3-doctor``: find out why a bucket cannot be used, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod, get_dataset_root, require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._access import Choice
from datalad_s3ext.commands._doctor import Case, Words, cases
from datalad_s3ext.commands._records import lgr
from datalad_s3ext.doctor import report as reports
from datalad_s3ext.doctor.findings import Finding, of_error, ok
from datalad_s3ext.doctor.run import Doctor
from datalad_s3ext.errors import S3xError
from datalad_s3ext.providers.resolve import find_measured

ACTION = "s3_doctor"
_STATUS = {"ok": "ok", "warning": "ok", "failed": "error", "unknown": "ok", "skipped": "notneeded"}


@build_doc
class S3Doctor(Interface):
    """Find out why a bucket cannot be used, and what to do about it.

    The examination goes from the name of the host to what the service can do, one line for each
    stage: name, connection, certificate, whether it is S3 at all, clock, region, credentials,
    signature, bucket, rights (list, get, put, delete, upload in parts, versioning), capabilities.
    It stops where something is broken, with the cause and what to type.

    NAME is a sibling of the dataset; PROVIDER a preset, as with `datalad s3-setup`. Without either,
    all siblings on S3 are examined. Keys are sent only where a person on this computer chose the
    address: those of a sibling that came in with a clone are not, before it was enabled.

    Test objects are written below a random name in the bucket and removed again. Without a bucket,
    or without keys, nothing is written.
    """

    result_renderer = "tailored"

    _params_: ClassVar[dict[str, Parameter]] = {
        "target": Parameter(
            args=("target",),
            metavar="NAME|PROVIDER",
            nargs="?",
            doc="""name of a sibling, or id of a preset""",
        ),
        "settings": Parameter(
            args=("settings",),
            metavar="KEY=VALUE",
            nargs="*",
            doc="""values that the preset's endpoint needs (account_id=...), requeststyle=path or
            virtual, signature=v2 or v4. With PROVIDER""",
        ),
        "more_settings": Parameter(
            args=("--set",),
            dest="more_settings",
            metavar="KEY=VALUE",
            action="append",
            doc="""a KEY=VALUE, in any place. [CMD: This option can be given several times CMD][PY:
            Can be a list PY]""",
        ),
        "bucket": Parameter(
            args=("--bucket",),
            metavar="BUCKET",
            doc="""name of the bucket, with PROVIDER""",
        ),
        "prefix": Parameter(
            args=("--prefix",),
            metavar="PREFIX",
            doc="""folder in the bucket below which you may write, with PROVIDER""",
        ),
        "endpoint": Parameter(
            args=("--endpoint",),
            metavar="URL",
            doc="""URL of the service. Without PROVIDER, the preset is guessed from it""",
        ),
        "region": Parameter(
            args=("--region",),
            metavar="REGION",
            doc="""region of the bucket, with PROVIDER; by default that of the preset""",
        ),
        "profile": _options.PROFILE,
        "credential": _options.CREDENTIAL,
        "anonymous": _options.ANONYMOUS,
        "fix": Parameter(
            args=("--fix",),
            action="store_true",
            doc="""mend what can be mended without harm: start the local server; let git-annex's
            built-in S3 connect to a server on this machine""",
        ),
        "report": Parameter(
            args=("--report",),
            metavar="FILE",
            doc="""write everything to FILE, without secrets, to attach to a ticket""",
        ),
        "save": Parameter(
            args=("--save",),
            action="store_true",
            doc="""keep what was measured in a file beside your own presets; transfers to this
            endpoint follow it from then on, in place of the preset, until you delete it""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Examine a sibling",
            "code_py": "s3_doctor('mdx')",
            "code_cmd": "datalad s3-doctor mdx",
        },
        {
            "text": "Examine a service before setting it up, and keep what was found for a ticket",
            "code_py": "s3_doctor('other', endpoint='https://s3.example.org', bucket='lab', "
            "report='report.txt')",
            "code_cmd": "datalad s3-doctor other --endpoint https://s3.example.org --bucket lab "
            "--report report.txt",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_doctor")
    @eval_results
    def __call__(
        target: str | None = None,
        settings: Mapping[str, str] | Sequence[str] | None = None,
        *,
        more_settings: Sequence[str] | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credential: str | None = None,
        anonymous: bool = False,
        fix: bool = False,
        report: str | None = None,
        save: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Examine, stage by stage."""
        root = _root(dataset)
        try:
            choice = Choice(profile, credential, anonymous)
            pairs = _pairs(settings, more_settings)
            words = Words(target, bucket, prefix, endpoint, region, pairs, choice, fix)
            found = list(cases(words, root))
        except S3xError as error:
            yield _record(root, None, of_error("settings", error))
            return
        for number, case in enumerate(found):
            file = _report_file(report, several=len(found) > 1, number=number)
            for finding in _examined(case, file, save=save):
                yield _record(root, case, finding)

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Show one line for each finding, and below it what to do."""
        from datalad.ui import ui

        if res["action"] != ACTION or "finding" not in res:
            generic_result_renderer(res)
            return
        if res["stage"] == "settings" and res.get("first"):
            ui.message(f"{res['name']}:")
        text = f"  {reports.MARKS[res['finding']]}  {res['stage']:<13} {res['text']}"
        ui.message(f"{text}\n{'':>20}-> {res['remedy']}" if res["remedy"] else text)


def _pairs(settings: Mapping[str, str] | Sequence[str] | None, more: Sequence[str] | None) -> list[str]:
    """Return all ``KEY=VALUE``."""
    if isinstance(settings, Mapping):
        settings = [f"{name}={value}" for name, value in settings.items()]
    return [*(settings or ()), *(more or ())]


def _examined(case: Case, report: Path | None, *, save: bool) -> Iterator[Finding]:
    """Yield all findings of one case; then write what was asked for."""
    yield from case.findings
    if case.subject is None:
        return
    doctor, kept = Doctor(case.subject), list(case.findings)
    for finding in doctor.findings():
        kept.append(finding)
        yield finding
        if case.access is not None and (finding.stage, finding.status) == ("signature", "ok"):
            case.access.keep()
    if save:
        yield _tried("save", lambda: _saved(doctor))
    if report is not None:
        subject = case.subject
        yield _tried("report", lambda: reports.write(report, subject, kept, doctor.keys))


def _saved(doctor: Doctor) -> str:
    """Keep what was measured, and say what becomes of it."""
    path, connection = doctor.save(), doctor.examination.subject.connection
    overlay = find_measured(connection)
    follows = "transfers follow the preset all the same: only the S3 library knows this endpoint"
    if overlay is not None:
        changed = ", ".join(overlay.changes) or "nothing, for it says the same"
        follows = f"transfers to this endpoint follow it in place of the preset: {changed}"
    return f"what was measured is kept in {path}; {follows}"


def _tried(stage: str, write: Callable[[], str]) -> Finding:
    try:
        return ok(stage, write())
    except S3xError as error:
        return of_error(stage, error)


def _report_file(report: str | None, *, several: bool, number: int) -> Path | None:
    """Return where the report of one case goes: several siblings have a file each."""
    if report is None:
        return None
    path = Path(report).absolute()
    return path.with_name(f"{path.stem}-{number + 1}{path.suffix}") if several else path


def _root(dataset: object) -> Path | None:
    """Return the dataset that was given, else the one around the current directory, if any."""
    if dataset is not None:
        found: Path = require_dataset(dataset, purpose="examine S3").pathobj
        return found
    root = get_dataset_root(Path.cwd())
    return Path(root) if root else None


def _record(root: Path | None, case: Case | None, finding: Finding) -> dict[str, Any]:
    subject = case.subject if case else None
    message = f"{finding.text}; {finding.remedy}" if finding.remedy else finding.text
    details = {
        "name": case.called if case else None,
        "provider": subject.connection.provider.id if subject else None,
        "endpoint": subject.connection.endpoint_url if subject else None,
        "bucket": (subject.bucket or None) if subject else None,
        "facts": {name: value for name, value in finding.facts.items() if value is not None} or None,
        "first": True if case and finding is case.findings[0] else None,
    }
    record: dict[str, Any] = get_status_dict(
        action=ACTION,
        path=str((root or Path.cwd()).absolute()),
        type="sibling" if subject and subject.remote else "service",
        status=_STATUS[finding.status],
        message=message,
        logger=lgr,
        stage=finding.stage,
        finding=finding.status,
        text=finding.text,
        remedy=finding.remedy,
        **{name: value for name, value in details.items() if value is not None},
    )
    return record
