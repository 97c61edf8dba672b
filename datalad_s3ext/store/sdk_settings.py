"""What the AWS configuration files say besides keys: a profile's endpoint and region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import BotoCoreError, ProfileNotFound

from datalad_s3ext.credentials.model import Profile, SdkChain
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.resolve import ENDPOINT_VARIABLES, REGION_VARIABLES
from datalad_s3ext.store.s3_client import session_for


@dataclass(frozen=True)
class SdkSettings:
    """What a profile states; ``None``: nothing."""

    endpoint_url: str | None = None
    region: str | None = None


def settings_of(identity: Profile | SdkChain) -> SdkSettings:
    """Return what the profile of `identity` states, variables left aside. Nothing is sent.

    The endpoint may stand in the profile itself or in its ``services`` section. A profile that does
    not exist states nothing: that it is missing is told when its keys are needed.

    Raises
    ------
    ConfigError
        When the files cannot be read.
    """
    session = session_for(identity)
    try:
        stated = session.get_scoped_config()
        endpoint = ConfiguredEndpointProvider(
            full_config=session.full_config, scoped_config=stated, client_name="s3", environ={}
        ).provide()
    except ProfileNotFound:
        return SdkSettings()
    except BotoCoreError as error:
        raise ConfigError(f"the AWS configuration cannot be read: {error}") from error
    return SdkSettings(endpoint, stated.get("region"))


def completed(environ: Mapping[str, str], identity: Profile | SdkChain) -> Mapping[str, str]:
    """Return `environ` with what the profile of `identity` states; variables that are set win."""
    stated = settings_of(identity)
    added: dict[str, str] = {}
    if stated.endpoint_url and not any(environ.get(name) for name in ENDPOINT_VARIABLES):
        added["AWS_ENDPOINT_URL_S3"] = stated.endpoint_url
    if stated.region and not any(environ.get(name) for name in REGION_VARIABLES):
        added["AWS_DEFAULT_REGION"] = stated.region
    return {**environ, **added}
