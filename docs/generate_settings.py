"""Write the reference of the remote's parameters from the table that drives the remote."""

from __future__ import annotations

from pathlib import Path

from datalad_s3ext.remote.settings import SETTINGS


def write_settings(target: Path) -> None:
    """Write one definition for each parameter to `target`, to be included in a page."""
    target.write_text("\n".join(_entry(setting) for setting in SETTINGS), encoding="utf-8")


def _entry(setting: object) -> str:
    lines = [f"``{setting.name}``", f"    {_code(setting.description)}."]
    if setting.default:
        lines.append(f"    Default: {_code(setting.default)}.")
    if setting.example:
        lines.append(f"    Example: ``{setting.name}={setting.example}``")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Return `text`, in which single back quotes mark code, as reStructuredText."""
    return text.replace("`", "``").replace("*", r"\*")
