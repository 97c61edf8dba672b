"""How long git-annex waits for the remote's first answers, boto3 not being needed for them.

    python benchmarks/first_reply.py [--rounds N]

git-annex starts the remote four times in one initremote and seven times in one clone, so this time is
paid again and again. Prints medians in milliseconds; the target is 150 ms to the first reply.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "git-annex-remote-s3x"
TARGET_MS = 150
CONFIG = {"provider": "aws", "bucket": "b"}


def one_round() -> dict[str, float]:
    """Start the program once; return milliseconds from the start to each answer."""
    began = time.perf_counter()
    process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    process.wait()
    stamp("end")
    return times


def main() -> int:
    """Print the table; return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = [one_round() for _ in range(parser.parse_args().rounds)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
    for name, milliseconds in medians.items():
        print(f"{name:12} {milliseconds:6.1f} ms")
    print(f"target: VERSION within {TARGET_MS} ms")
    return int(medians["VERSION"] > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
