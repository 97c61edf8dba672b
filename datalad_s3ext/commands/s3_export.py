"""``datalad s3-export``: put the files of a branch under their own names into a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import Dataset, datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.common_opts import jobs_opt
from datalad.interface.results import get_status_dict
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._datasets import datasets
from datalad_s3ext.commands._export import Export, Step, find_export, follow_pushes
from datalad_s3ext.commands._records import lgr, render, render_summary, sibling_record
from datalad_s3ext.errors import S3xError

ACTION = "s3_export"


@build_doc
class S3Export(Interface):
    """Export the files of a branch to a sibling that keeps a tree of files.

    What `datalad push` is for siblings that keep content by key, this is for those set up with
    exporttree=yes: the bucket holds afterwards the files of the branch under their own names, and
    no others of earlier exports. Only new content is sent; renamed files are renamed by the server.

    With --on-push yes, `datalad push --to NAME` does the same from then on. For that the sibling must
    have annexobjects=yes, as git-annex refuses `datalad push` to others.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render)
    custom_result_summary_renderer_pass_summary = True
    custom_result_summary_renderer = staticmethod(render_summary)

    _params_: ClassVar[dict[str, Parameter]] = {
        "treeish": Parameter(
            args=("treeish",),
            metavar="TREEISH",
            nargs="?",
            doc="""branch, commit, or BRANCH:FOLDER; by default the sibling's
            annex-tracking-branch, else the current branch""",
        ),
        "name": Parameter(
            args=("-s", "--name"),
            metavar="NAME",
            required=True,
            doc="""sibling to export to""",
        ),
        "jobs": jobs_opt,
        "on_push": Parameter(
            args=("--on-push",),
            choices=("yes", "no"),
            doc="""whether `datalad push --to NAME` exports from now on; kept in this clone only.
            Nothing is exported now""",
        ),
        "only_new": Parameter(
            args=("--only-new",),
            action="store_true",
            doc="""do nothing when the last export from this clone was of the same tree and complete""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Publish the current branch",
            "code_py": "s3_export(name='public')",
            "code_cmd": "datalad s3-export -s public",
        },
        {
            "text": "Publish a folder of a release",
            "code_py": "s3_export('v1.0:derivatives', name='public', jobs=4)",
            "code_cmd": "datalad s3-export v1.0:derivatives -s public -J 4",
        },
        {
            "text": "Have datalad push do it",
            "code_py": "s3_export(name='public', on_push='yes')",
            "code_cmd": "datalad s3-export -s public --on-push yes",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_export")
    @eval_results
    def __call__(
        treeish: str | None = None,
        *,
        name: str | None = None,
        jobs: int | None = None,
        on_push: str | None = None,
        only_new: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Export, file by file."""
        if name is None:
            raise ValueError("no sibling is given; name one with --name")
        ((path, _),) = datasets(dataset, recursive=False, recursion_limit=None, purpose="export")
        try:
            export = find_export(path, name, treeish)
            if on_push is not None:
                yield _follow(path, export, on_push)
                return
            if only_new and export.is_done():
                text = f"{export.treeish} is there already"
                yield sibling_record(ACTION, path, "notneeded", text, name=name)
                return
            yield from _exported(path, export, jobs)
        except S3xError as exc:
            yield sibling_record(ACTION, path, "error", str(exc), name=name)


def _exported(path: Path, export: Export, jobs: int | None) -> Iterator[dict[str, Any]]:
    count, failed = 0, 0
    for step in export.run(jobs if isinstance(jobs, int) else None):
        count, failed = count + 1, failed + (not step.success)
        yield _record(path, export, step)
    done = (
        f"{export.treeish} exported, {count} changes" if count else f"{export.treeish} is there already"
    )
    text = f"{failed} of {count} changes failed; run the command again" if failed else done
    status = "error" if failed else "ok" if count else "notneeded"
    yield sibling_record(ACTION, path, status, text, name=export.name, uuid=export.remote.uuid)


def _record(path: Path, export: Export, step: Step) -> dict[str, Any]:
    record: dict[str, Any] = get_status_dict(
        action=ACTION, path=str(path / step.file), type="file", refds=str(path),
        status="ok" if step.success else "error", message=step.message, logger=lgr,
        did=step.did, target=export.name,
    )  # fmt: skip
    return record


def _follow(path: Path, export: Export, on_push: str) -> dict[str, Any]:
    wanted = on_push == "yes"
    if wanted and export.remote.parameters.get("annexobjects", "no") not in {"yes", "true"}:
        return sibling_record(
            ACTION, path, "impossible",
            f"git-annex refuses datalad push to {export.name!r}; allow it: "
            f"git annex enableremote {export.name} annexobjects=yes",
            name=export.name,
        )  # fmt: skip
    if not follow_pushes(path, export.name, wanted=wanted):
        text = f"datalad push --to {export.name} {'exports already' if wanted else 'does not export'}"
        return sibling_record(ACTION, path, "notneeded", text, name=export.name)
    Dataset(path).config.reload(force=True)  # DataLad reads its hooks once in each process
    does = "exports from now on, too" if wanted else "exports no more"
    text = f"datalad push --to {export.name} {does}"
    return sibling_record(ACTION, path, "ok", text, name=export.name)
