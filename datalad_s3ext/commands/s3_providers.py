"""``datalad s3-providers``: which storage services are known, and what is known about one.

The command and its records; :mod:`datalad_s3ext.commands._explain` has what people read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

from datalad.distribution.dataset import require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer
from datalad.support.constraints import EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.ui import ui
from datalad.utils import get_dataset_root

from datalad_s3ext import places
from datalad_s3ext.commands._explain import explanation, next_command, table
from datalad_s3ext.commands._options import DATASET
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.check import check_file
from datalad_s3ext.providers.load import LIST_THEM, PresetFile, find_all, find_file, load_file
from datalad_s3ext.providers.measured import laid_over, read_measurement
from datalad_s3ext.providers.schema import Kind

lgr = logging.getLogger("datalad.s3ext.providers")

KINDS = get_args(Kind)


@build_doc
class S3Providers(Interface):
    """List the storage services that have a preset, explain one, or check a preset of your own.

    A preset states where a service is, how its requests must look, what it can do, how one gets
    keys, and where these facts come from. Give its id to s3-setup.

    Presets of your own are files ID.toml in ~/.config/datalad-s3ext/providers/; they may replace
    those that come with this program. A dataset may bring further ones in .datalad/s3-providers/,
    which cannot replace others, and to which keys are sent only when you say so.
    """

    result_renderer = "tailored"

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "List all services",
            "code_py": "s3_providers()",
            "code_cmd": "datalad s3-providers",
        },
        {
            "text": "Show what is known about one",
            "code_py": "s3_providers('mdx')",
            "code_cmd": "datalad s3-providers mdx",
        },
        {
            "text": "Look for a service by a word in its name, software or places",
            "code_py": "s3_providers('frankfurt', kind='cloud')",
            "code_cmd": "datalad s3-providers frankfurt --kind cloud",
        },
        {
            "text": "Check a preset that you have written",
            "code_py": "s3_providers(check='our-lab.toml')",
            "code_cmd": "datalad s3-providers --check our-lab.toml",
        },
    ]

    _params_: ClassVar[dict[str, Parameter]] = {
        "provider": Parameter(
            args=("provider",),
            metavar="ID|WORD",
            nargs="?",
            doc="""id of the preset to explain; or a word, to list the services that have it in id,
            name, software or places. Default: list all""",
            constraints=EnsureStr() | EnsureNone(),
        ),
        "kind": Parameter(
            args=("--kind",),
            choices=KINDS,
            doc="""list only services of this kind""",
        ),
        "check": Parameter(
            args=("--check",),
            metavar="FILE",
            doc="""read the preset in FILE and report each mistake with its key; nothing else is
            done""",
            constraints=EnsureStr() | EnsureNone(),
        ),
        "dataset": DATASET,
    }

    @staticmethod
    @eval_results
    def __call__(  # noqa: D102
        provider: str | None = None,
        *,
        kind: str | None = None,
        check: str | None = None,
        dataset: Any = None,
    ) -> Iterator[dict[str, Any]]:
        if check is not None:
            yield from _checked(Path(check))
            return
        root = _dataset_root(dataset)
        found = find_all(dataset=root)
        if provider is None or kind is not None or provider not in found:
            yield from _matching(found, provider, kind, root)
        else:
            yield _record(provider, found[provider]) | {"measured": _measured(found[provider])}

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **kwargs: Any) -> None:
        """Explain a preset that was asked for by its id; a list waits for the summary."""
        if res["status"] != "ok":
            generic_result_renderer(res)
        elif kwargs.get("check"):
            ui.message(f"{res['path']}: a valid preset; next: {next_command(res['preset'])}")
        elif kwargs.get("provider") == res["name"] and not kwargs.get("kind"):
            lines = explanation(res["preset"], res["origin"], res["path"], res["measured"])
            ui.message("\n".join(lines))

    @staticmethod
    def custom_result_summary_renderer(results: list[dict[str, Any]]) -> None:
        """Show a list as a table."""
        presets = [res["preset"] for res in results if res.get("preset") and res.get("listed")]
        if presets:
            ui.message("\n".join(table(presets)))
            fewer = (
                "; fewer: datalad s3-providers WORD, or --kind academic" if len(presets) > 30 else ""
            )
            ui.message(f"\nMore about one: datalad s3-providers ID{fewer}")


def _checked(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a record for each mistake in the file `path`, or one that it is a preset."""
    try:
        problems = check_file(path)
    except ConfigError as exc:
        yield _status("error", path, message=str(exc))
        return
    for problem in problems:
        yield _status("error", path, message=f"{path}: {problem}")
    if not problems:
        yield _status("ok", path, name=path.stem, preset=plain(load_file(path)))


def _matching(
    found: Mapping[str, PresetFile], word: str | None, kind: str | None, root: Path | None
) -> Iterator[dict[str, Any]]:
    """Yield the presets that have `word` and are of the `kind`; one that is broken is told always."""
    records = [_record(provider_id, file) | {"listed": True} for provider_id, file in found.items()]
    wanted = [
        record for record in records
        if record["status"] != "ok" or _fits(record["preset"], word or "", kind)
    ]  # fmt: skip
    if word is None or any(record["status"] == "ok" for record in wanted):
        yield from wanted
        return
    yield _status("impossible", places.user_providers(), message=_nothing(word, kind, root))


def _fits(preset: Mapping[str, Any], word: str, kind: str | None) -> bool:
    texts = [preset["id"], preset["name"], preset["software"] or ""]
    texts += [row["place"] or "" for row in preset["regions"]]
    return (kind is None or preset["kind"] == kind) and any(
        word.casefold() in text.casefold() for text in texts
    )


def _nothing(word: str, kind: str | None, root: Path | None) -> str:
    """Return why nothing fits `word`, with what may be meant."""
    if kind is not None:
        return f"no service of kind {kind} has {word!r}; {LIST_THEM}"
    try:
        find_file(word, dataset=root)
    except ConfigError as exc:
        return str(exc)
    return f"nothing has {word!r}; {LIST_THEM}"


# -- records -----------------------------------------------------------------------------------


def _dataset_root(dataset: Any) -> Path | None:
    """Return the dataset that was given, else the one around the current directory, if any."""
    if dataset is not None:
        found: Path = require_dataset(dataset, purpose="read presets").pathobj
        return found
    root = get_dataset_root(Path.cwd())
    return Path(root) if root else None


def _record(provider_id: str, file: PresetFile) -> dict[str, Any]:
    try:
        preset = plain(file.load())
    except ConfigError as exc:
        return _status("error", file.path, message=str(exc), name=provider_id)
    return _status("ok", file.path, name=provider_id, origin=file.origin, preset=preset)


def _measured(file: PresetFile) -> list[str]:
    """Return what `s3-doctor --save` found to differ from a preset, a line for each endpoint."""
    lines = []
    for path in sorted(places.measured_services().glob("*.toml")):
        try:
            found = read_measurement(path)
            overlay = laid_over(file.load(), found.endpoint, path)
        except ConfigError as exc:
            lines.append(str(exc))
            continue
        if overlay is not None and found.preset == file.path.stem:
            lines.append(f"{found.endpoint}: {overlay.text}")
    return lines


def _status(status: str, path: Path, *, message: str = "", **details: object) -> dict[str, Any]:
    record: dict[str, Any] = get_status_dict(
        action="s3_providers",
        path=str(path.absolute()),
        type="provider",
        status=status,
        message=("%s", message) if message else None,
        logger=lgr,
        **details,
    )
    return record


def plain(value: Any) -> Any:
    """Return `value` made of dicts, lists, strings, numbers and None only."""
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value
