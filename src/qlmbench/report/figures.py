"""The figures of one setting of a run, each with one computed sentence that says what to see."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlmbench.report import plots
from qlmbench.report import sentences as say
from qlmbench.report import wording as w
from qlmbench.report.choice import telling_arms
from qlmbench.report.gallery import gallery_plot
from qlmbench.report.load import Results
from qlmbench.report.pareto import front_sentence, weighed
from qlmbench.report.plots.modes import KEYS
from qlmbench.report.quoted import quoted_value
from qlmbench.report.shown import Plot
from qlmbench.report.sweep import sweep_plot
from qlmbench.report.tables import (
    best_of,
    main_metric,
    margin_of,
    ranking_frame,
    sized,
    validation_metric,
)
from qlmbench.report.training import accuracy_title, attention_plot, comparison_plot
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
        gallery_plot(results),
        comparison_plot(results),
        sweep_plot(results, arms),
        _by_modes(results, arms, metric),
        _by_parameters(results, arms, metric),
        _ranks(results, arms, metric),
        _curves(results, metric),
        attention_plot(results),
    ]
    return [plot for plot in found if plot is not None]


def by_arm_name(results: Results) -> str:
    """Return the name of the figure that has a row for every arm: that of its metric."""
    return w.without_role(main_metric(results)).replace("_", "-")


def _by_arm(results: Results, arms: pd.DataFrame, metric: str) -> Plot:
    published = [q for q in results.quoted if q.arm and q.metric == metric]
    quoted = {q.arm: quoted_value(q) for q in published}
    key = "Small dot: one repetition; large mark and line: mean and its 95 % interval"
    key += "; hollow diamond: the published value, quoted" if quoted else ""
    best, decides = best_of(results, metric), validation_metric(results, metric) or metric
    key += "; dotted: the best possible" if np.isfinite(best) else ""
    far = "below" if w.higher_is_better(metric) else "above"
    key += f"; arrow: far {far} the others, its mean at the right."
    if len(arms) > plots.MOST_ROWS:
        key += " In the row of a large group a tick is the mean of an arm, and the large mark the"
        key += " arm of it that is best on validation."
    return Plot(
        by_arm_name(results),
        "Every repetition of every arm",
        say.arms_sentence(arms, metric, decides),
        key,
        lambda: plots.values_by_arm(arms, results.records, quoted, metric, decides, best),
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
        lambda: plots.values_by_modes(frame, level, metric),
    )


def _by_parameters(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    counted = arms[sized(arms)]
    if counted.empty:
        return None
    key = "Every arm with trained parameters; the best ones are labelled."
    if (arms["parameters_total"] > 0).sum() > len(counted):
        key += (
            " Kernel machines are left out: their few coefficients go with training rows that "
            "they keep."
        )
    decides = validation_metric(results, metric) or metric
    sentence = say.parameters_sentence(counted, metric, decides, margin_of(results, metric))
    known = weighed(results, arms)
    front = known.loc[known["front"].astype(bool), "arm"].tolist()
    if front:
        key += " Rings and steps: the Pareto front, the best mean for so many trained parameters."
        sentence += f" {front_sentence(known)}"
    return Plot(
        "parameters",
        f"{w.sentence_case(w.metric_title(w.without_role(metric)))} against parameters",
        sentence,
        key,
        lambda: plots.values_by_parameters(counted, metric, front),
    )


def _ranks(results: Results, arms: pd.DataFrame, metric: str) -> Plot | None:
    scores = ranking_frame(results, metric)
    n, count = scores.shape
    if n < 2 or count < 3:
        return None
    ranks = scores.rank(axis=1, ascending=not w.higher_is_better(metric)).mean()
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
        say.curves_sentence(chosen, labels, metric),
        key,
        lambda: plots.training_curves(chosen, labels, accuracy_title(results)),
    )
