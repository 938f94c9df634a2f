"""The same arms with a frozen and with a tuned encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.plots.arms import MOST_ROWS, arrows_at_the_edge, grouped, rows_figure
from qlmbench.report.plots.labels import write_at_edge
from qlmbench.report.plots.limits import end_at_possible, far_worse, write_values
from qlmbench.spec import ArmKind
from qlmbench.stats.wording import MINUS

APART = 0.16
"""Distance of the two intervals from the middle of their row."""


@style.styled
def regimes_plot(arms: pd.DataFrame, metric: str, decides: str) -> Figure:
    """Draw each arm as a hollow mark (frozen) joined to a full one (tuned).

    Parameters
    ----------
    arms : DataFrame
        One row an arm, as `qlmbench.report.regimes.regimes_frame` gives it.
    metric : str
        The metric.
    decides : str
        The metric on validation that says which arm of a group is best.

    Returns
    -------
    Figure
    """
    rows = grouped(arms, decides, collapse=len(arms) > MOST_ROWS)
    figure, axes = rows_figure(rows)
    k = w.scale(metric)
    regimes = arms[["frozen", "tuned"]]
    better = regimes.max(axis=1) if w.higher_is_better(metric) else regimes.min(axis=1)
    worse = set(arms["arm"][far_worse(better, arms["kind"], metric)])
    beyond = {}
    for place, row in rows.items():
        if isinstance(row, str):
            continue
        _difference(axes, place, row, metric)
        if row["arm"] in worse:
            beyond[place] = row
        else:
            _row(axes, place, row, k)
    axes.set_xlim(end_at_possible(metric, axes.get_xlim()))
    write_values(axes.xaxis, metric)
    arrows_at_the_edge(axes, beyond, right=not w.higher_is_better(metric))
    axes.set_xlabel(w.column_title(metric))
    axes.annotate(
        f"tuned {MINUS} frozen",
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(6, 3),
        textcoords="offset points",
        fontsize=8,
        color=style.MUTED,
    )
    return figure


def _row(axes: Any, place: float, row: dict[str, Any], k: float) -> None:
    kind = ArmKind(row["kind"])
    colour = style.KIND_COLOUR[kind]
    axes.plot(
        [k * row["frozen"], k * row["tuned"]],
        [place, place],
        color=colour,
        linewidth=2.4,
        alpha=0.35,
    )
    for regime, side in (("frozen", -APART), ("tuned", APART)):
        ends = [k * row[f"{regime}_low"], k * row[f"{regime}_high"]]
        if np.isfinite(ends).all():
            axes.plot(ends, [place + side] * 2, color=colour, linewidth=0.9)
    axes.plot(
        k * row["frozen"],
        place,
        marker=style.KIND_MARKER[kind],
        markersize=6.5,
        markerfacecolor="none",
        markeredgecolor=colour,
        markeredgewidth=1.4,
    )
    axes.plot(k * row["tuned"], place, marker=style.KIND_MARKER[kind], markersize=6.5, color=colour)


def _difference(axes: Any, place: float, row: dict[str, Any], metric: str) -> None:
    write_at_edge(axes, place, w.difference(metric, row["difference"]), style.INK, gap=6)
