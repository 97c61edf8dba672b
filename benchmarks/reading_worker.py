"""One read in a fresh interpreter, ours or the one that has s3fs: started by reading.py.

    python benchmarks/reading_worker.py CASE '{"kind": "annex", "repo": "/path"}'

Imports and, for parts of a file, one read of another file come first. Then it says "ready", waits for a
line, reads, and prints a JSON object. Nothing of this project is imported but what fsspec loads.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20
WARM = {
    "annex": ("datalad_s3ext.fs.filesystem", "datalad_s3ext.store.s3", "boto3"),
    "s3": ("s3fs", "aiobotocore.session"),
}
Read = Callable[[], Any]


@dataclass(frozen=True)
class Place:
    """Where fsspec finds the files."""

    protocol: str
    root: str
    options: dict[str, Any]

    def filesystem(self) -> Any:
        """Return a file system that has sent nothing yet."""
        import fsspec

        return fsspec.filesystem(self.protocol, **self.options)


def place_of(spec: dict[str, Any]) -> Place:
    """Return the data set or the bucket that the benchmark names."""
    if spec["kind"] == "annex":
        return Place("annex", "", {"repo": spec["repo"]})
    client = {"endpoint_url": spec["url"], "region_name": spec["region"]}
    config = {"s3": {"addressing_style": "path"}}
    return Place("s3", f"{spec['bucket']}/", {"client_kwargs": client, "config_kwargs": config})


def zarr(spec: dict[str, Any]) -> Read:
    """Open a consolidated store and read all of it."""
    import xarray as xr

    place = place_of(spec)
    _import("zarr", *WARM[place.protocol])

    def read() -> float:
        url = f"{place.protocol}://{place.root}store.zarr"
        ds = xr.open_zarr(url, storage_options=place.options, chunks=None)
        return float(ds.t.mean())

    return read


def netcdf(spec: dict[str, Any], times: slice) -> Read:
    """Open a NetCDF-4 file and read some times of it."""
    import xarray as xr

    place = place_of(spec)
    _import("h5netcdf", *WARM[place.protocol])

    def read() -> float:
        with place.filesystem().open(f"{place.root}data.nc") as file:
            ds = xr.open_dataset(file, engine="h5netcdf")
            return float(ds.t[times].mean())

    return read


def middle(spec: dict[str, Any], *, is_opened: bool) -> Read:
    """Read 1 MiB from the middle of a large file; a small file was read before."""
    start = spec["start"]
    if spec["kind"] == "bare":
        return _bare(spec, start)
    fs = place_of(spec).filesystem()
    fs.cat_file("small.bin")

    def read() -> int:
        if not is_opened:
            return sum(fs.cat_file("large.bin", start, start + MIB))
        with fs.open("large.bin") as file:
            file.seek(start)
            return sum(file.read(MIB))

    return read


def _bare(spec: dict[str, Any], start: int) -> Read:
    """Return what sends one GET by boto3, over a connection that is open already."""
    import boto3
    from botocore.config import Config

    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.client(
        "s3", endpoint_url=spec["url"], region_name=spec["region"], config=config
    )  # fmt: skip
    client.get_object(Bucket=spec["bucket"], Key=spec["small"])["Body"].read()

    def read() -> int:
        part = f"bytes={start}-{start + MIB - 1}"
        answer = client.get_object(Bucket=spec["bucket"], Key=spec["large"], Range=part)
        return sum(answer["Body"].read())

    return read


CASES: dict[str, Callable[[dict[str, Any]], Read]] = {
    "zarr": zarr,
    "netcdf-slice": lambda spec: netcdf(spec, slice(50, 55)),
    "netcdf-whole": lambda spec: netcdf(spec, slice(None)),
    "middle-cat": lambda spec: middle(spec, is_opened=False),
    "middle-open": lambda spec: middle(spec, is_opened=True),
}


def main() -> None:
    """Get ready, wait, read, tell."""
    read = CASES[sys.argv[1]](json.loads(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    value = read()
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "value": value, "peak_rss_bytes": _peak_rss_bytes()}
    print(json.dumps(told), flush=True)


def _peak_rss_bytes() -> int:
    """Return the most memory of this process; what getrusage() says was inherited, too."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _import(*names: str) -> None:
    for name in names:
        importlib.import_module(name)


if __name__ == "__main__":
    main()
