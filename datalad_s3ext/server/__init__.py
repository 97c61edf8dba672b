"""The local S3 server: SeaweedFS from PyPI, started for one user on the loopback interface.

For trying things without an account, for machines without a network, and for tests.  A server
lives in a folder, its *home*: keys, data, log and the record of the running process.
"""

from datalad_s3ext.server.seaweed import (
    Ending,
    finish,
    is_alive,
    lost_keys,
    read_info,
    start,
    status,
    stop,
)
from datalad_s3ext.server.state import ServerInfo

__all__ = [
    "Ending",
    "ServerInfo",
    "finish",
    "is_alive",
    "lost_keys",
    "read_info",
    "start",
    "status",
    "stop",
]
