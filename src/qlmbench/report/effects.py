"""Main effects of a design: what each factor does on average over all others.

A group of arms is a design where at least three of their arguments vary and every pair of levels
of any two of these occurs equally often, as in a full factorial or an orthogonal array. Then the
mean over the arms at a level is free of the other factors' main effects.
"""

from __future__ import annotations

import json
import math
from itertools import combinations

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.tables import ends, main_metric
from qlmbench.spec import Arm, Value
from qlmbench.stats import mean_interval

LEAST_FACTORS = 3


def effects_table(results: Results) -> Table:
    """Tabulate the main effects of every group of arms that is a design.

    The metric is that of the setting. Empty where no group is a balanced design over three
    factors or more.
    """
    metric = main_metric(results)
    data = pd.DataFrame(
        [row for group, arms in designs(results).items() for row in _rows(results, arms, metric)]
    )
    shown = [
        {
            "group": row["group"],
            "factor": row["factor"],
            "level": row["level"],
            "arms": str(row["arms"]),
            w.column_title(metric): w.value(metric, row["mean"]),
            "to the first level": w.joined(
                w.difference(metric, row["difference"]),
                w.interval(metric, row["low"], row["high"], signed=True),
            ),
        }
        for row in data.to_dict("records")
    ]
    caption = (
        "Mean over all arms at a level and over the repetitions. Differences to the factor's first "
        "level are paired by repetition, after averaging over the arms, with 95 % intervals over "
        "repetitions. Every pair of levels of two factors occurs equally often. Factors bear the "
        "names of the model's arguments."
    )
    caption += "".join(
        f" {_saturation(group, arms)}"
        for group, arms in designs(results).items()
        if is_saturated(arms)
    )
    frame = pd.DataFrame(shown)
    if len(frame) and frame["group"].nunique() == 1:
        frame = frame.drop(columns="group")
    return Table("effects", caption, data, frame, ("group", "factor", "level"))


def designs(results: Results) -> dict[str, list[Arm]]:
    """Return the groups of arms that are balanced designs over at least three factors."""
    groups: dict[str, list[Arm]] = {}
    for arm in results.arms:
        if arm.group:
            groups.setdefault(arm.group, []).append(arm)
    return {group: arms for group, arms in groups.items() if is_design(arms)}


def is_design(arms: list[Arm]) -> bool:
    """Whether three arguments or more vary, and each pair of their levels is equally frequent."""
    table = _levels(arms)
    return len(table.columns) >= LEAST_FACTORS and all(
        _balanced(table, a, b) for a, b in combinations(table.columns, 2)
    )


def is_saturated(arms: list[Arm]) -> bool:
    """Whether a balanced design of two-level factors has one run more than factors, and no spare.

    Each main effect then stands for interactions of two other factors as well (resolution III;
    Plackett and Burman 1946, doi:10.1093/biomet/33.4.305).
    """
    table = _levels(arms)
    return bool((table.nunique() == 2).all()) and len(table) == len(table.columns) + 1


def _saturation(group: str, arms: list[Arm]) -> str:
    factors = len(_levels(arms).columns)
    return (
        f"The design {group.replace('-', ' ')} is saturated, {w.plural(len(arms), 'arm')} for "
        f"{factors} factors of two levels: each main effect is confounded with interactions of two "
        "other factors, and is that of its factor alone only where there are none."
    )


def _balanced(table: pd.DataFrame, a: str, b: str) -> bool:
    counts = pd.crosstab(table[a], table[b]).to_numpy()
    return bool((counts == counts.flat[0]).all())


def _levels(arms: list[Arm]) -> pd.DataFrame:
    """Return the arguments that vary, one column a factor, one row an arm, as text."""
    keys = dict.fromkeys(key for arm in arms for key in arm.params)
    shared = [key for key in keys if all(key in arm.params for arm in arms)]
    if len(shared) < len(keys):  # an argument that some arms lack is no factor, and no constant
        return pd.DataFrame()
    table = pd.DataFrame(
        {key: [_text(arm.params[key]) for arm in arms] for key in shared},
        index=[arm.name for arm in arms],
    )
    return table.loc[:, table.nunique() > 1]


def _text(value: Value) -> str:
    return json.dumps(value) if isinstance(value, list) else w.number(value)


def _rows(results: Results, arms: list[Arm], metric: str) -> list[dict[str, str | float]]:
    table = _levels(arms)
    scores = pd.concat({arm.name: results.values(arm.name, metric) for arm in arms}, axis=1)
    # A repetition that lacks an arm would shift the means of that arm's levels alone.
    scores = scores.dropna()
    rows: list[dict[str, str | float]] = []
    for factor in table.columns:
        by_level = {
            level: scores[table.index[table[factor] == level]].mean(axis=1)
            for level in dict.fromkeys(table[factor])
        }
        first = next(iter(by_level.values()))
        for level, means in by_level.items():
            row = {
                "group": arms[0].group,
                "factor": factor,
                "level": level,
                "arms": int((table[factor] == level).sum()),
                "n": len(means),
                "mean": float(means.mean()),
            }
            rows.append(row | _difference(results, means, first, f"{factor} {level}", metric))
    return rows


def _difference(
    results: Results, means: pd.Series[float], first: pd.Series[float], what: str, metric: str
) -> dict[str, str | float]:
    if means is first:
        return {"difference": math.nan, "low": math.nan, "high": math.nan}
    estimate = mean_interval(
        (means - first).to_numpy(),
        seed=results.seed(what, "first level", metric),
        what="paired differences",
    )
    low, high = ends(estimate)
    return {"difference": estimate.mean, "low": low, "high": high}


def effects_sentence(data: pd.DataFrame, metric: str) -> str:
    """Name the largest main effect, and count those whose interval is clear of zero."""
    known = data.dropna(subset=["difference"])
    if known.empty:
        return "No repetition has every arm of the design."
    row = known.iloc[int(known["difference"].abs().to_numpy().argmax())]
    first = data[(data["group"] == row["group"]) & (data["factor"] == row["factor"])].iloc[0]
    effect = w.joined(
        w.difference_with_unit(metric, row["difference"]),
        w.interval(metric, row["low"], row["high"], signed=True),
    )
    clear = int(((known["low"] > 0) | (known["high"] < 0)).sum())
    return (
        f"The largest main effect is that of {row['factor']}, {row['level']} against "
        f"{first['level']}: {effect}. {clear} of {w.plural(len(known), 'interval')} stay clear of "
        "zero, not corrected for their number."
    )
