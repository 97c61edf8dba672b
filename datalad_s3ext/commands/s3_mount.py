"""``datalad s3-mount``: a commit of a data set as ordinary files, fetched as they are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod, require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.support.constraints import EnsureFloat
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._records import lgr, render_message
from datalad_s3ext.errors import ConfigError, S3xError

ACTION = "s3_mount"


@build_doc
class S3Mount(Interface):
    """Mount a commit of a dataset as ordinary, read-only files.

    All files are there with their sizes, whether their content is here or not. What a program reads is
    fetched at that moment, and only that part: from this clone, from an S3 sibling, or from the web.
    Nothing is stored in the dataset.

    The mount shows one commit; later ones need a new mount. It works in the background until it is
    unmounted. FUSE is needed: Debian's fuse3, and `pip install datalad-s3ext[mount]`.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render_message)

    _params_: ClassVar[dict[str, Parameter]] = {
        "folder": Parameter(
            args=("folder",),
            metavar="DIR",
            doc="""empty folder to mount on; made when it is not there""",
        ),
        "ref": Parameter(
            args=("--ref",),
            metavar="REF",
            doc="""commit, tag or branch to show; by default what is checked out""",
        ),
        "umount": Parameter(
            args=("--umount",),
            action="store_true",
            doc="""unmount. While the mount is in use this is tried again for a while; then those who
            use it are named""",
        ),
        "wait": Parameter(
            args=("--wait",),
            metavar="SECONDS",
            doc="""with --umount: for how long to try""",
            constraints=EnsureFloat(),
        ),
        "force": Parameter(
            args=("--force",),
            action="store_true",
            doc="""with --umount: take it out of sight at once; open files can still be read""",
        ),
        "foreground": Parameter(
            args=("--foreground",),
            action="store_true",
            doc="""stay until it is unmounted or interrupted""",
        ),
        "allow_other": Parameter(
            args=("--allow-other",),
            action="store_true",
            doc="""let other users of this machine read, too. /etc/fuse.conf must allow it""",
        ),
        "source": Parameter(
            args=("--from",),
            dest="source",
            metavar="NAME",
            doc="""read from this sibling only""",
        ),
        "profile": _options.PROFILE,
        "anonymous": _options.ANONYMOUS,
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Look at the current state of a dataset",
            "code_py": "s3_mount('/tmp/climate', dataset='climate')",
            "code_cmd": "datalad s3-mount /tmp/climate -d climate",
        },
        {
            "text": "A release, then unmount it",
            "code_py": "s3_mount('/tmp/release', ref='v1.2'); s3_mount('/tmp/release', umount=True)",
            "code_cmd": "datalad s3-mount /tmp/release --ref v1.2 && "
            "datalad s3-mount --umount /tmp/release",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_mount")
    @eval_results
    def __call__(
        folder: str,
        *,
        ref: str | None = None,
        umount: bool = False,
        wait: float = 10.0,
        force: bool = False,
        foreground: bool = False,
        allow_other: bool = False,
        source: str | None = None,
        profile: str | None = None,
        anonymous: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Mount or unmount one folder."""
        target = Path(folder).absolute()
        try:
            if umount:
                yield _unmounted(target, wait, force)
                return
            if force:
                raise ConfigError("--force goes with --umount")
            top: Any = require_dataset(dataset, check_installed=True, purpose="mount")
            options = {"profile": profile, "anon": anonymous or None, "remote": source}
            known = {name: value for name, value in options.items() if value is not None}
            yield from _mounted(target, top.pathobj, ref or "HEAD", known, allow_other, foreground)
        except S3xError as exc:
            yield _record(target, "error", str(exc))


def _mounted(
    folder: Path,
    top: Path,
    ref: str,
    options: Mapping[str, object],
    allow_other: bool,
    foreground: bool,
) -> Iterator[dict[str, Any]]:
    from datalad_s3ext.commands._mount import Mounting, alone, begin, prepare, start, stay
    from datalad_s3ext.fs.dataset import Dataset

    mounting = Mounting(Dataset.at(top), ref, folder, options, allow_other)
    commit = mounting.commit_id
    with alone(folder):
        done = prepare(mounting)
        program = begin(mounting) if foreground else None
        pid = program.pid if program is not None else start(mounting)
    text = f"{done}shows commit {commit[:12]} of {top}; unmount: datalad s3-mount --umount {folder}"
    yield _record(folder, "ok", text, commit=commit, pid=pid)
    if program is not None:
        sys.stdout.flush()  # whoever waits at the other end of a pipe hears that it is mounted
        stay(program)


def _unmounted(folder: Path, wait_s: float, force: bool) -> dict[str, Any]:
    from datalad_s3ext.commands._mount import end

    done = end(folder, wait_s=wait_s, force=force)
    return _record(folder, "ok" if done else "notneeded", done or "nothing is mounted there")


def _record(folder: Path, status: str, message: str, **details: object) -> dict[str, Any]:
    record: dict[str, Any] = get_status_dict(
        action=ACTION, path=str(folder), type="directory", status=status, message=message, logger=lgr,
        **details,
    )  # fmt: skip
    return record
