"""The key of server-side encryption with a customer's key (SSE-C), from a file or a command.

It never stands in the parameters of the remote, which everybody can read, nor in git's configuration.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import shlex
import stat
import subprocess
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_s3ext.errors import AccessDenied, ConfigError, LocalError
from datalad_s3ext.store.extras import CUSTOMER_KEY_BYTES, Extras

if TYPE_CHECKING:
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.store.base import ObjectStore

KEY_FILE_VARIABLE = "S3X_SSE_C_KEY_FILE"
COMMAND_TIMEOUT_S = 120
"""Somebody may have to type a pass phrase."""
_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_MAKE_ONE = "make one: (umask 077; openssl rand -base64 32 > FILE)"
_READ_LIMIT = 1024


def read_customer_key(choices: LocalChoices) -> tuple[bytes, str]:
    """Return the key, 32 bytes, and where it comes from.

    Raises
    ------
    ConfigError
        When no key is named, or what is named holds none.
    LocalError
        When it cannot be read, or others can read it, too.
    """
    named = os.environ.get(KEY_FILE_VARIABLE) or choices.customer_key_file
    if named:
        path = Path(named).expanduser()
        return _parsed(_in_file(path), str(path)), str(path)
    if choices.customer_key_command:
        # its arguments may be secret
        source = f"the command {choices.customer_key_command.partition(' ')[0]!r}"
        return _parsed(_printed_by(choices.customer_key_command), source), source
    raise ConfigError(
        "the content of this remote is encrypted with a key (sse=customer) that is not known here: "
        "whether it is there cannot be found out either",
        remedy="get the file with the key from whoever set the remote up, then: "
        "git config remote.NAME.s3x-sse-c-key-file FILE",
    )


def check_encryption(place: Place, *, requester_pays: bool) -> None:
    """Make sure that the service encrypts with the key it is given. An object is stored, and removed.

    Raises
    ------
    ConfigError
        It takes the key and ignores it: what was stored with the key is read without.
    """
    from datalad_s3ext.store.s3 import open_store

    name = f"{place.layout.prefix}.datalad-s3ext-probe-{secrets.token_hex(16)}"
    extras = Extras(requester_pays=requester_pays)
    without_key = open_store(place.connection, place.identity, place.store.bucket, extras=extras)
    place.store.put(name, BytesIO(b"1"), 1)
    try:
        is_ignored = _is_readable(without_key, name)
    finally:
        without_key.close()
        with suppress(AccessDenied):  # some keys may not remove anything
            place.store.delete(name)
    if is_ignored:
        raise ConfigError(
            "the service takes the key for sse=customer and does not encrypt with it",
            remedy="leave out sse=customer, and have git-annex encrypt: encryption=shared",
        )


def _is_readable(store: ObjectStore, name: str) -> bool:
    try:
        store.head(name)
    except (ConfigError, AccessDenied):
        return False
    return True


def _in_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_READ_LIMIT)
    except OSError as error:
        raise LocalError(
            f"the file with the key for sse=customer cannot be read: {path}: {error.strerror}",
            remedy="correct remote.NAME.s3x-sse-c-key-file in the git configuration",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise LocalError(f"others can read the key in {path}", remedy=f"chmod 600 {path}")
    return data


def _printed_by(command: str) -> bytes:
    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise LocalError(
            f"the command that prints the key for sse=customer failed: {type(error).__name__}",
            remedy="correct remote.NAME.s3x-sse-c-key-command in the git configuration",
        ) from None  # the error may hold what was printed
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise LocalError(
            f"the command that prints the key for sse=customer ended with {done.returncode}: {last}",
            remedy="correct remote.NAME.s3x-sse-c-key-command in the git configuration",
        )
    return done.stdout


def _parsed(data: bytes, source: str) -> bytes:
    """Return the key in `data`: 32 bytes as they are, or written as base64 or hexadecimal digits."""
    text = data.strip()
    if len(data) == CUSTOMER_KEY_BYTES:
        return data
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != CUSTOMER_KEY_BYTES:
        raise ConfigError(
            f"{source} holds no key for sse=customer: it must have {CUSTOMER_KEY_BYTES} bytes, plain, "
            "in base64 or in hexadecimal digits",
            remedy=_MAKE_ONE,
        )
    return key
