"""A metric against the number of training rows."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.lines import draw_lines


@style.styled
def learning_curves(frame: pd.DataFrame, arms: list[str], metric: str) -> Figure:
    """Draw the mean of a few arms against the number of training rows, on a logarithmic axis.

    Parameters
    ----------
    frame : DataFrame
        One row a setting and arm: n_train, arm, label, kind, mean, low, high.
    arms : list of str
        The arms to draw, in order.
    metric : str
        The metric.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    sizes = sorted(frame["n_train"].unique())
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: w.count(x)))
    axes.set_xlabel("training rows")
    axes.set_ylabel(w.column_title(metric))
    draw_lines(axes, frame, arms, "n_train", metric)
    return figure
