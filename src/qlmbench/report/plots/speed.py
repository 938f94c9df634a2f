"""Lines on logarithmic axes, and commands beside a reference, for the page "How fast"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from qlmbench.report import style
from qlmbench.report.plots.labels import spread, write_at_end
from qlmbench.report.speed_results import Spread
from qlmbench.report.speed_tables import number

MOST_COLUMNS = 3
MOST_WRITTEN_OUT = 1e5
"""Largest number on a logarithmic axis that is written without a power of ten."""


@dataclass(frozen=True)
class Line:
    """One named line: a value and its spread at each x."""

    label: str
    x: tuple[float, ...]
    y: tuple[Spread, ...]


@dataclass(frozen=True)
class Panel:
    """Lines that share their axes."""

    title: str
    lines: tuple[Line, ...]
    bar: float | None = None
    """A height that is promised, drawn across."""


@style.styled
def line_panels(
    panels: Sequence[Panel],
    *,
    x: str,
    y: str,
    log_x: bool = False,
    ticks: Sequence[float] = (),
    even: float | None = None,
) -> Figure:
    """Draw lines with quartiles side by side, y logarithmic on one scale, names at the ends.

    Parameters
    ----------
    panels : sequence of Panel
        Up to three stand in one row, more in two columns.
    x, y : str
        Titles of the axes.
    log_x : bool
        Whether x is logarithmic too.
    ticks : sequence of float
        Where to put marks on x; chosen by matplotlib if empty.
    even : float, optional
        Height at which both sides are equally fast, drawn across.

    Returns
    -------
    Figure
    """
    columns = len(panels) if len(panels) <= MOST_COLUMNS else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(style.WIDTH, 0.4 + 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_yscale("log")
        if log_x:
            axes.set_xscale("log")
        elif ticks:
            axes.set_xticks(list(ticks))
        _across(axes, even, "equally fast", 2)
        _across(axes, panel.bar, f"promised: {panel.bar:.3g}" if panel.bar else "", -9)
        for place, line in enumerate(panel.lines):
            _draw(axes, line, place)
        axes.set_title(panel.title)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    _scale(grid[0, 0])
    if log_x and grid[0, 0].get_xlim()[1] < MOST_WRITTEN_OUT:
        grid[0, 0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    figure.supxlabel(x, fontsize=9, color=style.MUTED)
    figure.supylabel(y, fontsize=9, color=style.MUTED)
    figure.canvas.draw()
    for axes, panel in zip(grid.flat, panels, strict=False):
        _names(axes, panel)
    return figure


def _across(axes: Any, height: float | None, text: str, above: int) -> None:
    if height is None:
        return
    axes.axhline(height, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        text,
        (0, height),
        xycoords=("axes fraction", "data"),
        xytext=(2, above),
        textcoords="offset points",
        fontsize=8,
        color=style.MUTED,
    )


def _draw(axes: Any, line: Line, place: int) -> None:
    colour, marker = _look(place)
    axes.fill_between(
        line.x,
        [value.low for value in line.y],
        [value.high for value in line.y],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )
    medians = [value.median for value in line.y]
    axes.plot(line.x, medians, color=colour, marker=marker, markersize=5)


def _look(place: int) -> tuple[str, str]:
    count = len(style.SERIES)
    return style.SERIES[place % count], style.SERIES_MARKERS[place % count]


def _scale(axes: Any) -> None:
    """Write plain numbers; more of them where the scale spans little."""
    low, high = axes.get_ylim()
    few = np.log10(high / low) < 2
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _names(axes: Any, panel: Panel) -> None:
    """Name each line at its last point, moved apart where names would cover one another."""
    low, high = np.log10(axes.get_ylim())
    ends = [np.log10(line.y[-1].median) for line in panel.lines]
    heights = spread(ends, gap=0.085 * (high - low))
    for place, (line, height) in enumerate(zip(panel.lines, heights, strict=True)):
        write_at_end(axes, line.x[-1], 10**height, line.label, _look(place)[0])


@style.styled
def times_as_long(labels: Sequence[str], ratios: Sequence[Spread], reference: str) -> Figure:
    """Draw how many times as long commands take as a reference, with quartiles.

    Parameters
    ----------
    labels : sequence of str
        The commands, from the top.
    ratios : sequence of Spread
        The time of each, divided by the reference's.
    reference : str
        Its name; one is drawn across.

    Returns
    -------
    Figure
        On a logarithmic axis.
    """
    figure = Figure(figsize=(style.WIDTH, 0.7 + 0.38 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    heights = list(range(len(labels)))[::-1]
    axes.axvline(1, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.hlines(heights, [r.low for r in ratios], [r.high for r in ratios], color=style.SERIES[0])
    medians = [ratio.median for ratio in ratios]
    axes.plot(medians, heights, "o", color=style.SERIES[0], markersize=6)
    for median, ratio, height in zip(medians, ratios, heights, strict=True):
        write_at_end(axes, max(median, ratio.high), height, number(median))
    axes.set_yticks(heights, list(labels))
    axes.set_ylim(-0.6, len(labels) - 0.2)
    ends = [1.0, *(ratio.low for ratio in ratios), *(ratio.high for ratio in ratios)]
    axes.set_xlim(min(ends) / 1.5, 2.5 * max(ends))
    axes.annotate(
        reference,
        (1, len(labels) - 0.45),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=style.MUTED,
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"times as long as {reference}")
    return figure
