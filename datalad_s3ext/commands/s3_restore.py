"""``datalad s3-restore``: bring files back from an archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod, require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.support.constraints import EnsureInt, EnsureNone
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._records import lgr, render_message, sibling_record
from datalad_s3ext.commands._restore import File, Found, Order, files_in, restored, wait_for
from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.repo import remotes
from datalad_s3ext.store.archive import TIERS

ACTION = "s3_restore"
_STATUS = {
    "error": "error",
    "absent": "error",
    "archived": "ok",
    "asked": "ok",
    "under way": "notneeded",
    "readable": "notneeded",
}


@build_doc
class S3Restore(Interface):
    """Ask for files that lie in an archive storage class, such as GLACIER, to be readable again.

    Archived content is there, but cannot be read before it is restored: a copy that can be read for
    some days. That takes minutes to days, and costs what the provider says. This command asks for
    all objects of all files, chunks included, and tells when they are expected. When they are there,
    `datalad get` gets them.

    How many days and how fast is also said by the git configuration, as for git-annex's built-in S3:
    annex.s3-restore-days (1) and annex.s3-restore-tier (standard), or remote.NAME.annex-s3-restore-*.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render_message)

    _params_: ClassVar[dict[str, Parameter]] = {
        "path": Parameter(
            args=("path",),
            metavar="PATH",
            nargs="*",
            doc="""files, or directories with all that is below; by default the whole dataset""",
        ),
        "name": Parameter(
            args=("-s", "--name"),
            metavar="NAME",
            doc="""sibling to restore in; needed when there are several on S3""",
        ),
        "days": Parameter(
            args=("--days",),
            metavar="N",
            doc="""how many days the restored copies shall stay""",
            constraints=EnsureInt() | EnsureNone(),
        ),
        "tier": Parameter(
            args=("--tier",),
            choices=TIERS,
            doc="""how fast: expedited (minutes), standard (hours) or bulk (half a day or more), at
            falling prices""",
        ),
        "wait": Parameter(
            args=("--wait",),
            action="store_true",
            doc="""wait until all files can be read; each is told when it can""",
        ),
        "look": Parameter(
            args=("--look",),
            action="store_true",
            doc="""ask for nothing: only tell which files can be read now""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Restore all that is archived of a directory, for a week",
            "code_py": "s3_restore('sub-01', days=7)",
            "code_cmd": "datalad s3-restore sub-01 --days 7",
        },
        {
            "text": "Restore one file quickly, and get it",
            "code_py": "s3_restore('scan.nii', tier='expedited', wait=True)",
            "code_cmd": "datalad s3-restore scan.nii --tier expedited --wait && datalad get scan.nii",
        },
        {
            "text": "See which files can be read",
            "code_py": "s3_restore(look=True)",
            "code_cmd": "datalad s3-restore --look",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_restore")
    @eval_results
    def __call__(
        path: str | Sequence[str] | None = None,
        *,
        name: str | None = None,
        days: int | None = None,
        tier: str | None = None,
        wait: bool = False,
        look: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Ask, file by file."""
        root: Path = require_dataset(dataset, purpose="restore from S3").pathobj
        try:
            order = _order(days, tier, look=look)
            remote = _chosen(root, name)
            files = files_in(root, remote, _paths(path))
            if not files:
                text = f"no file here is known to be in {remote!r}"
                yield sibling_record(ACTION, root, "notneeded", text, name=remote)
            yield from _restore(root, remote, files, order, wait=wait)
        except S3xError as error:
            yield sibling_record(ACTION, root, "error", str(error), name=name)


def _restore(
    root: Path, remote: str, files: Sequence[File], order: Order, *, wait: bool
) -> Iterator[dict[str, Any]]:
    waiting: list[File] = []
    for found in restored(root, remote, files, order):
        yield _record(root, remote, found)
        if found.step in ("asked", "under way"):
            waiting.append(found.file)
    if wait:
        look = partial(restored, root, remote, order=Order(look_only=True))
        for found in wait_for(lambda files: look(files=files), waiting):
            yield _record(root, remote, found, done="ok")


def _record(root: Path, remote: str, found: Found, done: str | None = None) -> dict[str, Any]:
    status = done if done and found.step == "readable" else _STATUS[found.step]
    known = {
        "sibling": remote, "key": found.file.key, "state": found.step, "objects": found.objects,
        "storage_class": found.storage_class, "expected_by": found.expected_by, "until": found.until,
    }  # fmt: skip
    record: dict[str, Any] = get_status_dict(
        action=ACTION, path=str(root / found.file.name), type="file", status=status,
        message=_told(found), refds=str(root), logger=lgr,
        **{name: value for name, value in known.items() if value is not None},
    )  # fmt: skip
    return record


def _told(found: Found) -> str:
    where = ", ".join(found.classes)
    expected = f", expected by {found.expected_by}" if found.expected_by else ""
    until = f" until {found.until}" if found.until else ""
    return {
        "error": found.message,
        "absent": "the object is not there, although git-annex believes so: git annex fsck --fast",
        "archived": f"archived in {where}, and not asked for",
        "asked": f"asked for restore from {where}{expected}",
        "under way": f"is being restored from {where}{expected}",
        "readable": f"can be read ({where}){until}",
    }[found.step]


def _order(days: int | None, tier: str | None, *, look: bool) -> Order:
    if days is not None and days < 1:
        raise ConfigError(f"--days {days} is too little", remedy="give 1 or more")
    return Order(days, tier, look)


def _chosen(root: Path, name: str | None) -> str:
    known = [one.enabled_as for one in remotes.s3_remotes(root) if one.is_ours and one.enabled_as]
    if name in known:
        return str(name)
    names = ", ".join(known) or "none; see datalad s3-enable"
    if name is not None:
        raise ConfigError(f"no s3x sibling {name!r} is enabled here; enabled: {names}")
    if len(known) != 1:
        raise ConfigError(f"which sibling? enabled: {names}", remedy="give it: -s NAME")
    return known[0]


def _paths(path: str | Sequence[str] | None) -> list[str]:
    given = [path] if isinstance(path, str | Path) else list(path or [])
    return [str(Path(one).absolute()) for one in given] or ["."]
