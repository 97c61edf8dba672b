"""What must hold when the cells of a fault matrix have been answered.

All is asked of the server over a connection that does not pass the relay.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.remote.fault_cells import BYSTANDER, SMALL, Bench, Cell

Uploads = set[tuple[str, str]]


def judge(bench: Bench, cells: Sequence[Cell]) -> None:
    """Judge what each cell has come to."""
    names, unknown = bench.names(), bench.uploads() - bench.journals()
    for cell in cells:
        cell.require(cell.struck, "the fault has not struck")
        cell.require(cell.ended in ("good", "bad"), "no answer of its kind")
        cell.require(cell.expected in ("either", cell.ended), f"should be {cell.expected}")
        _judge_uploads(bench, cell, unknown)
        _judge_content(bench, cell, names)


def judge_again(bench: Bench, cells: Sequence[Cell], again: Sequence[Cell]) -> None:
    """Judge what is left after those that failed were tried `again` without faults."""
    left, journals = bench.uploads(), bench.journals()
    for cell in again:
        cell.require(cell.ended == "good", "fails again without a fault")
    for cell in cells:
        _judge_uploads(bench, cell, left)
        cell.require(not any(name == cell.name for name, _ in journals), "leaves a journal")
    ours = {name for cell in cells for name in (cell.name, cell.new)}
    assert bench.names() <= ours | {BYSTANDER, "annex-uuid"}
    assert bench.get(BYSTANDER) == SMALL


def _judge_uploads(bench: Bench, cell: Cell, unknown: Uploads) -> None:
    """No upload is left that nobody knows of.

    moto says of each upload that it was begun in 2010: one whose id never arrived is not found there.
    """
    mine = [upload for upload in unknown if upload[0] == cell.name]
    if cell.step.name == "create" and bench.endpoint.kind == "moto":
        cell.require(not any(bench.has_parts(*upload) for upload in mine), "leaks parts")
    else:
        cell.require(not mine, f"leaks {len(mine)} uploads")


def _judge_content(bench: Bench, cell: Cell, names: set[str]) -> None:
    content, kind = cell.operation.content, cell.operation.kind
    found = {name: bench.get(name) for name in {cell.name, cell.new} & names}
    cell.require(all(data == content for data in found.values()), "a wrong object is there")
    was_good = cell.ended == "good"
    if kind == "store":
        cell.require(found or not was_good, "the object is not there")
    elif kind == "retrieve":
        cell.require(found, "the object is lost")
        _judge_file(bench, cell)
    elif kind == "ask":
        cell.require(bool(found) == cell.operation.is_there, "asking has changed something")
    elif kind == "remove":
        cell.require(not (was_good and found), "the object is still there")
    else:
        cell.require(found, "the object is lost")
        cell.require(not was_good or set(found) == {cell.new}, "it is not renamed")


def _judge_file(bench: Bench, cell: Cell) -> None:
    path, content = bench.folder / cell.target, cell.operation.content
    received = path.read_bytes() if path.exists() else b""
    if cell.fault_name == "a byte flipped down" and not cell.operation.verifies:
        cell.require(len(received) == len(content), "another size was received")
        path.unlink()  # as git-annex does when it has verified it
    elif cell.ended == "good":
        cell.require(received == content, "wrong bytes were received")
    else:
        cell.require(content.startswith(received), "the file is no beginning of the content")
