"""Trained models under a condition that they were not trained under."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.lines import draw_lines
from qlmbench.spec import ArmKind

WIDE = 20
"""Ratio of largest to smallest value from which on an axis is logarithmic."""


@style.styled
def conditions_plot(frame: pd.DataFrame, arms: list[str], title: str, metric: str) -> Figure:
    """Draw the mean of a few arms against the value of a condition.

    Parameters
    ----------
    frame : DataFrame
        One row an arm and value: value, arm, label, kind, mean, low, high, own (the level of the
        arm as it was trained, drawn dashed).
    arms : list of str
        The arms to draw, in order.
    title : str
        Name of the condition, with its unit where it has one.
    metric : str
        The metric.

    Returns
    -------
    Figure
        On a logarithmic axis where the values span much; values that are no numbers stand side
        by side.
    """
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    values = list(dict.fromkeys(frame["value"]))
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    places = {v: float(v) if numeric else float(i) for i, v in enumerate(values)}
    _scale(axes, [places[v] for v in values] if numeric else [])
    axes.xaxis.set_major_locator(FixedLocator(sorted(places.values())))
    axes.xaxis.set_minor_locator(NullLocator())
    names = {place: w.quantity(v) for v, place in places.items()}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.get(x, "")))
    axes.set_xlabel(title)
    axes.set_ylabel(w.column_title(metric))
    draw_lines(axes, frame.assign(x=frame["value"].map(places)), arms, "x", metric)
    for arm in arms:
        _own_level(axes, frame[frame["arm"] == arm], w.scale(metric))
    return figure


def _scale(axes: Any, values: list[float]) -> None:
    positive = [v for v in values if v > 0]
    if not positive or min(values) < 0 or max(positive) < WIDE * min(positive):
        return
    if len(positive) == len(values):
        axes.set_xscale("log")
    else:  # zero stands at the left, one step before the smallest value
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)


def _own_level(axes: Any, own: pd.DataFrame, k: float) -> None:
    level = float(own["own"].iloc[0])
    if np.isfinite(level):
        colour = style.KIND_COLOUR[ArmKind(own["kind"].iloc[0])]
        axes.axhline(k * level, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7)
        axes.annotate(
            "as trained",
            (0.0, k * level),
            xycoords=("axes fraction", "data"),
            xytext=(2, 2),
            textcoords="offset points",
            fontsize=7.5,
            color=colour,
        )
