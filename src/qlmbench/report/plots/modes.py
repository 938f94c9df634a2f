"""A metric against the number of modes, one line a number of photons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.labels import spread, write_at_edge
from qlmbench.report.plots.limits import end_at_possible, write_values

KEYS = ("n_modes", "n_photons")
MOST_COLUMNS = 2


@style.styled
def values_by_modes(arms: pd.DataFrame, reference: float | None, metric: str) -> Figure:
    """Draw the mean of each group of arms against its modes, one line a number of photons.

    Parameters
    ----------
    arms : DataFrame
        One row an arm: group, n_modes, n_photons, mean, low, high, and quoted (NaN where nothing
        was published).
    reference : float or None
        Mean of the reference, drawn across.
    metric : str
        The metric.

    Returns
    -------
    Figure
        One panel a group, with one scale.
    """
    groups = list(dict.fromkeys(arms["group"]))
    columns = min(len(groups), MOST_COLUMNS)
    lines = -(-len(groups) // columns)
    figure = Figure(figsize=(style.WIDTH, 3.4 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    panels = grid.ravel()[: len(groups)]
    for axes in grid.ravel()[len(groups) :]:
        axes.remove()
    k = w.scale(metric)
    photons = sorted(arms["n_photons"].unique())
    low, high = end_at_possible(metric, _limits(arms, reference, k))
    for axes, group in zip(panels, groups, strict=True):
        members = arms[arms["group"] == group]
        axes.set_ylim(low, high)
        if reference is not None:
            axes.axhline(k * reference, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _lines(axes, members, photons, k)
        axes.set_title(_group_title(group))
        axes.set_xticks(sorted(arms["n_modes"].unique()))
        axes.set_xlabel("modes")
        axes.tick_params(labelbottom=True)
        axes.margins(x=0.08)
        _names(axes, members, photons, k, high - low)
    if reference is not None:
        first = min(arms["n_modes"])
        panels[0].annotate(
            "reference",
            (first, k * reference),
            xytext=(-4, 3),
            textcoords="offset points",
            fontsize=8,
            color=style.MUTED,
        )
    for axes in grid[:, 0]:
        axes.set_ylabel(w.column_title(metric))
        write_values(axes.yaxis, metric)
    return figure


def _group_title(group: str) -> str:
    return group[:1].upper() + group[1:].replace("-", " ")


def _limits(arms: pd.DataFrame, reference: float | None, k: float) -> tuple[float, float]:
    columns = arms[["mean", "low", "high", "quoted"]].to_numpy(dtype=float).ravel()
    values = np.append(columns, np.nan if reference is None else reference)
    low, high = k * float(np.nanmin(values)), k * float(np.nanmax(values))
    slack = 0.06 * (high - low) or 1.0
    return low - slack, high + slack


def _lines(axes: Any, members: pd.DataFrame, photons: list[int], k: float) -> None:
    for place, photon in enumerate(photons):
        line = members[members["n_photons"] == photon].sort_values("n_modes")
        colour = style.SERIES[place % len(style.SERIES)]
        # Lines are set a little apart so that their intervals do not cover one another.
        x = line["n_modes"] + 0.07 * (place - (len(photons) - 1) / 2)
        # Arms that share both numbers differ in something else: no line leads through them.
        several = bool(line["n_modes"].duplicated().any())
        axes.plot(
            x,
            k * line["mean"],
            color=colour,
            linestyle="none" if several else "solid",
            marker=style.SERIES_MARKERS[place % len(style.SERIES_MARKERS)],
            markersize=6,
        )
        known = line["low"].notna()
        axes.vlines(x[known], k * line["low"][known], k * line["high"][known], color=colour)
        axes.plot(
            x,
            k * line["quoted"],
            linestyle="none",
            marker=style.QUOTED_MARKER,
            markersize=6.5,
            markerfacecolor="none",
            markeredgecolor=style.INK,
            markeredgewidth=1.1,
        )


def _names(axes: Any, members: pd.DataFrame, photons: list[int], k: float, height: float) -> None:
    """Name each line at its last point, moved apart where they would cover one another."""
    last = members.sort_values("n_modes").groupby("n_photons").tail(1).to_dict("records")
    heights = spread([k * row["mean"] for row in last], gap=0.062 * height)
    for row, y in zip(last, heights, strict=True):
        colour = style.SERIES[photons.index(row["n_photons"]) % len(style.SERIES)]
        write_at_edge(axes, y, w.plural(int(row["n_photons"]), "photon"), colour)
