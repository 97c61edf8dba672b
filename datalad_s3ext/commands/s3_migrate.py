"""``datalad s3-migrate``: switch a remote to another type or place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.constraints import EnsureInt
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._access import Choice
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._datasets import datasets
from datalad_s3ext.commands._migrate import Migrated, Migration, Target
from datalad_s3ext.commands._records import render_message, sibling_record
from datalad_s3ext.commands._settings import RemoteType
from datalad_s3ext.errors import ConfigError, S3xError

ACTION = "s3_migrate"


@build_doc
class S3Migrate(Interface):
    """Switch a special remote to this package, back to git-annex's own, or to another place.

    The remote keeps its name, its UUID and its objects: nothing is uploaded or copied, and what is
    known of where content is stays true. Switched can be git-annex's own type=S3 (plain, encrypted,
    in chunks, or an exported tree), a remote of rclone with the layout nodir on an S3 service, and
    a remote of this package, with --to S3 also back to type=S3. With --endpoint, --bucket or
    --prefix it is switched to a place to which somebody has moved the objects.

    Before anything is recorded, the changed remote is tried in a repository that is thrown away: some
    keys that are believed to be there are looked for, and the content of a few small ones is fetched
    and compared. When that fails, all stays as it was.

    git-annex's own type=S3 with versioning=yes also fetches what only old versions of exported files
    have; one of this package does that as a second remote. How much content that is, and the command
    that makes the second remote, is told with the result, also by --dry-run.

    Other clones learn of the switch by `datalad update` or `git annex sync`, and use it after
    `datalad s3-enable`. For type s3x they need this package.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render_message)

    _params_: ClassVar[dict[str, Parameter]] = {
        "name": Parameter(
            args=("name",),
            metavar="NAME",
            doc="""special remote to switch""",
        ),
        "provider": Parameter(
            args=("provider",),
            metavar="PROVIDER",
            nargs="?",
            doc="""id of the preset of the service, see `datalad s3-providers`; by default the one whose
            host is recorded. Needed for remotes of rclone""",
        ),
        "to": Parameter(
            args=("--to",),
            choices=("s3x", "S3"),
            doc="""type to switch to. s3x: the remote of this package. S3: the one built into
            git-annex""",
        ),
        "bucket": Parameter(
            args=("--bucket",), metavar="BUCKET", doc="""bucket, when it is another than recorded"""
        ),
        "prefix": Parameter(
            args=("--prefix",),
            metavar="PREFIX",
            doc="""what names of objects begin with, when it is other than recorded; a folder ends
            with /""",
        ),
        "endpoint": Parameter(
            args=("--endpoint",), metavar="URL", doc="""URL of the service, when it is another"""
        ),
        "region": Parameter(
            args=("--region",), metavar="REGION", doc="""region of the bucket, when it is another"""
        ),
        "settings": Parameter(
            args=("--set",),
            dest="settings",
            metavar="KEY=VALUE",
            action="append",
            doc="""a further setting of the remote. [CMD: This option can be given several times
            CMD][PY: Can be a list PY]""",
        ),
        "sample": Parameter(
            args=("--sample",),
            metavar="NUMBER",
            doc="""how many keys to look for""",
            constraints=EnsureInt(),
        ),
        "profile": _options.PROFILE,
        "credential": _options.CREDENTIAL,
        "anonymous": _options.ANONYMOUS,
        "trust_endpoint": Parameter(
            args=("--trust-endpoint",),
            metavar="URL",
            doc="""send keys to this endpoint, although only the dataset names it""",
        ),
        "dry_run": Parameter(
            args=("--dry-run",),
            action="store_true",
            doc="""say which parameters would change; contact nothing, change nothing""",
        ),
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "See what a switch from git-annex's own type=S3 would change, then do it",
            "code_py": "s3_migrate('cloud', dry_run=True)",
            "code_cmd": "datalad s3-migrate cloud --dry-run && datalad s3-migrate cloud",
        },
        {
            "text": "Go back",
            "code_py": "s3_migrate('cloud', to='S3')",
            "code_cmd": "datalad s3-migrate cloud --to S3",
        },
        {
            "text": "Take over what rclone keeps on Wasabi",
            "code_py": "s3_migrate('rclone', 'wasabi', region='eu-central-1')",
            "code_cmd": "datalad s3-migrate rclone wasabi --region eu-central-1",
        },
        {
            "text": "The service has a new address",
            "code_py": "s3_migrate('lab', endpoint='https://s3.new.example.org')",
            "code_cmd": "datalad s3-migrate lab --endpoint https://s3.new.example.org",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_migrate")
    @eval_results
    def __call__(
        name: str,
        provider: str | None = None,
        *,
        to: str = "s3x",
        bucket: str | None = None,
        prefix: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        settings: Sequence[str] | None = None,
        sample: int = 20,
        profile: str | None = None,
        credential: str | None = None,
        anonymous: bool = False,
        trust_endpoint: str | None = None,
        dry_run: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Switch one remote."""
        found = datasets(dataset, recursive=False, recursion_limit=None, purpose="switch a remote")
        ((path, _),) = found
        target = Target(
            cast(RemoteType, to), provider, bucket, prefix, endpoint, region, settings or ()
        )
        try:
            if sample < 1:
                raise ConfigError(f"--sample {sample} would look for nothing", remedy="give 1 or more")
            choice, consent = Choice(profile, credential, anonymous), Consent(trust_endpoint)
            migration = Migration(name, target, choice, consent, sample, dry_run)
            yield _record(path, migration.run(path))
        except S3xError as exc:
            yield sibling_record(ACTION, path, "error", f"{name!r} was not switched: {exc}", name=name)


def _record(path: Path, done: Migrated) -> dict[str, Any]:
    return sibling_record(
        ACTION, path, done.status, done.message,
        name=done.wish.name, uuid=done.remote.uuid, remote_type=done.wish.remote_type,
        provider=done.wish.provider.id, bucket=done.wish.bucket, prefix=done.prefix,
        endpoint=done.wish.connection.endpoint_url,
        changed={one.name: [one.old, one.new] for one in done.changes},
        lost=list(done.lost), checked=done.checked, compared=done.compared,
        in_old_versions=done.in_old_versions,
    )  # fmt: skip
