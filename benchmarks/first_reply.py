"""How long git-annex waits for the remote's first answers, boto3 not being needed for them.

    python benchmarks/first_reply.py [--rounds N]

git-annex starts the remote four times in one initremote and seven times in one clone, so this time is
paid again and again. Prints medians in milliseconds, and the processor time of it all; the target is
150 ms to the first reply. Modules are compiled before, as they are in an installed package.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "git-annex-remote-s3x"
TARGET_MS = 150
CONFIG = {"provider": "aws", "bucket": "b"}


def one_round(compiled: str) -> dict[str, float]:
    """Start the program once; return milliseconds from the start to each answer.

    Parameters
    ----------
    compiled : str
        A folder for compiled modules.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": compiled}
    began = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin
    assert process.stdout
    times: dict[str, float] = {}

    def stamp(name: str) -> None:
        times[name] = (time.perf_counter() - began) * 1000

    def say(line: str) -> None:
        process.stdin.write(line + "\n")
        process.stdin.flush()

    process.stdout.readline()
    stamp("VERSION")
    say("EXTENSIONS INFO GETGITREMOTENAME UNAVAILABLERESPONSE")
    process.stdout.readline()
    stamp("EXTENSIONS")
    say("LISTCONFIGS")
    while process.stdout.readline() != "CONFIGEND\n":
        pass
    stamp("LISTCONFIGS")
    say("PREPARE")
    while (line := process.stdout.readline()) != "PREPARE-SUCCESS\n":
        say(f"VALUE {CONFIG.get(line.split()[-1], '')}")
    stamp("PREPARE")
    process.stdin.close()
    _, _, used = os.wait4(process.pid, 0)
    stamp("end")
    times["CPU"] = (used.ru_utime + used.ru_stime) * 1000
    return times


def main() -> int:
    """Print the table; return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as compiled:
        one_round(compiled)
        rounds = [one_round(compiled) for _ in range(wanted)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
    for name, milliseconds in medians.items():
        print(f"{name:12} {milliseconds:6.1f} ms")
    print(f"target: VERSION within {TARGET_MS} ms")
    return int(medians["VERSION"] > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
