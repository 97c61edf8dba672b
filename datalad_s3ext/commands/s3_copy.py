"""``datalad s3-copy``: content from one S3 sibling to another, without a copy on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, cast

from datalad.distribution.dataset import datasetmethod, resolve_path
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.support.constraints import EnsureInt
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._copy import (
    Copied,
    Copy,
    Side,
    Way,
    find_remote,
    keys_to_copy,
    opened,
)
from datalad_s3ext.commands._datasets import bring_up_to_date, datasets
from datalad_s3ext.commands._records import lgr, render, render_summary, sibling_record
from datalad_s3ext.errors import ConfigError, S3xError

ACTION = "s3_copy"


@build_doc
class S3Copy(Interface):
    """Copy content from one S3 sibling to another, without a copy on this machine.

    Where both are buckets of one service, the service copies and no content passes through this
    machine. Else content is streamed: it is read in pieces, compared with its key, and sent on. Only
    what the one sibling is known to have and the other is not is copied. A key is recorded as being
    in the other sibling after the object there was confirmed. A copy by the service is confirmed by
    what the service says of it and its source: the checksum that the key is made of, another one of
    both, their MD5 (ETag), or nothing but the size; the result tells by which (compared_by). What
    lies at the target already is read, unless a checksum proves it right, and copied anew when it
    is wrong. With --verify, each copy is read back and compared with its key, and so is what the
    target is known to have.

    Both siblings must keep content by key, neither encrypted nor in chunks; for others there is
    `git annex copy --from A --to B`.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render)
    custom_result_summary_renderer_pass_summary = True
    custom_result_summary_renderer = staticmethod(render_summary)

    _params_: ClassVar[dict[str, Parameter]] = {
        "path": Parameter(
            args=("path",),
            metavar="PATH",
            nargs="*",
            doc="""files and folders whose content to copy; by default all of the current branch""",
        ),
        "source": Parameter(
            args=("--from",),
            dest="source",
            metavar="NAME",
            required=True,
            doc="""sibling that has the content""",
        ),
        "to": Parameter(
            args=("--to",),
            metavar="NAME",
            required=True,
            doc="""sibling that shall have it""",
        ),
        "all_keys": Parameter(
            args=("--all",),
            dest="all_keys",
            action="store_true",
            doc="""copy all content that is known, of all branches and versions""",
        ),
        "way": Parameter(
            args=("--way",),
            choices=("auto", "server", "stream"),
            doc="""auto: by the service where it can. server: not otherwise. stream: always read and
            send""",
        ),
        "jobs": Parameter(
            args=("-J", "--jobs"),
            metavar="NUMBER",
            doc="""how many files to copy at once""",
            constraints=EnsureInt(),
        ),
        "verify": Parameter(
            args=("--verify",),
            action="store_true",
            doc="""read each copy back, whole, and compare it with its key; one whose key holds no
            checksum is compared with its source. This also reads what the sibling is recorded to
            have already, and copies anew what is wrong there""",
        ),
        "trust_endpoint": Parameter(
            args=("--trust-endpoint",),
            metavar="URL",
            doc="""send keys to this endpoint, although only the dataset names it""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Have at a second provider what is at the first",
            "code_py": "s3_copy(source='wasabi', to='aws')",
            "code_cmd": "datalad s3-copy --from wasabi --to aws",
        },
        {
            "text": "All versions of everything, many files at once",
            "code_py": "s3_copy(source='old', to='new', all_keys=True, jobs=16)",
            "code_cmd": "datalad s3-copy --from old --to new --all -J 16",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_copy")
    @eval_results
    def __call__(
        path: str | Sequence[str] | None = None,
        *,
        source: str | None = None,
        to: str | None = None,
        all_keys: bool = False,
        way: str = "auto",
        jobs: int = 4,
        verify: bool = False,
        trust_endpoint: str | None = None,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Copy, key by key."""
        if not source or not to:
            raise ValueError("name both siblings: --from and --to")
        ((top, _),) = datasets(dataset, recursive=False, recursion_limit=None, purpose="copy")
        given = [path] if isinstance(path, str) else list(path or ())
        files = [str(resolve_path(one, dataset)) for one in given]
        try:
            if all_keys and files:
                raise ConfigError("--all copies everything", remedy="leave out the paths, or --all")
            if source == to:
                raise ConfigError(f"{source!r} is both ends", remedy="name two siblings")
            bring_up_to_date(top)
            one, other = find_remote(top, source), find_remote(top, to)
            among = None if all_keys else files
            keys = keys_to_copy(top, one, other, among, recorded_too=verify)
            if not keys:
                part = "" if all_keys else " of these files" if files else " of the current branch"
                text = f"{to!r} has all{part} that {source!r} is known to have"
                text = f"{source!r} is known to have nothing{part}" if verify else text
                yield sibling_record(ACTION, top, "notneeded", text, name=to)
                return
            consent, stop = Consent(trust_endpoint), Event()
            with (
                opened(top, one, consent, stop) as first,
                opened(top, other, consent, stop, copied_from=first) as second,
            ):
                job = Copy(top, first, second, cast(Way, way), max(1, jobs), verify, stop)
                for copied in job.run(keys):
                    yield _record(top, second, copied)
        except S3xError as exc:
            yield sibling_record(ACTION, top, "error", str(exc), name=to)


def _record(top: Path, target: Side, copied: Copied) -> dict[str, Any]:
    file = copied.wanted.file
    record: dict[str, Any] = get_status_dict(
        action=ACTION, path=str(top / file) if file else str(top), refds=str(top), logger=lgr,
        type="file" if file else "key", status=copied.status,
        message=copied.message if file else f"{copied.wanted.key}: {copied.message}",
        key=copied.wanted.key, target=target.remote.enabled_as or target.remote.name,
        **({"way": copied.way} if copied.way else {}),
        **({"compared_by": copied.compared_by} if copied.compared_by else {}),
    )  # fmt: skip
    return record
