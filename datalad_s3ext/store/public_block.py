"""Does a setting of the bucket or of the account forbid that everybody may read? Three answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.errors import S3xError
from datalad_s3ext.store.diagnose import Inquiry
from datalad_s3ext.store.s3_client import session_for

if TYPE_CHECKING:
    from datalad_s3ext.providers.resolve import Connection

Answer = Literal["yes", "no", "unknown"]
_NONE_SET = "NoSuchPublicAccessBlockConfiguration"
_FORBIDS = ("BlockPublicPolicy", "RestrictPublicBuckets")


def of_bucket(connection: Connection, identity: Identity, bucket: str) -> Answer:
    """Tell whether the bucket's own settings forbid a policy that lets everybody read."""
    try:
        inquiry = Inquiry(connection, identity, bucket)
    except S3xError:
        return "unknown"
    try:
        reply = inquiry.ask("get_public_access_block")
    finally:
        inquiry.close()
    if reply.done:
        return _judged(reply.data)
    return "no" if reply.code == _NONE_SET else "unknown"


def of_account(connection: Connection, identity: Identity) -> Answer:
    """Tell whether the settings of the whole account forbid it; to be asked at Amazon's only."""
    if isinstance(identity, Anonymous):
        return "unknown"
    try:
        account = _client(connection, identity, "sts").get_caller_identity()["Account"]
        control = _client(connection, identity, "s3control")
        return _judged(control.get_public_access_block(AccountId=account))
    except ClientError as error:
        return "no" if error.response.get("Error", {}).get("Code") == _NONE_SET else "unknown"
    except BotoCoreError:
        return "unknown"


def _client(connection: Connection, identity: Identity, service: str) -> Any:
    import boto3.session

    given: dict[str, Any] = {}
    if isinstance(identity, Keys):
        given = {
            "aws_access_key_id": identity.access_key_id,
            "aws_secret_access_key": identity.secret_access_key,
            "aws_session_token": identity.session_token,
        }
    config = Config(  # type: ignore[call-arg]  # the stubs lag behind
        connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 1},
        ignore_configured_endpoint_urls=True,
    )  # fmt: skip
    session: Any = boto3.session.Session(botocore_session=session_for(identity))
    return session.client(
        service, region_name=connection.region, endpoint_url=connection.endpoint_url, config=config,
        **given,
    )  # fmt: skip


def _judged(answer: Any) -> Answer:
    settings = answer.get("PublicAccessBlockConfiguration") or {}
    if not any(name in settings for name in _FORBIDS):
        return "unknown"  # a server that does not know the question answers another one
    return "yes" if any(settings.get(name) for name in _FORBIDS) else "no"
