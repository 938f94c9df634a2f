"""Trained models under conditions that they were not trained under: shots, noise."""

from __future__ import annotations

import pandas as pd

from qlmbench.report import plots
from qlmbench.report import wording as w
from qlmbench.report.choice import telling_arms
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.shown import Plot
from qlmbench.report.tables import default_metric, ends, main_metric
from qlmbench.spec import Arm
from qlmbench.stats import mean_interval

COLUMNS = ["condition", "value", "arm", "label", "kind", "n", "mean", "low", "high"]
COLUMNS += ["own", "change", "change_low", "change_high"]


def conditions_summary(results: Results, metric: str) -> pd.DataFrame:
    """Summarise each arm under each condition.

    Returns
    -------
    DataFrame
        condition, value, arm, label, kind, n, mean, low, high (95 % interval of the mean), own
        (the same arm's mean over the same repetitions as it was trained), change, change_low,
        change_high (paired by repetition).
    """
    scores = results.conditions
    if metric not in scores:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for arm in results.arms:
        own = scores[scores["arm"] == arm.name].dropna(subset=[metric])
        for (condition, value), found in own.groupby(["condition", "value"], sort=False):
            named = {"condition": condition, "value": value, "arm": arm.name}
            named |= {"label": arm.title, "kind": arm.kind.value}
            values = found.set_index("repetition")[metric].astype(float).sort_index()
            rows.append(named | _summary(results, arm, f"{condition} {value}", values, metric))
    return pd.DataFrame(rows, columns=COLUMNS)


def _summary(
    results: Results, arm: Arm, what: str, values: pd.Series[float], metric: str
) -> dict[str, float]:
    """Summarise the scores of one arm under one condition, by repetition."""
    seed = results.seed(arm.name, what, metric)
    trained = results.values(arm.name, metric).reindex(values.index).dropna()
    estimate = mean_interval(values.to_numpy(), seed=seed)
    change = mean_interval((values - trained).dropna().to_numpy(), seed=seed, what="changes")
    low, high = ends(estimate)
    change_low, change_high = ends(change)
    return {
        "n": estimate.n,
        "mean": estimate.mean,
        "low": low,
        "high": high,
        "own": float(trained.mean()),
        "change": change.mean,
        "change_low": change_low,
        "change_high": change_high,
    }


def conditions_metric(results: Results) -> str:
    """Return the metric of a setting, or of its task where conditions are not scored by that."""
    metric = main_metric(results)
    return metric if metric in results.conditions else default_metric(results)


def conditions_table(results: Results) -> Table:
    """Tabulate every arm under every condition beside its score as trained.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Table
        Empty where no arm was scored under other conditions.
    """
    metric = conditions_metric(results)
    data = conditions_summary(results, metric)
    shown = [
        {
            "arm": row["label"],
            "condition": condition_title(row["condition"]),
            "value": w.quantity(row["value"]),
            w.column_title(metric): w.joined(
                w.value(metric, row["mean"]), w.interval(metric, row["low"], row["high"])
            ),
            "as trained": w.value(metric, row["own"]),
            "change": w.joined(
                w.difference(metric, row["change"]),
                w.interval(metric, row["change_low"], row["change_high"], signed=True),
            ),
            "n": str(row["n"]),
        }
        for row in data.to_dict("records")
    ]
    caption = (
        "Models as they were trained, scored under other conditions, one changed at a time; mean "
        "over the repetitions with its 95 % interval. As trained: the same arm and repetitions "
        "without it; the change is paired by repetition."
    )
    return Table("conditions", caption, data, pd.DataFrame(shown), ("arm", "condition"))


def condition_title(name: str) -> str:
    """Name of a condition in running text."""
    return name.replace("_", " ")


def conditions_plots(results: Results, data: pd.DataFrame) -> list[Plot]:
    """List a figure for each condition, from `conditions_summary`."""
    return [
        _plot(results, str(condition), frame, conditions_metric(results))
        for condition, frame in data.groupby("condition", sort=False)
    ]


def _plot(results: Results, condition: str, frame: pd.DataFrame, metric: str) -> Plot:
    chosen = [arm.name for arm in telling_arms(results, metric, set(frame["arm"]))]
    shown = frame[frame["arm"].isin(chosen)]
    key = "Line: mean with its 95 % interval; dashed: the same arm as it was trained."
    if frame["arm"].nunique() > len(chosen):
        key += " A few arms, chosen on validation; the table below has all."
    return Plot(
        name=f"conditions-{condition.replace('_', '-')}",
        title=f"Under other conditions: {condition_title(condition)}",
        sentence=_sentence(shown, chosen, condition, metric),
        key=key,
        draw=lambda: plots.conditions_plot(shown, chosen, condition_title(condition), metric),
    )


def _sentence(shown: pd.DataFrame, chosen: list[str], condition: str, metric: str) -> str:
    """Say by how much each arm changes at both ends of the condition."""
    parts = []
    for arm in chosen:
        rows = shown[shown["arm"] == arm].to_dict("records")
        both = [rows[0], rows[-1]] if len(rows) > 1 else rows
        changes = [
            f"{w.difference_with_unit(metric, row['change'])} at {w.quantity(row['value'])}"
            for row in both
        ]
        parts.append(f"{w.named(rows[0]['label'])} {w.listed(changes)}")
    name = condition_title(condition)
    return f"Change with {name}, against the score as trained: {'; '.join(parts)}."
