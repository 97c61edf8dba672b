"""``datalad s3-setup``: connect a data set to a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.utils import generic_result_renderer
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options, _policy
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._checks import check_names, check_wish
from datalad_s3ext.commands._datasets import datasets
from datalad_s3ext.commands._decide import Existing
from datalad_s3ext.commands._preset import check_consent, notices
from datalad_s3ext.commands._records import lgr, sibling_record
from datalad_s3ext.commands._settings import RemoteType, Wish, normal_prefix, split_settings
from datalad_s3ext.commands._setup import NEXT, Autoenable, Outcome, Setup
from datalad_s3ext.commands._source import find_source, settings_environment
from datalad_s3ext.commands._verify import VerifyBy
from datalad_s3ext.errors import S3xError
from datalad_s3ext.providers.load import find_file
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.providers.schema import Addressing, Signature

ACTION = "s3_setup"


@build_doc
class S3Setup(Interface):
    """Connect a dataset to a bucket of an S3-compatible service.

    PROVIDER is a preset that knows the service: endpoint, regions, the form of its requests. All
    presets are listed by `datalad s3-providers`; the one named "other" takes any endpoint.

    Before anything is recorded, a test object is written, read back, compared and deleted. A
    bucket that does not exist is created. Then the bucket becomes a sibling that takes file
    content: `datalad push --to NAME` fills it, `datalad get` reads from it.

    Running the same command again changes nothing. Keys are never written to the dataset: they are
    kept by git-annex in .git, mode 0600, unless they are temporary or come from a profile.
    """

    result_renderer = "tailored"

    _params_: ClassVar[dict[str, Parameter]] = {
        "provider": Parameter(
            args=("provider",),
            metavar="PROVIDER",
            doc="""id of a preset: aws, mdx, minio, wasabi, ..., or other""",
        ),
        "settings": Parameter(
            args=("settings",),
            metavar="KEY=VALUE",
            nargs="*",
            doc="""settings of the remote (storageclass=STANDARD_IA), or values that the preset's
            endpoint needs (account_id=...).
            [CMD: They stand right after PROVIDER; elsewhere, use --set CMD][PY: A list, or a dict
            of names and values PY]""",
        ),
        "more_settings": Parameter(
            args=("--set",),
            dest="more_settings",
            metavar="KEY=VALUE",
            action="append",
            doc="""a KEY=VALUE, in any place. [CMD: This option can be given several times CMD][PY:
            Can be a list PY]""",
        ),
        "bucket": Parameter(
            args=("--bucket",),
            metavar="BUCKET",
            required=True,
            doc="""name of the bucket""",
        ),
        "name": Parameter(
            args=("-s", "--name"),
            metavar="NAME",
            doc="""name of the sibling; by default the PROVIDER""",
        ),
        "prefix": Parameter(
            args=("--prefix",),
            metavar="PREFIX",
            doc="""folder in the bucket for this dataset, so that several share a bucket. With
            recursion, each subdataset's path is added to it""",
        ),
        "endpoint": Parameter(
            args=("--endpoint",),
            metavar="URL",
            doc="""URL of the service, when the preset does not know it""",
        ),
        "region": Parameter(
            args=("--region",),
            metavar="REGION",
            doc="""region of the bucket; by default that of the preset""",
        ),
        "profile": _options.PROFILE,
        "credential": _options.CREDENTIAL,
        "anonymous": _options.ANONYMOUS,
        "remote_type": Parameter(
            args=("--remote-type",),
            choices=("s3x", "S3"),
            doc="""s3x: the fast remote of this package. S3: the one built into git-annex, for
            clones that do not have this package; it stores under the same names""",
        ),
        "encryption": Parameter(
            args=("--encryption",),
            metavar="MODE",
            doc="""git-annex's encryption: none (default), shared, hybrid, pubkey, sharedpubkey""",
        ),
        "chunk": Parameter(
            args=("--chunk",),
            metavar="SIZE",
            doc="""store files in pieces of this size (50MiB); by default whole""",
        ),
        "show_credential_source": Parameter(
            args=("--show-credential-source",),
            action="store_true",
            doc="""only say where the keys would come from, never what they are, and how long they
            last; the service is not contacted""",
        ),
        "show_policy": Parameter(
            args=("--show-policy",),
            choices=_policy.KINDS,
            doc="""only show the policy that gives keys no more than this bucket and prefix, to read or
            to write; or the one with which everybody may read, the publicurl, and whether a setting
            of the bucket or the account forbids that. Nothing is changed""",
        ),
        "verify_by": _options.VERIFY_BY,
        "existing": Parameter(
            args=("--existing",),
            choices=("skip", "error", "reconfigure"),
            doc="""what to do when the sibling exists with other settings""",
        ),
        "autoenable": Parameter(
            args=("--autoenable",),
            choices=("auto", "yes", "no"),
            doc="""whether clones enable the sibling by themselves. auto: when it is proven that
            everybody can read the bucket""",
        ),
        "dry_run": Parameter(
            args=("--dry-run",),
            action="store_true",
            doc="""say what would be done; contact nothing, change nothing""",
        ),
        "dataset": _options.DATASET,
        "recursive": _options.recursion_flag,
        "recursion_limit": _options.recursion_limit,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Connect to the academic cloud mdx, keys from a profile",
            "code_py": "s3_setup('mdx', bucket='brain-scans', profile='lab')",
            "code_cmd": "datalad s3-setup mdx --bucket brain-scans --profile lab",
        },
        {
            "text": "Share a bucket of any service between several datasets",
            "code_py": "s3_setup('other', bucket='lab', endpoint='https://s3.example.org', "
            "prefix='study-1')",
            "code_cmd": "datalad s3-setup other --bucket lab --endpoint https://s3.example.org "
            "--prefix study-1",
        },
        {
            "text": "See what would be done",
            "code_py": "s3_setup('aws', bucket='lab', region='eu-west-1', dry_run=True)",
            "code_cmd": "datalad s3-setup aws --bucket lab --region eu-west-1 --dry-run",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_setup")
    @eval_results
    def __call__(
        provider: str,
        settings: Mapping[str, str] | Sequence[str] | None = None,
        *,
        bucket: str | None = None,
        more_settings: Sequence[str] | None = None,
        name: str | None = None,
        prefix: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credential: str | None = None,
        anonymous: bool = False,
        show_credential_source: bool = False,
        show_policy: _policy.Kind | None = None,
        remote_type: str = "s3x",
        encryption: str | None = None,
        chunk: str | None = None,
        verify_by: VerifyBy | None = None,
        existing: str = "error",
        autoenable: str = "auto",
        dry_run: bool = False,
        dataset: object = None,
        recursive: bool = False,
        recursion_limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Set up, data set by data set."""
        if bucket is None:
            raise ValueError("no bucket is given; name one with --bucket")
        pairs = settings if isinstance(settings, Mapping) else [*(settings or ())]
        asked = {
            "provider": provider, "bucket": bucket, "prefix": prefix,
            "name": provider if name is None else name, "endpoint": endpoint, "region": region,
            "remote_type": remote_type, "encryption": encryption, "chunk": chunk, "settings": pairs,
            "more_settings": more_settings or (),
        }  # fmt: skip
        found = datasets(
            dataset, recursive=recursive, recursion_limit=recursion_limit, purpose="set up S3"
        )
        setup: Setup | None = None
        may_ask = not (dry_run or show_credential_source or show_policy)
        for path, below in found:
            try:
                choice = Choice(profile, credential, anonymous)
                setup = setup or Setup(
                    wish := wish_of(path, asked, choice),
                    Access(wish.provider, choice, wish.connection.endpoint_url, may_ask=may_ask),
                    cast(Existing, existing),
                    cast(Autoenable, autoenable),
                    dry_run,
                    verify_by,
                )
                if show_credential_source:
                    yield _source_record(path, setup)
                elif show_policy:
                    yield _policy_record(path, setup, show_policy)
                else:
                    yield _record(path, setup, setup.run(path, below))
            except S3xError as exc:
                yield sibling_record(ACTION, path, "error", str(exc), name=asked["name"], bucket=bucket)
                if setup is None:
                    return  # what was asked is wrong for every dataset

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Tell a person what happened."""
        from datalad.ui import ui

        if res["action"] != ACTION or res["status"] not in {"ok", "notneeded"}:
            generic_result_renderer(res)
            return
        if "policy" in res:
            ui.message(res["message_lines"])
            return
        if (
            res["status"] == "notneeded" or "writable" not in res
        ):  # about which DataLad's own renderer is silent
            ui.message(f"{res['path']}: {res['message']}")
            return
        title = f"{res['name']}: {'dry run' if res.get('planned') else 'ready'} ({res['path']})"
        lines = [f"  {label:<9} {text}" for label, text in _lines(res) if text]
        ui.message("\n".join([title, *lines]))


def wish_of(path: Path, asked: Mapping[str, Any], choice: Choice) -> Wish:
    """Return what is `asked`, resolved and checked; nothing is contacted.

    A profile that is chosen may say endpoint and region, where neither the options nor the
    environment do.

    Raises
    ------
    ConfigError
        When a preset, setting or endpoint is unknown or makes no sense.
    """
    check_names(asked["name"], asked["bucket"], asked["prefix"] or "")
    file = find_file(asked["provider"], dataset=path)
    provider = file.load()
    remote_type = cast(RemoteType, asked["remote_type"])
    settings, variables = split_settings(asked["settings"], provider, remote_type)
    more = split_settings(asked["more_settings"], provider, remote_type)
    settings, variables = settings | more[0], variables | more[1]
    connection = resolve(
        provider,
        endpoint=asked["endpoint"],
        region=asked["region"],
        variables=variables,
        environ=settings_environment(choice),
        addressing=_chosen_addressing(settings),
        signature=_chosen_signature(settings),
    )
    check_consent(file, connection, is_named=bool(asked["endpoint"]) or choice.is_made)
    wish = Wish(
        name=asked["name"], provider=provider, connection=connection, bucket=asked["bucket"],
        prefix=asked["prefix"] or "", remote_type=remote_type,
        record_endpoint=bool(asked["endpoint"]) or not provider.endpoint.local_server,
        encryption=asked["encryption"], chunk=asked["chunk"], settings=settings,
        notices=tuple(notices(file, connection, asked["endpoint"])),
    )  # fmt: skip
    check_wish(wish)
    for notice in wish.notices:
        lgr.warning("%s", notice)
    return wish


def _source_record(path: Path, setup: Setup) -> dict[str, Any]:
    wish = setup.wish
    source = find_source(path, wish.name, setup.access, wish.connection)
    return sibling_record(
        ACTION, path, "ok", source.told(wish.connection), name=wish.name,
        provider=wish.provider.id, bucket=wish.bucket, endpoint=wish.connection.endpoint_url,
        credential_source=source.text,
        expires_at=source.expires_at.isoformat() if source.expires_at else None,
    )  # fmt: skip


def _policy_record(path: Path, setup: Setup, kind: _policy.Kind) -> dict[str, Any]:
    wish = setup.wish
    policy = _policy.policy_for(wish, kind)
    lines = [*_policy.lines_of(policy)]
    blocked = None
    if kind == "public":
        identity = setup.access.identity()
        blocked, why = _policy.public_is_blocked(wish.connection, identity, wish.bucket)
        lines.append(f"Note: {why}")
    return sibling_record(
        ACTION, path, "ok", f"policy {kind} for {wish.bucket}/{normal_prefix(wish.prefix)}",
        name=wish.name, provider=wish.provider.id, bucket=wish.bucket, policy=dict(policy.document),
        publicurl=policy.publicurl, public_is_blocked=blocked, message_lines="\n".join(lines),
    )  # fmt: skip


def _chosen_addressing(settings: Mapping[str, str]) -> Addressing | None:
    style = settings.get("requeststyle")
    return cast(Addressing, style) if style in {"path", "virtual"} else None


def _chosen_signature(settings: Mapping[str, str]) -> Signature | None:
    version = settings.get("signature")
    return cast(Signature, version) if version in {"v2", "v4"} else None


def _record(path: Path, setup: Setup, outcome: Outcome) -> dict[str, Any]:
    wish = setup.wish
    return sibling_record(
        ACTION, path, outcome.status, outcome.message,
        name=wish.name, provider=wish.provider.id, bucket=wish.bucket, prefix=outcome.prefix,
        endpoint=wish.connection.endpoint_url, region=wish.connection.region, uuid=outcome.uuid,
        remote_type=wish.remote_type, credential_source=outcome.credential_source,
        bucket_created=outcome.bucket_created if outcome.probed else None,
        autoenable=outcome.autoenable, planned=list(outcome.planned) or None,
        writable=wish.writable, verify_by=outcome.verify_by,
        notices=list(wish.notices) or None,
    )  # fmt: skip


def _lines(res: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (label, text) for the person who reads `res`."""
    if res.get("planned"):
        yield from ((f"step {number}", text) for number, text in enumerate(res["planned"], start=1))
        return
    yield "bucket", res["bucket"] + (" (created)" if res.get("bucket_created") else "")
    yield "prefix", res.get("prefix", "")
    yield "service", res.get("endpoint") or res["provider"]
    yield "keys", res.get("credential_source") or ""
    checked = "a test object was written, read back, compared and deleted"
    yield "checked", checked if res["writable"] else "the bucket can be read"
    if res.get("verify_by") == "s3x":
        yield "content", "is verified by s3x while it comes"
    if res.get("autoenable") is not None:
        yield "clones", "enable it by themselves" if res["autoenable"] else "run datalad s3-enable"
    changed = str(res["message"]).partition("; changed ")[2].partition("; ")[0]
    yield "changed", changed
    yield "next", str(res["message"]).rpartition(NEXT)[2]
