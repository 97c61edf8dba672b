"""Buckets that are named by an ARN: access points of Amazon, in one region or in several.

Source: "Access points" and "Multi-Region Access Points" of the Amazon S3 user guide.
"""

from __future__ import annotations

from dataclasses import dataclass

_ACCESS_POINT = "s3"
_OUTPOSTS = "s3-outposts"


@dataclass(frozen=True)
class Arn:
    """The parts of ``arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`` that matter."""

    service: str
    region: str
    """``""`` for an access point of several regions."""
    resource: str

    @property
    def wants_v4a(self) -> bool:
        """Tell whether its requests carry a signature that holds in several regions."""
        return self.service == _OUTPOSTS or not self.region


def parse_arn(bucket: str) -> Arn | None:
    """Return the parts of `bucket` when it is an ARN, else ``None``."""
    parts = bucket.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return None
    return Arn(parts[2], parts[3], parts[5])


def is_for_sdk_alone(bucket: str) -> bool:
    """Tell whether requests to `bucket` are signed in another way than those to plain buckets."""
    arn = parse_arn(bucket)
    return arn is not None and (arn.service != _ACCESS_POINT or not arn.region)
