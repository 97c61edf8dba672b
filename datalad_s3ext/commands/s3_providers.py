"""``datalad s3-providers``: which storage services are known, and what is known about one."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from datalad.distribution.dataset import require_dataset
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer
from datalad.support.constraints import EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.ui import ui
from datalad.utils import get_dataset_root

from datalad_s3ext import places
from datalad_s3ext.commands._options import DATASET
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import PresetFile, find_all, find_file
from datalad_s3ext.units import human_size

lgr = logging.getLogger("datalad.s3ext.providers")

WIDTH = 100
_HEAD = ("ID", "NAME", "KIND", "REGION", "ENDPOINT", "CONFIDENCE")
_CAPABILITIES = {
    "conditional_put": "writes only if absent",
    "versioning": "object versions",
    "object_lock": "object lock",
    "object_acl": "access rules per object",
    "anonymous_read": "reading without keys",
    "requester_pays": "requester pays",
    "session_tokens": "temporary keys",
    "upload_part_copy": "server-side copy in parts",
}
_KNOWN = {True: "yes", False: "no", None: "unknown"}


@build_doc
class S3Providers(Interface):  # type: ignore[misc]  # DataLad is untyped
    """List the storage services that have a preset, or explain one.

    A preset states where a service is, how its requests must look, what it can do, how one gets
    keys, and where these facts come from. Give its id to s3-setup.

    Presets of your own are files ID.toml in ~/.config/datalad-s3ext/providers/; they may replace
    those that come with this program. A dataset may bring further ones in .datalad/s3-providers/.
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
    ]

    _params_: ClassVar[dict[str, Parameter]] = {
        "provider": Parameter(
            args=("provider",),
            metavar="ID",
            nargs="?",
            doc="id of the preset to explain. Default: list all",
            constraints=EnsureStr() | EnsureNone(),
        ),
        "dataset": DATASET,
    }

    @staticmethod
    @eval_results  # type: ignore[untyped-decorator]
    def __call__(  # noqa: D102
        provider: str | None = None, *, dataset: Any = None
    ) -> Iterator[dict[str, Any]]:
        root = _dataset_root(dataset)
        if provider is None:
            for provider_id, file in find_all(dataset=root).items():
                yield _record(provider_id, file)
            return
        try:
            file = find_file(provider, dataset=root)
        except ConfigError as exc:
            yield _status("impossible", places.user_providers(), message=str(exc))
        else:
            yield _record(provider, file)

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **kwargs: Any) -> None:
        """Explain a preset that was asked for by its id; a list waits for the summary."""
        if res["status"] != "ok":
            generic_result_renderer(res)
        elif kwargs.get("provider"):
            ui.message("\n".join(explanation(res["preset"], res["origin"], res["path"])))

    @staticmethod
    def custom_result_summary_renderer(results: list[dict[str, Any]]) -> None:
        """Show a list as a table."""
        presets = [res["preset"] for res in results if res.get("preset")]
        if len(presets) > 1:
            ui.message("\n".join(table(presets)))
            ui.message("\nMore about one: datalad s3-providers ID")


def table(presets: list[dict[str, Any]]) -> list[str]:
    """Return the lines of an aligned table, its head first."""
    rows = [_HEAD, *map(_row, presets)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(preset: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        preset["id"],
        preset["name"],
        preset["kind"],
        preset["region"]["default"] or "-",
        endpoint_form(preset["endpoint"]),
        preset["evidence"]["confidence"],
    )


def endpoint_form(rule: Mapping[str, Any]) -> str:
    """Return in a few words where the endpoint comes from."""
    if rule["env"]:
        return f"${rule['env'][0]}"
    if rule["local_server"]:
        return "(datalad s3-serve)"
    if rule["by_sdk"]:
        return "(by region)"
    return str(rule["template"] or rule["default"] or "(give --endpoint)")


def explanation(preset: Mapping[str, Any], origin: str, path: str) -> list[str]:
    """Return the lines that tell a person what the preset says."""
    software = f", runs {preset['software']}" if preset["software"] else ""
    lines = [f"{preset['name']} ({preset['kind']}{software})"]
    for title, paragraphs in _sections(preset, origin, path):
        if paragraphs:
            lines += ["", title]
        for paragraph in paragraphs:
            lines += textwrap.wrap(
                paragraph, WIDTH, initial_indent="  ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    # not wrapped: made to be copied
    return [*lines, "", "Next", f"  {next_command(preset)}"]


def next_command(preset: Mapping[str, Any]) -> str:
    """Return the command that sets up a remote with this preset; capitals are to be replaced."""
    rule, words = preset["endpoint"], [f"datalad s3-setup {preset['id']} --bucket NAME"]
    words += [f"{variable}=VALUE" for variable in rule["variables"]]
    if "{region}" in (rule["template"] or "") and not preset["region"]["default"]:
        words.append("--region REGION")
    if endpoint_form(rule) == "(give --endpoint)":
        words.append("--endpoint URL")
    return " ".join(words)


def _sections(preset: Mapping[str, Any], origin: str, path: str) -> Iterator[tuple[str, list[str]]]:
    guide, evidence = preset["help"], preset["evidence"]
    yield "Endpoint", _endpoint(preset["endpoint"])
    yield "Regions", _regions(preset)
    yield "How to get keys", [text for text in (guide["keys"], guide["console"]) if text]
    yield "Notes", [*_given(preset["bucket"]["note"]), *guide["notes"]]
    yield "Limits", _limits(preset)
    yield (
        "Capabilities",
        [f"{words}: {_KNOWN[preset['capabilities'][name]]}" for name, words in _CAPABILITIES.items()],
    )
    yield "Documentation", _given(guide["docs"])
    yield f"Sources (checked {evidence['checked']})", evidence["sources"]
    yield "Confidence", _confidence(evidence)
    where = {"packaged": "comes with this program", "user": "your own preset"}
    yield "Preset file", [f"{path} ({where.get(origin, 'comes with the dataset')})"]


def _endpoint(rule: Mapping[str, Any]) -> list[str]:
    lines = [f"environment variable {name}" for name in rule["env"]]
    lines += _given(rule["template"]) + _given(rule["default"])
    lines += [f"{name}: {question}" for name, question in rule["variables"].items()]
    return [*(lines or [endpoint_form(rule)]), *_given(rule["note"])]


def _regions(preset: Mapping[str, Any]) -> list[str]:
    default = preset["region"]["default"]
    rows = preset["regions"]
    lines = [f"default: {default}"] if default else []
    if any(row["place"] for row in rows):
        lines += [f"{row['id']}  {row['place'] or ''}".rstrip() for row in rows]
    elif [row["id"] for row in rows] != [default]:
        lines += _given(", ".join(row["id"] for row in rows))
    return lines


def _limits(preset: Mapping[str, Any]) -> list[str]:
    limits = preset["upload"]
    equal = ", all of one size" if limits["equal_parts"] else ""
    lines = [
        f"largest object: {human_size(limits['max_object'])}",
        f"largest single upload: {human_size(limits['max_put'])}; above that in up to"
        f" {limits['max_parts']} parts of {human_size(limits['min_part'])} to"
        f" {human_size(limits['max_part'])}{equal} (done for you)",
    ]
    frozen = [row["name"] for row in preset["storage_classes"] if row["restore_needed"]]
    if frozen:
        lines.append(f"storage classes that need a restore before reading: {', '.join(frozen)}")
    return lines


def _confidence(evidence: Mapping[str, Any]) -> list[str]:
    unverified = ", ".join(evidence["unverified"])
    more = [f"from general knowledge, not from the sources: {unverified}"] if unverified else []
    return [evidence["confidence"], *more]


def _given(text: str | None) -> list[str]:
    return [text] if text else []


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
