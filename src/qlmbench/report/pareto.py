"""Quality weighed against trained parameters: the Pareto front, and who dominates whom."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.tables import ends, main_metric, mean_difference, sized

PARAMETERS = "parameters_total"
MOST_NAMES = 4


def weighed(results: Results, arms: pd.DataFrame) -> pd.DataFrame:
    """Select the arms that are weighed against their parameters.

    Parameters
    ----------
    results : Results
        One setting of a run.
    arms : DataFrame
        Its comparison, as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    DataFrame
        Those whose number of parameters says how large they are, fewest parameters first, with
        the column ``front``. Nothing where the setting does not ask for it.
    """
    if arms.empty or not results.protocol.pareto:
        return arms.iloc[:0].assign(front=[])
    shuffled = [arm.name for arm in results.arms if arm.shuffle_labels]
    known = arms[sized(arms) & arms["mean"].notna() & ~arms["arm"].isin(shuffled)]
    metric = main_metric(results)
    known = known.assign(front=on_front(known[PARAMETERS], known["mean"], metric))
    better = [True, not w.higher_is_better(metric)]
    return known.sort_values([PARAMETERS, "mean"], ascending=better, kind="stable")


def on_front(parameters: pd.Series[float], means: pd.Series[float], metric: str) -> pd.Series[bool]:
    """Say of each arm whether it is on the Pareto front of the means.

    An arm is, where no other has at most as many parameters and at least as good a mean, unless
    it has the same of both.

    Parameters
    ----------
    parameters, means : Series
        One value an arm.
    metric : str
        The metric of the means, which says what is better.
    """
    size = parameters.to_numpy(dtype=float)
    quality = (1.0 if w.higher_is_better(metric) else -1.0) * means.to_numpy(dtype=float)
    no_larger, no_worse = size[:, None] <= size, quality[:, None] >= quality
    better = (size[:, None] < size) | (quality[:, None] > quality)
    return pd.Series(~(no_larger & no_worse & better).any(axis=0), index=means.index)


def dominance_table(results: Results, arms: pd.DataFrame) -> Table:
    """Tabulate which arms are dominated for sure, and by whom.

    An arm is dominated where another one has at most as many trained parameters and is better,
    with a paired interval that excludes zero.

    Parameters
    ----------
    results : Results
        One setting of a run.
    arms : DataFrame
        Its comparison, as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    Table
        Fewest parameters first. Empty where the setting does not ask for it.
    """
    metric, known = main_metric(results), weighed(results, arms)
    if known.empty:
        return Table("pareto", "", pd.DataFrame(), pd.DataFrame())
    found = _dominators(results, known, metric)
    rows = [_row(row, found) for row in known.to_dict("records")]
    labels = dict(zip(known["arm"], known["label"], strict=True))
    shown = [
        {
            "arm": f"**{row['label']}**" if row["front"] else row["label"],
            "parameters": w.count(row["parameters"]),
            w.column_title(metric): w.value(metric, row["mean"]),
            "dominated by": _by(row, labels),
            w.with_unit_after("difference", w.difference_unit(metric)): _difference(row, metric),
            "dominates": w.count(row["dominates"]),
        }
        for row in rows
    ]
    less = "" if w.higher_is_better(metric) else " Less is better."
    caption = (
        "Fewest trained parameters first; bold: on the Pareto front of the means. An arm is "
        "dominated by another that has at most as many trained parameters and is better, the 95 % "
        "interval of their paired difference clear of zero; intervals are not corrected for the "
        "number of pairs. Named is the one whose difference is clearest; dominates: how many arms."
        f"{less} Kernel machines and arms on shuffled labels are left out."
    )
    data, frame = pd.DataFrame(rows), pd.DataFrame(shown)
    return Table("pareto", caption, data, frame, ("arm", "dominated by"))


def _dominators(results: Results, known: pd.DataFrame, metric: str) -> pd.DataFrame:
    """List the pairs of which one dominates the other: who, whom, difference, low, high."""
    sign = 1.0 if w.higher_is_better(metric) else -1.0
    names, size = known["arm"].tolist(), known[PARAMETERS].to_numpy(dtype=float)
    pairs = []
    for i, j in np.argwhere(size[:, None] <= size):
        gain = results.values(names[i], metric) - results.values(names[j], metric)
        if not sign * gain.mean() > 0.0:
            continue
        estimate = mean_difference(results, names[i], names[j], metric)
        low, high = ends(estimate)
        sure = min(sign * low, sign * high)
        if sure > 0.0:
            pairs.append((names[i], names[j], estimate.mean, low, high, sure))
    return pd.DataFrame(pairs, columns=["who", "whom", "difference", "low", "high", "sure"])


def _row(row: dict[Hashable, Any], found: pd.DataFrame) -> dict[str, Any]:
    over = found[found["whom"] == row["arm"]].sort_values("sure", ascending=False, kind="stable")
    clearest = over.to_dict("records")[0] if len(over) else {}
    return {
        "arm": row["arm"],
        "label": row["label"],
        "parameters": row[PARAMETERS],
        "mean": row["mean"],
        "front": row["front"],
        "dominated_by": clearest.get("who", ""),
        "dominators": len(over),
        **{key: clearest.get(key, math.nan) for key in ("difference", "low", "high")},
        "dominates": int((found["who"] == row["arm"]).sum()),
    }


def _by(row: dict[str, Any], labels: dict[str, str]) -> str:
    if not row["dominators"]:
        return "none" if row["front"] else "none for sure"
    others = row["dominators"] - 1
    label = labels[row["dominated_by"]]
    return f"{w.named(label)} and {w.plural(others, 'other')}" if others else label


def _difference(row: dict[str, Any], metric: str) -> str:
    interval = w.interval(metric, row["low"], row["high"], signed=True)
    return w.joined(w.difference(metric, row["difference"]), interval)


def front_sentence(known: pd.DataFrame) -> str:
    """Count the arms on the front, and name them where they are few.

    It takes what `weighed` gives.
    """
    front = known[known["front"]]
    of = f"{len(front)} of {w.plural(len(known), 'arm')} with trained parameters"
    names = f": {'; '.join(map(w.named, front['label']))}" if len(front) <= MOST_NAMES else ""
    return f"On the Pareto front of the means {'is' if len(front) == 1 else 'are'} {of}{names}."
