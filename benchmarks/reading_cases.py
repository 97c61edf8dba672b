"""What is read, by whom, and what is asked of us; and medians of what was measured."""

# ruff: noqa: RUF001  (the multiplication sign is one)

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import GIB, MAX_RSS_BYTES, MIB
from benchmarks.reading_scene import Sizes

OURS, S3FS, BARE, GET = "datalad-s3ext", "s3fs", "bare GET", "datalad get"
SIZES = {
    "full": Sizes(large_bytes=5 * GIB, summed_bytes=GIB, files=100_000, times=100),
    "small": Sizes(large_bytes=32 * MIB, summed_bytes=16 * MIB, files=1000, times=60),
}
UNITS = {
    "seconds": ("s", 1, 3),
    "bytes_down": ("MB", 1e6, 2),
    "requests": ("requests", 1, 0),
    "data_requests": ("data requests", 1, 0),
    "peak_rss_bytes": ("MB of memory", 1e6, 0),
}
"""Of each measure: its name, what one of it is, and how many places it is shown with."""


@dataclass(frozen=True)
class Target:
    """The most that may be measured of us: a number, or so many times what another tool has."""

    measure: str
    limit: float
    to: str | None = None


@dataclass(frozen=True)
class Case:
    """One read."""

    name: str
    title: str  # {large} and {summed} are sizes, {files} is a number
    tools: tuple[str, ...]
    targets: tuple[Target, ...]

    def title_of(self, sizes: Mapping[str, Any]) -> str:
        """Return the title with the sizes that were used."""
        return self.title.format(
            large=_size(sizes["large_bytes"]), summed=_size(sizes["summed_bytes"]), files=sizes["files"]
        )


def _like_s3fs(name: str, title: str) -> Case:
    targets = (Target("bytes_down", 1.1, S3FS), Target("seconds", 1.1, S3FS))
    return Case(name, title, (OURS, S3FS), targets)


def _middle(name: str, how: str) -> Case:
    targets = (
        Target("data_requests", 1),
        Target("seconds", 1.2, BARE),
        Target("peak_rss_bytes", MAX_RSS_BYTES),
    )
    return Case(name, f"1 MiB of {{large}}, {how}", (OURS, BARE), targets)


def _sum(name: str, network: str) -> Case:
    title = f"md5sum of {{summed}} through the mount, {network}"
    return Case(name, title, (OURS, GET), (Target("seconds", 2.0, GET),))


CASES = (
    _like_s3fs("zarr", "Zarr store, all"),
    _like_s3fs("netcdf-slice", "NetCDF-4 file, 5 % of the times"),
    _like_s3fs("netcdf-whole", "NetCDF-4 file, all"),
    _middle("middle-cat", "cat_file"),
    _middle("middle-open", "open, seek, read"),
    Case(
        "list", "ls -lR of {files} files in the mount", (OURS,),
        (Target("requests", 0), Target("seconds", 10)),
    ),
    _sum("md5sum-relay", "relay"),
    _sum("md5sum-loopback", "loopback"),
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One measured read; None is what was not looked at."""

    case: str
    tool: str
    round: int
    seconds: float
    bytes_down: int | None = None
    requests: int | None = None
    data_requests: int | None = None
    peak_rss_bytes: int | None = None


class Medians:
    """What one run has found."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._samples: Sequence[Mapping[str, Any]] = results["samples"]
        self._sizes: Mapping[str, Any] = results["sizes"]

    def of(self, case: Case, tool: str, measure: str) -> float | None:
        """Return the median over the rounds; of memory the largest."""
        found = [
            sample[measure]
            for sample in self._samples
            if (sample["case"], sample["tool"]) == (case.name, tool) and sample[measure] is not None
        ]
        if not found:
            return None
        return max(found) if measure == "peak_rss_bytes" else statistics.median(found)

    def cases(self) -> Iterator[Case]:
        """Yield what was measured, in order."""
        measured = {sample["case"] for sample in self._samples}
        return (case for case in CASES if case.name in measured)

    def title(self, case: Case) -> str:
        """Return a case's title."""
        return case.title_of(self._sizes)

    def verdict(self, case: Case, target: Target) -> tuple[str, bool]:
        """Return in words what was reached of what was asked, and whether it is met."""
        unit, one, places = UNITS[target.measure]
        mine = self.of(case, OURS, target.measure)
        if target.to is None:
            words = f"of {target.limit / one:g} {unit}"
            value, shown = mine, "" if mine is None else f"{mine / one:.{places}f}"
        else:
            words = f"of {target.limit:g} × {target.to} ({unit})"
            other = self.of(case, target.to, target.measure)
            value = None if mine is None or not other else mine / other
            shown = "" if value is None else f"{value:.2f}"
        if value is None:
            return f"not measured, {words.removeprefix('of ')} wanted", False
        return f"{shown} {words}", value <= target.limit

    def overview(self) -> list[list[str]]:
        """Return the table of what was asked, with its header: one row per target."""
        rows = [["read", "reached", "met"]]
        for case in self.cases():
            for number, target in enumerate(case.targets):
                words, is_met = self.verdict(case, target)
                title = "" if number else self.title(case)
                rows.append([title, words, "yes" if is_met else "**no**"])
        return rows

    def details(self) -> list[list[str]]:
        """Return the table of medians, with its header: one row per case and tool."""
        rows = [
            ["read", "with", "rounds", "seconds", "fastest – slowest", "MB", "requests", "memory MB"]
        ]
        for case in self.cases():
            for tool in case.tools:
                seconds = self._seconds(case, tool)
                if not seconds:
                    continue
                counted = ("bytes_down", "requests", "peak_rss_bytes")
                rows.append([
                    self.title(case), tool, str(len(seconds)), f"{statistics.median(seconds):.3f}",
                    f"{min(seconds):.3f} – {max(seconds):.3f}",
                    *(self._shown(case, tool, name) for name in counted),
                ])  # fmt: skip
        return rows

    def _seconds(self, case: Case, tool: str) -> list[float]:
        return [s["seconds"] for s in self._samples if (s["case"], s["tool"]) == (case.name, tool)]

    def _shown(self, case: Case, tool: str, measure: str) -> str:
        value = self.of(case, tool, measure)
        _, one, places = UNITS[measure]
        return "–" if value is None else f"{value / one:.{places}f}"


def _size(count: int) -> str:
    return f"{count / GIB:g} GiB" if count >= GIB else f"{count / MIB:g} MiB"
