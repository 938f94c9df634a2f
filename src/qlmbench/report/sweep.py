"""Families of arms that differ in one whole number, side by side: width for width."""

from __future__ import annotations

import pandas as pd

from qlmbench.report import plots
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.shown import Plot
from qlmbench.report.tables import main_metric

SWEEP = "sweep"
"""Name of the figure."""
FEWEST_POINTS = 3


def sweep_frame(results: Results, arms: pd.DataFrame) -> pd.DataFrame:
    """Select the groups of arms that differ in one and the same argument, a whole number.

    Parameters
    ----------
    results : Results
        One setting of a run.
    arms : DataFrame
        Its comparison, as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    DataFrame
        The rows of these arms, with the columns argument and value; empty where fewer than two
        groups have at least three values of one argument.
    """
    families = []
    for group, members in arms[arms["group"] != ""].groupby("group", sort=False):
        argument, numbers = _numbers(results, [str(arm) for arm in members["arm"]])
        if len(set(numbers)) >= FEWEST_POINTS:
            found = {"arm": str(group), "label": str(group), "argument": argument}
            families.append(members.assign(**found, value=numbers))
    alike = [f for f in families if f["argument"].iloc[0] == families[0]["argument"].iloc[0]]
    return pd.concat(alike) if len(alike) > 1 else pd.DataFrame()


def _numbers(results: Results, arms: list[str]) -> tuple[str, list[int]]:
    """Return the one argument that arms differ in, and its values; none if it is no number."""
    params = [results.study.arm(arm).params for arm in arms]
    keys = {key for own in params for key in own}
    varying = [key for key in keys if len({str(own.get(key)) for own in params}) > 1]
    if len(varying) != 1:
        return "", []
    values = [own.get(varying[0]) for own in params]
    numbers = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    return varying[0], numbers if len(numbers) == len(values) else []


def sweep_plot(results: Results, arms: pd.DataFrame) -> Plot | None:
    """Draw each family's metric against the number that its arms differ in; None without two."""
    frame = sweep_frame(results, arms)
    if frame.empty:
        return None
    metric, argument = main_metric(results), str(frame["argument"].iloc[0])
    return Plot(
        SWEEP,
        f"Side by side, by {argument}",
        _sentence(frame, metric, argument),
        "Mark and line: mean and its 95 % interval.",
        lambda: plots.families(frame, argument, metric),
    )


def _sentence(frame: pd.DataFrame, metric: str, argument: str) -> str:
    """Say how far each family comes from its smallest to its largest number."""
    parts = []
    for label, members in frame.groupby("label", sort=False):
        ordered = members.sort_values("value")
        change = float(ordered["mean"].iloc[-1] - ordered["mean"].iloc[0])
        parts.append(f"{w.named(str(label))} {w.difference_with_unit(metric, change)}")
    low, high = int(frame["value"].min()), int(frame["value"].max())
    return f"From {argument} = {low} to {high}: {w.listed(parts)}."
