"""Compare reading without downloading with s3fs, a bare GET and `datalad get`: `make bench-reading`.

    make bench-reading
    make bench-reading ARGS="--cases zarr 'middle-*' --rounds 9"
    make bench-reading ARGS="--size 512"               # the file whose middle is read: MiB, not 5 GiB
    make bench-reading ARGS="--scale small --rounds 1" # does it still work?
    make bench-reading ARGS="--report"                 # only write the tables again

Cases that are measured again replace what was known of them. Results of the full scale go to
benchmarks/reading-results.json and the docs, others to a folder that --output names.
s3fs needs another botocore than we do, so it gets an environment of its own, .venv/s3fs, once.
The full scale takes some ten minutes and 9 GB of memory or disk.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import bench, reading_scene, report, runner
from benchmarks.cases import GIB, MIB
from benchmarks.counter import CountingRelay, Counts
from benchmarks.meter import CommandFailed
from benchmarks.reading_cases import BARE, CASES, GET, OURS, S3FS, SIZES, Case, Medians, Sample
from benchmarks.reading_scene import KEYS, MANY, REMOTE, TREE, Scene, Sizes
from benchmarks.relay import RelayProcess
from tests.support.servers import SeaweedServer

WORKER = Path(__file__).with_name("reading_worker.py")
FULL_RESULTS = Path(__file__).with_name("reading-results.json")
TABLES_NAME = "reading-tables.inc"  # not .rst: Sphinx would take it for a page
S3FS_VENV = Path(sys.prefix) / "s3fs"
SHARED = ("fsspec", "h5netcdf", "h5py", "numpy", "xarray", "zarr")  # of the same version on both sides
ROUNDS = 5
NOT_DATA = "annex-uuid"  # the bucket's marker
FACTOR = 2.2  # content in the repository, where the largest file is sparse, and in the bucket


def main() -> int:
    """Measure, print, write; return 1 when a target of the full scale is missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or servers would stay
    asked = _arguments()
    output = asked.output or (
        None if asked.scale == "full" else Path(tempfile.gettempdir(), "s3ext-bench")
    )
    store = output / "reading-results.json" if output else FULL_RESULTS
    sizes = SIZES[asked.scale]
    if asked.size:
        sizes = replace(sizes, large_bytes=asked.size * MIB)
    results = _load(store, asdict(sizes))
    if not asked.report:
        _measure(asked, sizes, results, store)
    found = Medians(results)
    details, overview = report.as_text(found.details()), report.as_text(found.overview())
    print(f"\n{details}\n\n{overview}".replace("**", ""))
    print(f"written: {_write_docs(results, found, output or bench.DOCS)}")
    verdicts = [found.verdict(case, target)[1] for case in found.cases() for target in case.targets]
    print(f"{sum(verdicts)} of {len(verdicts)} targets met")
    if asked.scale == "small":
        print("Only little was read: this says nothing about the targets.")
        return 0
    return int(not all(verdicts))


def _arguments() -> argparse.Namespace:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="make bench-reading", description=first, epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = ", ".join(case.name for case in CASES)
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", default=["*"], help=names)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=str(ROUNDS))
    parser.add_argument("--size", type=int, metavar="MIB", help="of the file whose middle is read")
    parser.add_argument("--scale", choices=tuple(SIZES), default="full", help="small: little data")
    parser.add_argument("--output", type=Path, help="folder for results and tables")
    parser.add_argument("--scratch", type=Path, help="folder to work in; a RAM disk if it fits")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    return parser.parse_args()


def _measure(asked: argparse.Namespace, sizes: Sizes, results: dict[str, Any], store: Path) -> None:
    chosen = [case for case in CASES if any(fnmatch.fnmatch(case.name, name) for name in asked.cases)]
    s3fs_python = _s3fs_python() if any(S3FS in case.tools for case in chosen) else None
    needed = sizes.large_bytes + FACTOR * sizes.summed_bytes + GIB
    parent = asked.scratch or bench.roomy_folder(needed)
    results["about"] = _about(s3fs_python) | {"data in": f"``{parent}``"}
    scratch = Path(tempfile.mkdtemp(prefix="s3ext-reading-", dir=parent))
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)  # the server's data goes there, too
    try:
        with runner.own_environment(scratch), ExitStack() as stack:
            server = stack.enter_context(SeaweedServer())
            print("making and sending the data ...", flush=True)
            scene = reading_scene.make(sizes, server, scratch)
            counter = stack.enter_context(CountingRelay(server.url))
            fast = stack.enter_context(RelayProcess(server.url))
            reader = Reader(scene, counter, fast.url, s3fs_python, scratch)
            for case in chosen:
                print(f"{case.name}: {case.title_of(asdict(sizes))}", flush=True)
                samples = list(reader.carry_out(case, asked.rounds))
                kept = [sample for sample in results["samples"] if sample["case"] != case.name]
                results["samples"] = kept + [asdict(sample) for sample in samples]
                store.parent.mkdir(parents=True, exist_ok=True)
                store.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    finally:
        tempfile.tempdir = before
        runner.remove(scratch)


class Reader:
    """Lets the tools take turns at each case."""

    def __init__(
        self,
        scene: Scene,
        counter: CountingRelay,
        fast_url: str,
        s3fs_python: Path | None,
        scratch: Path,
    ) -> None:
        self._scene = scene
        self._counter = counter
        self._fast_url = fast_url
        self._s3fs_python = s3fs_python
        self._scratch = scratch

    def carry_out(self, case: Case, rounds: int) -> Iterator[Sample]:
        """Measure one case; the order of the tools rotates."""
        urls = {"md5sum-relay": self._fast_url, "md5sum-loopback": self._scene.server.url}
        self._scene.point_at(urls.get(case.name, self._counter.url))
        values = set()
        for number in range(rounds):
            turn = number % len(case.tools)
            for tool in case.tools[turn:] + case.tools[:turn]:
                sample, value = self._once(case, tool, number)
                values.add(value)
                print(
                    f"  round {number + 1}  {tool:14} {sample.seconds:8.3f} s"
                    + ("" if sample.bytes_down is None else f"  {sample.bytes_down / 1e6:9.3f} MB")
                    + ("" if sample.requests is None else f"  {sample.requests:4} requests"),
                    flush=True,
                )
                yield sample
        if len(values) != 1:
            raise runner.WrongContent(f"{case.name}: {values}")

    def _once(self, case: Case, tool: str, number: int) -> tuple[Sample, Any]:
        blank = Sample(case.name, tool, number, 0.0)
        if case.name == "list":
            return self._list(blank)
        if case.name.startswith("md5sum"):
            return self._get(blank) if tool == GET else self._sum(blank)
        return self._read(blank)

    def _read(self, blank: Sample) -> tuple[Sample, Any]:
        """Read in an interpreter of its own, which has an empty cache and what it needs imported."""
        python = self._s3fs_python if blank.tool == S3FS else Path(sys.executable)
        command = [str(python), str(WORKER), blank.case, json.dumps(self._place(blank))]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with (
            self._environment() as env,
            subprocess.Popen(command, cwd=self._scratch, env=env, **pipes) as worker,
        ):
            assert worker.stdout
            if worker.stdout.readline() != "ready\n":
                raise CommandFailed(f"{' '.join(command)} did not become ready")
            self._counter.take()
            said, _ = worker.communicate("\n")
        if worker.returncode:
            raise CommandFailed(f"{' '.join(command)} ended with {worker.returncode}")
        told = json.loads(said)
        sample = replace(blank, seconds=told["seconds"], peak_rss_bytes=told["peak_rss_bytes"])
        return _with(sample, self._counter.take()), told["value"]

    def _place(self, blank: Sample) -> dict[str, Any]:
        server, is_part = self._scene.server, blank.case.startswith("middle")
        repo = self._scene.large if is_part else self._scene.climate
        place = {"url": self._counter.url, "region": server.region, "bucket": KEYS if is_part else TREE}
        if is_part:
            place |= {"start": self._scene.sizes.start}
        if blank.tool == BARE:
            place |= {name: self._scene.key(f"{name}.bin") for name in ("small", "large")}
        kind = {OURS: "annex", S3FS: "s3", BARE: "bare"}[blank.tool]
        return place | {"kind": kind, "repo": str(repo.path)}

    def _list(self, blank: Sample) -> tuple[Sample, Any]:
        with self._mounted(MANY) as (folder, env):
            self._counter.take()
            began = time.perf_counter()
            listed = _run(["ls", "-lR", folder], env)
            sample = replace(blank, seconds=time.perf_counter() - began)
            count, wanted = listed.count(b".dat\n"), self._scene.sizes.files
            if count != wanted:
                raise runner.WrongContent(f"ls found {count} of {wanted} files")
            return _with(sample, self._counter.take()), count

    def _sum(self, blank: Sample) -> tuple[Sample, Any]:
        with self._mounted("main") as (folder, env):
            began = time.perf_counter()
            told = _run(["md5sum", folder / "summed.bin"], env)
            return replace(blank, seconds=time.perf_counter() - began), told.split()[0].decode()

    def _get(self, blank: Sample) -> tuple[Sample, Any]:
        large = self._scene.large
        try:
            began = time.perf_counter()
            large.run("datalad", "get", "--source", REMOTE, "summed.bin")
            seconds = time.perf_counter() - began
            with (large.path / "summed.bin").open("rb") as file:
                digest = hashlib.file_digest(file, "md5").hexdigest()
            return replace(blank, seconds=seconds), digest
        finally:
            large.annex("drop", "--force", "--quiet", "summed.bin")

    @contextmanager
    def _environment(self) -> Iterator[dict[str, str]]:
        """Give the keys of the server and a cache that is empty."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="cache-") as cache:
            yield {**os.environ, **self._scene.large.env, "XDG_CACHE_HOME": cache}

    @contextmanager
    def _mounted(self, ref: str) -> Iterator[tuple[Path, Mapping[str, str]]]:
        folder = self._scratch / "mount"
        with self._environment() as env:
            _run(["datalad", "s3-mount", folder, "-d", self._scene.large.path, "--ref", ref], env)
            try:
                yield folder, env
            finally:
                _run(["datalad", "s3-mount", "--umount", folder], env)


def _with(sample: Sample, counts: Counts) -> Sample:
    data = [path for method, path in counts.requests if method == "GET" and NOT_DATA not in path]
    return replace(
        sample,
        bytes_down=counts.bytes_down,
        requests=len(counts.requests),
        data_requests=len(data),
    )


def _run(command: Sequence[str | Path], env: Mapping[str, str]) -> bytes:
    done = subprocess.run(command, env=dict(env), capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done.stdout


def _s3fs_python() -> Path:
    """Return the interpreter that has s3fs; make its environment when it is not there."""
    python, complete = S3FS_VENV / "bin" / "python", S3FS_VENV / ".complete"
    wanted = ["s3fs", *(f"{name}=={version(name)}" for name in SHARED)]
    if not complete.exists() or complete.read_text() != "\n".join(wanted):
        print(f"installing s3fs into {S3FS_VENV} (once) ...", flush=True)
        shutil.rmtree(S3FS_VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", S3FS_VENV], check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "--python", python, "install", *wanted], check=True)
        complete.write_text("\n".join(wanted))
    return python


def _about(s3fs_python: Path | None) -> dict[str, str]:
    others = [f"{name} {version(name)}" for name in (*SHARED, "mfusepy")]
    if s3fs_python:
        code = "import importlib.metadata as m; print('s3fs', m.version('s3fs'))"
        found = subprocess.run([s3fs_python, "-c", code], capture_output=True, text=True, check=True)
        others.append(found.stdout.strip())
    return bench.about_this_machine() | {"others": ", ".join(others)}


def _load(store: Path, sizes: Mapping[str, Any]) -> dict[str, Any]:
    if store.exists():
        known: dict[str, Any] = json.loads(store.read_text(encoding="utf-8"))
        if known["sizes"] == sizes:
            return known
    return {"sizes": dict(sizes), "about": {}, "samples": []}


def _write_docs(results: Mapping[str, Any], found: Medians, folder: Path) -> Path:
    path = folder / TABLES_NAME
    folder.mkdir(parents=True, exist_ok=True)
    text = [".. Written by `make bench-reading`; what is changed by hand is lost.\n"]
    if results["sizes"] != asdict(SIZES["full"]):
        text.append(".. warning:: Less was read than is asked for: these numbers prove nothing.\n")
    text += [
        "".join(f":{name}: {value}\n" for name, value in results["about"].items()),
        report.list_table("What was asked for", found.overview()),
        report.list_table("Medians; memory is the largest", found.details()),
    ]
    path.write_text("\n".join(text), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
