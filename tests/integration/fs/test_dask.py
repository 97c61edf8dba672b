"""Dask's worker processes read a data set whose content is in the bucket only, each for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import Client, LocalCluster

from datalad_s3ext.fs.faults import ContentUnavailable
from tests.support.faults import Body, every
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex]
VALUES = np.random.default_rng(2).standard_normal((8, 100, 100)).astype("f4")
BUCKET = "arrays-for-dask"
WORKERS = 2
WAIT_S = 60


@pytest.fixture(scope="module")
def arrays(
    seaweed: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, Any], Relay]]:
    """Return the storage options of a data set whose bucket is behind a relay, and that relay."""
    repo = AnnexRepo.create(tmp_path_factory.mktemp("dask") / "repo")
    ds = xr.Dataset({"t": (("time", "x", "y"), VALUES)}, coords={"time": np.arange(len(VALUES))})
    ds.to_zarr(repo.path / "store.zarr", zarr_format=2, encoding={"t": {"chunks": (1, 100, 100)}})
    for name, part in (("1.nc", ds.isel(time=slice(0, 4))), ("2.nc", ds.isel(time=slice(4, 8)))):
        part.to_netcdf(
            repo.path / name, engine="h5netcdf", encoding={"t": {"chunksizes": (1, 100, 100)}}
        )
    repo.annex("add", ".")
    repo.run("git", "commit", "-q", "-m", "arrays")
    with Relay(seaweed.url) as relay:
        repo.init_s3x(seaweed.at(relay.url), BUCKET)
        repo.annex("move", "--all", "--to", "s3")
        yield {"repo": str(repo.path), "cache_disk": 0, "read_ahead": 0}, relay


@pytest.fixture(scope="module")
def dask(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return the client of two worker processes."""
    folder = str(tmp_path_factory.mktemp("workers"))
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=2, processes=True, dashboard_address=None,
            local_directory=folder,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def ports_to(port: int) -> set[int]:
    """Return the ports from which this process has connections to `port`; run in workers."""
    found = psutil.Process().net_connections("tcp")
    return {one.laddr.port for one in found if one.raddr and one.raddr.port == port}


def each_worker_reads(dask: Client, relay: Relay, array: xr.DataArray) -> None:
    """Have every worker read a half of `array`; see what is right, and who asked for the bytes."""
    asked_from: list[int] = []

    def noted(body: Body) -> Body:
        asked_from.append(relay.serving.client.getpeername()[1])
        return body

    relay.shapers_down.add(every, noted, 1000)
    half = len(VALUES) // WORKERS
    for number, worker in enumerate(dask.scheduler_info()["workers"]):
        part = slice(number * half, (number + 1) * half)
        found = dask.compute(array[part], workers=[worker]).result(WAIT_S)
        assert np.array_equal(found.values, VALUES[part])
    relay.heal()

    owned = dask.run(ports_to, int(relay.url.rpartition(":")[2]))
    assert len(owned) == WORKERS
    assert asked_from
    assert set(asked_from) <= set().union(*owned.values()), "the client has read"
    assert all(ports & set(asked_from) for ports in owned.values())


def test_zarr(arrays: tuple[dict[str, Any], Relay], dask: Client) -> None:
    here, relay = arrays
    ds = xr.open_zarr("annex://store.zarr", storage_options=here)

    each_worker_reads(dask, relay, ds.t)


def test_several_netcdf_files(arrays: tuple[dict[str, Any], Relay], dask: Client) -> None:
    here, relay = arrays
    fs = fsspec.filesystem("annex", **here)
    files = [fs.open(name) for name in ("1.nc", "2.nc")]

    with xr.open_mfdataset(files, engine="h5netcdf", chunks={"time": 1}) as ds:
        each_worker_reads(dask, relay, ds.t)


def test_what_a_worker_cannot_have_is_told(
    arrays: tuple[dict[str, Any], Relay], dask: Client, seaweed: Endpoint
) -> None:
    here, _ = arrays
    fs = fsspec.filesystem("annex", **here)
    key = fs.info("store.zarr/t/7.0.0")["key"]
    boto3_client(seaweed).delete_object(Bucket=BUCKET, Key=key)

    with pytest.raises(ContentUnavailable, match=r"store\.zarr/t/7\.0\.0 cannot be read"):
        dask.submit(_read_there, here, "store.zarr/t/7.0.0").result(WAIT_S)


def _read_there(here: dict[str, Any], name: str) -> int:
    return len(fsspec.filesystem("annex", **here).cat_file(name))
