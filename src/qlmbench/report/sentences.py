"""Sentences that say what a figure or a run shows, computed from the data."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.claims import Judged, verdict_counts
from qlmbench.report.load import KIND_ORDER
from qlmbench.report.tables import sized

POINT = 0.01
"""One point of accuracy, or a hundredth of a nat."""


def verdicts_sentence(judged: list[Judged]) -> str:
    """Count the verdicts of a run: 6 claims, 1 reproduced, 3 not reproduced, 2 not run."""
    if not judged:
        return "This study declares no claims."
    parts = [f"{count} {verdict}" for verdict, count in verdict_counts(judged).items()]
    return f"{w.plural(len(judged), 'claim')}: {', '.join(parts)}."


def forest_sentence(judged: list[Judged]) -> str:
    """Say how many effects are clear of zero, and how many match the published size."""
    run = [j for j in judged if j.claim.versus is not None and j.verdict.interval is not None]
    if not run:
        return "No claim about a difference has records yet."
    clear = [j for j in run if 0.0 not in _required(j)]
    text = f"{len(clear)} of {w.plural(len(run), 'interval')} stay clear of zero"
    published = [j for j in run if j.claim.published is not None]
    if not published:
        return f"{text}."
    inside = [j for j in published if (j.claim.published or 0.0) in _required(j)]
    return f"{text}; {len(inside)} of {len(published)} published effects lie inside ours."


def _required(j: Judged) -> pd.Interval[float]:
    interval = j.verdict.interval
    if interval is None:
        raise ValueError(f"claim {j.claim.id!r} has no interval")
    return pd.Interval(interval.low, interval.high, closed="both")


def arms_sentence(arms: pd.DataFrame, metric: str, decides: str) -> str:
    """Name the best arm of each kind with its mean; best at ``decides``, a metric on validation."""
    parts = []
    for kind in KIND_ORDER:
        members = arms[(arms["kind"] == kind.value) & arms["validation"].notna()]
        if len(members):
            row = _best(members, decides)
            parts.append(f"{w.named(row['label'])} {w.with_unit(metric, row['mean'])}")
    if not parts:
        return f"{w.plural(len(arms), 'arm')} over their repetitions."
    if metric.startswith("test_"):
        return f"Best of each kind on validation, scored on test: {'; '.join(parts)}."
    by = "" if decides == metric else f", and its {w.metric_title(metric)}"
    return f"Best of each kind by {w.metric_title(decides)}{by}: {'; '.join(parts)}."


def _best(arms: pd.DataFrame, decides: str) -> dict[Hashable, Any]:
    """Return the row that is best on validation."""
    down = w.higher_is_better(decides)
    ordered = arms.sort_values("validation", ascending=not down, kind="stable")
    return ordered.to_dict("records")[0]


def modes_sentence(frame: pd.DataFrame, metric: str) -> str:
    """Say how the mean changes from the fewest to the most modes, and with photons."""
    parts = []
    for group, members in frame.groupby("group", sort=False):
        fewest = members[members["n_photons"] == members["n_photons"].min()]
        ordered = fewest.sort_values("n_modes")
        first, last = ordered.iloc[0], ordered.iloc[-1]
        photons = w.plural(int(first["n_photons"]), "photon")
        change = w.difference_with_unit(metric, float(last["mean"] - first["mean"]))
        text = (
            f"{str(group).replace('-', ' ')}, {photons}: {change} from {first['n_modes']} to "
            f"{last['n_modes']} modes"
        )
        parts.append(text + _photons_clause(members, metric))
    joined = "; ".join(parts)
    return f"{joined[:1].upper()}{joined[1:]}."


def _photons_clause(members: pd.DataFrame, metric: str) -> str:
    widest = members[members["n_modes"] == members["n_modes"].max()].sort_values("n_photons")
    if len(widest) < 2:
        return ""
    first, last = widest.iloc[0], widest.iloc[-1]
    change = w.difference_with_unit(metric, float(last["mean"] - first["mean"]))
    span = f"{first['n_photons']} to {w.plural(int(last['n_photons']), 'photon')}"
    return f", and {change} from {span} at {widest['n_modes'].iloc[0]} modes"


def parameters_sentence(arms: pd.DataFrame, metric: str, decides: str, margin: float) -> str:
    """Say how many parameters the best arm has, and which smaller arm is as good.

    Best is the one with the best ``decides``, a metric on validation; as good are those whose
    means differ by less than ``margin``, none where that is NaN.
    """
    known = arms[sized(arms) & arms["validation"].notna()]
    if known.empty:
        return "No arm has both a validation score and a parameter count."
    best = _best(known, decides)
    where = (
        "on validation" if decides.startswith("validation_") else f"by {w.metric_title(decides)}"
    )
    text = (
        f"The arm that is best {where}, {w.named(best['label'])}, trains "
        f"{w.count(best['parameters_total'])} parameters"
    )
    if np.isfinite(best["parameters_effective"]):
        text += f", {w.count(best['parameters_effective'])} of them effective"
    # The best arm itself is always within: a margin of NaN leaves it alone.
    within = known[((known["mean"] - best["mean"]).abs() <= margin) | (known["arm"] == best["arm"])]
    smallest = within.sort_values("parameters_total", kind="stable").to_dict("records")[0]
    if smallest["arm"] == best["arm"]:
        return f"{text}."
    return (
        f"{text}; {w.named(smallest['label'])} is within {w.amount(metric, margin)} of it with "
        f"{w.count(smallest['parameters_total'])}."
    )


def ranks_sentence(ranks: pd.Series[float], critical: float, labels: dict[str, str]) -> str:
    """Name the best arm by mean rank and count those that cannot be told apart from it."""
    ordered = ranks.sort_values(kind="stable")
    best = str(ordered.index[0])
    near = int((ordered <= ordered.iloc[0] + critical).sum()) - 1
    others = w.plural(near, "other arm")
    cannot = f"{others} cannot be told apart from it" if near else "no other arm is near it"
    return (
        f"{w.named(labels[best])} has the best mean rank, {ordered.iloc[0]:.1f} of {len(ordered)}; "
        f"{cannot} (critical difference {critical:.1f})."
    )


def curves_sentence(curves: pd.DataFrame, labels: dict[str, str], metric: str) -> str:
    """Say by which epoch each arm has come near its best on validation.

    That is accuracy where the metric of the setting is a share, else the loss.
    """
    curve = "validation_accuracy" if w.is_share(metric) else "validation_loss"
    sign = 1.0 if w.higher_is_better(curve) else -1.0
    parts = []
    values = curves[curves["curve"] == curve]
    for arm, label in labels.items():
        own = values[values["arm"] == arm]
        if own.empty:
            continue
        mean = sign * own.groupby("epoch")["value"].mean()
        epoch = int(mean[mean >= mean.max() - POINT].index.min())
        parts.append(f"{w.named(label)} by epoch {epoch}")
    if not parts:
        return "Losses over the epochs of the chosen configurations."
    near = f"Within {w.amount(curve, POINT)} of the best mean {w.metric_title(curve)}"
    return f"{near}: {w.listed(parts)}."
