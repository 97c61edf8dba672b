"""Take secrets out of text that others wrote: server answers, messages of libraries, URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from datalad_s3ext.credentials.model import Identity, Keys

HIDDEN = "***"


def redacted(text: str, identity: Identity) -> str:
    """Return `text` with the secret and the session token of `identity` replaced by ``***``.

    They are found as they are and in the forms that URLs give them.
    """
    if not isinstance(identity, Keys):
        return text
    forms = {form for secret in _secrets(identity) for form in _forms(secret)}
    # The longest first: a form that is part of another would leave the rest of it visible.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _secrets(keys: Keys) -> Iterator[str]:
    yield from filter(None, (keys.secret_access_key, keys.session_token))


def _forms(secret: str) -> Iterator[str]:
    for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), form)
