"""Array libraries read a data set whose content is in the bucket only, and fetch no more than they use."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import numpy as np
import pytest
import xarray as xr

from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.units import KIB
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex]
VALUES = np.random.default_rng(1).standard_normal((20, 200, 100)).astype("f4")


@pytest.fixture(scope="module")
def arrays(
    seaweed: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AnnexRepo, Relay, str]]:
    """Return a data set with a Zarr store and a NetCDF-4 file, a relay, and the name of the bucket."""
    repo = AnnexRepo.create(tmp_path_factory.mktemp("arrays") / "repo")
    ds = xr.Dataset({"t": (("time", "x", "y"), VALUES)}, coords={"time": np.arange(20)})
    chunks = (2, 100, 100)
    ds.to_zarr(repo.path / "store.zarr", zarr_format=2, encoding={"t": {"chunks": chunks}})
    ds.to_netcdf(repo.path / "file.nc", engine="h5netcdf", encoding={"t": {"chunksizes": chunks}})
    repo.annex("add", ".")
    repo.run("git", "commit", "-q", "-m", "arrays")
    bucket = "arrays-of-the-tests"
    with Relay(seaweed.url) as relay:
        repo.init_s3x(seaweed.at(relay.url), bucket)
        repo.annex("move", "--all", "--to", "s3")
        yield repo, relay, bucket


def test_zarr(arrays: tuple[AnnexRepo, Relay, str]) -> None:
    repo, relay, _ = arrays
    relay.requests.clear()
    relay.bytes_down = 0
    here = {"repo": str(repo.path)}

    ds = xr.open_zarr("annex://store.zarr", storage_options=here, chunks=None)
    assert np.array_equal(ds.t[4:6].values, VALUES[4:6])

    assert len(relay.requests) == 1 + 2  # the coordinate and two chunks; the metadata are in git
    assert relay.bytes_down < VALUES[4:6].nbytes + 64 * KIB


def test_netcdf(arrays: tuple[AnnexRepo, Relay, str]) -> None:
    repo, relay, _ = arrays
    relay.requests.clear()
    relay.bytes_down = 0
    fs = fsspec.filesystem("annex", repo=str(repo.path))

    with fs.open("file.nc") as file:
        ds = xr.open_dataset(file, engine="h5netcdf")
        assert np.array_equal(ds.t.values, VALUES)

    assert relay.bytes_down < fs.size("file.nc") + 64 * KIB


def test_a_chunk_that_cannot_be_had_is_no_missing_chunk(
    arrays: tuple[AnnexRepo, Relay, str], seaweed: Endpoint
) -> None:
    repo, _, bucket = arrays
    fs = fsspec.filesystem("annex", repo=str(repo.path))
    boto3_client(seaweed).delete_object(Bucket=bucket, Key=fs.info("store.zarr/t/9.0.0")["key"])

    ds = xr.open_zarr("annex://store.zarr", storage_options={"repo": str(repo.path)}, chunks=None)
    with pytest.raises(ContentUnavailable, match=r"store\.zarr/t/9\.0\.0 cannot be read"):
        ds.t[18:20].load()
