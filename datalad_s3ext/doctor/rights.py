"""May these keys list, read, write, delete, upload in parts? Found out by doing it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from datalad_s3ext.credentials.model import Anonymous
from datalad_s3ext.doctor.bucket import is_denied
from datalad_s3ext.doctor.catalogue import explain
from datalad_s3ext.doctor.findings import Finding, failed, ok, skipped, unknown, warning
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.doctor.workplace import Workplace
from datalad_s3ext.store.diagnose import Inquiry, Reply

_BYTES = 1024


def rights(examination: Examination) -> Iterator[Finding]:
    """Try each right; what is written lies below a random name and is removed again."""
    inquiry, first = examination.inquiry, examination.first
    if inquiry is None or first is None or not examination.subject.bucket:
        return
    yield _may_list(first)
    if isinstance(examination.identity, Anonymous) or not examination.subject.writable:
        yield _may_read_something(examination, inquiry, first)
        why = (
            "without keys"
            if examination.subject.writable
            else "into a bucket that is only imported from"
        )
        yield skipped("put", f"nothing is written {why}")
        return
    with Workplace(inquiry, examination.subject.prefix) as workplace:
        yield from _may_write(examination, workplace)
        left = workplace.clear()
    if left:
        yield _left(left)


def _may_list(first: Reply) -> Finding:
    if first.done:
        return ok("list", "these keys may list the bucket")
    remedy = (
        "ask the owner of the bucket for s3:ListBucket: without it, nobody can tell an object that is "
        "missing from one that is forbidden"
    )
    return warning("list", "the bucket may not be listed", remedy, code=first.code, error=16)


def _may_read_something(examination: Examination, inquiry: Inquiry, first: Reply) -> Finding:
    rows = first.data.get("Contents") or [] if first.done else []
    name = str(rows[0]["Key"]) if rows else examination.subject.known_name
    if not name:
        return unknown("get", "there is no object to read, so the right to read was not tried")
    reply = inquiry.ask("get_object", Key=name, Range="bytes=0-0")
    if reply.done or reply.status == 416:  # an empty object has no byte 0
        return ok("get", "objects can be read")
    if reply.code == "NoSuchKey":
        return ok("get", "objects may be read; there is none yet")
    return explain(examination, "get", reply)


def _may_write(examination: Examination, workplace: Workplace) -> Iterator[Finding]:
    data = secrets.token_bytes(_BYTES)
    put = workplace.put("object", data)
    if not put.done:
        yield explain(examination, "put", put)
        yield skipped("get", "without a test object, reading and deleting were not tried")
        return
    yield ok("put", "a test object was written")
    yield _may_read(examination, workplace, data)
    yield _may_upload(examination, workplace)
    yield _may_delete(examination, workplace)
    yield _may_ask_versioning(workplace.inquiry)


def _may_read(examination: Examination, workplace: Workplace, data: bytes) -> Finding:
    reply = workplace.inquiry.ask("get_object", Key=workplace.name("object"))
    if not reply.done:
        return explain(examination, "get", reply)
    came = bytes(reply.data.get("Body", b""))
    if came == data:
        return ok("get", "it was read back unchanged")
    framed = b"x-amz-checksum" in came or came.startswith(b"%x;" % len(data))
    why = (
        "the service stored the framing of the upload (aws-chunked) inside the object"
        if framed
        else f"{len(came)} bytes came back of {len(data)}, or others"
    )
    return failed(
        "get",
        f"the test object came back changed: {why}",
        "do not store anything there: upgrade the server, or look for a proxy that changes bodies",
        sent=len(data), came=len(came), error=34,
    )  # fmt: skip


def _may_upload(examination: Examination, workplace: Workplace) -> Finding:
    begun, upload_id = workplace.begin_upload("parts")
    if not begun.done:
        return explain(examination, "multipart", begun)
    name = workplace.name("parts")
    part = workplace.inquiry.ask(
        "upload_part", Key=name, UploadId=upload_id, PartNumber=1, Body=secrets.token_bytes(_BYTES)
    )
    if not part.done:
        return explain(examination, "multipart", part)
    done = workplace.complete(
        "parts", upload_id, [{"PartNumber": 1, "ETag": str(part.data.get("ETag"))}]
    )
    if not done.done:
        return explain(examination, "multipart", done)
    return ok("multipart", "an upload in parts works")


def _may_delete(examination: Examination, workplace: Workplace) -> Finding:
    reply = workplace.delete("object")
    if not reply.done:
        return explain(examination, "delete", reply)
    gone = workplace.inquiry.ask("head_object", Key=workplace.name("object"))
    if gone.status == 404 or is_denied(gone):
        return ok("delete", "the test object was deleted")
    if gone.done:
        return failed(
            "delete",
            "the service says that the test object was deleted, and still has it",
            "look for a cache or proxy in front of the service",
        )
    return unknown("delete", "whether the test object is gone could not be found out")


def _may_ask_versioning(inquiry: Inquiry) -> Finding:
    reply = inquiry.ask("get_bucket_versioning")
    if not reply.done:
        why = "the keys may not ask" if is_denied(reply) else f"refused: {reply.code or reply.status}"
        return unknown("versioning", f"whether the bucket keeps versions is not known ({why})")
    state = str(reply.data.get("Status") or "Off")
    text = {
        "Enabled": "the bucket keeps versions: what is deleted still takes space (and costs) until its "
        "versions are removed",
        "Suspended": "versioning is suspended; older versions may still be there",
    }.get(state, "the bucket keeps no versions")
    return ok("versioning", text, versioning=state)


def _left(names: list[str]) -> Finding:
    shown = ", ".join(names)
    return warning(
        "delete",
        f"test objects could not be removed: {shown}",
        "delete them in the provider's console, or with keys that may delete",
        left=names,
    )
