"""The claims as a forest plot: effect, interval, margin, published value, verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.limits import write_values
from qlmbench.stats import Verdict

WIDTH = 38
"""Letters on a line of a label."""
LINE, LEAST = 0.155, 4
"""Height of a line of a label, in inches, and the lines that a row has room for at least."""


@style.styled
def forest_plot(claims: pd.DataFrame) -> Figure:
    """Draw the paired difference of each claim.

    Parameters
    ----------
    claims : DataFrame
        One row a claim, as `qlmbench.report.spanning.forest_frame` gives it.

    Returns
    -------
    Figure
        A thick line is the interval over repetitions, a thin one that over repetitions and test
        rows; the band is the margin within which arms count as equal. Claims in points, claims
        in nats and claims about each other metric have a panel each.
    """
    metrics = {m: w.difference_unit(m) or m for m in claims["metric"]}
    units = list(dict.fromkeys(metrics[m] for m in claims["metric"]))
    panels_of = [claims[[metrics[m] == unit for m in claims["metric"]]] for unit in units]
    most = max((_label(row).count("\n") + 1 for row in claims.to_dict("records")), default=0)
    height = LINE * max(most, LEAST) * len(claims) + 0.75 * len(units) + 0.2
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
    ratios = [len(rows) for rows in panels_of]
    panels = figure.subplots(len(units), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, rows in zip(panels, panels_of, strict=True):
        _panel(axes, rows)
    return figure


def _panel(axes: Any, rows: pd.DataFrame) -> None:
    metric = str(rows["metric"].iloc[0])
    k = w.scale(metric)
    axes.axvline(0, color=style.MUTED, linewidth=0.9)
    labels = []
    for place, row in enumerate(rows.to_dict("records")):
        _row(axes, place, row, k)
        labels.append(_label(row))
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", labelsize=8.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    several = rows["metric"].nunique() > 1
    title = "loss" if several and w.is_loss(metric) else w.metric_title(metric)
    axes.set_xlabel(w.with_unit_after(f"difference in {title}", w.difference_unit(metric)))
    write_values(axes.xaxis, metric)


def _label(row: dict[Hashable, Any]) -> str:
    text = textwrap.fill(row["statement"], WIDTH, max_lines=3, placeholder=" …")
    if not row["setting"]:
        return text
    setting = textwrap.fill(f"({row['setting']})", WIDTH, max_lines=2, placeholder=" …)")
    return f"{text}\n{setting}"


def _row(axes: Any, place: int, row: dict[Hashable, Any], k: float) -> None:
    margin = k * row["margin"]
    axes.fill_between(
        [-margin, margin], place - 0.38, place + 0.38, color=style.BAND, linewidth=0, zorder=0
    )
    verdict = Verdict(row["verdict"])
    colour = style.VERDICT_COLOUR[verdict]
    for low, high, width in (("rows_low", "rows_high", 1.0), ("low", "high", 3.2)):
        if np.isfinite(row[low]):
            ends = [k * row[low], k * row[high]]
            axes.plot(ends, [place, place], color=colour, linewidth=width, solid_capstyle="butt")
    if np.isfinite(row["effect"]):
        axes.plot(k * row["effect"], place, marker="o", markersize=7, color=colour)
    if np.isfinite(row["published"]):
        axes.plot(
            k * row["published"],
            place,
            marker=style.QUOTED_MARKER,
            markersize=7,
            markerfacecolor="none",
            markeredgecolor=style.INK,
            markeredgewidth=1.2,
        )
        axes.annotate(
            "published",
            (k * row["published"], place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=style.MUTED,
        )
    axes.annotate(
        f"{verdict.value.replace(' to the baseline', '')}\n{_numbers(row)}",
        (1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
    )


def _numbers(row: dict[Hashable, Any]) -> str:
    if not np.isfinite(row["effect"]):
        return "no records"
    return w.joined(
        w.difference(row["metric"], row["effect"]),
        w.interval(row["metric"], row["low"], row["high"], signed=True),
    )
