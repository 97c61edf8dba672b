"""What is read: two data sets whose content is in buckets only.

`climate` has a Zarr store and a NetCDF-4 file. Its remote keeps files under their own names
(``exporttree=yes``), so that s3fs reads the same objects. `large` keeps content by key, as usual; its
branch `many` has a great many files, of which only names and keys exist.
"""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import MIB
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

TREE, KEYS = "reading-tree", "reading-keys"  # buckets
REMOTE, MANY = "s3", "many"
FILES_PER_FOLDER = 100
OFF_BLOCKS = 12_345  # so that no read begins where one of our blocks does


@dataclass(frozen=True)
class Sizes:
    """How much there is."""

    large_bytes: int
    summed_bytes: int  # of the file that md5sum reads
    files: int
    times: int  # in the arrays, 260 kB each

    @property
    def start(self) -> int:
        """Where the part begins that is read from the large file."""
        return self.large_bytes // 2 + OFF_BLOCKS


@dataclass(frozen=True)
class Scene:
    """Both data sets and the server that has their content."""

    sizes: Sizes
    server: Endpoint
    climate: AnnexRepo
    large: AnnexRepo

    def point_at(self, url: str) -> None:
        """Let both reach the server through `url`."""
        for repo in (self.climate, self.large):
            repo.use_keys(self.server.at(url))
            repo.annex("enableremote", REMOTE, f"endpoint={url}")
            repo.run("git", "config", "--add", f"s3x.{repo.uuid(REMOTE)}.endpoint", url)

    def key(self, name: str) -> str:
        """Return the key of a file in `large`."""
        return self.large.annex("lookupkey", name).stdout.strip()


def make(sizes: Sizes, server: Endpoint, folder: Path) -> Scene:
    """Make both data sets and send their content away."""
    return Scene(
        sizes,
        server,
        _make_climate(sizes, server, folder / "climate"),
        _make_large(sizes, server, folder / "large"),
    )


def _make_climate(sizes: Sizes, server: Endpoint, path: Path) -> AnnexRepo:
    import numpy as np
    import xarray as xr

    repo = AnnexRepo.create(path)
    values = np.random.default_rng(0).standard_normal((sizes.times, 360, 180)).astype("f4")
    times = np.arange(sizes.times)
    ds = xr.Dataset({"t": (("time", "x", "y"), values)}, coords={"time": times})
    chunks = (5, 180, 180)
    ds.to_netcdf(
        path / "data.nc", engine="h5netcdf", encoding={"t": {"chunksizes": chunks, "zlib": True}}
    )
    ds.to_zarr(
        path / "store.zarr", consolidated=True, zarr_format=2, encoding={"t": {"chunks": chunks}}
    )
    repo.annex("add", "--quiet", ".")
    repo.run("git", "commit", "-q", "-m", "arrays")
    repo.init_s3x(server, TREE, "exporttree=yes", name=REMOTE)
    repo.annex("export", "--quiet", "main", "--to", REMOTE)
    repo.annex("drop", "--quiet", "--force", "--all")
    return repo


def _make_large(sizes: Sizes, server: Endpoint, path: Path) -> AnnexRepo:
    repo = AnnexRepo.create(path)
    source = random.Random(0)
    with (path / "large.bin").open("wb") as file:  # sparse
        file.truncate(sizes.large_bytes)
        file.seek(sizes.start - OFF_BLOCKS)
        file.write(source.randbytes(2 * MIB))
    with (path / "summed.bin").open("wb") as file:
        for _ in range(sizes.summed_bytes // MIB):
            file.write(source.randbytes(MIB))
    (path / "small.bin").write_bytes(b"small")
    repo.annex("add", "--quiet", ".")
    repo.run("git", "commit", "-q", "-m", "large files")
    _add_many(repo, sizes.files)
    repo.init_s3x(server, KEYS, name=REMOTE)
    repo.annex("move", "--quiet", "--all", "--to", REMOTE)
    return repo


def _add_many(repo: AnnexRepo, count: int) -> None:
    """Write a branch with links to as many keys, as `git annex add` would."""
    lines = [
        f"commit refs/heads/{MANY}",
        "committer Benchmark <bench@example.org> 1700000000 +0000",
        "data 4",
        "many",
    ]
    for number in range(count):
        name = f"{number // FILES_PER_FOLDER:05}/file-{number:06}.dat"
        key = f"SHA256E-s{1000 + number}--{number:064x}.dat"
        target = f"../.git/annex/objects/xx/yy/{key}/{key}"
        lines += [f"M 120000 inline {name}", f"data {len(target)}", target]
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=repo.path, env={**os.environ, **repo.env},
        input="\n".join([*lines, "", ""]).encode(), check=True,
    )  # fmt: skip
