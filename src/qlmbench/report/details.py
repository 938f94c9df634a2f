"""The tables below the comparison: controls, tuning, parameters, cost, environment, failures."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.report import wording as w
from qlmbench.report.load import VALIDATION_ACCURACY, Results
from qlmbench.report.render import Table
from qlmbench.report.tables import (
    best_arm,
    ends,
    higher_is_better,
    main_metric,
    mean_difference,
    reference_arm,
    validation_minus_test,
)
from qlmbench.spec import Arm, ArmKind, Study
from qlmbench.stats import mean_interval, paired_difference

POINT = 0.01
"""Differences below one point of accuracy count as equal, as in the claims."""


def paper_arm(results: Results, metric: str) -> Arm | None:
    """Return the arm that controls are set against: that of a claim, where it has records.

    Claims about this setting come first, of these the headline; without any, it is the paper's arm
    that is best on validation.
    """
    present = {arm.name for arm in results.arms}
    claims = sorted(
        results.study.claims,
        key=lambda claim: (not results.is_meant_by(claim.setting), not claim.headline),
    )
    for claim in claims:
        if claim.arm in present and results.study.arm(claim.arm).kind is ArmKind.PAPER:
            return results.study.arm(claim.arm)
    papers = [arm for arm in results.arms if arm.kind is ArmKind.PAPER]
    return best_arm(results, papers, metric) or next(iter(papers), None)


def controls_table(results: Results) -> Table:
    """Tabulate each control: the explanation that it tests, and what is left of the gain over it.

    The metric is that of the headline claim. Empty where no control has records.
    """
    metric = main_metric(results)
    subject = paper_arm(results, metric)
    rows = [_control_row(results, arm, subject, metric) for arm in _controls(results)]
    shown = [
        {
            "control": row["label"],
            "explanation that it tests": row["tests"],
            w.column_title(metric): w.value(metric, float(row["mean"])),
            "paper's arm over it": w.joined(
                w.difference(metric, float(row["difference"])),
                w.interval(metric, float(row["low"]), float(row["high"]), signed=True),
            ),
            "reading": row["reading"],
        }
        for row in rows
    ]
    name = subject.title if subject else "none"
    caption = (
        f"The paper's arm here is {name.rstrip('.')}. Its lead over each control is the mean "
        "paired difference with its 95 % interval, not corrected for the number of controls. An "
        "explanation stands where a control is better, or equal within a point (equivalence test)."
    )
    left = ("control", "explanation that it tests", "reading")
    return Table("controls", caption, pd.DataFrame(rows), pd.DataFrame(shown), left)


def _controls(results: Results) -> list[Arm]:
    return [arm for arm in results.arms if arm.kind is ArmKind.CONTROL]


def _control_row(
    results: Results, arm: Arm, subject: Arm | None, metric: str
) -> dict[str, str | float]:
    mean = float(results.values(arm.name, metric).mean())
    row: dict[str, str | float] = {
        "arm": arm.name,
        "label": arm.title,
        "tests": arm.tests or w.NOTHING,
        "mean": mean,
        "difference": math.nan,
        "low": math.nan,
        "high": math.nan,
        "reading": "",
    }
    if subject is not None:
        estimate = mean_difference(results, subject.name, arm.name, metric)
        low, high = ends(estimate)
        row |= {"difference": estimate.mean, "low": low, "high": high}
        row["reading"] = _reading(results, subject, arm, metric)
    if arm.shuffle_labels:
        row["reading"] = _chance_reading(results, arm, metric)
    return row


def _reading(results: Results, subject: Arm, arm: Arm, metric: str) -> str:
    """Say what a control leaves of the result: worse, better, equal, or not to be told."""
    values = [results.values(a.name, metric) for a in (subject, arm)]
    pairs = pd.concat(values, axis=1, join="inner").to_numpy()
    seed = results.seed(subject.name, arm.name, metric)
    difference = paired_difference(pairs[:, 0], pairs[:, 1], alpha=results.study.alpha, seed=seed)
    if difference.reason:
        return f"cannot tell: {difference.reason}"
    sign = 1 if higher_is_better(metric) else -1
    if difference.p_value <= results.study.alpha:
        if sign * difference.mean > 0:
            return "worse than the paper's arm: does not explain the result alone"
        return "better than the paper's arm: this explanation stands"
    if difference.equivalence_p(POINT) <= results.study.alpha:
        return "equal within a point: this explanation stands"
    return "cannot tell: neither different nor equal within a point"


def _chance_reading(results: Results, arm: Arm, metric: str) -> str:
    """Say whether a model trained on shuffled labels stays at chance."""
    if metric != "test_accuracy" or not results.splits:
        return w.NOTHING
    chance = float(
        np.mean([_majority(results.labels(r)) for r, s in results.splits.items() if s.test])
    )
    values = results.values(arm.name, metric)
    estimate = mean_interval(values.to_numpy(), seed=results.seed(arm.name, "", metric))
    low, _ = ends(estimate)
    if not math.isfinite(low):
        return estimate.reason
    limit = f"the majority class has {w.with_unit(metric, chance)}"
    if low > chance:
        return f"above chance ({limit}): labels leak, or luck"
    return f"not above chance ({limit}): no leak seen"


def _majority(labels: NDArray[np.int64]) -> float:
    return float(np.bincount(labels).max() / len(labels))


def tuning_table(results: Results) -> Table:
    """Tabulate what tuning searched, what it chose, and how much hung on that.

    Returns
    -------
    Table
        Empty where nothing was tuned.
    """
    metric = main_metric(results)
    rows = [
        _tuning_row(results, arm, tried, metric)
        for arm in results.arms
        if len(tried := results.tuning[results.tuning["arm"] == arm.name])
    ]
    shown = [
        {
            "arm": row["label"],
            "searched": row["searched"],
            "configurations": w.count(float(row["configurations"])),
            "chosen most often": row["chosen"],
            "best minus worst": w.difference(VALIDATION_ACCURACY, float(row["sensitivity"])),
            "validation minus test": w.difference(metric, float(row["optimism"])),
        }
        for row in rows
    ]
    caption = (
        "Every configuration was trained and scored on validation; the test rows were scored once, "
        "for the chosen one. Best minus worst: mean validation accuracy over the repetitions, in "
        "points, of the best configuration minus that of the worst. Validation minus test: in "
        f"points of {w.metric_title(metric)}, for the chosen configurations. Rows of one may be "
        f"easier than those of the other, for every arm alike{_optimism_of_reference(results)}."
    )
    left = ("arm", "searched", "chosen most often")
    return Table("tuning", caption, pd.DataFrame(rows), pd.DataFrame(shown), left)


def _optimism_of_reference(results: Results) -> str:
    """Say what the reference's own validation score is worth: what an arm has beyond is choice."""
    metric = main_metric(results)
    reference = reference_arm(results, metric)
    name = reference.name if reference else ""
    optimism = validation_minus_test(results, name, metric)
    if reference is None or not math.isfinite(optimism):
        return ""
    return f"; the reference, {reference.title.rstrip('.')}, has {w.difference(metric, optimism)}"


def _tuning_row(
    results: Results, arm: Arm, tried: pd.DataFrame, metric: str
) -> dict[str, str | float]:
    means = tried.groupby("configuration")["accuracy"].mean()
    chosen = tried[tried["chosen"]].groupby("configuration").size().sort_index()
    n = tried["repetition"].nunique()
    favourite = w.NOTHING
    if len(chosen):
        text = _configuration(str(chosen.idxmax()))
        favourite = f"{text} ({chosen.max()} of {n})"
    return {
        "arm": arm.name,
        "label": arm.title,
        "searched": _searched(tried),
        "configurations": len(means),
        "chosen": favourite,
        "sensitivity": float(means.max() - means.min()),
        "optimism": validation_minus_test(results, arm.name, metric),
    }


def _searched(tried: pd.DataFrame) -> str:
    """Write the values that were tried, by argument: from the records, not the declaration."""
    values: dict[str, set[float | str | bool]] = {}
    for text in tried["configuration"].unique():
        for key, value in json.loads(text).items():
            values.setdefault(key, set()).add(value)
    parts = [f"{key}: {', '.join(map(w.number, _sorted(v)))}" for key, v in sorted(values.items())]
    return "; ".join(parts)


def _sorted(values: set[float | str | bool]) -> list[float | str | bool]:
    return sorted(values, key=lambda v: (isinstance(v, str), v))


def _configuration(text: str) -> str:
    return ", ".join(f"{key} {w.number(value)}" for key, value in json.loads(text).items())


def parameters_table(results: Results) -> Table:
    """Tabulate the parameters of each arm and how many of them can do anything."""
    names = ("classical", "quantum", "total", "effective", "dead")
    columns = [f"parameters_{name}" for name in names]
    data = _means(results, columns)
    shown = pd.DataFrame({"arm": data["label"]})
    for name, column in zip(names, columns, strict=True):
        shown[name] = [w.count(v) for v in data[column]]
    if "dead_in" in results.records:
        first = results.records.drop_duplicates("arm").set_index("arm")["dead_in"].fillna("")
        shown["where"] = [first.get(arm, "") for arm in data["arm"]]
    caption = (
        "Trained parameters, mean over the repetitions. Dead: no output depends on them, at any of "
        "256 random inputs. Effective: the classical ones that are not dead, plus the rank of the "
        "Jacobian of the circuit's outputs to its angles. Where: the tensors that hold dead ones."
    )
    return Table("parameters", caption, data, shown, ("arm", "where"))


def cost_table(results: Results) -> Table:
    """Tabulate seconds and memory here, and circuits and shots on a quantum processor."""
    columns = ["seconds", "stacked", "peak_memory_mb", "circuits", "shots"]
    data = _means(results, columns)
    shown = pd.DataFrame(
        {
            "arm": data["label"],
            "time": [w.seconds(v) for v in data["seconds"]],
            "trained together": [w.count(v) for v in data["stacked"]],
            "peak memory, MB": [w.count(v) if v else w.NOTHING for v in data["peak_memory_mb"]],
            "circuits on hardware": [w.large(v) for v in data["circuits"]],
            "shots on hardware": [w.large(v) for v in data["shots"]],
        }
    )
    caption = (
        "Time and memory of one repetition here; what the same trainings, the search included, "
        "would need on a quantum processor, with gradients by the parameter-shift rule. A dash: no "
        "circuit, or not counted."
    )
    return Table("cost", caption, data, shown, ("arm",))


def _means(results: Results, columns: list[str]) -> pd.DataFrame:
    rows = [
        {"arm": arm.name, "label": arm.title}
        | {column: float(results.values(arm.name, column).mean()) for column in columns}
        for arm in results.arms
    ]
    return pd.DataFrame(rows, columns=["arm", "label", *columns])


def deviations_table(study: Study) -> Table:
    """Tabulate where the study departs from the paper."""
    rows = pd.DataFrame(
        [{"departure": d.what, "reason": d.why} for d in study.deviations],
        columns=["departure", "reason"],
    )
    caption = "Where we depart from the paper or fill in what it leaves open."
    return Table("deviations", caption, rows, rows, ("departure", "reason"))


def environment_table(results: Results) -> Table:
    """Tabulate the environments that the records came from, one column each."""
    counts = results.records["environment"].value_counts()
    keys = [key for key in sorted(results.environments) if key in counts]
    names = sorted({name for key in keys for name in results.environments[key]})
    shown = pd.DataFrame({"": ["trials", *names]})
    for key in keys:
        found = results.environments[key]
        shown[key] = [str(counts[key]), *(found.get(name, w.NOTHING) for name in names)]
    caption = f"Software and machine behind the records ({_when(results)})."
    return Table("environment", caption, shown, shown, tuple(shown.columns))


def _when(results: Results) -> str:
    finished = sorted(text[:10] for text in results.records["finished"] if text)
    if not finished:
        return "no date recorded"
    first, last = finished[0], finished[-1]
    return first if first == last else f"{first} to {last}"


def failures_table(results: Results) -> Table:
    """Tabulate the trials that failed and have not finished since."""
    columns = ["arm", "repetition", "error"]
    data = results.failures.reindex(columns=columns)
    shown = data.astype(str)
    caption = (
        "Trials that failed; they count in no number above, and the next run tries them again."
    )
    return Table("failures", caption, data, shown, ("arm", "error"))
