"""The comparison of all arms, and how it sits beside the published numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from qlmbench.data.datasets import best_possible
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.spec import Arm, ArmKind, Task
from qlmbench.stats import MeanEstimate, mean_interval

DEFAULT_METRIC = "test_accuracy"
_DEFAULT: dict[Task, str] = {
    "classification": DEFAULT_METRIC,
    "language-model": "test_perplexity",
    "captioning": "test_cross_entropy",
}
MACRO_F1 = "test_macro_f1"


def main_metric(results: Results) -> str:
    """Return the metric of a setting's tables and figures.

    It is the one that the setting declares; else that of the headline claim, or of another one,
    where it was recorded; else the test accuracy, a language model's perplexity, or
    a captioner's cross-entropy.
    """
    if results.protocol.metric:
        return results.protocol.metric
    claims = sorted(results.study.claims, key=lambda claim: not claim.headline)
    metrics = [claim.metric for claim in claims] + [default_metric(results)]
    return next((m for m in metrics if m in results.records), metrics[0])


def default_metric(results: Results) -> str:
    """Return the metric that a setting's task is known by."""
    return _DEFAULT[results.protocol.task]


def validation_metric(results: Results, metric: str) -> str | None:
    """Return the metric on validation that decides which arm is best at another one.

    Returns
    -------
    str or None
        Its counterpart where that was recorded, else what the task is known by on validation. A
        metric that is of no rows, like a time, decides for itself.
    """
    own = _on_validation(metric)
    counterpart = "validation_" + w.without_role(default_metric(results))
    return next((name for name in (own, counterpart) if name in results.records), None)


def _on_validation(metric: str) -> str:
    name = w.without_role(metric)
    return metric if name == metric else f"validation_{name}"


def best_of(results: Results, metric: str) -> float:
    """Return what the best model of the dataset reaches; NaN where that is not known.

    Parameters
    ----------
    results : Results
        One setting of a run.
    metric : str
        A metric of any role but training: what a model remembers of its training rows can be
        better than that.
    """
    if results.info is None or metric.startswith("train_"):
        return math.nan
    return best_possible(results.info.dataset["name"]).get(w.without_role(metric), math.nan)


def by_validation(results: Results, arms: list[Arm], metric: str) -> list[Arm]:
    """Return arms with a validation score, the best first (never by test).

    Parameters
    ----------
    results : Results
        One setting of a run.
    arms : list of Arm
        The candidates.
    metric : str
        The test metric whose validation counterpart decides.
    """
    name = validation_metric(results, metric)
    if name is None:
        return []
    sign = 1.0 if w.higher_is_better(name) else -1.0
    means = {arm.name: sign * float(results.values(arm.name, name).mean()) for arm in arms}
    known = [arm for arm in arms if math.isfinite(means[arm.name])]
    return sorted(known, key=lambda arm: -means[arm.name])


def best_arm(results: Results, arms: list[Arm], metric: str) -> Arm | None:
    """Return the arm that is best on validation (never on test); None where nothing tells."""
    return next(iter(by_validation(results, arms, metric)), None)


def best_baseline(results: Results, metric: str) -> Arm | None:
    """Return the classical arm that is best on validation."""
    arms = [a for a in results.arms if a.kind is ArmKind.BASELINE and not a.shuffle_labels]
    return best_arm(results, arms, metric)


def declared_reference(results: Results, metric: str) -> Arm | None:
    """Return the arm that the setting or the study names; None without scores of it here."""
    name = _reference_name(results)
    return results.study.arm(name) if name and len(results.values(name, metric)) else None


def _reference_name(results: Results) -> str:
    return results.protocol.reference or results.study.reference


def reference_arm(results: Results, metric: str) -> Arm | None:
    """Return the arm that differences are taken to: the study's, else the best baseline.

    A baseline that is chosen on validation is chosen by a score that early stopping and tuning
    flatter, so that a study does better to name one.
    """
    return declared_reference(results, metric) or best_baseline(results, metric)


def margin_of(results: Results, metric: str) -> float:
    """Return the difference below which two values of a metric count as equal.

    Returns
    -------
    float
        That of the first claim about this metric, a main claim before others; a point for a share
        and a hundredth of a nat for a loss that no claim is about; else NaN.
    """
    if w.is_share(metric):  # as in the claims
        return 0.01
    claims = sorted(results.study.claims, key=lambda claim: not claim.headline)
    margins = [claim.margin for claim in claims if claim.metric == metric]
    return next(iter(margins), 0.01 if w.is_loss(metric) else math.nan)


def validation_minus_test(results: Results, arm: str, metric: str) -> float:
    """Return by how much an arm's validation score is above its test score, in the mean.

    NaN where the metric is none of the test rows. Paired by repetition.
    """
    if not metric.startswith("test_"):
        return math.nan
    counterpart = _on_validation(metric)
    return float((results.values(arm, counterpart) - results.values(arm, metric)).mean())


def mean_difference(results: Results, arm: str, versus: str, metric: str) -> MeanEstimate:
    """Return the mean paired difference of two arms over the repetitions that both have."""
    a, b = results.values(arm, metric), results.values(versus, metric)
    pairs = pd.concat([a, b], axis=1, join="inner").to_numpy()
    seed = results.seed(arm, versus, metric)
    return mean_interval(pairs[:, 0] - pairs[:, 1], seed=seed, what="paired differences")


def ends(estimate: MeanEstimate) -> tuple[float, float]:
    """Return the ends of an estimate's interval, NaN where it has none."""
    interval = estimate.interval
    return (interval.low, interval.high) if interval else (math.nan, math.nan)


def comparison_frame(results: Results, metric: str) -> pd.DataFrame:
    """Summarise every arm that has records, one row an arm, in study order.

    Parameters
    ----------
    results : Results
        The run.
    metric : str
        The metric that is compared.

    Returns
    -------
    DataFrame
        arm, label, kind, group, n, mean, sd, low, high (95 % interval of the mean), macro_f1,
        validation, validation_minus_test, parameters_*, seconds, difference, difference_low,
        difference_high (to the reference), reference (whether the arm is that one).
    """
    reference = reference_arm(results, metric)
    rows = [_comparison_row(results, arm, metric, reference) for arm in results.arms]
    return pd.DataFrame([row for row in rows if row["n"]])


def _comparison_row(
    results: Results, arm: Arm, metric: str, reference: Arm | None
) -> dict[str, object]:
    values = results.values(arm.name, metric)
    estimate = mean_interval(values.to_numpy(), seed=results.seed(arm.name, "", metric))
    low, high = ends(estimate)
    is_reference = reference is not None and arm.name == reference.name
    row: dict[str, object] = {
        "arm": arm.name,
        "label": arm.title,
        "kind": arm.kind.value,
        "group": arm.group,
        "n": estimate.n,
        "mean": estimate.mean,
        "sd": estimate.sd,
        "low": low,
        "high": high,
        "macro_f1": _mean(results, arm, MACRO_F1),
        "validation": _mean(results, arm, validation_metric(results, metric)),
        "validation_minus_test": validation_minus_test(results, arm.name, metric),
    }
    for count in ("classical", "quantum", "total", "effective", "dead"):
        row[f"parameters_{count}"] = _mean(results, arm, f"parameters_{count}")
    row["seconds"] = _mean(results, arm, "seconds")
    found = (math.nan, math.nan, math.nan)
    if reference is not None and not is_reference:
        difference = mean_difference(results, arm.name, reference.name, metric)
        found = (difference.mean, *ends(difference))
    row |= dict(zip(("difference", "difference_low", "difference_high"), found, strict=True))
    row["reference"] = is_reference
    return row


def _mean(results: Results, arm: Arm, column: str | None) -> float:
    values = results.values(arm.name, column) if column else pd.Series(dtype=float)
    return float(values.mean()) if len(values) else math.nan


def comparison_table(results: Results) -> Table:
    """Tabulate every arm beside the reference.

    The metric is that of the setting.
    """
    metric = main_metric(results)
    data = comparison_frame(results, metric)
    validation = validation_metric(results, metric)
    unit = w.difference_unit(metric)
    shown = pd.DataFrame(
        {
            "arm": [_label(row.label, row.reference) for row in data.itertuples()],
            "kind": data.get("kind", []),
            f"{w.column_title(metric)} [95 % interval]": _means(data, metric),
            "macro-F1, %": [w.value(MACRO_F1, v) for v in data.get("macro_f1", [])],
            "n": [str(n) for n in data.get("n", [])],
            _validation_title(metric, validation): [
                w.value(validation or "", v) for v in data.get("validation", [])
            ],
            "parameters": [w.count(v) for v in data.get("parameters_total", [])],
            "effective": [w.count(v) for v in data.get("parameters_effective", [])],
            "time": [w.seconds(v) for v in data.get("seconds", [])],
            w.with_unit_after("to the reference", unit): _differences(data, metric),
        }
    )
    if metric == validation:  # it would stand there twice
        shown = shown.drop(columns="validation")
    if results.n_classes < 3 or metric != DEFAULT_METRIC:  # two classes: it says the same again
        shown = shown.drop(columns="macro-F1, %")
    return Table(
        name="comparison",
        caption=_comparison_caption(results, metric, validation, data),
        data=data,
        shown=shown,
        left=("arm", "kind"),
    )


def _validation_title(metric: str, validation: str | None) -> str:
    """Name the column of validation scores: with its metric where that is another one."""
    if validation is None or w.without_role(validation) == w.without_role(metric):
        return "validation"
    return w.column_title(validation)


def for_terminal(table: Table) -> Table:
    """Narrow a comparison table to a terminal: fewer columns, shorter titles."""
    titles = {"validation": "valid.", "parameters": "params"}
    shown = table.shown.drop(columns=["kind", "effective"]).rename(columns=titles)
    return replace(table, shown=shown, left=("arm",))


def _label(label: object, reference: object) -> str:
    return f"**{label}** (reference)" if reference else str(label)


def _means(data: pd.DataFrame, metric: str) -> list[str]:
    if data.empty:
        return []
    rows = zip(data["mean"], data["low"], data["high"], strict=True)
    return [w.joined(w.value(metric, m), w.interval(metric, lo, hi)) for m, lo, hi in rows]


def _differences(data: pd.DataFrame, metric: str) -> list[str]:
    if data.empty:
        return []
    columns = ("difference", "difference_low", "difference_high")
    rows = zip(*(data[column] for column in columns), strict=True)
    return [
        w.joined(w.difference(metric, mean), w.interval(metric, low, high, signed=True))
        for mean, low, high in rows
    ]


def _comparison_caption(
    results: Results, metric: str, validation: str | None, data: pd.DataFrame
) -> str:
    better = "" if w.higher_is_better(metric) else " (less is better)"
    text = f"Mean {w.metric_title(metric)}{better} over the repetitions, with its 95 % interval. "
    references = data[data["reference"]] if len(data) else data
    if len(references):
        label = references["label"].iloc[0]
        text += (
            f"The reference, {w.named(label)}, {_how_chosen(results, metric, validation)}. "
            "Differences to it are paired by repetition and not corrected for their number. "
        )
    else:
        text += "No baseline has a validation score here, so there is no reference. "
    if validation is not None and validation.startswith("validation_"):
        text += (
            "Validation scores of heads with early stopping or tuning are optimistic: each is the "
            "best of many on the same rows. "
        )
    if math.isfinite(best := best_of(results, metric)):
        text += f"The best possible is {w.with_unit(metric, best)}. "
    return text + (
        "Parameters: all that are trained; effective: the classical ones that an "
        "output depends on, plus the rank of the Jacobian of a circuit's outputs to its angles. "
        "Time: fitting, tuning and scoring of one repetition, divided among repetitions that were "
        "trained together."
    )


def _how_chosen(results: Results, metric: str, validation: str | None) -> str:
    """Say how the reference came about."""
    if declared_reference(results, metric) is not None:
        return "is the one that the study declares"
    text = (
        f"is the best baseline, chosen by its mean {w.metric_title(validation or '')}; the test "
        "rows had no part in that choice"
    )
    if name := _reference_name(results):
        declared = w.named(results.study.arm(name).title)
        text += f"; {declared}, which the study declares, has no records here"
    return text.rstrip(".")


def sized(arms: pd.DataFrame) -> pd.Series[bool]:
    """Say of each arm whether its number of parameters says how large it is.

    A kernel machine keeps its training rows, and has no number of effective parameters.
    """
    return arms["parameters_effective"].notna() & (arms["parameters_total"] > 0)


def ranking_frame(results: Results, metric: str) -> pd.DataFrame:
    """Lay out the scores of all arms over the repetitions that every arm has.

    Returns
    -------
    DataFrame
        One row a repetition, one column an arm; empty where no repetition has all arms.
    """
    columns = {arm.name: results.values(arm.name, metric) for arm in results.arms}
    columns = {name: values for name, values in columns.items() if len(values)}
    if not columns:
        return pd.DataFrame()
    frame = pd.concat(columns, axis=1, join="inner")
    return frame if np.isfinite(frame.to_numpy()).all() else frame.dropna()
