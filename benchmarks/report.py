"""Turn samples into medians, ratios, verdicts, two tables and a plot."""

# ruff: noqa: RUF001  (the dash and the multiplication sign are meant)

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.cases import BUILTIN, JUDGED, NULL, TOOLS, WORKS, Work

TABLES_NAME = "performance-tables.inc"  # not .rst: Sphinx would take it for a page
PLOT_NAME = "performance.svg"
COLOURS = {
    cases.S3X: "#1b6ca8",
    cases.VERIFYING: "#6fb1dd",
    cases.RCLONE: "#c98a2b",
    cases.S5CMD: "#8aa64f",
    cases.NULL: "#b5b5b5",
}
Samples = Sequence[Mapping[str, Any]]
NOTHING = "–"


@dataclass(frozen=True)
class Line:
    """What one tool did in one case: medians over the rounds."""

    tool: str
    rounds: int
    seconds: float
    fastest_s: float
    slowest_s: float
    remote_cpu_s: float
    total_cpu_s: float
    relay_cpu_s: float
    peak_rss_bytes: float  # the largest of all rounds
    growth_bytes: float
    processes: int


@dataclass(frozen=True)
class Case:
    """One direction of a work, with a line for each tool that was measured."""

    work: Work
    direction: cases.Direction
    lines: Mapping[str, Line]

    @property
    def title(self) -> str:
        """Name the case for the reader."""
        return f"{self.direction} {self.work.title}"

    def ratio(self, tool: str, to: str = BUILTIN) -> float | None:
        """Return how many times the seconds of another tool this one took."""
        if tool not in self.lines or to not in self.lines:
            return None
        return self.lines[tool].seconds / self.lines[to].seconds

    def target(self, tool: str) -> float | None:
        """Return the ratio that a tool shall not exceed."""
        targets = self.work.targets.get(self.direction, ())
        return next((target.ratio for target in targets if target.tool == tool), None)

    def verdicts(self) -> Iterator[tuple[str, str, bool]]:
        """Yield what was asked of us: tool, words, whether it is met."""
        for tool in JUDGED:
            ratio, target = self.ratio(tool), self.target(tool)
            if target is None:
                continue
            if ratio is None:
                yield tool, f"{tool}: no ratio measured, {target:.2f} × built-in wanted", False
            else:
                yield tool, f"{tool} {ratio:.2f} of {target:.2f} × built-in", ratio <= target
        if self.work.watches_memory and (line := self.lines.get(cases.S3X)):
            peak, limit = line.peak_rss_bytes, cases.MAX_RSS_BYTES
            yield cases.S3X, f"{peak / 1e6:.0f} of {limit / 1e6:.0f} MB", peak <= limit
        if self.work.watches_growth and (line := self.lines.get(cases.S3X)):
            growth, limit = line.growth_bytes, cases.MAX_GROWTH_BYTES
            yield (
                cases.S3X,
                f"grew by {growth / 1e6:.1f}, allowed {limit / 1e6:.0f} MB",
                growth <= limit,
            )


def summarize(results: Mapping[str, Any]) -> list[Case]:
    """Return the cases that were measured, in the order of the works."""
    found = []
    for work in WORKS:
        if work.name not in results["works"]:
            continue
        scaled = work.scaled_down() if results["scale"] == "small" else work
        samples = results["works"][work.name]["samples"]
        for direction in work.directions:
            lines = {
                tool: _summarize_tool(tool, mine)
                for tool in TOOLS
                if (mine := [s for s in samples if (s["tool"], s["direction"]) == (tool, direction)])
            }
            if lines:
                found.append(Case(scaled, direction, lines))
    return found


def _summarize_tool(tool: str, samples: Samples) -> Line:
    def median(name: str) -> float:
        values: list[float] = [sample[name] for sample in samples]
        return statistics.median(values)

    seconds = [sample["seconds"] for sample in samples]
    return Line(
        tool, len(samples), median("seconds"), min(seconds), max(seconds), median("remote_cpu_s"),
        median("total_cpu_s"), median("relay_cpu_s"), max(s["peak_rss_bytes"] for s in samples),
        median("growth_bytes"), max(s["processes"] for s in samples),
    )  # fmt: skip


def overview(found: Sequence[Case]) -> list[list[str]]:
    """Return the table of times, with its header: one row per case."""
    compared = [tool for tool in TOOLS if tool not in JUDGED]
    rows = [["work", *compared, *JUDGED, "s3x / built-in", "s3x / null", "target", "reached"]]
    for case in found:
        times = [_seconds(case.lines.get(tool)) for tool in (*compared, *JUDGED)]
        for number, (_, words, is_met) in enumerate(case.verdicts()):
            ratios = [_number(case.ratio(cases.S3X)), _number(case.ratio(cases.S3X, NULL))]
            first = [case.title, *times, *ratios] if number == 0 else [""] * (len(times) + 3)
            rows.append([*first, words, "yes" if is_met else "**no**"])
        if not list(case.verdicts()):
            ratios = [_number(case.ratio(cases.S3X)), _number(case.ratio(cases.S3X, NULL))]
            rows.append([case.title, *times, *ratios, NOTHING, NOTHING])
    return rows


def details(found: Sequence[Case]) -> list[list[str]]:
    """Return the table of spread, memory and CPU, with its header: one row per case and tool."""
    rows = [
        ["work", "tool", "median s", "fastest – slowest s", "× built-in", "peak RSS MB",
         "CPU s of the remote", "CPU s of all", "processes"]
    ]  # fmt: skip
    for case in found:
        rows += [
            [
                case.title,
                line.tool,
                f"{line.seconds:.2f}",
                f"{line.fastest_s:.2f} – {line.slowest_s:.2f}",
                _number(case.ratio(line.tool)),
                f"{line.peak_rss_bytes / 1e6:.0f}",
                f"{line.remote_cpu_s:.2f}",
                f"{line.total_cpu_s:.2f}",
                str(line.processes),
            ]
            for line in case.lines.values()
        ]
    return rows


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([aligned[0], "-" * len(aligned[0]), *aligned[1:]])


def write_docs(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write tables and plot into a folder; return their names."""
    found = summarize(results)
    tables, plot = folder / TABLES_NAME, folder / PLOT_NAME
    folder.mkdir(parents=True, exist_ok=True)
    text = [
        ".. Written by `make bench`; what is changed by hand is lost.\n",
        *_about(results),
        list_table("Seconds (medians), and what was asked for", overview(found)),
        list_table("Spread, memory and CPU", details(found)),
        *_about_skipped(results),
    ]
    tables.write_text("\n".join(text), encoding="utf-8")
    _plot(found, plot)
    return [tables, plot]


def _about(results: Mapping[str, Any]) -> Iterator[str]:
    for work in results["works"].values():
        machines = work["about"]
    if results["scale"] != "full":
        yield ".. warning:: Only a tenth of the data was moved: these numbers prove nothing.\n"
    yield "".join(f":{name}: {value}\n" for name, value in machines.items())


def _about_skipped(results: Mapping[str, Any]) -> Iterator[str]:
    reasons = {
        (tool, why) for work in results["works"].values() for tool, why in work["skipped"].items()
    }
    for tool, why in sorted(reasons):
        yield f"Not measured: {tool}, ``{why}``\n"


def list_table(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table for the documentation."""
    body = "".join(
        "".join(f"    {'* -' if column == 0 else '  -'} {cell}\n" for column, cell in enumerate(row))
        for row in rows
    )
    return f".. list-table:: {title}\n    :header-rows: 1\n\n{body}"


def _plot(found: Sequence[Case], path: Path) -> None:
    """Draw the times of all tools relative to built-in S3, with the targets."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    settings: Any = {"svg.hashsalt": "s3ext", "svg.fonttype": "none", "font.size": 9}
    cases_with_ratio = [case for case in found if BUILTIN in case.lines and len(case.lines) > 1]
    with pyplot.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(8.5, 0.6 + 0.62 * max(1, len(cases_with_ratio))))
        for row, case in enumerate(cases_with_ratio):
            _draw_case(axes, row, case)
        axes.axvline(1, color="#444444", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_yticks(range(len(cases_with_ratio)), [case.title for case in cases_with_ratio])
        axes.invert_yaxis()
        axes.set_xlabel("time relative to git-annex's built-in type=S3 (left is faster); | = target")
        for tool, colour in COLOURS.items():
            axes.plot([], [], color=colour, linewidth=6, label=tool)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(COLOURS), frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _draw_case(axes: Any, row: int, case: Case) -> None:
    drawn = [tool for tool in COLOURS if tool in case.lines]
    height = 0.8 / max(3, len(drawn))
    for number, tool in enumerate(drawn):
        middle = row + (number + 0.5 - len(drawn) / 2) * height
        ratio = case.ratio(tool) or 1.0
        axes.barh(middle, ratio - 1, height * 0.9, left=1, color=COLOURS[tool])
        if (target := case.target(tool)) is not None:
            axes.plot(
                [target] * 2, [middle - height, middle + height], color="#c1121f", linewidth=2, zorder=3
            )


def _seconds(line: Line | None) -> str:
    return NOTHING if line is None else f"{line.seconds:.2f}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
