"""Lines of a few arms with intervals, named at their ends."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.labels import inside, spread, write_at_edge
from qlmbench.report.plots.limits import end_at_possible, write_values
from qlmbench.spec import ArmKind

DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))
"""Arms of one kind share a colour and a marker; the dashes tell them apart."""


def draw_lines(axes: Any, frame: pd.DataFrame, arms: list[str], x: str, metric: str) -> None:
    """Draw the mean of each arm with its interval against a column, and name the lines.

    Parameters
    ----------
    axes : Axes
        Its scale must be set.
    frame : DataFrame
        arm, label, kind, mean, low, high and the column ``x``, numeric.
    arms : list of str
        The arms in order.
    x : str
        The column.
    metric : str
        The metric.
    """
    k = w.scale(metric)
    shifts = _shifts(axes, frame[x], len(arms))
    used: dict[ArmKind, int] = {}
    names = []
    for arm, shift in zip(arms, shifts, strict=True):
        own = frame[frame["arm"] == arm].sort_values(x)
        kind = ArmKind(own["kind"].iloc[0])
        place = used[kind] = used.get(kind, -1) + 1
        at = own[x] * shift if axes.get_xscale() == "log" else own[x] + shift
        axes.plot(
            at,
            k * own["mean"],
            color=style.KIND_COLOUR[kind],
            linestyle=DASHES[place % len(DASHES)],
            marker=style.KIND_MARKER[kind],
            markersize=6,
        )
        known = np.isfinite(own["low"].to_numpy(dtype=float))
        axes.vlines(
            at[known],
            k * own["low"][known],
            k * own["high"][known],
            color=style.KIND_COLOUR[kind],
            linewidth=1.2,
        )
        name = textwrap.fill(str(own["label"].iloc[-1]), 22)
        names.append((k * own["mean"].iloc[-1], name, style.KIND_COLOUR[kind]))
    axes.set_ylim(end_at_possible(metric, axes.get_ylim()))
    write_values(axes.yaxis, metric)
    write_names(axes, names)


def _shifts(axes: Any, x: pd.Series[float], n: int) -> list[float]:
    """Set lines a little apart, so that their intervals do not cover one another."""
    steps = np.arange(n) - (n - 1) / 2
    if axes.get_xscale() == "log":
        return list(np.exp(0.012 * np.log(x.max() / x.min()) * steps))
    return list(0.008 * (x.max() - x.min()) * steps)


def write_names(
    axes: Any, names: list[tuple[float, str, str]], *, beside_panel: bool = False
) -> None:
    """Write names of lines to the right of the axes, moved apart where they would touch.

    Parameters
    ----------
    axes : Axes
        Its limits must be final.
    names : list of tuple
        Height in data units, text of one or more lines, colour.
    beside_panel : bool
        Keep them between the lower and the upper end of the axes, for others stand above or below.
    """
    if not names:
        return
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height / axes.get_figure().dpi
    lines = max(name.count("\n") + 1 for _, name, _ in names)
    gap = 0.155 * lines * (high - low) / height
    heights = spread([y for y, _, _ in names], gap=gap)
    if beside_panel:
        heights = inside(heights, gap, low + gap / 2, high - gap / 2)
    for (_, name, colour), y in zip(names, heights, strict=True):
        write_at_edge(axes, y, name, colour)
