"""Encoder regimes: the same rows and heads, the encoder frozen or tuned on the training rows."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import product
from typing import Any

import pandas as pd

from qlmbench.report import plots
from qlmbench.report import wording as w
from qlmbench.report.load import Results, RunResults
from qlmbench.report.render import Table
from qlmbench.report.shown import Plot, Spanning
from qlmbench.report.tables import (
    best_arm,
    ends,
    main_metric,
    mean_difference,
    reference_arm,
    validation_metric,
)
from qlmbench.spec import Arm, ArmKind
from qlmbench.stats import MeanEstimate, mean_interval

PAPERS = (ArmKind.PAPER, ArmKind.AS_PUBLISHED)
REGIMES = "regimes"
"""What the names of figures and tables of regimes begin with."""


def regimes(run: RunResults, arms: dict[str, pd.DataFrame]) -> list[Spanning]:
    """Lay out each pair of settings that differ in the tuning of the encoder alone.

    It takes what `qlmbench.report.spanning.spanning_of` takes.
    """
    settings = [r for r in run.settings.values() if len(arms[r.setting])]
    found = []
    for frozen, tuned in product(settings, settings):
        if _two_regimes(frozen, tuned):
            frame = regimes_frame(frozen, tuned, arms[frozen.setting], arms[tuned.setting])
            if len(frame):
                found.append(_pair(frozen, tuned, frame))
    return found


def _two_regimes(frozen: Results, tuned: Results) -> bool:
    a, b = frozen.protocol, tuned.protocol
    # Heads that are trained otherwise would mix their own difference into that of the encoder.
    alike = ("dataset", "encoder", "split", "overrides", "tune", "grid")
    same = all(getattr(a, name) == getattr(b, name) for name in alike)
    return same and a.encoder_tuning is None and b.encoder_tuning is not None


def regimes_frame(
    frozen: Results, tuned: Results, frozen_arms: pd.DataFrame, tuned_arms: pd.DataFrame
) -> pd.DataFrame:
    """Compare every arm that both regimes have, paired by repetition.

    Returns
    -------
    DataFrame
        arm, label, kind, group, validation (frozen), frozen, frozen_low, frozen_high, tuned,
        tuned_low, tuned_high, n (pairs on the same rows), difference, low, high (tuned minus
        frozen).
    """
    metric = main_metric(frozen)
    both = frozen_arms.merge(tuned_arms, on=["arm", "label", "kind"], suffixes=("", "_tuned"))
    rows = []
    for row in both.to_dict("records"):
        pairs = _pairs(frozen, tuned, str(row["arm"]), metric)
        if pairs.empty:
            continue
        seed = frozen.seed(str(row["arm"]), "tuned encoder", metric)
        estimate = mean_interval(pairs.to_numpy(), seed=seed, what="paired differences")
        low, high = ends(estimate)
        rows.append(
            {
                "arm": row["arm"],
                "label": row["label"],
                "kind": row["kind"],
                "group": row["group"],
                "validation": row["validation"],
                **{f"frozen{end}": row[column] for end, column in _ENDS.items()},
                **{f"tuned{end}": row[f"{column}_tuned"] for end, column in _ENDS.items()},
                "n": len(pairs),
                "difference": estimate.mean,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


_ENDS = {"": "mean", "_low": "low", "_high": "high"}


def _pairs(frozen: Results, tuned: Results, arm: str, metric: str) -> pd.Series[float]:
    """Return tuned minus frozen by repetition, where both had the same rows."""
    difference = tuned.values(arm, metric) - frozen.values(arm, metric)
    return difference[difference.index.isin(frozen.same_rows(tuned))].dropna()


def _pair(frozen: Results, tuned: Results, frame: pd.DataFrame) -> Spanning:
    metric = main_metric(frozen)
    names = (frozen.protocol.title, tuned.protocol.title)
    stem = f"{REGIMES}-{frozen.setting}-{tuned.setting}"
    key = (
        "Hollow mark: frozen encoder; full mark: tuned on the training rows of the repetition, "
        "labels included, before any head saw them; thin line: 95 % interval; at the right: the "
        "paired difference."
    )
    if len(frame) > plots.MOST_ROWS:
        key += " Of a large group, the arm that is best on validation with the frozen encoder."
    plot = Plot(
        name=stem,
        title=f"Encoder frozen or tuned: {' / '.join(names)}",
        sentence=regimes_sentence(frozen, tuned, frame, metric),
        key=key,
        draw=lambda: plots.regimes_plot(frame, metric, validation_metric(frozen, metric) or metric),
    )
    return Spanning(plot, regimes_table(frame, names, stem, metric))


def regimes_table(frame: pd.DataFrame, names: tuple[str, str], stem: str, metric: str) -> Table:
    """Tabulate every arm in both regimes with the paired difference."""
    shown = [
        {
            "arm": row["label"],
            "frozen": _cell(metric, row, "frozen"),
            "tuned": _cell(metric, row, "tuned"),
            "n": str(row["n"]),
            "tuned minus frozen": w.joined(
                w.difference(metric, row["difference"]),
                w.interval(metric, row["low"], row["high"], signed=True),
            ),
        }
        for row in frame.to_dict("records")
    ]
    caption = (
        f"Mean {w.column_title(metric)}, in the settings {names[0]} (frozen) and {names[1]} "
        "(tuned), with 95 % intervals; differences are paired by repetition, on the same rows."
    )
    return Table(stem, caption, frame, pd.DataFrame(shown), ("arm",))


def _cell(metric: str, row: dict[Hashable, Any], regime: str) -> str:
    interval = w.interval(metric, row[f"{regime}_low"], row[f"{regime}_high"])
    return w.joined(w.value(metric, row[regime]), interval)


def regimes_sentence(frozen: Results, tuned: Results, frame: pd.DataFrame, metric: str) -> str:
    """Say what tuning gives the reference, and what the paper's arm has over it in each regime."""
    rows = {str(row["arm"]): row for row in frame.to_dict("records")}
    reference = reference_arm(frozen, metric)
    if reference is None or reference.name not in rows:
        mean = float(frame["difference"].mean())
        return f"Tuning the encoder moves the mean arm by {w.difference_with_unit(metric, mean)}."
    own = rows[reference.name]
    gain = float(own["difference"])
    text = (
        f"Tuning the encoder moves the reference, {w.named(reference.title)}, by "
        f"{_with_interval(metric, gain, own['low'], own['high'])}"
    )
    subject = _subject(frozen, tuned, metric, set(rows))
    if subject is None:
        return f"{text}."
    leads, clauses = [], []
    for results in (frozen, tuned):
        there = reference_arm(results, metric) or reference
        lead = mean_difference(results, subject.name, there.name, metric)
        leads.append(abs(lead.mean))
        other = "" if there == reference else w.named(there.title)
        clauses.append(_clause(results, lead, other, metric))
    text += f". {w.named(subject.title)} minus the reference is {' and '.join(clauses)}. "
    return f"{text}{_comparison(abs(gain), max(leads))}"


def _subject(frozen: Results, tuned: Results, metric: str, having: set[str]) -> Arm | None:
    """Choose the arm that the regimes are compared by: never on test, and never a control.

    It is that of a headline claim about one of the two settings, else the paper's arm that is best
    on validation with the frozen encoder.
    """
    for results in (frozen, tuned):
        for claim in results.study.claims:
            arm = results.study.arm(claim.arm)
            meant = claim.headline and results.is_meant_by(claim.setting)
            if meant and arm.name in having and arm.kind in PAPERS:
                return arm
    papers = [a for a in frozen.arms if a.kind is ArmKind.PAPER and a.name in having]
    return best_arm(frozen, papers, metric)


def _clause(results: Results, lead: MeanEstimate, other: str, metric: str) -> str:
    """Write the lead in one regime; ``other`` names a reference that differs from the first one."""
    regime = "tuned" if results.protocol.encoder_tuning else "frozen"
    text = f"{_with_interval(metric, lead.mean, *ends(lead))} with the {regime} encoder"
    return f"{text}, where the reference is {other}," if other else text


def _with_interval(metric: str, mean: float, low: float, high: float) -> str:
    interval = w.interval(metric, low, high, signed=True)
    return w.joined(w.difference_with_unit(metric, mean), interval)


def _comparison(gain: float, lead: float) -> str:
    """Say which mean is the larger one in size, and nothing beyond that."""
    if gain == lead:
        return "Both means are of one size."
    larger, smaller = ("tuning", "the arm") if gain > lead else ("the arm", "tuning")
    return f"The mean difference that {larger} makes is larger in size than that of {smaller}."
