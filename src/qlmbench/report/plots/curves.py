"""Training curves of a few arms, side by side."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report.plots.labels import spread, write_at_end

LINES = {
    "train_loss": ("training", style.MUTED, (0, (4, 2))),
    "validation_loss": ("validation", "#0b62a8", "solid"),
}
ACCURACY = "validation_accuracy"


@style.styled
def training_curves(
    curves: pd.DataFrame, labels: dict[str, str], accuracy: str = "accuracy"
) -> Figure:
    """Draw mean and spread of the curves of a few arms as small multiples.

    Parameters
    ----------
    curves : DataFrame
        arm, repetition, epoch, curve, value.
    labels : dict
        Title of each arm to draw, in order; at most six stay readable.
    accuracy : str
        Name of the lower axis, without its unit.

    Returns
    -------
    Figure
        Losses above, validation accuracy below; the band holds the middle 80 % of the
        repetitions. Epochs that fewer than half of the repetitions reached are left out.
    """
    summary = summary_of(curves[curves["arm"].isin(list(labels))])
    figure = Figure(figsize=(style.WIDTH, 3.9), layout="constrained")
    panels = figure.subplots(2, len(labels), sharex="col", sharey="row", squeeze=False)
    for column, (arm, label) in enumerate(labels.items()):
        own = summary[summary["arm"] == arm]
        _draw(panels[0, column], own, LINES, 1.0)
        _draw(panels[1, column], own, {ACCURACY: ("", "#0b62a8", "solid")}, 100.0)
        panels[0, column].set_title(_broken(label, len(labels)))
        panels[1, column].set_xlabel("epoch")
    panels[0, 0].set_ylabel("loss")
    panels[1, 0].set_ylabel(f"validation\n{accuracy}, %")
    figure.canvas.draw()
    _names(panels[0, -1], summary[summary["arm"] == list(labels)[-1]])
    return figure


def summary_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Summarise curves over the repetitions.

    Parameters
    ----------
    curves : DataFrame
        arm, repetition, epoch, curve, value.

    Returns
    -------
    DataFrame
        arm, curve, epoch, n, mean, low and high (the middle 80 %), without epochs that fewer than
        half of an arm's repetitions reached.
    """
    grouped = curves.groupby(["arm", "curve", "epoch"], observed=True)["value"]
    summary = pd.DataFrame(
        {
            "n": grouped.count(),
            "mean": grouped.mean(),
            "low": grouped.quantile(0.1),
            "high": grouped.quantile(0.9),
        }
    ).reset_index()
    most = summary.groupby("arm", observed=True)["n"].transform("max")
    return summary[2 * summary["n"] >= most]


def _draw(axes: Any, own: pd.DataFrame, lines: dict[str, Any], k: float) -> None:
    for curve, (_, colour, dashes) in lines.items():
        line = own[own["curve"] == curve]
        if line.empty:
            continue
        axes.fill_between(
            line["epoch"], k * line["low"], k * line["high"], color=colour, alpha=0.18, linewidth=0
        )
        axes.plot(line["epoch"], k * line["mean"], color=colour, linestyle=dashes)


def _names(axes: Any, own: pd.DataFrame) -> None:
    ends = []
    for curve, (name, colour, _) in LINES.items():
        line = own[own["curve"] == curve]
        if len(line):
            last = line.sort_values("epoch").iloc[-1]
            ends.append((last["epoch"], last["mean"], name, colour))
    low, high = axes.get_ylim()
    heights = spread([end[1] for end in ends], gap=0.11 * (high - low))
    for (x, _, name, colour), y in zip(ends, heights, strict=True):
        write_at_end(axes, x, y, name, colour)


def _broken(label: str, panels: int) -> str:
    """Break a title over lines, so that neighbours do not touch."""
    return textwrap.fill(label, max(12, 78 // panels))
