"""Training curves of a few arms in shared panels, as a publication would show them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report.plots.lines import DASHES, write_names
from qlmbench.spec import ArmKind

LOSSES = ("train_loss", "validation_loss")
ACCURACIES = ("train_accuracy", "validation_accuracy")
TITLES = ("Training", "Validation")
MOST_ARMS = 6
MARKS_A_LINE = 6
NAME = 0.33
"""Height of the name of an arm, of two lines, in inches."""


class Mark(NamedTuple):
    """A marker, its filling, and a character that looks like it, for the name of the line."""

    marker: str
    fill: str
    sign: str


# The first of a kind has the marker that it has in every figure; the others stay near it.
MARKS = {
    ArmKind.PAPER: (
        Mark("o", "full", "●"),
        Mark("o", "none", "○"),
        Mark("P", "full", "✚"),
        Mark("*", "full", "★"),
    ),
    ArmKind.AS_PUBLISHED: (
        Mark("s", "full", "■"),
        Mark("s", "none", "□"),
        Mark("X", "full", "✖"),
        Mark("*", "none", "☆"),
    ),
    ArmKind.BASELINE: (
        Mark("^", "full", "▲"),
        Mark("^", "none", "△"),
        Mark(">", "full", "▶"),
        Mark(">", "none", "▷"),
    ),
    ArmKind.CONTROL: (
        Mark("v", "full", "▼"),
        Mark("v", "none", "▽"),
        Mark("<", "full", "◀"),
        Mark("<", "none", "◁"),
    ),
}


@style.styled
def compared_curves(
    summary: pd.DataFrame,
    arms: Mapping[str, tuple[str, ArmKind]],
    best: Mapping[str, float],
    accuracy: str = "accuracy",
) -> Figure:
    """Draw loss above and accuracy below, training at the left and validation at the right.

    Parameters
    ----------
    summary : DataFrame
        As `qlmbench.report.plots.curves.summary_of` gives it; the band is drawn from low to high.
    arms : mapping
        Label and kind of each arm to draw, in order; more than six are hard to tell apart.
    best : mapping
        What the best possible model reaches on new rows: ``loss`` in nats and ``accuracy`` as a
        fraction; NaN where that is not known.
    accuracy : str
        Name of the lower axis, without its unit.

    Returns
    -------
    Figure
    """
    rows = [
        (LOSSES, 1.0, best["loss"], "loss, nats"),
        (ACCURACIES, 100.0, best["accuracy"], f"{accuracy}, %"),
    ]
    rows = [row for row in rows if summary["curve"].isin(row[0]).any()]
    height = max(2.35, 0.7 + NAME * len(arms))  # the names stand below one another
    figure = Figure(figsize=(style.WIDTH, 0.3 + height * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 2, sharex=True, sharey="row", squeeze=False)
    looks = _looks(arms)
    for panels, (curves, k, level, title) in zip(grid, rows, strict=True):
        for axes, curve in zip(panels, curves, strict=True):
            _panel(axes, summary[summary["curve"] == curve], looks, k)
            _best(axes, k * level, above=curves is ACCURACIES)
        panels[0].set_ylabel(title)
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    figure.canvas.draw()
    for panels, (curves, k, _, _) in zip(grid, rows, strict=True):
        shown = summary[summary["curve"] == curves[1]]
        write_names(panels[1], _names(shown, arms, looks, k), beside_panel=True)
    return figure


def _looks(arms: Mapping[str, tuple[str, ArmKind]]) -> dict[str, tuple[Mark, Any, str]]:
    """Give each arm a mark, dashes, and the colour of its kind."""
    used: dict[ArmKind, int] = {}
    looks = {}
    for arm, (_, kind) in arms.items():
        place = used[kind] = used.get(kind, -1) + 1
        marks = MARKS[kind]
        dashes = DASHES[(place + place // len(marks)) % len(DASHES)]
        looks[arm] = (marks[place % len(marks)], dashes, style.KIND_COLOUR[kind])
    return looks


def _panel(
    axes: Any, shown: pd.DataFrame, looks: dict[str, tuple[Mark, Any, str]], k: float
) -> None:
    if shown.empty:
        axes.annotate(
            "not recorded", (0.5, 0.5), xycoords="axes fraction", ha="center", color=style.MUTED
        )
    for place, (arm, (mark, dashes, colour)) in enumerate(looks.items()):
        line = shown[shown["arm"] == arm].sort_values("epoch")
        if line.empty:
            continue
        axes.fill_between(
            line["epoch"], k * line["low"], k * line["high"], color=colour, alpha=0.13, linewidth=0
        )
        step = max(1, len(line) // MARKS_A_LINE)
        axes.plot(
            line["epoch"],
            k * line["mean"],
            color=colour,
            linestyle=dashes,
            marker=mark.marker,
            fillstyle=mark.fill,
            markersize=5,
            # Marks of lines that lie on one another stand at epochs of their own.
            markevery=(place % step, step),
        )


def _best(axes: Any, level: float, *, above: bool) -> None:
    """Draw what no model can beat, named on the side where there are no curves."""
    if not math.isfinite(level):
        return
    axes.axhline(level, color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    low, high = axes.get_ylim()
    room = 0.1 * (high - low)
    axes.set_ylim(min(low, level - (not above) * room), max(high, level + above * room))
    axes.annotate(
        "best possible",
        (1.0, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2 if above else -3),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        fontsize=8,
        color=style.INK,
    )


def _names(
    shown: pd.DataFrame,
    arms: Mapping[str, tuple[str, ArmKind]],
    looks: dict[str, tuple[Mark, Any, str]],
    k: float,
) -> list[tuple[float, str, str]]:
    last = shown.sort_values("epoch").groupby("arm", observed=True)["mean"].last()
    return [
        (k * last[arm], textwrap.fill(f"{looks[arm][0].sign} {label}", 24), looks[arm][2])
        for arm, (label, _) in arms.items()
        if arm in last.index
    ]
