"""The import requests of git-annex 10.20261026, as lines.

They differ from the draft in git-annex's wiki of April 2026. IMPORT names the file of the next request,
as EXPORT does. A list of importable content is many lines, which are one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annexremote import RemoteError

if TYPE_CHECKING:
    from datalad_s3ext.remote.imports import ImportRequests

UNSUPPORTED = "UNSUPPORTED-REQUEST"


class ImportMessages:
    """The part of :class:`.session.Requests` that is about imports."""

    remote: Any
    importing: str = ""

    @property
    def _imports(self) -> ImportRequests:
        remote: ImportRequests = self.remote
        return remote

    def do_IMPORTSUPPORTED(self) -> str:  # noqa: N802
        """Tell that trees can be imported."""
        return "IMPORTSUPPORTED-SUCCESS"

    def do_LISTIMPORTABLECONTENTS(self) -> str:  # noqa: N802
        """List files, each with its size and what tells its content from others."""
        try:
            found = self._imports.list_importable()
        except RemoteError as error:
            return f"LISTIMPORTABLECONTENTS-FAILURE {error}"
        lines = [
            f"IMPORTABLECONTENT {file.size_bytes} {file.name}\n"
            f"IMPORTABLECONTENTIDENTIFIER {file.content_id}"
            for file in found
        ]
        return "\n".join([*lines, "LISTIMPORTABLECONTENTS-SUCCESS"])

    def do_IMPORT(self, name: str = "") -> None:  # noqa: N802
        """Take note of a file's name. There is no answer to this."""
        self.importing = name

    def do_RETRIEVEIMPORT(self, local_file: str) -> str:  # noqa: N802
        """Fetch the named file."""
        if not self.importing or not local_file:
            return UNSUPPORTED
        try:
            self._imports.retrieve_import(self.importing, local_file)
        except RemoteError as error:
            return f"RETRIEVEIMPORT-FAILURE {error}"
        return "RETRIEVEIMPORT-SUCCESS"

    def do_CHECKPRESENTIMPORT(self, key: str) -> str:  # noqa: N802
        """Tell whether the named file still has the content of a key."""
        if not self.importing or not key or " " in key:
            return UNSUPPORTED
        try:
            is_there = self._imports.check_import(key, self.importing)
        except RemoteError as error:
            return f"CHECKPRESENT-UNKNOWN {key} {error}"
        return f"CHECKPRESENT-{'SUCCESS' if is_there else 'FAILURE'} {key}"

    def do_IMPORTKEY(self, param: str) -> str:  # noqa: N802
        """Give the named file a key without sending its content to git-annex."""
        size, _, identifier = param.partition(" ")
        if not self.importing or not size.isdigit() or not identifier:
            return UNSUPPORTED
        try:
            key = self._imports.import_key(self.importing, int(size), identifier)
        except RemoteError as error:
            return f"IMPORTKEY-FAILURE {error}"
        return f"IMPORTKEY-SUCCESS {key}"
