"""Result records: the stable answer of our commands to programs and people."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from datalad.interface.results import get_status_dict

from datalad_s3ext.errors import one_line

lgr = logging.getLogger("datalad.s3ext")


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
