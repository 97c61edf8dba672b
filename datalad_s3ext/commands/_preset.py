"""What a preset must not do unasked, and what a person should know before keys are sent by it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.guess import guess
from datalad_s3ext.providers.load import PresetFile
from datalad_s3ext.providers.resolve import Connection, is_loopback_host


def check_consent(file: PresetFile, connection: Connection, *, is_named: bool) -> None:
    """Make sure that no keys go to a host that only somebody else has named.

    Parameters
    ----------
    is_named : bool
        The user gave the endpoint, or said which keys are to be used.

    Raises
    ------
    ConfigError
        When the preset comes with the data set and the user has done neither.
    """
    if file.origin != "data set" or is_named:
        return
    url = connection.endpoint_url or connection.provider.name
    raise ConfigError(
        f"the preset {connection.provider.id!r} comes with this dataset ({file.path}) and names "
        f"{url}; whatever keys you have are not sent there unasked",
        remedy=f"if you trust it, add --endpoint {url}, or name keys that it may have: --profile NAME "
        "or --credential NAME",
    )


def notices(file: PresetFile, connection: Connection, endpoint: str | None) -> Iterator[str]:
    """Yield what should be told before anything is contacted, one line each.

    `endpoint` is what the user gave.
    """
    provider, url = connection.provider, connection.endpoint_url
    if file.origin == "data set":
        yield f"the preset {provider.id!r} comes with this dataset: {file.path}"
    if endpoint is None and provider.endpoint.unconfirmed:
        yield (
            f"the host {url} of the preset {provider.id!r} is unconfirmed: compare it with what "
            "your provider says, and give another one with --endpoint URL"
        )
    if endpoint is not None and url is not None and not is_loopback_host(urlsplit(url).hostname or ""):
        known = guess(url)
        if known is not None and known.id != provider.id:
            yield f"{url} looks like {known.name}: `datalad s3-setup {known.id}` knows its habits"
