"""Whether the bucket is there, and is the one it should be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace

from datalad_s3ext.doctor.catalogue import explain
from datalad_s3ext.doctor.findings import Finding, failed, ok, skipped, unknown, warning
from datalad_s3ext.doctor.keys import DENIALS
from datalad_s3ext.doctor.subject import Examination
from datalad_s3ext.store.diagnose import Inquiry, Reply

_SHOWN = 5


def exists(examination: Examination) -> Iterator[Finding]:
    """Judge by the answer to the first request, and by HEAD where that was refused."""
    inquiry, first = examination.inquiry, examination.first
    if inquiry is None or first is None:
        yield skipped("bucket", "no bucket was named", "name one to go on: --bucket NAME")
    elif not examination.subject.bucket:
        yield _all_buckets(first)
    elif first.done:
        yield _listed(examination, first)
    elif is_denied(first):
        yield _not_listed(examination, inquiry)
    else:
        yield explain(examination, "bucket", first, near=_near(examination, inquiry, first))


def marker(examination: Examination) -> Iterator[Finding]:
    """Look whether the bucket is the one of the special remote: its marker holds the remote's UUID."""
    inquiry, subject = examination.inquiry, examination.subject
    if inquiry is None or not subject.known_name:
        return
    reply = inquiry.ask("get_object", Key=subject.known_name)
    if reply.code == "NoSuchKey":
        yield warning(
            "marker",
            f"there is no object {subject.known_name}: it is another bucket or prefix, or was emptied",
            f"check bucket and prefix: git annex info {subject.quoted_remote}; to compare with what "
            f"git-annex believes: git annex fsck --fast --from {subject.quoted_remote}",
        )
    elif not reply.done:
        yield unknown("marker", "the marker of the sibling could not be read")
    elif bytes(reply.data["Body"]).decode("utf-8", "replace").strip() == subject.uuid:
        yield ok("marker", f"the bucket keeps the content of {subject.remote}")
    else:
        yield failed(
            "marker",
            f"the bucket, below prefix {subject.prefix or '(none)'}, keeps the content of another "
            "special remote: two in one place would delete each other's content",
            "give this one a prefix of its own: datalad s3-setup --prefix NAME",
        )


def is_denied(reply: Reply) -> bool:
    """Tell whether the service knows who asks and refuses."""
    return reply.code in DENIALS or (reply.status == 403 and not reply.code)


def _all_buckets(first: Reply) -> Finding:
    remedy = "name one to go on: --bucket NAME"
    if not first.done:
        return skipped("bucket", "no bucket was named, and these keys may not list them all", remedy)
    names = _names(first)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    text = f"no bucket was named; these keys see {f'{len(names)}: {shown}' if names else 'none'}"
    return skipped("bucket", text, remedy, buckets=names)


def _listed(examination: Examination, first: Reply) -> Finding:
    bucket = examination.subject.bucket
    if first.data.get("Name") is not None:
        return ok("bucket", f"bucket {bucket} is there")
    style = examination.subject.connection.addressing
    other = "path" if style == "virtual" else "virtual"
    return failed(
        "bucket",
        f"the service answers, but with no list of bucket {bucket}: it does not see the name of the "
        f"bucket where {style} style puts it",
        f"use {other} style: {examination.subject.setting('requeststyle', other)}",
        error=13,
    )


def _not_listed(examination: Examination, inquiry: Inquiry) -> Finding:
    bucket = examination.subject.bucket
    head = inquiry.ask("head_bucket")
    if head.done:
        return ok("bucket", f"bucket {bucket} is there; these keys may not list it")
    if head.status == 404:
        missing = replace(head, code="NoSuchBucket")
        return explain(examination, "bucket", missing, near=_near(examination, inquiry, missing))
    return unknown(
        "bucket",
        f"these keys may not ask about bucket {bucket}: it belongs to somebody else, or they are made "
        "for its objects only",
        "check the name of the bucket; ask its owner for the right s3:ListBucket",
        error=16,
    )


def _near(examination: Examination, inquiry: Inquiry, reply: Reply) -> str:
    """Return which of the caller's buckets may be meant, to follow a statement that there is none."""
    if reply.code not in {"NoSuchBucket", ""} or not reply.status:
        return ""
    owned = inquiry.ask("list_buckets")
    near = difflib.get_close_matches(examination.subject.bucket, _names(owned), n=3, cutoff=0.6)
    return f" (there is {' and '.join(near)})" if near else ""


def _names(reply: Reply) -> list[str]:
    return [str(row["Name"]) for row in reply.data.get("Buckets", [])] if reply.done else []
