"""The tables below the comparison: controls, tuning, parameters, cost, environment, failures."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.report import wording as w
from qlmbench.report.load import VALIDATION_ACCURACY, Results
from qlmbench.report.protocol import chooses_by_loss
from qlmbench.report.render import Table
from qlmbench.report.tables import (
    best_arm,
    ends,
    main_metric,
    margin_of,
    mean_difference,
    reference_arm,
    validation_minus_test,
)
from qlmbench.report.training_table import entropy
from qlmbench.spec import Arm, ArmKind, Study
from qlmbench.stats import LEAST_REPETITIONS, mean_interval, paired_difference

VALIDATION_LOSS = "validation_loss"


def paper_arm(results: Results, metric: str) -> Arm | None:
    """Return the arm that controls are set against: that of a claim, where it has records.

    Claims about this setting come first, of these the headline, an arm done right before one as
    published; without any, it is the paper's arm that is best on validation.
    """
    present = {arm.name for arm in results.arms}
    claims = sorted(
        (claim for claim in results.study.claims if claim.arm in present),
        key=lambda claim: (not results.is_meant_by(claim.setting), not claim.headline),
    )
    here = [claim for claim in claims if results.is_meant_by(claim.setting)]
    for some, kind in (
        (here, ArmKind.PAPER),
        (here, ArmKind.AS_PUBLISHED),
        (claims, ArmKind.PAPER),
        (claims, ArmKind.AS_PUBLISHED),
    ):
        for claim in some:
            if results.study.arm(claim.arm).kind is kind:
                return results.study.arm(claim.arm)
    papers = [arm for arm in results.arms if arm.kind is ArmKind.PAPER]
    return best_arm(results, papers, metric) or next(iter(papers), None)


def controls_table(results: Results) -> Table:
    """Tabulate each control: the explanation that it tests, and what is left of the gain over it.

    The metric is that of the setting. Empty where no control has records, and for a time, which is
    no gain that a control could explain.
    """
    metric = main_metric(results)
    subject = paper_arm(results, metric)
    controls = [] if w.is_time(metric) else _controls(results)
    rows = [_control_row(results, arm, _subject(results, arm, subject), metric) for arm in controls]
    over = "paper's arm over it" if w.higher_is_better(metric) else "paper's arm minus it"
    name = subject.title if subject else "none"
    own = {str(row["of"]) for row in rows} - {name, ""}
    shown = [
        {
            "control": w.joined(str(row["label"]), f"(of {row['of']})" if row["of"] in own else ""),
            "explanation that it tests": row["tests"],
            w.column_title(metric): w.value(metric, float(row["mean"])),
            over: w.joined(
                w.difference(metric, float(row["difference"])),
                w.interval(metric, float(row["low"]), float(row["high"]), signed=True),
            ),
            "reading": row["reading"],
        }
        for row in rows
    ]
    caption = (
        f"The paper's arm here is {w.named(name)}{', or the one in brackets' if own else ''}. "
        f"{_lead(metric)} is the mean "
        "paired difference with its 95 % interval, not corrected for the number of controls. An "
        f"explanation stands where a control is better{_or_equal(results, metric)}."
    )
    left = ("control", "explanation that it tests", "reading")
    return Table("controls", caption, pd.DataFrame(rows), pd.DataFrame(shown), left)


def _lead(metric: str) -> str:
    if w.higher_is_better(metric):
        return "Its lead over each control"
    return "Less is better: its difference to each control"


def _or_equal(results: Results, metric: str) -> str:
    within = _within(results, metric)
    return f", or equal {within} (equivalence test)" if within else ""


def _within(results: Results, metric: str) -> str:
    """Say within what two values count as equal; empty where nothing says it."""
    margin = margin_of(results, metric)
    if not math.isfinite(margin):
        return ""
    return "within a point" if w.is_share(metric) else f"within {w.amount(metric, margin)}"


def _controls(results: Results) -> list[Arm]:
    return [arm for arm in results.arms if arm.kind is ArmKind.CONTROL]


def _subject(results: Results, control: Arm, otherwise: Arm | None) -> Arm | None:
    """Return the arm that a control is set against: its own, where that has records here."""
    here = {arm.name for arm in results.arms}
    return results.study.arm(control.of) if control.of in here else otherwise


def _control_row(
    results: Results, arm: Arm, subject: Arm | None, metric: str
) -> dict[str, str | float]:
    mean = float(results.values(arm.name, metric).mean())
    row: dict[str, str | float] = {
        "arm": arm.name,
        "label": arm.title,
        "tests": arm.tests or w.NOTHING,
        "mean": mean,
        "of": subject.title if subject else "",
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
    if difference.identical and difference.n >= LEAST_REPETITIONS:
        same = f"exactly the same {w.metric_title(metric)} in each of {difference.n} repetitions"
        return f"{same}: this explanation stands"
    if difference.reason:
        return f"cannot tell: {difference.reason}"
    sign = 1 if w.higher_is_better(metric) else -1
    if difference.p_value <= results.study.alpha:
        if sign * difference.mean > 0:
            return "worse than the paper's arm: does not explain the result alone"
        return "better than the paper's arm: this explanation stands"
    within = _within(results, metric)
    if not within:
        return "cannot tell: no difference is seen, and no claim says which one would matter"
    if difference.equivalence_p(margin_of(results, metric)) <= results.study.alpha:
        return f"equal {within}: this explanation stands"
    return f"cannot tell: neither different nor equal {within}"


def _chance_reading(results: Results, arm: Arm, metric: str) -> str:
    """Say whether a model trained on shuffled labels stays at chance."""
    if metric not in _CHANCE or not results.splits:
        return w.NOTHING
    name, level = _CHANCE[metric]
    chance = float(np.mean([level(results.labels(r)) for r, s in results.splits.items() if s.test]))
    values = results.values(arm.name, metric)
    estimate = mean_interval(values.to_numpy(), seed=results.seed(arm.name, "", metric))
    low, high = ends(estimate)
    if not math.isfinite(low):
        return estimate.reason
    limit = f"{name} {w.with_unit(metric, chance)}"
    if low > chance if w.higher_is_better(metric) else high < chance:
        return f"{_BETTER[w.higher_is_better(metric)]} chance ({limit}): labels leak, or luck"
    return f"not {_BETTER[w.higher_is_better(metric)]} chance ({limit}): no leak seen"


def _majority(labels: NDArray[np.int64]) -> float:
    return float(np.bincount(labels).max() / len(labels))


_CHANCE = {
    "test_accuracy": ("the majority class has", _majority),
    "test_log_loss": ("the entropy of the labels is", entropy),
}
_BETTER = {True: "above", False: "below"}


def tuning_table(results: Results) -> Table:
    """Tabulate what tuning searched, what it chose, and how much hung on that.

    Returns
    -------
    Table
        Empty where nothing was tuned.
    """
    metric, decides = main_metric(results), _decides(results)
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
            "best minus worst": w.difference(decides, float(row["sensitivity"])),
            "validation minus test": w.difference(metric, float(row["optimism"])),
        }
        for row in rows
    ]
    caption = (
        "Every configuration was trained and scored on validation; the test rows were scored once, "
        f"for the chosen one. Best minus worst: mean {w.metric_title(decides)} over the "
        f"repetitions, in {w.difference_unit(decides)}, of the best configuration minus that of "
        "the worst."
    )
    left = ("arm", "searched", "chosen most often")
    frame = pd.DataFrame(shown)
    if metric.startswith("test_"):
        unit = " of ".join(filter(None, (w.difference_unit(metric), w.metric_title(metric))))
        caption += (
            f" Validation minus test: in {unit}, for the chosen "
            "configurations. Rows of one may be easier than those of the other, for every arm "
            f"alike{_optimism_of_reference(results)}."
        )
    else:
        frame = frame.drop(columns="validation minus test", errors="ignore")
    return Table("tuning", caption, pd.DataFrame(rows), frame, left)


def _decides(results: Results) -> str:
    """Return what chose among the configurations: accuracy on validation, or loss."""
    return VALIDATION_LOSS if chooses_by_loss(results.protocol) else VALIDATION_ACCURACY


def _optimism_of_reference(results: Results) -> str:
    """Say what the reference's own validation score is worth: what an arm has beyond is choice."""
    metric = main_metric(results)
    reference = reference_arm(results, metric)
    name = reference.name if reference else ""
    optimism = validation_minus_test(results, name, metric)
    if reference is None or not math.isfinite(optimism):
        return ""
    return f"; the reference, {w.named(reference.title)}, has {w.difference(metric, optimism)}"


def _tuning_row(
    results: Results, arm: Arm, tried: pd.DataFrame, metric: str
) -> dict[str, str | float]:
    scores = tried["accuracy"]
    if _decides(results) == VALIDATION_LOSS:  # a configuration that diverged has loss -1
        scores = -tried["loss"].where(tried["loss"] >= 0)
    means = scores.groupby(tried["configuration"]).mean()
    sign = 1.0 if w.higher_is_better(_decides(results)) else -1.0
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
        "sensitivity": sign * float(means.max() - means.min()),
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
