"""One row an arm: its repetitions, its mean with interval, its rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.load import KIND_ORDER
from qlmbench.spec import ArmKind

ROW = 0.235
"""Height of a row in inches."""


@style.styled
def accuracy_by_arm(
    arms: pd.DataFrame, records: pd.DataFrame, quoted: dict[str, float], metric: str
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

    Returns
    -------
    Figure
    """
    rows = _grouped(arms)
    figure, axes = _rows_figure(rows)
    k = w.scale(metric)
    _reference_line(axes, arms, k)
    for place, row in rows.items():
        if isinstance(row, str):
            continue
        kind = ArmKind(row["kind"])
        trials = records[records["arm"] == row["arm"]].dropna(subset=[metric])
        offsets = _offsets(trials["repetition"].to_numpy(dtype=float))
        axes.plot(
            k * trials[metric],
            place + offsets,
            linestyle="none",
            marker="o",
            markersize=3,
            alpha=0.38,
            markeredgewidth=0,
            color=style.KIND_COLOUR[kind],
        )
        _mean_with_interval(axes, place, row, k)
        if row["arm"] in quoted:
            _quoted_mark(axes, k * quoted[row["arm"]], place, k * row["mean"])
    if quoted:
        axes.margins(x=0.15)  # room for the word beside the outermost diamond
    _values_at_the_right(axes, rows, metric)
    axes.set_xlabel(w.column_title(metric))
    return figure


def _grouped(arms: pd.DataFrame) -> dict[float, Any]:
    """Place the arms from top to bottom by kind; a title row stands before each kind."""
    rows: dict[float, Any] = {}
    place = 0.0
    for kind in KIND_ORDER:
        members = arms[arms["kind"] == kind.value]
        if members.empty:
            continue
        rows[place] = style.KIND_TITLE[kind]
        for row in members.to_dict("records"):
            place += 1.0
            rows[place] = row
        place += 1.5
    return rows


def _rows_figure(rows: dict[float, Any]) -> tuple[Figure, Any]:
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
            f"best baseline: {row['label']}",
            (k * row["mean"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.MUTED,
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


def _quoted_mark(axes: Any, x: float, place: float, mean: float) -> None:
    side = -1 if x < mean else 1  # the word stands away from the repetitions
    axes.plot(
        x,
        place,
        marker=style.QUOTED_MARKER,
        markersize=6.5,
        markerfacecolor="none",
        markeredgecolor=style.INK,
        markeredgewidth=1.2,
    )
    axes.annotate(
        "quoted",
        (x, place),
        xytext=(7 * side, 0),
        textcoords="offset points",
        ha="right" if side < 0 else "left",
        va="center",
        fontsize=7.5,
        color=style.MUTED,
    )


def _values_at_the_right(axes: Any, rows: dict[float, Any], metric: str) -> None:
    for place, row in rows.items():
        if isinstance(row, str):
            continue
        axes.annotate(
            w.value(metric, row["mean"]),
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=style.INK,
        )


@style.styled
def rank_plot(arms: pd.DataFrame, ranks: pd.Series[float], critical: float) -> Figure:
    """Draw the mean rank of each arm, best first, beside Nemenyi's critical difference.

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
    ordered = ranks.sort_values(kind="stable")
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
