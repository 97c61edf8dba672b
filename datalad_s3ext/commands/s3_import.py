"""``datalad s3-import``: register what lies in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.utils import generic_result_renderer
from datalad.support.param import Parameter

from datalad_s3ext.commands import _options
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._datasets import datasets
from datalad_s3ext.commands._import import Imported, Place, import_tree, is_readable_by_all, place_of
from datalad_s3ext.commands._records import sibling_record
from datalad_s3ext.commands._setup import Outcome, Setup
from datalad_s3ext.commands.s3_setup import wish_of
from datalad_s3ext.errors import ConfigError, CredentialsError, S3xError
from datalad_s3ext.providers.guess import guess
from datalad_s3ext.repo import annex

ACTION = "s3_import"


@build_doc
class S3Import(Interface):
    """Register what lies in a bucket as files of a dataset.

    Everything below s3://BUCKET/PREFIX becomes a file of the dataset. The content stays where it is:
    `datalad get` fetches it, here and in every clone whose user may read the bucket. Nothing is
    written to the bucket, so read access is enough, and for a public bucket no keys are needed.

    As a rule nothing is downloaded either: keys are made of the checksums that the server has. Only
    an object without a known checksum is read once, and not kept; --unhashed skip leaves it out.

    Running the command again takes over what has been added, changed or removed in the bucket since.
    Objects whose names cannot be files are left out, and the result says so.
    """

    result_renderer = "tailored"

    _params_: ClassVar[dict[str, Parameter]] = {
        "url": Parameter(
            args=("url",),
            metavar="s3://BUCKET/PREFIX",
            nargs="?",
            doc="""what to register. May be left out to import again from a sibling that exists""",
        ),
        "name": Parameter(
            args=("-s", "--name"),
            metavar="NAME",
            doc="""name of the sibling; by default that of the bucket""",
        ),
        "provider": Parameter(
            args=("--provider",),
            metavar="PROVIDER",
            doc="""id of a preset; by default the one that knows the endpoint, and aws without one""",
        ),
        "endpoint": Parameter(
            args=("--endpoint",),
            metavar="URL",
            doc="""URL of the service, when it is not Amazon and no preset is given""",
        ),
        "region": Parameter(
            args=("--region",),
            metavar="REGION",
            doc="""region of the bucket; by default that of the preset""",
        ),
        "include": Parameter(
            args=("--include",),
            metavar="PATTERN",
            action="append",
            doc="""register only names below the prefix that match, like '*.nii.gz'; * also stands
            for a slash. [CMD: Can be given several times CMD][PY: Can be a list PY]""",
        ),
        "exclude": Parameter(
            args=("--exclude",),
            metavar="PATTERN",
            action="append",
            doc="""leave out names that match. [CMD: Can be given several times CMD][PY: Can be a
            list PY]""",
        ),
        "unhashed": Parameter(
            args=("--unhashed",),
            choices=("read", "skip"),
            doc="""what to do with objects that the server knows no checksum of: read them once to
            compute it, or skip them""",
        ),
        "export_as": Parameter(
            args=("--export-as",),
            metavar="NAME",
            doc="""also set up a sibling NAME that exports to the same place, for keys that may write:
            `datalad s3-export -s NAME`. What it exports comes back by the next import as what it
            was""",
        ),
        "profile": _options.PROFILE,
        "credential": _options.CREDENTIAL,
        "anonymous": _options.ANONYMOUS,
        "dataset": _options.DATASET,
    }

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Register a folder of a public bucket at Amazon",
            "code_py": "s3_import('s3://openneuro.org/ds000001', anonymous=True)",
            "code_cmd": "datalad s3-import s3://openneuro.org/ds000001 --anonymous",
        },
        {
            "text": "Register the images of a bucket elsewhere, keys from a profile",
            "code_py": "s3_import('s3://lab/study-1', endpoint='https://s3.example.org', "
            "include='*.nii.gz', profile='lab')",
            "code_cmd": "datalad s3-import s3://lab/study-1 --endpoint https://s3.example.org "
            "--include '*.nii.gz' --profile lab",
        },
        {
            "text": "Import from a bucket, and export to it",
            "code_py": "s3_import('s3://lab/study-1', name='in', export_as='out')",
            "code_cmd": "datalad s3-import s3://lab/study-1 -s in --export-as out",
        },
        {
            "text": "Take over what has changed in the bucket since",
            "code_py": "s3_import(name='lab')",
            "code_cmd": "datalad s3-import -s lab",
        },
    ]

    @staticmethod
    @datasetmethod(name="s3_import")
    @eval_results
    def __call__(
        url: str | None = None,
        *,
        name: str | None = None,
        provider: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        unhashed: str | None = None,
        export_as: str | None = None,
        profile: str | None = None,
        credential: str | None = None,
        anonymous: bool = False,
        dataset: object = None,
    ) -> Iterator[dict[str, Any]]:
        """Set up the sibling where there is none, import, merge."""
        if url is None and name is None:
            raise ValueError("give s3://BUCKET/PREFIX, or the --name of a sibling to import from again")
        if url is None and export_as is not None:
            raise ValueError("give s3://BUCKET/PREFIX, too: to that place --export-as will export")
        [(path, _)] = datasets(dataset, recursive=False, recursion_limit=None, purpose="import from S3")
        found: dict[str, Any] = {"name": name}
        try:
            if url is not None:
                asked = {
                    "provider": provider, "endpoint": endpoint, "region": region,
                    "settings": _settings(include, exclude, unhashed),
                }  # fmt: skip
                choice = Choice(profile, credential, anonymous)
                found = _set_up(path, place_of(url), name, asked, choice)
                if export_as is not None:
                    _set_up_export(
                        path, place_of(url), found["name"], {**asked, "name": export_as}, choice
                    )
                    found["export_as"] = export_as
            done = import_tree(path, found["name"])
        except S3xError as error:
            yield sibling_record(ACTION, path, "error", str(error), **found)
            return
        yield _record(path, done, found)

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Tell a person what is there now."""
        from datalad.ui import ui

        if res["action"] != ACTION or res["status"] not in {"ok", "notneeded"}:
            generic_result_renderer(res)
            return
        told = [f"{res['name']}: {res['message']}", *(f"  {note}" for note in res["notes"])]
        told.append("  next      datalad get .")
        if "export_as" in res:
            told.append(f"  export    datalad s3-export -s {res['export_as']}")
        ui.message("\n".join(told))


def _set_up(
    path: Path, place: Place, name: str | None, asked: dict[str, Any], choice: Choice
) -> dict[str, Any]:
    """Make the sibling, or find it as it is wished; return what the result record says of it.

    Where no keys are found and none were chosen, the bucket is asked as everybody can.
    """
    everything = _everything(place, {**asked, "name": name or _plain(place.bucket)})
    setup = _setup(path, everything, choice)
    try:
        outcome = setup.run(path)
    except CredentialsError:
        if choice.is_made or not is_readable_by_all(setup.wish.connection, place):
            raise
        setup = _setup(path, everything, replace(choice, anonymous=True))
        outcome = setup.run(path)
    wish = setup.wish
    return {
        "name": wish.name, "bucket": wish.bucket, "prefix": outcome.prefix, "uuid": outcome.uuid,
        "provider": wish.provider.id, "endpoint": wish.connection.endpoint_url,
        "credential_source": outcome.credential_source,
        "autoenable": _autoenable(path, setup, outcome, place),
    }  # fmt: skip


def _set_up_export(
    path: Path, place: Place, import_name: str, asked: dict[str, Any], choice: Choice
) -> None:
    """Make a sibling that exports to where `import_name` imports from; one remote in two ways."""
    asked = {**asked, "settings": {"exporttree": "yes"}}
    setup = _setup(path, _everything(place, asked), choice)
    replace(setup, other_way_of=import_name).run(path)


def _everything(place: Place, asked: dict[str, Any]) -> dict[str, Any]:
    return {
        **asked,
        "bucket": place.bucket, "prefix": place.prefix,
        "provider": asked["provider"] or _provider(asked["endpoint"]),
        "remote_type": "s3x", "encryption": None, "chunk": None, "more_settings": (),
    }  # fmt: skip


def _setup(path: Path, asked: dict[str, Any], choice: Choice) -> Setup:
    wish = wish_of(path, asked, choice)
    return Setup(wish, Access(wish.provider, choice, wish.connection.endpoint_url))


def _autoenable(path: Path, setup: Setup, outcome: Outcome, place: Place) -> bool | None:
    """Have clones enable a new sibling by themselves, when everybody can read the bucket."""
    if not outcome.probed:
        return None
    if not is_readable_by_all(setup.wish.connection, place):
        return False
    annex.enable_remote(path, setup.wish.name, {"autoenable": "true"}, env={"S3X_ANONYMOUS": "1"})
    return True


def _provider(endpoint: str | None) -> str:
    if endpoint is None:
        return "aws"
    found = guess(endpoint)
    return found.id if found else "other"


def _plain(bucket: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in bucket)


def _settings(
    include: str | Sequence[str] | None, exclude: str | Sequence[str] | None, unhashed: str | None
) -> dict[str, str]:
    wanted = {"include": _joined(include), "exclude": _joined(exclude), "unhashed": unhashed or ""}
    return {"importtree": "yes", **{name: value for name, value in wanted.items() if value}}


def _joined(patterns: str | Sequence[str] | None) -> str:
    """Return patterns as the remote keeps them.

    Raises
    ------
    ConfigError
        One holds what separates them.
    """
    given = [patterns] if isinstance(patterns, str) else list(patterns or ())
    if any(";" in pattern for pattern in given):
        raise ConfigError("a pattern holds a ;", remedy="put a ? in its place")
    return ";".join(given)


def _record(path: Path, done: Imported, found: dict[str, Any]) -> dict[str, Any]:
    return sibling_record(
        ACTION, path, "notneeded" if done.is_nothing else "ok", str(done),
        added=done.added, changed=done.changed, removed=done.removed, notes=list(done.notes), **found,
    )  # fmt: skip
