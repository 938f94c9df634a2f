"""A metric against the number of parameters."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.load import KIND_ORDER
from qlmbench.report.plots.arms import LARGE
from qlmbench.report.plots.labels import along, label_points
from qlmbench.report.plots.limits import far_worse, spans_much, write_values
from qlmbench.spec import ArmKind

PANELS = {
    "parameters_total": "all trained parameters",
    "parameters_effective": "effective parameters",
}

MOST_LABELS = 7
FILLS = ("full", "none", "top", "left")


@dataclass(frozen=True)
class Family:
    """Arms that look alike."""

    kind: ArmKind
    fill: str
    arms: set[str]

    @property
    def marker(self) -> dict[str, Any]:
        """How its arms are drawn."""
        return {
            "linestyle": "none",
            "marker": style.KIND_MARKER[self.kind],
            "markersize": 6.5,
            "color": style.KIND_COLOUR[self.kind],
            "fillstyle": self.fill,
        }


@style.styled
def values_by_parameters(arms: pd.DataFrame, metric: str, front: Collection[str] = ()) -> Figure:
    """Draw each arm's mean against its trained parameters, and against the effective ones.

    Parameters
    ----------
    arms : DataFrame
        One row an arm, as `qlmbench.report.tables.comparison_frame` gives it; arms without
        trained parameters are left out.
    metric : str
        The metric.
    front : collection of str
        Names of the arms on the Pareto front of all trained parameters: ringed, joined by steps
        and labelled first.

    Returns
    -------
    Figure
        One panel for each of the two counts that is known. Only the best arms are
        labelled, and no label covers another.
    """
    logarithmic = spans_much(arms["mean"], metric)
    near = arms if logarithmic else arms[~far_worse(arms["mean"], arms["kind"], metric)]
    families = _families(near)
    known = {column: near[near[column] > 0] for column in PANELS}
    columns = [column for column in PANELS if len(known[column])] or list(PANELS)[:1]
    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    FigureCanvasAgg(figure)  # measures labels
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    k = w.scale(metric)
    for axes, column in zip(panels, columns, strict=True):
        _panel(axes, known[column], column, families, k)
    if logarithmic:
        panels[0].set_yscale("log")
    panels[0].set_ylabel(w.column_title(metric))
    write_values(panels[0].yaxis, metric)
    steps = _front(panels[0], known[columns[0]], columns[0], front, k)
    legend = _legend(panels[0], families)
    if len(near) < len(arms):
        _say_left_out(panels[0], len(arms) - len(near), near["mean"], metric)
    # It is wider than its panel, and would take that room from both.
    legend.set_in_layout(False)
    # The layout must be settled before labels look for room; then it stays as it is.
    figure.canvas.draw()
    figure.set_layout_engine("none")
    legend.set_in_layout(True)
    for axes, column in zip(panels, columns, strict=True):
        points = _labels(known[column], column, metric, front)
        marks = [(x, y) for x, y, _, _ in points]
        marks += along(axes, steps) if axes is panels[0] else []
        label_points(axes, points[:MOST_LABELS], marks, axes.texts[:])
    return figure


def _families(arms: pd.DataFrame) -> dict[str, Family]:
    """Give each kind a marker and colour, and each of a kind's large groups a filling."""
    families: dict[str, Family] = {}
    for kind in KIND_ORDER:
        members = arms[arms["kind"] == kind.value]
        sizes = members[members["group"] != ""].groupby("group", sort=False).size()
        # There are few fillings: the largest groups get them, in the order of the study.
        most = sizes[sizes > LARGE].nlargest(len(FILLS) - 1).index
        large = [group for group in sizes.index if group in most] if len(sizes) > 1 else []
        rest = members[~members["group"].isin(large)]
        if len(rest):
            families[style.KIND_TITLE[kind]] = Family(kind, "full", set(rest["arm"]))
        for place, group in enumerate(large):
            name = f"{style.KIND_TITLE[kind]}: {group.replace('-', ' ')}"
            # The first group is full only where no single arms of the kind are.
            fill = FILLS[(place + (len(rest) > 0)) % len(FILLS)]
            families[name] = Family(kind, fill, set(members[members["group"] == group]["arm"]))
    return families


def _panel(
    axes: Any, shown: pd.DataFrame, column: str, families: dict[str, Family], k: float
) -> None:
    axes.set_xscale("log")
    for family in families.values():
        members = shown[shown["arm"].isin(family.arms)]
        axes.plot(members[column], k * members["mean"], alpha=0.9, **family.marker)
    axes.set_xlabel(PANELS[column])
    axes.margins(x=0.14, y=0.08)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: w.count(x)))
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    low, high = axes.get_xlim()
    if high < 10 * low:  # less than a decade: make room for two labelled ticks
        middle = (low * high) ** 0.5
        axes.set_xlim(middle / 10, middle * 10)


def _front(
    axes: Any, shown: pd.DataFrame, column: str, front: Collection[str], k: float
) -> list[tuple[float, float]]:
    """Ring the arms on the front, and draw the best mean for so many parameters as steps.

    Returns the corners of the steps.
    """
    members = shown[shown["arm"].isin(front)].sort_values(column)
    if members.empty:
        return []
    points = list(zip(members[column], k * members["mean"], strict=True))
    end = axes.get_xlim()[1]
    bends = [((right, y), (right, below)) for (_, y), (right, below) in pairwise(points)]
    corners = [points[0], *(corner for bend in bends for corner in bend), (end, points[-1][1])]
    axes.plot(*zip(*corners, strict=True), color=style.INK, linewidth=1.0, dashes=(4, 2), zorder=1)
    axes.plot(
        *zip(*points, strict=True), linestyle="none", marker="o", markersize=12, fillstyle="none",
        color=style.INK, markeredgewidth=1.0,
    )  # fmt: skip
    axes.set_xlim(right=end)
    return corners


def _labels(
    shown: pd.DataFrame, column: str, metric: str, front: Collection[str]
) -> list[tuple[float, float, str, str]]:
    """Order the labels by importance: the front, the best of each kind, the others by mean."""
    k = w.scale(metric)
    ordered = shown.sort_values("mean", ascending=not w.higher_is_better(metric))
    on_front, best = ordered["arm"].isin(front), ~ordered.duplicated("kind")
    by_importance = [ordered[on_front], ordered[best & ~on_front], ordered[~best & ~on_front]]
    return [
        (row[column], k * row["mean"], row["label"], style.KIND_COLOUR[ArmKind(row["kind"])])
        for row in pd.concat(by_importance).to_dict("records")
    ]


def _legend(axes: Any, families: dict[str, Family]) -> Any:
    """Name marker, colour and filling of each family above the axes."""
    handles = [
        axes.plot([], [], label=name, **family.marker)[0] for name, family in families.items()
    ]
    return axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(4, len(handles))),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        borderaxespad=0.2,
    )


def _say_left_out(axes: Any, n: int, shown: pd.Series[float], metric: str) -> None:
    if w.is_share(metric):
        limit = f"below {100 * shown.min():.0f} %"
    elif w.higher_is_better(metric):
        limit = f"below {w.with_unit(metric, shown.min())}"
    else:
        limit = f"above {w.with_unit(metric, shown.max())}"
    axes.annotate(
        f"{w.plural(n, 'arm')} far {limit} not shown",
        (0.0, 0.0),
        xycoords="axes fraction",
        xytext=(4, 4),
        textcoords="offset points",
        fontsize=8,
        color=style.MUTED,
    )
