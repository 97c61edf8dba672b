"""Wiring of the special remote: standard streams, one session, shared state."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, BinaryIO

from datalad_s3ext.remote.messages import VERSION, Wire

if TYPE_CHECKING:
    from annexremote import Master

    from datalad_s3ext.remote.handlers import S3xRemote

GARBAGE_THRESHOLD = 20_000
"""New objects after which garbage is looked for. What is imported stays: usually that is 44 times."""
USAGE = """\
git-annex-remote-s3x is started by git-annex, not by hand. To use it:

  git annex initremote NAME type=external externaltype=s3x encryption=none \\
      provider=PROVIDER bucket=BUCKET

or, with DataLad: datalad s3-setup PROVIDER --bucket BUCKET
"""


def main() -> int:
    """Serve git-annex on standard input and output until it closes its end."""
    if len(sys.argv) > 1 or sys.stdin.isatty():
        sys.stdout.write(USAGE)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    with _own_output() as output:
        wire = Wire(output)
        wire.send(VERSION)  # first of all: git-annex goes on while the rest is imported
        gc.set_threshold(GARBAGE_THRESHOLD)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        try:
            _serve(wire)
        except _Ended:
            os._exit(1)
    os._exit(0)  # workers that still wait for a server must not keep the process


class _Ended(BaseException):
    """A signal asks the process to end: what is under way is taken back first."""


def _end(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise _Ended


def _serve(wire: Wire) -> None:
    from datalad_s3ext.remote.handlers import S3xRemote
    from datalad_s3ext.remote.session import Session
    from datalad_s3ext.remote.shared import Shared

    shared = Shared()

    def make_remote(annex: Master) -> S3xRemote:
        return S3xRemote(annex, shared)

    Session(sys.stdin.buffer, wire, make_remote, shared.stop).run()


def _own_output() -> BinaryIO:
    """Return the real standard output, and send everything else that is printed to standard error.

    A stray line on standard output would break the conversation.
    """
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return output
