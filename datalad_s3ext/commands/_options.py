"""Parameters that several commands share; names follow DataLad's."""

from __future__ import annotations

from datalad.distribution.dataset import EnsureDataset
from datalad.interface.common_opts import recursion_flag, recursion_limit
from datalad.support.constraints import EnsureNone
from datalad.support.param import Parameter

from datalad_s3ext.commands._verify import CHOICES

__all__ = [
    "ANONYMOUS",
    "CREDENTIAL",
    "DATASET",
    "PROFILE",
    "VERIFY_BY",
    "recursion_flag",
    "recursion_limit",
]

DATASET = Parameter(
    args=("-d", "--dataset"),
    metavar="DATASET",
    doc="""dataset to work on; by default the one of the current directory""",
    constraints=EnsureDataset() | EnsureNone(),
)

PROFILE = Parameter(
    args=("--profile",),
    metavar="PROFILE",
    doc="""profile of the AWS configuration (~/.aws/config) to take the keys from: static keys,
    SSO, role or process. Its name is kept in the local git configuration only""",
)

CREDENTIAL = Parameter(
    args=("--credential",),
    metavar="NAME",
    doc="""credential in DataLad's store to take the keys from. What is missing is asked for, and
    stored under this name when everything worked""",
)

ANONYMOUS = Parameter(
    args=("--anonymous",),
    action="store_true",
    doc="""send no credentials at all""",
)

VERIFY_BY = Parameter(
    args=("--verify-by",),
    choices=CHOICES,
    doc="""who verifies the content that this clone receives. git-annex (default): it hashes the
    file. s3x: the remote hashes while it receives, which saves git-annex reading large files
    again, and refuses keys without a checksum that it can compute; not for encrypted or chunked
    content. Kept in the local git configuration only; without the option, an earlier choice stays""",
)
