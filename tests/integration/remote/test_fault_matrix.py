"""Every fault at every request of every operation, in front of every real server.

What must hold in each cell (:mod:`.judging`):

* a success is one: what was stored or received has the right bytes, what was removed is gone;
* a failure leaves nothing wrong: no other object under the name, no file that is not a beginning of
  the content, no upload that no journal knows of; and the next try succeeds and clears up;
* "present" is said only of what is there, "absent" only of what is not, and else "unknown";
* nothing else in the bucket is touched;
* a fault that passes is got over, and one that lasts ends in a failure, in bounded time.

Cells that are left out, and why:

=====================================  ===========================================================
a fault in a body                      where a request or an answer has none, or one without
                                       meaning: that of the answer to a PUT is read by nobody
a drip of a document                   S3 itself sends a blank now and then while it puts an object
                                       together
latency, a doubled answer: once        every answer is late or doubled: that includes the once
403: once                              it is believed, so that once is for ever
200 with an error                      S3 does so only where it makes an object of another
"all behind create": once, in bodies   the single steps have it
"confirm" of a small object            SeaweedFS is not asked: its ETag is proof
large files of exports                 `upload_file` and `download_file` again, with another name
`s3x-verify` with other faults         it only looks at the bytes that have come: they are flipped
no connection at all                   is no fault of one request: it has tests of its own below,
                                       with every operation
=====================================  ===========================================================

What cannot be helped: what git-annex verifies after us is not ours to refuse. A byte flipped on the way
down is received as it came, unless git-annex leaves the verification to s3x. And a server that does not
tell when an upload was begun, as moto does not, keeps one whose id never arrived, or arrived damaged:
such an upload is empty.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.remote.fault_cells import (
    FOR_EVER,
    LARGE,
    RANGE_BYTES,
    Bench,
    Cell,
    Fault,
    Operation,
    Step,
    answers,
    on_answers,
    on_bodies_down,
    on_bodies_up,
)
from tests.integration.remote.judging import judge, judge_again
from tests.support import faults
from tests.support.faults import Request, has_method
from tests.support.relay import Relay
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.server, pytest.mark.thorough]

LONG_S = 60
"""Nobody waits for the end of it."""
WIDTH = 6


# -- faults ---------------------------------------------------------------------------------------


def sends(step: Step) -> int:
    return step.sends


def receives(step: Step) -> int:
    return step.receives


def receives_content(step: Step) -> bool:
    return bool(step.receives) and step.name not in DOCUMENTS


def makes_object(step: Step) -> bool:
    return step.name in ("complete", "copy")


DOCUMENTS = {"create": "either", "complete": "either", "copy": "either"}
"""Steps with a document in the request or in the answer; damaged, it may mean anything."""
PAGE = faults.Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
FAULTS = {
    "a stall before the answer": Fault(
        on_answers(lambda relay: faults.delay(LONG_S, relay.hold)), sleeps=True
    ),
    "a stall in the answer": Fault(
        on_bodies_down(lambda relay, at: faults.stall(LONG_S, relay.hold, at)),
        where=receives, sleeps=True,
    ),
    "a drip of the answer": Fault(
        on_bodies_down(lambda relay, at: faults.drip(0.25, relay.hold, at)),
        where=receives_content, sleeps=True,
    ),
    "a stall of what is sent": Fault(
        on_bodies_up(lambda relay, at: faults.stall(LONG_S, relay.hold, at)),
        where=sends, sleeps=True,
    ),
    "latency": Fault(
        on_answers(lambda relay: faults.delay(0.3, relay.hold)), None, "good", sleeps=True
    ),
    "a dropped answer": Fault(on_answers(lambda _: faults.truncate(0))),
    "a reset before the answer": Fault(on_answers(lambda _: faults.truncate(0, reset=True))),
    "a reset within the answer": Fault(
        on_bodies_down(lambda _, at: faults.truncate(at, reset=True)), where=receives
    ),
    "a truncated answer": Fault(on_bodies_down(lambda _, at: faults.truncate(at)), where=receives),
    "a reset while sending": Fault(
        on_bodies_up(lambda _, at: faults.truncate(at, reset=True)), where=sends
    ),
    "a doubled answer": Fault(on_answers(lambda _: faults.duplicate), None, "good"),
    "a byte flipped down": Fault(  # git-annex verifies, unless it leaves that to s3x
        on_bodies_down(lambda _, at: faults.flip_byte(at)), "good", "good", receives, DOCUMENTS
    ),
    "a byte flipped up": Fault(
        on_bodies_up(lambda _, at: faults.flip_byte(at)), "bad", "bad", sends, DOCUMENTS
    ),
    "500": Fault(answers(faults.internal_error())),
    "200 with an error": Fault(answers(faults.internal_error(200)), where=makes_object),
    "403": Fault(answers(faults.s3_error(403, "AccessDenied")), None),
    "404 of a web page": Fault(answers(PAGE), "either"),
}  # fmt: skip
STORMS = {"503": faults.slow_down(), "503 with Retry-After": faults.slow_down(1)}
"""They make a process send less at once, so that they get one of their own."""


# -- operations -----------------------------------------------------------------------------------


def is_create(request: Request) -> bool:
    return request.method == "POST" and not faults.is_complete_upload(request)


def is_copy(request: Request) -> bool:
    return "x-amz-copy-source" in request.headers


def is_put(request: Request) -> bool:
    return request.method == "PUT" and not faults.is_upload_part(request) and not is_copy(request)


def is_first_range(request: Request) -> bool:
    start = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
    return request.method == "GET" and int(start) < RANGE_BYTES


def is_later_range(request: Request) -> bool:
    return request.method == "GET" and not is_first_range(request)


PUT = Step("put", is_put, sends=5000)
CONFIRM = Step("confirm", has_method("HEAD"))
CREATE = Step("create", is_create, receives=40)
PART = Step("part", faults.is_upload_part, sends=50_000)
COMPLETE = Step("complete", faults.is_complete_upload, sends=60, receives=40)
BEHIND_CREATE = Step("all behind create", lambda request: not is_create(request))
GET = Step("get", has_method("GET"), receives=5000)
FIRST_RANGE = Step("first range", is_first_range, receives=3_000_000)
LATER_RANGE = Step("later range", is_later_range, receives=500_000)
ASK = Step("ask", has_method("HEAD", "GET"))
LOOK = Step("look", has_method("HEAD"))
COPY = Step("copy", is_copy, receives=40)
DELETE = Step("delete", has_method("DELETE"))

STORE = ("store", ("TRANSFER STORE {key} {source}",))
STORED = ("TRANSFER-SUCCESS STORE {key}", "TRANSFER-FAILURE STORE {key} ")
RETRIEVE = ("retrieve", ("TRANSFER RETRIEVE {key} {target}",))
RETRIEVED = ("TRANSFER-SUCCESS RETRIEVE {key}", "TRANSFER-FAILURE RETRIEVE {key} ")
CHECK = ("ask", ("CHECKPRESENT {key}",))
PRESENT = ("CHECKPRESENT-SUCCESS {key}", "CHECKPRESENT-UNKNOWN {key} ")
ABSENT = ("CHECKPRESENT-FAILURE {key}", "CHECKPRESENT-UNKNOWN {key} ")
REMOVED = ("REMOVE-SUCCESS {key}", "REMOVE-FAILURE {key} ")
# who hears that renaming is not supported removes the file and stores it anew
RENAMED = ("RENAMEEXPORT-SUCCESS {key}", ("RENAMEEXPORT-FAILURE {key}", "UNSUPPORTED-REQUEST"))
PARTS = (CREATE, PART, COMPLETE, CONFIRM, BEHIND_CREATE)
RANGES = (FIRST_RANGE, LATER_RANGE)


def of_export(operation: tuple[str, tuple[str]], word: str) -> tuple[str, tuple[str, ...]]:
    """Return the same operation on a file that is exported."""
    kind, (line,) = operation
    return kind, ("EXPORT {name}", line.replace(word, f"{word}EXPORT", 1))


GROUPS = {
    "store": [
        Operation("store small", *STORE, *STORED, (PUT, CONFIRM), is_there=False),
        Operation("store large", *STORE, *STORED, PARTS, LARGE, is_there=False),
    ],
    "retrieve": [
        Operation("retrieve small", *RETRIEVE, *RETRIEVED, (GET,)),
        Operation("retrieve large", *RETRIEVE, *RETRIEVED, RANGES, LARGE),
    ],
    "verify": [
        Operation("verify small", *RETRIEVE, *RETRIEVED, (GET,), verifies=True),
        Operation("verify large", *RETRIEVE, *RETRIEVED, RANGES, LARGE, verifies=True),
    ],
    "ask and remove": [
        Operation("present", *CHECK, *PRESENT, (ASK,)),
        Operation("absent", *CHECK, *ABSENT, (ASK,), is_there=False),
        Operation("remove", "remove", ("REMOVE {key}",), *REMOVED, (DELETE,)),
    ],
    "export": [
        Operation(
            "export", *of_export(STORE, "TRANSFER"), *STORED, (PUT, CONFIRM), is_there=False
        ),
        Operation("export retrieve", *of_export(RETRIEVE, "TRANSFER"), *RETRIEVED, (GET,)),
        Operation("export present", *of_export(CHECK, "CHECKPRESENT"), *PRESENT, (ASK,)),
        Operation(
            "export absent", *of_export(CHECK, "CHECKPRESENT"), *ABSENT, (ASK,), is_there=False
        ),
        Operation(
            "export remove", "remove", ("EXPORT {name}", "REMOVEEXPORT {key}"), *REMOVED, (DELETE,)
        ),
        Operation(
            "rename", "rename", ("EXPORT {name}", "RENAMEEXPORT {key} {new}"), *RENAMED,
            (LOOK, COPY, DELETE),
        ),
    ],
}  # fmt: skip
LIMITS_S = {"store": (6, 20), "retrieve": (1.5, 6), "export": (1, 10)}
"""Of silence and of patience; otherwise 1 and 5. Many large uploads keep a server busy, and the first
copy takes time before it is sent: boto3 is imported for it. Where a fault lasts, the number of attempts
ends it; patience is for a machine that has other work, too."""


OWN_WAYS = {("rclone", PART, "a stall of what is sent"), ("rclone", COMPLETE, "a truncated answer")}
"""rclone locks an upload while it reads a part of it, until TCP gives the connection up. And what it says
to a second completion is a plain 404 when it is cut off: then the object is read, which is there."""


# -- the matrix -----------------------------------------------------------------------------------


def cells_of(group: str, kind: str) -> list[Cell]:
    """Return all cells of a group in front of a server of some kind."""
    storms = {name: Fault(answers(answer)) for name, answer in STORMS.items()}
    rows = [
        (operation, step, name, fault, times)
        for name, fault in {**FAULTS, **storms}.items()
        for operation in GROUPS[group]
        for step in operation.steps
        for times in (FOR_EVER, 1)
        if fault.where(step) and not is_left_out(operation, step, name, fault, times, kind)
    ]
    return [Cell(number, *row) for number, row in enumerate(rows)]


def is_left_out(
    operation: Operation, step: Step, name: str, fault: Fault, times: int, kind: str
) -> bool:
    """Tell what the table above tells."""
    return (
        (fault.once if times == 1 else fault.for_ever) is None
        or (step is BEHIND_CREATE and times == 1)
        or (step is CONFIRM and kind == "seaweedfs" and operation.content is not LARGE)
        or (operation.verifies and name != "a byte flipped down")
    )


@pytest.mark.parametrize("group", GROUPS)
def test_matrix(endpoint: Endpoint, group: str, bucket_name: str, tmp_path: Path) -> None:
    cells = cells_of(group, endpoint.kind)
    stall_s, patience_s = LIMITS_S.get(group, (1, 5))
    for cell in cells:
        if group == "verify":
            cell.fault = replace(cell.fault, once="bad", for_ever="bad")
        if (endpoint.kind, cell.step, cell.fault_name) in OWN_WAYS:
            cell.fault = replace(cell.fault, once="either", for_ever="either")
    with Relay(endpoint.url) as relay:
        bench = Bench(
            endpoint, bucket_name, tmp_path, relay,
            retries=2, patience=patience_s, stall_timeout=stall_s,
        )  # fmt: skip
        bench.prepare(cells)
        calm = [cell for cell in cells if cell.fault_name not in STORMS]
        stormy = [cell for cell in cells if cell.fault_name in STORMS]
        with ThreadPoolExecutor() as threads, bench.remote(cells[0].operation) as annex:
            storm = threads.submit(run, bench, stormy)
            bench.run(annex, calm, WIDTH)
            storm.result()
            judge(bench, cells)
            relay.heal()
            again = [c for c in cells if c.ended != "good" and c.operation.kind != "rename"]
            bench.run(annex, again, WIDTH)
        judge_again(bench, cells, again)
    report(cells)


def run(bench: Bench, cells: Sequence[Cell]) -> None:
    if cells:
        with bench.remote(cells[0].operation) as annex:
            bench.run(annex, cells, WIDTH)


def report(cells: Sequence[Cell]) -> None:
    complaints = [text for cell in cells for text in cell.complaints]
    assert not complaints, "\n".join(complaints)


# -- faults that concern all of a process ---------------------------------------------------------

OF_KEYS = ("store", "retrieve", "ask and remove")
NOTHING = Fault(lambda *_: None)
AT_THE_MARKER = Step("marker", lambda request: "annex-uuid" in request.path, receives=1)
LASTING = (
    "500", "403", "404 of a web page", "a dropped answer", "a reset before the answer",
    "a reset within the answer", "a truncated answer", "a byte flipped down",
)  # fmt: skip


def one_of_each(*groups: str) -> list[Cell]:
    operations = [operation for group in groups for operation in GROUPS[group]]
    return [
        Cell(number, operation, operation.steps[0], "a fault of all", NOTHING, 1, struck=True)
        for number, operation in enumerate(operations)
    ]


def require_all(cells: Sequence[Cell], ended: str, while_what: str) -> None:
    for cell in cells:
        cell.require(cell.ended == ended, f"should be {ended} while {while_what}")


@pytest.mark.parametrize("groups", [OF_KEYS, ("export",)], ids=["keys", "export"])
def test_connections_that_are_refused_for_ever_and_for_a_while(
    endpoint: Endpoint, groups: tuple[str, ...], bucket_name: str, tmp_path: Path
) -> None:
    cells = one_of_each(*groups)
    with Relay(endpoint.url) as relay:
        bench = Bench(endpoint, bucket_name, tmp_path, relay, patience=1.5)
        bench.prepare(cells)
        with bench.remote(cells[0].operation) as annex:
            asking = [cell for cell in cells if cell.operation.kind == "ask"]
            bench.run(annex, asking, WIDTH)  # from now on the bucket is known
            require_all(asking, "good", "nothing is wrong")
            with relay.refusing():
                bench.run(annex, cells, len(cells))
            require_all(cells, "bad", "nobody listens")
            with refused_for(0.5, relay):
                bench.run(annex, cells, len(cells))
            judge(bench, cells)
        judge_again(bench, cells, [])
    report(cells)


@contextmanager
def refused_for(seconds: float, relay: Relay) -> Iterator[None]:
    """Refuse connections at the beginning of the block."""
    begun = threading.Event()

    def refuse() -> None:
        with relay.refusing():
            begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=refuse)
    thread.start()
    begun.wait()
    yield
    thread.join()


@pytest.mark.parametrize("groups", [OF_KEYS, ("export",)], ids=["keys", "export"])
def test_a_bucket_that_cannot_be_known_for_ours(
    endpoint: Endpoint, groups: tuple[str, ...], bucket_name: str, tmp_path: Path
) -> None:
    """The first request of a process decides whether anything is believed.

    Who is refused by 403 may still read an exported tree as everybody can.
    """
    cells = one_of_each(*groups)
    with Relay(endpoint.url) as relay:
        bench = Bench(endpoint, bucket_name, tmp_path, relay, retries=0)
        bench.prepare(cells)
        with bench.remote(cells[0].operation) as annex:
            for name in LASTING if groups == OF_KEYS else set(LASTING) - {"403"}:
                FAULTS[name].arm(relay, AT_THE_MARKER.matches, FOR_EVER, AT_THE_MARKER)
                bench.run(annex, cells, len(cells))
                require_all(cells, "bad", f"the marker meets {name}")
                relay.heal()
            bench.run(annex, cells, len(cells))
            judge(bench, cells)
        judge_again(bench, cells, [])
    report(cells)
