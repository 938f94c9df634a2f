"""Accuracy against the number of parameters."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.load import KIND_ORDER
from qlmbench.report.plots.labels import label_points
from qlmbench.spec import ArmKind

PANELS = {
    "parameters_total": "all trained parameters",
    "parameters_effective": "effective parameters",
}

MOST_LABELS = 7


@style.styled
def accuracy_by_parameters(arms: pd.DataFrame, metric: str) -> Figure:
    """Draw each arm's mean against its trained parameters, and against the effective ones.

    Parameters
    ----------
    arms : DataFrame
        One row an arm, as `qlmbench.report.tables.comparison_frame` gives it; arms without
        trained parameters are left out.
    metric : str
        The metric.

    Returns
    -------
    Figure
        One panel for each of the two counts that is known. Only the best arms are
        labelled, and no label covers another.
    """
    known = {column: arms[arms[column] > 0] for column in PANELS}
    columns = [column for column in PANELS if len(known[column])] or list(PANELS)[:1]
    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    FigureCanvasAgg(figure)  # measures labels
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    k = w.scale(metric)
    for axes, column in zip(panels, columns, strict=True):
        _panel(axes, known[column], column, k)
    panels[0].set_ylabel(w.column_title(metric))
    legend = _kinds(panels[0], known[columns[0]])
    # It is wider than its panel, and would take that room from both.
    legend.set_in_layout(False)
    # The layout must be settled before labels look for room; then it stays as it is.
    figure.canvas.draw()
    figure.set_layout_engine("none")
    legend.set_in_layout(True)
    for axes, column in zip(panels, columns, strict=True):
        points = _labels(known[column], column, k)
        label_points(axes, points[:MOST_LABELS], [(x, y) for x, y, _, _ in points])
    return figure


def _panel(axes: Any, shown: pd.DataFrame, column: str, k: float) -> None:
    axes.set_xscale("log")
    for kind in KIND_ORDER:
        members = shown[shown["kind"] == kind.value]
        axes.plot(
            members[column],
            k * members["mean"],
            linestyle="none",
            marker=style.KIND_MARKER[kind],
            markersize=6.5,
            alpha=0.9,
            color=style.KIND_COLOUR[kind],
        )
    axes.set_xlabel(PANELS[column])
    axes.margins(x=0.14, y=0.08)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: w.count(x)))
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    low, high = axes.get_xlim()
    if high < 10 * low:  # less than a decade: make room for two labelled ticks
        middle = (low * high) ** 0.5
        axes.set_xlim(middle / 10, middle * 10)


def _labels(shown: pd.DataFrame, column: str, k: float) -> list[tuple[float, float, str, str]]:
    """Order the labels by importance: the best of each kind, then the others by mean."""
    ordered = shown.sort_values("mean", ascending=False)
    best = ordered.groupby("kind", sort=False).head(1)
    rest = ordered.drop(best.index)
    return [
        (row[column], k * row["mean"], row["label"], style.KIND_COLOUR[ArmKind(row["kind"])])
        for row in pd.concat([best, rest]).to_dict("records")
    ]


def _kinds(axes: Any, shown: pd.DataFrame) -> Any:
    """Name marker and colour of each kind above the axes."""
    handles = [
        axes.plot(
            [],
            [],
            linestyle="none",
            marker=style.KIND_MARKER[kind],
            color=style.KIND_COLOUR[kind],
            label=style.KIND_TITLE[kind],
        )[0]
        for kind in KIND_ORDER
        if kind.value in set(shown["kind"])
    ]
    return axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, len(handles)),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        borderaxespad=0.2,
    )
