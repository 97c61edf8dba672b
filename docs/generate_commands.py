"""Write the reference of the DataLad commands from their own ``--help``."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import textwrap
from pathlib import Path

from datalad_s3ext.commands import command_suite


def write_commands(target: Path) -> None:
    """Write one section for each command to `target`, to be included in a page."""
    _, commands = command_suite
    sections = (_section(name) for _, _, name, _ in commands)
    target.write_text("\n".join(sections), encoding="utf-8")


def _section(name: str) -> str:
    title = f"datalad {name}"
    return (
        f"{title}\n{'-' * len(title)}\n\n"
        f".. code-block:: text\n\n{textwrap.indent(_help(name), '    ')}\n"
    )


def _help(name: str) -> str:
    """Return what ``datalad NAME --help`` prints.

    Raises
    ------
    RuntimeError
        When the command is missing or broken.
    """
    answer = subprocess.run(
        [Path(sysconfig.get_path("scripts"), "datalad"), name, "--help-np"],
        env={**os.environ, "COLUMNS": "92", "NO_COLOR": "1", "DATALAD_LOG_LEVEL": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0 or not answer.stdout.strip():
        raise RuntimeError(f"`datalad {name} --help` failed: {answer.stderr[-2000:]}")
    return answer.stdout.strip()
