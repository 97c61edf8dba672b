"""``datalad s3-enable``: make use of the buckets that a clone knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._access import Choice
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._datasets import datasets
from datalad_s3ext.commands._enable import Enabled, Enabler
from datalad_s3ext.commands._records import render_message, sibling_record
from datalad_s3ext.commands._settings import type_label
from datalad_s3ext.commands._verify import VerifyBy
from datalad_s3ext.errors import S3xError

ACTION = "s3_enable"


@build_doc
class S3Enable(Interface):
    """Enable the S3 siblings that a clone knows.

    A fresh clone knows the special remotes of the dataset, but does not use them yet. This command
    reaches each of them on S3 (those of this package and git-annex's own type=S3), makes sure that
    the bucket is the one the dataset means, and enables it. Without keys, anonymous reading is
    tried.

    Where the content lies was decided by others. To see the places first, use --dry-run. Keys are
    not sent to an endpoint that only the dataset names before you have agreed to it.

    With --profile, --credential or --anonymous, a sibling that is enabled already gets these
    credentials from now on.
    """

    result_renderer = "tailored"
    custom_result_renderer = staticmethod(render_message)

    _params_: ClassVar[dict[str, Parameter]] = {
        "name": Parameter(
            args=("-s", "--name"),
            metavar="NAME",
            doc="""sibling to enable; by default all on S3 that can be enabled""",
        ),
        "profile": _options.PROFILE,
        "credential": _options.CREDENTIAL,
        "anonymous": _options.ANONYMOUS,
        "trust_endpoint": Parameter(
            args=("--trust-endpoint",),
            metavar="URL",
            doc="""send keys to this endpoint, although only the dataset names it. Without this, keys
            go to services that a preset knows, or that you name in the environment or in a profile;
            in a terminal you are asked about others""",
        ),
        "verify_by": _options.VERIFY_BY,
        "dry_run": Parameter(
            args=("--dry-run",),
            action="store_true",
            doc="""say which siblings would be enabled and where they are; contact nothing""",
        ),
        "dataset": _options.DATASET,
        "recursive": _options.recursion_flag,
        "recursion_limit": _options.recursion_limit,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Enable what can be enabled, in the dataset and its subdatasets",
            "code_py": "s3_enable(recursive=True)",
            "code_cmd": "datalad s3-enable -r",
        },
        {
            "text": "Enable one sibling with the keys of a profile",
            "code_py": "s3_enable(name='mdx', profile='lab')",
            "code_cmd": "datalad s3-enable -s mdx --profile lab",
        },
        {
            "text": "Send keys to the server of a laboratory that no preset knows",
            "code_py": "s3_enable(name='lab', trust_endpoint='https://s3.lab.example.org')",
            "code_cmd": "datalad s3-enable -s lab --trust-endpoint https://s3.lab.example.org",
        },
        {
            "text": "Have large files verified while they come",
            "code_py": "s3_enable(name='mdx', verify_by='s3x')",
            "code_cmd": "datalad s3-enable -s mdx --verify-by s3x",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_enable")
    @eval_results
    def __call__(
        *,
        name: str | None = None,
        profile: str | None = None,
        credential: str | None = None,
        anonymous: bool = False,
        trust_endpoint: str | None = None,
        verify_by: VerifyBy | None = None,
        dry_run: bool = False,
        dataset: object = None,
        recursive: bool = False,
        recursion_limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Enable, data set by data set."""
        for path, _ in datasets(
            dataset, recursive=recursive, recursion_limit=recursion_limit, purpose="enable S3"
        ):
            try:
                choice, consent = Choice(profile, credential, anonymous), Consent(trust_endpoint)
                enabler = Enabler(choice, name, dry_run, verify_by, consent)
                for enabled in enabler.run(path):
                    yield _record(path, enabled)
            except S3xError as exc:
                yield sibling_record(ACTION, path, "error", str(exc), name=name)


def _record(path: Path, enabled: Enabled) -> dict[str, Any]:
    remote = enabled.remote
    if remote is None:
        return sibling_record(ACTION, path, enabled.status, enabled.message)
    return sibling_record(
        ACTION, path, enabled.status, enabled.message,
        name=remote.enabled_as or remote.name, uuid=remote.uuid, remote_type=type_label(remote),
        provider=remote.parameters.get("provider"), bucket=remote.bucket, prefix=remote.prefix,
        endpoint=enabled.endpoint, credential_source=enabled.credential_source,
        verify_by=enabled.verify_by,
    )  # fmt: skip
