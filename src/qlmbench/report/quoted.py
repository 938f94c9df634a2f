"""The published numbers beside ours."""

from __future__ import annotations

import math

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.tables import ends
from qlmbench.spec import Quoted
from qlmbench.stats import mean_interval


def quoted_value(quoted: Quoted) -> float:
    """Return a quoted number as a fraction: a share above 1 was printed as a percentage."""
    if w.is_share(quoted.metric) and quoted.value > 1:
        return quoted.value / 100
    return quoted.value


def quoted_table(results: Results) -> Table:
    """Tabulate the published numbers beside ours."""
    rows, shown = [], []
    for quoted in results.quoted:
        values = results.values(quoted.arm, quoted.metric) if quoted.arm else pd.Series(dtype=float)
        seed = results.seed(quoted.arm, "", quoted.metric)
        estimate = mean_interval(values.to_numpy(), seed=seed)
        mean, (low, high) = estimate.mean, ends(estimate)
        published = quoted_value(quoted)
        counts = {name: _count(results, quoted.arm, name) for name in ("total", "effective")}
        rows.append(
            {
                "method": quoted.method,
                "metric": quoted.metric,
                "quoted": published,
                "quoted_parameters": math.nan if quoted.parameters is None else quoted.parameters,
                "arm": quoted.arm,
                "n": len(values),
                "mean": mean,
                "low": low,
                "high": high,
                **{f"parameters_{name}": count for name, count in counts.items()},
                "source": quoted.source,
            }
        )
        ours = w.joined(w.value(quoted.metric, mean), w.interval(quoted.metric, low, high))
        shown.append(
            {
                "method as published": quoted.method,
                "metric": w.column_title(quoted.metric),
                "quoted": w.value(quoted.metric, published),
                "its parameters": w.count(quoted.parameters),
                "our arm": results.study.arm(quoted.arm).title if quoted.arm else w.NOTHING,
                "ours": ours,
                "our parameters": w.count(counts["total"]),
                "effective": w.count(counts["effective"]),
                "source": quoted.source,
            }
        )
    caption = (
        "Numbers quoted from the publication, which we have not verified, beside ours; a quoted "
        "share above 1 was printed as a percentage. Effective: those of our parameters that can do "
        "anything."
    )
    left = ("method as published", "metric", "our arm", "source")
    frame = pd.DataFrame(shown)
    if len(frame) and frame["metric"].nunique() == 1:
        caption = f"{frame['metric'].iloc[0].capitalize()}. {caption}"
        frame = frame.drop(columns="metric")
    return Table("quoted", caption, pd.DataFrame(rows), frame, left)


def _count(results: Results, arm: str, name: str) -> float:
    """Mean number of an arm's parameters; NaN where there is no arm or no such number."""
    values = results.values(arm, f"parameters_{name}") if arm else pd.Series(dtype=float)
    return float(values.mean()) if len(values) else math.nan
