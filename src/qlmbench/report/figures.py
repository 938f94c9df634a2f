"""The figures of one run, each with one computed sentence that says what to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qlmbench.report import plots
from qlmbench.report import sentences as say
from qlmbench.report.claims import Judged, forest_frame
from qlmbench.report.details import paper_arm
from qlmbench.report.load import Results
from qlmbench.report.plots.modes import KEYS
from qlmbench.report.tables import (
    best_baseline,
    higher_is_better,
    main_metric,
    quoted_value,
    ranking_frame,
)
from qlmbench.spec import ArmKind
from qlmbench.stats import critical_difference

MOST_CURVES = 4


@dataclass(frozen=True)
class Plot:
    """A figure that is drawn when it is needed, with its words."""

    name: str
    """Short name: part of the file name."""
    title: str
    sentence: str
    """What to see, computed from the records."""
    key: str
    """How to read it: marks, bands, intervals."""
    draw: Callable[[], Figure]


def plots_of(results: Results, judged: list[Judged], arms: pd.DataFrame) -> list[Plot]:
    """List the figures that this run has the records for.

    Parameters
    ----------
    results : Results
        One run.
    judged : list of Judged
        Its claims.
    arms : DataFrame
        Its comparison, as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    list of Plot
        In the order of the page.
    """
    metric = main_metric(results)
    if arms.empty:
        return []
    found = [
        _forest(judged),
        _by_arm(results, arms, metric),
        _by_modes(results, arms, metric),
        _by_parameters(arms, metric),
        _ranks(results, arms, metric),
        _curves(results, metric),
    ]
    return [plot for plot in found if plot is not None]


def _forest(judged: list[Judged]) -> Plot | None:
    frame = forest_frame(judged)
    if frame.empty:
        return None
    key = (
        "Dot: mean paired difference; thick line: 95 % interval over repetitions; thin line: over "
        "repetitions and test rows; band: the margin within which two arms count as equal; "
        "hollow diamond: the published effect."
    )
    sentence = say.forest_sentence(judged)
    return Plot("claims", "The claims", sentence, key, lambda: plots.forest_plot(frame))


def _by_arm(results: Results, arms: pd.DataFrame, metric: str) -> Plot:
    published = [q for q in results.study.quoted if q.arm and q.metric == metric]
    quoted = {q.arm: quoted_value(q) for q in published}
    key = "Small dot: one repetition; large mark and line: mean and its 95 % interval"
    key += "; hollow diamond: the published value, quoted." if quoted else "."
    return Plot(
        "accuracy",
        "Every repetition of every arm",
        say.arms_sentence(arms, metric),
        key,
        lambda: plots.accuracy_by_arm(arms, results.records, quoted, metric),
    )


def modes_frame(results: Results, arms: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Select the arms of a group whose parameters name modes and photons."""
    quoted = {q.arm: quoted_value(q) for q in results.study.quoted if q.metric == metric}
    rows = []
    for row in arms.to_dict("records"):
        arm = results.study.arm(str(row["arm"]))
        numbers = [arm.params.get(key) for key in KEYS]
        if arm.group and all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
            published = quoted.get(arm.name, np.nan)
            rows.append(row | dict(zip(KEYS, numbers, strict=True)) | {"quoted": published})
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    # A line needs two points: groups with one number of modes say nothing about modes.
    several = frame.groupby("group")["n_modes"].transform("nunique") > 1
    return frame[several]


def _by_modes(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    frame = modes_frame(results, arms, metric)
    if frame.empty:
        return None
    reference = arms[arms["reference"]]["mean"]
    level = float(reference.iloc[0]) if len(reference) else None
    key = "Line: 95 % interval of the mean; dashed: the best baseline"
    key += "; hollow diamond: quoted." if frame["quoted"].notna().any() else "."
    return Plot(
        "modes",
        "Modes and photons",
        say.modes_sentence(frame, metric),
        key,
        lambda: plots.accuracy_by_modes(frame, level, metric),
    )


def _by_parameters(arms: pd.DataFrame, metric: str) -> Plot | None:
    if not (arms["parameters_total"] > 0).any():
        return None
    key = "Every arm with trained parameters; the best ones are labelled."
    return Plot(
        "parameters",
        "Accuracy against parameters",
        say.parameters_sentence(arms, metric),
        key,
        lambda: plots.accuracy_by_parameters(arms, metric),
    )


def _ranks(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    scores = ranking_frame(results, metric)
    n, count = scores.shape
    if n < 2 or count < 3:
        return None
    ranks = scores.rank(axis=1, ascending=not higher_is_better(metric)).mean()
    critical = critical_difference(count, n, results.study.alpha)
    labels = dict(zip(arms["arm"], arms["label"], strict=True))
    return Plot(
        "ranks",
        "Ranks",
        say.ranks_sentence(ranks, critical, labels),
        "Band: Nemenyi's critical difference from the best mean rank (Demsar 2006).",
        lambda: plots.rank_plot(arms, ranks, critical),
    )


def _curves(results: Results, metric: str) -> Plot | None:
    labels = _curve_arms(results, metric)
    if not labels:
        return None
    chosen = results.curves[results.curves["arm"].isin(list(labels))]
    key = "Line: mean over the repetitions; band: their middle 80 %."
    return Plot(
        "curves",
        "Training curves",
        say.curves_sentence(chosen, labels),
        key,
        lambda: plots.training_curves(chosen, labels),
    )


def _curve_arms(results: Results, metric: str) -> dict[str, str]:
    """Choose a few arms with curves: the paper's, then the best on validation of each kind."""
    having = set(results.curves["arm"])
    first = paper_arm(results, metric)
    best = best_baseline(results, metric)
    candidates = [arm for arm in (first, best) if arm is not None]
    for kind in (ArmKind.AS_PUBLISHED, ArmKind.BASELINE, ArmKind.CONTROL):
        members = [a for a in results.arms if a.kind is kind and not a.shuffle_labels]
        with_curves = [arm for arm in members if arm.name in having]
        same = [a for a in with_curves if first is not None and a.params == first.params]
        candidates += same or with_curves
    chosen = {arm.name: arm.title for arm in candidates if arm.name in having}
    kinds: dict[str, ArmKind] = {}
    for name in chosen:
        kind = results.study.arm(name).kind
        if list(kinds.values()).count(kind) < (2 if kind is ArmKind.CONTROL else 1):
            kinds[name] = kind
    return {name: chosen[name] for name in list(kinds)[:MOST_CURVES]}
