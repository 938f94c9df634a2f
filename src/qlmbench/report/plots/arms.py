"""One row an arm: its repetitions, its mean with interval, its rank."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.load import KIND_ORDER
from qlmbench.report.plots.labels import write_at_edge
from qlmbench.report.plots.limits import end_at_possible, far_worse, spans_much, write_values
from qlmbench.spec import ArmKind

ROW = 0.235
"""Height of a row in inches."""


MOST_ROWS = 30
"""With more arms than this, large groups share a row each."""
LARGE = 6


@style.styled
def values_by_arm(
    arms: pd.DataFrame,
    records: pd.DataFrame,
    quoted: dict[str, float],
    metric: str,
    decides: str,
    best: float = np.nan,
) -> Figure:
    """Draw each arm's repetitions as dots, its mean with interval, and the quoted value.

    Parameters
    ----------
    arms : DataFrame
        One row an arm, as `qlmbench.report.tables.comparison_frame` gives it.
    records : DataFrame
        One row a trial, with ``arm``, ``repetition`` and the metric.
    quoted : dict
        Published value by arm.
    metric : str
        The metric; its values are drawn in percent where it is a share.
    decides : str
        The metric on validation that says which arm of a group is best.
    best : float
        What the best possible model reaches, drawn across; NaN where that is not known.

    Returns
    -------
    Figure
        With many arms, the arms of a large group are ticks in one row, with the mean and interval
        of the one that is best on validation. Arms far worse than all others are arrows at the
        edge. Times that span much stand on a logarithmic axis.
    """
    rows = grouped(arms, decides, collapse=len(arms) > MOST_ROWS)
    figure, axes = rows_figure(rows)
    k = w.scale(metric)
    shown = {place: row for place, row in rows.items() if not isinstance(row, str)}
    logarithmic = spans_much(arms["mean"], metric)
    worse = set() if logarithmic else set(_arms_far_worse(arms, metric))
    beyond = {place: row for place, row in shown.items() if row["arm"] in worse}
    _reference_line(axes, arms, k)
    if np.isfinite(best):
        _best_line(axes, k * best)
    for place, row in shown.items():
        if place not in beyond:
            _arm_row(axes, place, row, arms, records, metric)
            marks = sorted(quoted[a] for a in row.get("members", [row["arm"]]) if a in quoted)
            for value in marks:
                _quoted_mark(axes, k * value, place)
            if marks:
                _quoted_word(axes, k * marks[0], k * marks[-1], place, k * row["mean"])
    if quoted:
        axes.margins(x=0.15)  # room for the word beside the outermost diamond
    if logarithmic:
        axes.set_xscale("log")
    else:
        axes.set_xlim(end_at_possible(metric, axes.get_xlim()))
    write_values(axes.xaxis, metric)
    arrows_at_the_edge(axes, beyond, right=not w.higher_is_better(metric))
    _values_at_the_right(axes, rows, metric)
    axes.set_xlabel(w.column_title(metric))
    return figure


def _arm_row(
    axes: Any,
    place: float,
    row: dict[str, Any],
    arms: pd.DataFrame,
    records: pd.DataFrame,
    metric: str,
) -> None:
    k = w.scale(metric)
    colour = style.KIND_COLOUR[ArmKind(row["kind"])]
    if "members" in row:
        means = k * arms[arms["arm"].isin(row["members"])]["mean"]
        axes.plot(
            means, [place] * len(means), linestyle="none", marker="|", markersize=9, color=colour
        )
    else:
        trials = records[records["arm"] == row["arm"]].dropna(subset=[metric])
        axes.plot(
            k * trials[metric],
            place + _offsets(trials["repetition"].to_numpy(dtype=float)),
            linestyle="none",
            marker="o",
            markersize=3,
            alpha=0.38,
            markeredgewidth=0,
            color=colour,
        )
    _mean_with_interval(axes, place, row, k)


def _arms_far_worse(arms: pd.DataFrame, metric: str) -> pd.Series[str]:
    return arms["arm"][far_worse(arms["mean"], arms["kind"], metric)]


def arrows_at_the_edge(axes: Any, beyond: dict[float, dict[str, Any]], right: bool = False) -> None:
    """Draw an arrow to the left, or to the right, for each row that lies beyond the axis."""
    axes.set_xlim(axes.get_xlim())
    for place, row in beyond.items():
        axes.plot(
            0.988 if right else 0.012,
            place,
            transform=axes.get_yaxis_transform(),
            marker=">" if right else "<",
            markersize=6.5,
            color=style.KIND_COLOUR[ArmKind(row["kind"])],
        )


def grouped(arms: pd.DataFrame, decides: str, collapse: bool = False) -> dict[float, Any]:
    """Place the arms from top to bottom by kind; a title row stands before each kind.

    Parameters
    ----------
    arms : DataFrame
        One row an arm: arm, label, kind; to collapse, also group and validation.
    decides : str
        The metric of the column ``validation``, which says whether higher is better.
    collapse : bool
        Whether large groups share a row: that of the arm that is best on validation, with the
        names of all as ``members``.

    Returns
    -------
    dict
        By height, a title or a row of ``arms``.
    """
    rows: dict[float, Any] = {}
    place = 0.0
    for kind in KIND_ORDER:
        members = arms[arms["kind"] == kind.value]
        if members.empty:
            continue
        rows[place] = style.KIND_TITLE[kind]
        for row in _collapsed(members, decides) if collapse else members.to_dict("records"):
            place += 1.0
            rows[place] = row
        place += 1.5
    return rows


def _collapsed(arms: pd.DataFrame, decides: str) -> list[dict[Hashable, Any]]:
    sizes = arms.groupby("group")["arm"].transform("size")
    large = (arms["group"] != "") & (sizes > LARGE)
    rows = arms[~large].to_dict("records")
    for group, members in arms[large].groupby("group", sort=False):
        ordered = members.sort_values(
            "validation", ascending=not w.higher_is_better(decides), kind="stable"
        )
        best = ordered.to_dict("records")[0]
        name = str(group).replace("-", " ")
        best["label"] = f"{name[:1].upper()}{name[1:]}, {len(members)} arms"
        best["members"] = list(members["arm"])
        rows.append(best)
    return rows


def rows_figure(rows: dict[float, Any]) -> tuple[Figure, Any]:
    """Make a figure with a named row for each place, titles bold; see `grouped`."""
    last = max(rows, default=0.0)
    figure = Figure(figsize=(style.WIDTH, ROW * (last + 1.6) + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.set_ylim(last + 0.8, -0.7)
    axes.grid(axis="y", visible=False)
    axes.set_yticks(list(rows), [r if isinstance(r, str) else r["label"] for r in rows.values()])
    for label, row in zip(axes.get_yticklabels(), rows.values(), strict=True):
        if isinstance(row, str):
            label.set_fontweight("bold")
            kind = next(k for k, title in style.KIND_TITLE.items() if title == row)
            label.set_color(style.KIND_COLOUR[kind])
    return figure, axes


def _offsets(repetitions: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """Spread dots of a row up and down, evenly and by repetition, so that equal ones show."""
    return 0.52 * ((repetitions * 0.618034) % 1.0 - 0.5)


def _reference_line(axes: Any, arms: pd.DataFrame, k: float) -> None:
    for row in arms[arms["reference"]].to_dict("records"):
        axes.axvline(k * row["mean"], color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            f"reference: {row['label']}",
            (k * row["mean"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.MUTED,
        )


def _best_line(axes: Any, x: float) -> None:
    """Draw what no model can beat; its name stands at the foot."""
    axes.axvline(x, color=style.INK, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        "best possible",
        (x, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 3),
        textcoords="offset points",
        fontsize=8,
        color=style.INK,
    )


def _mean_with_interval(axes: Any, place: float, row: dict[str, Any], k: float) -> None:
    kind = ArmKind(row["kind"])
    colour = style.KIND_COLOUR[kind]
    if np.isfinite(row["low"]):
        axes.plot(
            [k * row["low"], k * row["high"]],
            [place, place],
            color=colour,
            linewidth=2.2,
            solid_capstyle="butt",
        )
    axes.plot(k * row["mean"], place, marker=style.KIND_MARKER[kind], markersize=6.5, color=colour)


def _quoted_mark(axes: Any, x: float, place: float) -> None:
    axes.plot(
        x,
        place,
        marker=style.QUOTED_MARKER,
        markersize=6.5,
        markerfacecolor="none",
        markeredgecolor=style.INK,
        markeredgewidth=1.2,
    )


def _quoted_word(axes: Any, lowest: float, highest: float, place: float, mean: float) -> None:
    """Write the word once a row, away from the repetitions."""
    left = highest < mean
    axes.annotate(
        "quoted",
        (lowest if left else highest, place),
        xytext=(-7 if left else 7, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=7.5,
        color=style.MUTED,
    )


def _values_at_the_right(axes: Any, rows: dict[float, Any], metric: str) -> None:
    for place, row in rows.items():
        if isinstance(row, str):
            continue
        write_at_edge(axes, place, w.value(metric, row["mean"]), style.INK, gap=6)
