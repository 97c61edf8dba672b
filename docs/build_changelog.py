"""Write CHANGELOG.md from the fragments in docs/changelog.d.

Without options the part "Unreleased" is written anew. ``--release VERSION`` turns it into the part
of that version and removes the fragments. ``--check`` changes nothing and fails when the file is
out of date.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
FRAGMENTS = DOCS / "changelog.d"
CHANGELOG = DOCS.parent / "CHANGELOG.md"

KINDS = ("added", "changed", "fixed")
NAME = re.compile(r"(?P<id>[0-9]+-[a-z0-9-]+)\.(?P<kind>added|changed|fixed)\.md")
"""The id begins with the number of the issue."""
HEAD = """# Changelog

This file is built from `docs/changelog.d`; do not edit it by hand.
"""
UNRELEASED = "## Unreleased\n"


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail when CHANGELOG.md is out of date")
    parser.add_argument("--release", metavar="VERSION", help="close the unreleased part")
    arguments = parser.parse_args()
    try:
        wanted = changelog(fragments(FRAGMENTS), released(CHANGELOG), arguments.release)
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 1
    if arguments.check:
        if not CHANGELOG.exists() or CHANGELOG.read_text() != wanted:
            print("CHANGELOG.md is out of date: run `make changelog`", file=sys.stderr)
            return 1
        return 0
    CHANGELOG.write_text(wanted)
    if arguments.release:
        for path in fragment_files(FRAGMENTS):
            path.unlink()
    return 0


def fragment_files(folder: Path) -> list[Path]:
    """Return the fragments in `folder`, in order of issue number and name."""
    files = [path for path in folder.iterdir() if path.name != "README.md"]
    return sorted(files, key=lambda path: (len(path.name.partition("-")[0]), path.name))


def fragments(folder: Path) -> dict[str, list[str]]:
    """Return the texts of all fragments by kind.

    Raises
    ------
    ValueError
        When a file has another name than a fragment must have, or is empty.
    """
    texts: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for path in fragment_files(folder):
        match = NAME.fullmatch(path.name)
        text = " ".join(path.read_text().split())
        if match is None or not text:
            raise ValueError(
                f"{path.name}: a fragment is a text in <issue>-<word>.<{'|'.join(KINDS)}>.md"
            )
        texts[match["kind"]].append(text)
    return texts


def released(changelog: Path) -> str:
    """Return the parts of all released versions as they stand."""
    text = changelog.read_text() if changelog.exists() else ""
    parts = re.split(r"(?m)^(?=## )", text)[1:]
    return "".join(part for part in parts if not part.startswith(UNRELEASED))


def changelog(texts: dict[str, list[str]], older: str, version: str | None) -> str:
    """Return the whole file."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    title = f"## {version} ({today})\n" if version else UNRELEASED
    lines = [
        f"\n### {kind.capitalize()}\n\n" + "".join(f"* {text}\n" for text in texts[kind])
        for kind in KINDS
        if texts[kind]
    ]
    newest = title + "".join(lines) if lines else ""
    return "\n".join(part.rstrip("\n") + "\n" for part in (HEAD, newest, older) if part)


if __name__ == "__main__":
    sys.exit(main())
