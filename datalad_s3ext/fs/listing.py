"""How files and folders are described.

Every row has ``name``, ``size``, ``type`` (``file``, ``directory``, or in the list of a folder ``link``
for one that leads to a folder or nowhere), ``mtime`` (when the commit was made), ``sha`` (git's).
Files also have ``key`` (``None`` for those kept in git), ``executable`` and ``islink``; links have
``destination``. ``size`` is ``None`` when only the place that has the content could tell.
"""

from __future__ import annotations

from typing import Any

from datalad_s3ext.fs.snapshot import Node
from datalad_s3ext.repo.trees import EXECUTABLE, Content


def described(path: str, node: Node, content: Content | None) -> dict[str, Any]:
    """Return the row of what lies at `path`; `content` is ``None`` for folders."""
    row: dict[str, Any] = {
        "name": path,
        "size": 0,
        "type": "directory",
        "mtime": node.snapshot.commit.time_s,
        "sha": node.entry.id,
    }
    if content is not None:
        row.update(
            type="file",
            size=content.size_bytes,
            key=content.key,
            executable=node.entry.mode == EXECUTABLE,
            islink=False,
        )
    return row


def rows_of(path: str, folder: Node) -> list[dict[str, Any]]:
    """Return the rows of all that lies directly in `folder`, which is at `path`."""
    prefix = f"{path}/" if path else ""
    return [
        _row(prefix + name, child, content) for name, child, content in folder.snapshot.children(folder)
    ]


def _row(path: str, node: Node, content: Content | None) -> dict[str, Any]:
    if content is None or content.target is None:
        return described(path, node, content)
    try:
        found = node.snapshot.find(node.path)
        row = described(path, found, None if found.is_folder else found.content)
    except OSError:
        row = described(path, node, content)
        row["type"] = "link"
    if row["type"] == "directory":
        row.update(described(path, node, content), type="link")
    return {**row, "islink": True, "destination": content.target}
