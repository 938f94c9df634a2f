"""Families of arms against the number that their arms differ in."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.lines import draw_lines


@style.styled
def families(frame: pd.DataFrame, argument: str, metric: str) -> Figure:
    """Draw the mean of each family against a number.

    Parameters
    ----------
    frame : DataFrame
        One row an arm: arm (the family), label, kind, value (the number), mean, low, high.
    argument : str
        What the number is.
    metric : str
        The metric.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xticks(sorted(frame["value"].unique()))
    axes.set_xlabel(argument)
    axes.set_ylabel(w.column_title(metric))
    draw_lines(axes, frame, list(dict.fromkeys(frame["arm"])), "value", metric)
    return figure
