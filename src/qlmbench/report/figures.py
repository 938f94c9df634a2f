"""The figures of one setting of a run, each with one computed sentence that says what to see."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlmbench.report import plots
from qlmbench.report import sentences as say
from qlmbench.report import wording as w
from qlmbench.report.choice import telling_arms
from qlmbench.report.load import Results
from qlmbench.report.plots.modes import KEYS
from qlmbench.report.shown import Plot
from qlmbench.report.tables import (
    higher_is_better,
    main_metric,
    quoted_value,
    ranking_frame,
    sized,
)
from qlmbench.stats import critical_difference

MOST_CURVES = 4


def plots_of(results: Results, arms: pd.DataFrame) -> list[Plot]:
    """List the figures that this setting has the records for.

    Parameters
    ----------
    results : Results
        One setting of a run.
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
        _by_arm(results, arms, metric),
        _by_modes(results, arms, metric),
        _by_parameters(arms, metric),
        _ranks(results, arms, metric),
        _curves(results, metric),
    ]
    return [plot for plot in found if plot is not None]


def _by_arm(results: Results, arms: pd.DataFrame, metric: str) -> Plot:
    published = [q for q in results.quoted if q.arm and q.metric == metric]
    quoted = {q.arm: quoted_value(q) for q in published}
    key = "Small dot: one repetition; large mark and line: mean and its 95 % interval"
    key += "; hollow diamond: the published value, quoted" if quoted else ""
    key += "; arrow: far below the others, its mean at the right."
    if len(arms) > plots.MOST_ROWS:
        key += " In the row of a large group a tick is the mean of an arm, and the large mark the"
        key += " arm of it that is best on validation."
    return Plot(
        "accuracy",
        "Every repetition of every arm",
        say.arms_sentence(arms, metric),
        key,
        lambda: plots.accuracy_by_arm(arms, results.records, quoted, metric),
    )


def modes_frame(results: Results, arms: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Select the arms of a group whose parameters name modes and photons."""
    quoted = {q.arm: quoted_value(q) for q in results.quoted if q.metric == metric}
    rows = []
    for row in arms.to_dict("records"):
        arm = results.study.arm(str(row["arm"]))
        numbers = [arm.params.get(key) for key in KEYS]
        if arm.group and all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
            published = quoted.get(arm.name, np.nan)
            space = str(arm.params.get("space", ""))
            named = dict(zip(KEYS, numbers, strict=True)) | {"quoted": published, "space": space}
            rows.append(row | named)
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    # Fock spaces of two kinds are two families, though they stand in one group.
    mixed = frame.groupby("group")["space"].transform("nunique") > 1
    frame["group"] = frame["group"].where(~mixed, frame["group"] + ", " + frame["space"])
    # A line needs two points: a group without one says nothing about modes.
    points = frame.groupby(["group", "n_photons"])["n_modes"].transform("nunique")
    return frame[points.groupby(frame["group"]).transform("max") > 1]


def _by_modes(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    frame = modes_frame(results, arms, metric)
    if frame.empty:
        return None
    reference = arms[arms["reference"]]["mean"]
    level = float(reference.iloc[0]) if len(reference) else None
    key = "Line: 95 % interval of the mean; dashed: the reference"
    key += "; hollow diamond: quoted." if frame["quoted"].notna().any() else "."
    return Plot(
        "modes",
        "Modes and photons",
        say.modes_sentence(frame, metric),
        key,
        lambda: plots.accuracy_by_modes(frame, level, metric),
    )


def _by_parameters(arms: pd.DataFrame, metric: str) -> Plot | None:
    counted = arms[sized(arms)]
    if counted.empty:
        return None
    key = (
        "Every arm with trained parameters; the best ones are labelled. Kernel machines are left "
        "out: their few coefficients go with training rows that they keep."
    )
    return Plot(
        "parameters",
        "Accuracy against parameters",
        say.parameters_sentence(counted, metric),
        key,
        lambda: plots.accuracy_by_parameters(counted, metric),
    )


def _ranks(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    scores = ranking_frame(results, metric)
    n, count = scores.shape
    if n < 2 or count < 3:
        return None
    ranks = scores.rank(axis=1, ascending=not higher_is_better(metric)).mean()
    critical = critical_difference(count, n, results.study.alpha)
    labels = dict(zip(arms["arm"], arms["label"], strict=True))
    key = "Band: Nemenyi's critical difference from the best mean rank (Demsar 2006)."
    if count > plots.MOST_RANKS:
        key += f" The best {plots.MOST_RANKS} of {w.plural(count, 'arm')} are shown."
    return Plot(
        "ranks",
        "Ranks",
        say.ranks_sentence(ranks, critical, labels),
        key,
        lambda: plots.rank_plot(arms, ranks, critical),
    )


def _curves(results: Results, metric: str) -> Plot | None:
    having = set(results.curves["arm"])
    labels = {a.name: a.title for a in telling_arms(results, metric, having, MOST_CURVES)}
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
