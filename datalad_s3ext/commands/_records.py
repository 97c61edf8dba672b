"""Result records: the stable answer of our commands to programs and people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer, render_action_summary
from datalad.ui import ui

from datalad_s3ext.errors import one_line

lgr = logging.getLogger("datalad.s3ext")


def render(res: dict[str, Any], *, only_new: object = False, **_: object) -> None:
    """Show a person a result as DataLad does, and also that there was nothing to do.

    Nothing of the latter in a call that asks for news only.
    """
    if res["status"] == "notneeded":
        if not only_new:
            ui.message(f"{res['path']}: {res['message']}")
    else:
        generic_result_renderer(res)


def render_message(res: dict[str, Any], **_: object) -> None:
    """Show a person the message of a result of ours in which all is well; others as DataLad does."""
    if res["action"].startswith("s3_") and res["status"] in {"ok", "notneeded"}:
        ui.message(f"{res['path']}: {res['message']}")
    else:
        generic_result_renderer(res)


def render_summary(_: object, summary: Mapping[str, Mapping[str, int]]) -> None:
    """Show how many results there were of each status, as DataLad does."""
    if sum(sum(counts.values()) for counts in summary.values()) > 1:
        render_action_summary(summary)


def sibling_record(
    action: str, path: Path, status: str, message: str, **details: object
) -> dict[str, Any]:
    """Return a record about a sibling of the dataset at `path`; absent details are left out."""
    known = {name: value for name, value in details.items() if value is not None}
    record: dict[str, Any] = get_status_dict(
        action=action,
        path=str(path.absolute()),
        type="sibling",
        status=status,
        message=one_line(message),
        logger=lgr,
        **known,
    )
    return record
