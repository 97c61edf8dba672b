"""What a remote keeps in this clone between two processes: its keys, and where they may go.

The parameters came in with the clone. That they say ``embedcreds=yes`` is therefore no reason to put
the user's keys into the branch, and that they name an endpoint none to send keys there.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_s3ext.credentials.consent import named_by_environment
from datalad_s3ext.credentials.model import EMBEDDED, KEPT, Identity, Keys
from datalad_s3ext.repo import trust
from datalad_s3ext.repo.kept_keys import keep_keys, read_keys

if TYPE_CHECKING:
    from annexremote import Master

CREDS = "s3xcreds"
"""The name under which git-annex embeds our keys."""
_EMBED = "embedcreds"


def remembered_keys(annex: Master, uuid: str) -> Keys | None:
    """Return the keys kept in this clone, or those that embedcreds=yes has put into the branch."""
    found = read_keys(Path(annex.getgitdir()), uuid)
    if annex.getconfig(_EMBED) != "yes":
        return Keys(*found, source=KEPT) if found else None
    if found is not None:
        # git-annex copies embedded keys to the place of kept ones when it first reads them
        source = EMBEDDED if found == _embedded_in_plain(annex) else KEPT
        return Keys(*found, source=source)
    given = annex.getcreds(CREDS)
    return Keys(given["user"], given["password"], source=EMBEDDED) if given["user"] else None


def remember_keys(annex: Master, uuid: str, identity: Identity) -> None:
    """Keep lasting keys from the environment in this clone, as git-annex does for built-in S3.

    They go to the git-annex branch only when a person here asks for it with embedcreds=yes.
    """
    if not isinstance(identity, Keys) or identity.session_token:
        return
    if identity.access_key_id != os.environ.get("AWS_ACCESS_KEY_ID"):
        return
    pair = identity.access_key_id, identity.secret_access_key
    git_dir = Path(annex.getgitdir())
    if annex.getconfig(_EMBED) == "yes" and _is_embedding_wanted(git_dir, uuid):
        annex.setcreds(CREDS, *pair)
    else:
        keep_keys(git_dir, uuid, *pair)


def may_send_keys(annex: Master, uuid: str, endpoint_url: str) -> bool:
    """Tell whether a person has typed or agreed to `endpoint_url` here."""
    git_dir = Path(annex.getgitdir())
    return (
        endpoint_url in named_by_environment(os.environ)
        or endpoint_url in trust.trusted_endpoints(git_dir, uuid)
        or not trust.is_recorded_place(git_dir, uuid, endpoint_url)
    )


def remember_endpoint(annex: Master, uuid: str, endpoint_url: str | None) -> None:
    """Note that keys may go to `endpoint_url` from now on, if that is so today."""
    if endpoint_url is not None and may_send_keys(annex, uuid, endpoint_url):
        trust.trust_endpoint(Path(annex.getgitdir()), uuid, endpoint_url)


def _is_embedding_wanted(git_dir: Path, uuid: str) -> bool:
    """Tell whether embedcreds=yes was typed in this clone, now or when keys were embedded before."""
    if not trust.is_recorded(git_dir, uuid, _EMBED):
        trust.allow_embedding(git_dir, uuid)
    return trust.is_embedding_allowed(git_dir, uuid)


def _embedded_in_plain(annex: Master) -> tuple[str, str] | None:
    try:
        text = base64.b64decode(annex.getconfig(CREDS) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    lines = text.split("\n")
    return (lines[0], lines[1]) if len(lines) >= 2 else None
