"""The records of `s3-status` as text for people: a table of several siblings, or all about one.

Names, places and object names may be other people's text: they cannot act on a terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from datalad_s3ext.commands._status import expires_soon
from datalad_s3ext.errors import one_line
from datalad_s3ext.units import human_size

Record = Mapping[str, Any]

_HEAD = ("NAME", "SERVICE", "PLACE", "THERE", "NOT YET THERE", "ANSWERS")
_SHOWN_UPLOADS = 5
_LABEL_WIDTH = 13


def table(records: Sequence[Record]) -> list[str]:
    """Return a line for each sibling, and below the table what somebody should know."""
    rows = [_HEAD, *(_row(record) for record in records)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    notes = [f"{_shown(record['name'])}: {note}" for record in records for note in _notes(record)]
    return [*lines, "", *notes] if notes else lines


def details(record: Record) -> list[str]:
    """Return all about one sibling."""
    lines = [f"{_shown(record['name'])} ({record['remote_type']}, {record['uuid']})"]
    for label, tell in LINES:
        for text in tell(record):
            lines.append(f"  {label:<{_LABEL_WIDTH}} {one_line(text)}")
            label = ""
    return lines


def _row(record: Record) -> tuple[str, ...]:
    answer = record["available"] if record["enabled"] != "no" else "not enabled"
    return (
        _shown(record["name"]), _service(record), _place(record), _amount(record["content"]),
        _amount(record["missing"]), answer,
    )  # fmt: skip


def _notes(record: Record) -> Iterator[str]:
    if record["available"] != "yes" and record["enabled"] != "no":
        yield one_line(record["available_because"])
    for text in (*_keys(record)[1:], *_unfinished(record)):
        yield one_line(text)


def _service(record: Record) -> str:
    return _shown(record.get("provider") or record["remote_type"])


def _place(record: Record) -> str:
    return _shown(f"{record['bucket']}/{record['prefix']}" if record["prefix"] else record["bucket"])


def _where(record: Record) -> Iterator[str]:
    endpoint = record.get("endpoint") or "endpoint by region"
    yield f"{_service(record)}, {endpoint}, region {record.get('region') or '?'}"
    yield f"bucket {record['bucket']}" + (f", prefix {record['prefix']}" if record["prefix"] else "")


def _stored(record: Record) -> Iterator[str]:
    chunk = f"in chunks of {record['chunk']}" if record.get("chunk") else "in one object each"
    kind = "files under their names" if record["exporttree"] else chunk
    encryption = record["encryption"]
    yield f"{kind}, {'not encrypted' if encryption == 'none' else f'encrypted ({encryption})'}"
    storage_class = record.get("storage_class")
    if storage_class and storage_class != "STANDARD":
        look = "; what is archived: datalad s3-restore --look" if record["remote_type"] == "s3x" else ""
        yield f"storage class {storage_class}{look}"


def _enabled(record: Record) -> Iterator[str]:
    name = shlex.quote(record["name"])
    yield {
        "yes": "yes",
        "no": f"no; to use it: datalad s3-enable -s {name}",
        "unconfirmed": f"yes, but its place is not confirmed; to do so: datalad s3-enable -s {name}",
    }.get(record["enabled"], "could not be found out")


def _answers(record: Record) -> Iterator[str]:
    answer = {"unknown": "could not be found out"}.get(record["available"], record["available"])
    yield f"{answer}: {record['available_because']}"


def _keys(record: Record) -> list[str]:
    """Return where keys come from, then what is wrong with them, if anything."""
    told = record["credentials"]
    expires = told["expires"]
    until = f", good until {expires[:16].replace('T', ' ')} UTC" if expires else ""
    lines = [f"{told['source']}{until}" if told["source"] else "none can be used"]
    if told["problem"] and told["problem"] != record.get("problem"):
        lines.append(told["problem"])
    elif expires_soon(expires):
        lines.append("the keys expire within an hour: renew them before a long transfer")
    return lines


def _content(record: Record) -> Iterator[str]:
    yield f"{_amount(record['content'])}, by git-annex's location log"


def _missing(record: Record) -> Iterator[str]:
    missing, here = record["missing"], record.get("missing_here")
    if not missing["keys"]:
        yield "nothing that the current branch needs"
        return
    of_these = f"; {_amount(here)} of it is in this clone" if here is not None else ""
    yield f"{_amount(missing)} that the current branch needs{of_these}"
    if here and here["keys"]:
        yield f"to send it: git annex copy --to {shlex.quote(record['name'])}"


def _unfinished(record: Record) -> list[str]:
    found = record.get("unfinished") or []
    lines = [
        f"an upload was begun and not completed: {one['object']}, "
        f"{human_size(one['confirmed_bytes'])} of {human_size(one['size_bytes'])} is there; the next "
        "copy goes on with it"
        for one in found[:_SHOWN_UPLOADS]
    ]
    rest = len(found) - len(lines)
    return [*lines, f"and {rest} more"] if rest > 0 else lines


def _amount(amount: Mapping[str, int]) -> str:
    keys = "1 key" if amount["keys"] == 1 else f"{amount['keys']} keys"
    unknown = f" and {amount['of_unknown_size']} of unknown size" if amount["of_unknown_size"] else ""
    return f"{keys}, {human_size(amount['bytes'])}{unknown}" if amount["keys"] else "0 keys"


def _shown(text: str) -> str:
    return one_line(text)


LINES: tuple[tuple[str, Callable[[Record], Iterator[str] | list[str]]], ...] = (
    ("place", _where),
    ("stored", _stored),
    ("enabled here", _enabled),
    ("answers", _answers),
    ("keys", _keys),
    ("there", _content),
    ("not yet there", _missing),
    ("unfinished", _unfinished),
)
"""What is told of one sibling; a line whose function yields nothing is left out."""
