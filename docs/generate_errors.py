"""Write the reference of errors from the tree in the code."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from datalad_s3ext import errors


def write_errors(target: Path) -> None:
    """Write the tree and one definition for each kind of error to `target`, to be included."""
    tree, _, _ = inspect.getdoc(errors).partition("\n\nAn answer is")
    _, _, tree = tree.partition("\n\n")
    entries = "\n".join(_entry(kind) for kind in _kinds(errors.S3xError))
    target.write_text(f"::\n\n{textwrap.indent(tree, '    ')}\n\n{entries}", encoding="utf-8")


def _kinds(parent: type[errors.S3xError]) -> Iterator[type[errors.S3xError]]:
    """Yield the errors of the tree below `parent`, in order of their definition."""
    for kind in parent.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _kinds(kind)


def _entry(kind: type[errors.S3xError]) -> str:
    again = "\n    It is tried again by itself, a few times." if kind.retryable else ""
    return f"``{kind.__name__}``\n    {inspect.getdoc(kind).splitlines()[0]}{again}\n"
