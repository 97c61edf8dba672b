"""The least that keys need for one bucket and prefix, as a policy; and what lets everybody read.

What a remote asks for: objects below its prefix, and the list of the bucket. Without the right to list,
a service says "forbidden" of what is not there, and git-annex could not be told that it is absent.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from datalad_s3ext.commands._settings import Wish, normal_prefix
from datalad_s3ext.credentials.model import Identity
from datalad_s3ext.providers.resolve import Connection

Kind = Literal["read-only", "read-write", "public"]
KINDS = get_args(Kind)

_VERSION = "2012-10-17"  # of the language of policies, not of this one
_READ = ("s3:GetObject",)
_WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


@dataclass(frozen=True)
class _More:
    """What a parameter of the remote needs besides."""

    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()
    of_bucket: tuple[str, ...] = ()


_MORE: Mapping[str, _More] = {
    "x-amz-tagging": _More(writing=("s3:PutObjectTagging", "s3:GetObjectTagging")),  # copies read them
    "acl": _More(writing=("s3:PutObjectAcl",)),
    "restore": _More(reading=("s3:RestoreObject",)),
    "bucketversioning": _More(
        reading=("s3:GetObjectVersion",),
        writing=("s3:DeleteObjectVersion",),
        of_bucket=("s3:GetBucketVersioning", "s3:ListBucketVersions"),
    ),
}
_USER = "USER"
_FILE = "policy.json"
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
"""Of Amazon's clouds that are apart, by the beginning of their regions."""
_ACLS = (
    "a policy is used, not an access rule (ACL) as public=yes of git-annex's built-in S3 sets it: "
    "Amazon's new buckets refuse those, and so do other services"
)


@dataclass(frozen=True)
class Policy:
    """A policy, and how it comes into force."""

    kind: Kind
    document: Mapping[str, Any]
    steps: tuple[str, ...]
    """What to type; capitals are to be replaced."""
    notes: tuple[str, ...]
    publicurl: str | None = None


def policy_for(wish: Wish, kind: Kind) -> Policy:
    """Return the policy for the bucket and prefix of `wish`. Nothing is asked."""
    bucket, prefix, where = wish.bucket, normal_prefix(wish.prefix), wish.connection
    if kind == "public":
        document = _document([_allow(_READ, _objects(where, bucket, prefix), principal="*")])
        publicurl = _publicurl(where, bucket)
        steps = (_put(where, bucket), f"git annex enableremote {shlex.quote(wish.name)} publicurl=URL")
        return Policy(kind, document, steps, (_ACLS,), publicurl)
    statements = [*_of_user(where, bucket, prefix, wish.settings, may_write=kind == "read-write")]
    notes = tuple(_notes(wish.settings))
    software = (where.provider.software or "").lower()
    if "ceph" in software or "rados" in software:  # what the service runs, not who offers it
        named = [row | {"Principal": {"AWS": [f"arn:aws:iam:::user/{_USER}"]}} for row in statements]
        return Policy(kind, _document(named), (_put(where, bucket),), notes)
    return Policy(kind, _document(statements), tuple(_attach(software, wish.name)), notes)


def public_is_blocked(connection: Connection, identity: Identity, bucket: str) -> tuple[str, str]:
    """Ask whether settings forbid a public policy; return yes, no or unknown, and a sentence."""
    from datalad_s3ext.store import public_block

    of_bucket = public_block.of_bucket(connection, identity, bucket)
    has_accounts = connection.provider.endpoint.by_sdk
    of_account = public_block.of_account(connection, identity) if has_accounts else "no"
    if "yes" in (of_bucket, of_account):
        who = "the bucket's" if of_bucket == "yes" else "the account's"
        text = f"{who} setting 'Block Public Access' forbids this policy: its owner must lift it first"
        return "yes", text
    if "unknown" in (of_bucket, of_account):
        return "unknown", "whether a setting of the bucket or the account forbids it was not found out"
    return "no", "no setting of the bucket or the account forbids it"


def lines_of(policy: Policy) -> Iterator[str]:
    """Yield what a person reads: the document, then what to do with it."""
    yield json.dumps(policy.document, indent=2)
    yield ""
    yield f"Save it as {_FILE}, then:"
    yield from (f"  {step}" for step in policy.steps)
    if policy.publicurl:
        yield f"  (URL: {policy.publicurl})"
    yield from (f"Note: {note}" for note in policy.notes)


def _of_user(
    where: Connection, bucket: str, prefix: str, settings: Mapping[str, str], *, may_write: bool
) -> Iterator[dict[str, Any]]:
    asked = [more for name, more in _MORE.items() if settings.get(name, "no") not in ("", "no")]
    listing = [action for more in asked for action in more.of_bucket]
    uploads = ("s3:ListBucketMultipartUploads",) if may_write else ()
    yield _allow(("s3:ListBucket", *uploads, *listing), f"{_arn(where)}{bucket}")
    reading = [action for more in asked for action in more.reading]
    writing = (*_WRITE, *(action for more in asked for action in more.writing)) if may_write else ()
    yield _allow((*_READ, *reading, *writing), _objects(where, bucket, prefix))


def _notes(settings: Mapping[str, str]) -> Iterator[str]:
    yield (
        "the right to list is for the whole bucket: without it a service calls what is absent "
        "forbidden, and nothing could be dropped or sent"
    )
    if settings.get("sse", "").startswith("aws:kms"):
        yield "the KMS key has a policy of its own: kms:Decrypt, and to write kms:GenerateDataKey"


def _allow(actions: tuple[str, ...], resource: str, principal: str | None = None) -> dict[str, Any]:
    who = {} if principal is None else {"Principal": principal}
    return {"Effect": "Allow", **who, "Action": list(actions), "Resource": [resource]}


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": statements}


def _objects(where: Connection, bucket: str, prefix: str) -> str:
    # * ? and $ would mean something in a policy: ${*} is the character itself
    plain = "".join(f"${{{char}}}" if char in "*?$" else char for char in prefix)
    return f"{_arn(where)}{bucket}/{plain}*"


def _arn(where: Connection) -> str:
    """Return what names of resources begin with; others than Amazon know its main partition alone."""
    is_amazon = where.endpoint_url is None or ".amazonaws." in where.endpoint_url
    found = [
        name for begin, name in _PARTITIONS.items() if is_amazon and where.region.startswith(begin)
    ]
    return f"arn:{found[0] if found else 'aws'}:s3:::"


def _attach(software: str, name: str) -> Iterator[str]:
    """Yield how a user gets a policy."""
    named = shlex.quote(f"datalad-{name}")
    if "minio" in software:
        yield f"mc admin policy create ALIAS {named} {_FILE}"
        yield f"mc admin policy attach ALIAS {named} --user {_USER}"
    else:
        yield (
            f"aws iam put-user-policy --user-name {_USER} --policy-name {named} "
            f"--policy-document file://{_FILE}"
        )


def _put(where: Connection, bucket: str) -> str:
    endpoint = f" --endpoint-url {shlex.quote(where.endpoint_url)}" if where.endpoint_url else ""
    return (
        f"aws s3api put-bucket-policy{endpoint} --bucket {shlex.quote(bucket)} --policy file://{_FILE}"
    )


def _publicurl(where: Connection, bucket: str) -> str | None:
    """Return the URL below which the bucket's objects lie for everybody."""
    template = where.provider.help.public_url
    if template and template.endswith("{key}"):
        below = template.removesuffix("{key}")
        return below.replace("{bucket}", bucket).replace("{region}", where.region)
    return f"{where.endpoint_url}/{bucket}/" if where.endpoint_url else None
