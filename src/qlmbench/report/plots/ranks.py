"""Mean ranks of the arms beside what can be told apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report.plots.arms import ROW
from qlmbench.spec import ArmKind

MOST_RANKS = 30


@style.styled
def rank_plot(arms: pd.DataFrame, ranks: pd.Series[float], critical: float) -> Figure:
    """Draw the mean rank of the best arms, best first, beside Nemenyi's critical difference.

    Parameters
    ----------
    arms : DataFrame
        One row an arm: arm, label, kind.
    ranks : Series
        Mean rank over the repetitions by arm, 1 is best.
    critical : float
        Mean ranks that differ by less cannot be told apart.

    Returns
    -------
    Figure
    """
    ordered = ranks.sort_values(kind="stable").iloc[:MOST_RANKS]
    kinds = {arm: ArmKind(kind) for arm, kind in zip(arms["arm"], arms["kind"], strict=True)}
    labels = dict(zip(arms["arm"], arms["label"], strict=True))
    height = ROW * (len(ordered) + 1.4) + 0.5
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
    axes = figure.subplots()
    best = float(ordered.iloc[0])
    axes.axvspan(best, best + critical, color=style.BAND, linewidth=0)
    axes.annotate(
        "not told apart from the best",
        (best, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=style.MUTED,
    )
    for place, (arm, rank) in enumerate(zip(map(str, ordered.index), ordered, strict=True)):
        kind = kinds[arm]
        axes.plot([1, rank], [place, place], color=style.GRID, linewidth=1.0)
        axes.plot(
            rank,
            place,
            marker=style.KIND_MARKER[kind],
            markersize=6.5,
            color=style.KIND_COLOUR[kind],
        )
    axes.set_yticks(range(len(ordered)), [labels[arm] for arm in ordered.index])
    for label, arm in zip(axes.get_yticklabels(), ordered.index, strict=True):
        label.set_color(style.KIND_COLOUR[kinds[arm]])
    axes.set_ylim(len(ordered) - 0.4, -0.7)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0.5, max(float(ordered.iloc[-1]), best + critical) + 0.7)
    axes.set_xlabel("mean rank over the repetitions (1 is best)")
    return figure
