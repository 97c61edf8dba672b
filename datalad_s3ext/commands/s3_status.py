"""``datalad s3-status``: what is where, and can it be reached."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod, require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.utils import generic_result_renderer
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._records import sibling_record
from datalad_s3ext.commands._status import Inspection, inspect
from datalad_s3ext.commands._status_table import details, table
from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.locations import read_locations
from datalad_s3ext.repo.remotes import SpecialRemote

ACTION = "s3_status"
_AT_ONCE = 8


@build_doc
class S3Status(Interface):
    """Show the siblings on S3: where they are, what is there and what not yet, and whether they answer.

    For each sibling: service, endpoint, bucket and prefix; encryption and chunks; whether this clone
    uses it; where keys come from and when they expire (never the keys); how much git-annex's location
    log says is there; what the current branch needs and is not there yet; uploads that were begun
    here and are not complete.

    Then each sibling that is in use is asked once for its marker. The answer is yes, no (another
    place, or no such bucket; the command fails then), or that it could not be found out, with the
    reason. Nothing is changed, and keys are sent only where a person on this computer chose the
    address.
    """

    result_renderer = "tailored"

    _params_: ClassVar[dict[str, Parameter]] = {
        "name": Parameter(
            args=("name",),
            metavar="NAME",
            nargs="?",
            doc="""name of a sibling; by default all siblings on S3""",
        ),
        "offline": Parameter(
            args=("--offline",),
            action="store_true",
            doc="""ask nobody: tell only what is known here""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Show all siblings on S3",
            "code_py": "s3_status()",
            "code_cmd": "datalad s3-status",
        },
        {
            "text": "Show all about one",
            "code_py": "s3_status('mdx')",
            "code_cmd": "datalad s3-status mdx",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_status")
    @eval_results
    def __call__(
        name: str | None = None, *, offline: bool = False, dataset: object = None
    ) -> Iterator[dict[str, Any]]:
        """Look at each sibling."""
        root: Path = require_dataset(dataset, purpose="show siblings on S3").pathobj
        try:
            chosen = _chosen(root, name)
            locations = read_locations(root)
        except S3xError as error:
            yield sibling_record(ACTION, root, "impossible", str(error), name=name)
            return
        if not chosen:
            yield sibling_record(ACTION, root, "notneeded", "no sibling on S3 is known here")
            return
        inspections = [Inspection(root, remote, locations, offline) for remote in chosen]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for found in pool.map(inspect, inspections):
                yield _record(root, found)

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Leave what was found to the summary."""
        from datalad.ui import ui

        if res["action"] == ACTION and res["status"] == "notneeded":
            ui.message(f"{res['path']}: {res['message']}")
        elif res["action"] != ACTION or "available" not in res:
            generic_result_renderer(res)

    @staticmethod
    def custom_result_summary_renderer(results: list[dict[str, Any]]) -> None:
        """Show a table, or all about the only one."""
        from datalad.ui import ui

        found = [res for res in results if res["action"] == ACTION and "available" in res]
        if found:
            ui.message("\n".join(details(found[0]) if len(found) == 1 else table(found)))


def _chosen(root: Path, name: str | None) -> list[SpecialRemote]:
    known = remotes.s3_remotes(root)
    meant = [one for one in known if name in {None, one.enabled_as, one.name, one.id}]
    if name is not None and not meant:
        names = ", ".join(one.enabled_as or one.name for one in known) or "none"
        raise ConfigError(f"no sibling {name!r} on S3 is known here; known: {names}")
    return meant


def _record(root: Path, found: dict[str, Any]) -> dict[str, Any]:
    status = "error" if found["available"] == "no" else "ok"
    message = f"{found['name']}: {found['available']}, {found['available_because']}"
    return sibling_record(ACTION, root, status, message, **found)
