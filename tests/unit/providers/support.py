"""What the tests of presets share."""

from pathlib import Path

MINIMAL = """\
id = "{id}"
name = "Test service"
kind = "cloud"

[evidence]
checked = "2026-11-22"
confidence = "low"
"""


def write_preset(folder: Path, preset_id: str, more: str = "") -> Path:
    """Write a preset; `more` is TOML that follows the last table, [evidence]."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset_id}.toml"
    path.write_text(MINIMAL.format(id=preset_id) + more, encoding="utf-8")
    return path
