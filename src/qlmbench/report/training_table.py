"""The table of trainings: where losses end, how fast they fall, which runs never learn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from qlmbench.report import unpacked
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.spec import SECONDS_PER_EPOCH, Arm

NEAR_CHANCE = 0.99
"""Part of the entropy of the labels that the loss of a run which learns something falls below."""


def training_table(results: Results) -> Table:
    """Tabulate the trainings of every arm that has training curves.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Table
        Empty where nothing has curves, and in a setting that neither compares them, nor has a
        threshold, nor recorded the accuracy of training.
    """
    data = training_frame(results)
    shown = pd.DataFrame(
        {
            "arm": data["label"],
            "final training loss": _values(data["final_train_loss"]),
            "best validation loss": _values(data["best_validation_loss"]),
            "last validation loss": _values(data["last_validation_loss"]),
        }
    )
    threshold = results.protocol.threshold
    if threshold is not None:
        shown[f"epoch of loss {w.number(threshold)}"] = [
            _reached(median, never, n)
            for median, never, n in zip(
                data["epoch_reached"], data["never_reached"], data["n"], strict=True
            )
        ]
    if data["stuck"].notna().any():
        shown["stuck"] = [
            w.NOTHING if math.isnan(s) else f"{w.count(s)} of {n}"
            for s, n in zip(data["stuck"], data["n"], strict=True)
        ]
    if data["circuits_per_epoch"].notna().any():
        shown["circuits an epoch"] = [w.large(v) for v in data["circuits_per_epoch"]]
    if data["seconds_per_epoch"].notna().any():
        shown["time per epoch"] = [w.value(SECONDS_PER_EPOCH, v) for v in data["seconds_per_epoch"]]
    return Table("training", _caption(threshold, set(shown.columns)), data, shown, ("arm",))


def _caption(threshold: float | None, columns: set[str]) -> str:
    text = (
        "Losses in nats, means over the repetitions, of the chosen configurations. Best and last: "
        "the lowest validation loss of a repetition, and that at its last epoch."
    )
    if threshold is not None:
        text += (
            f" Epoch of loss {w.number(threshold)}: the first after which the validation loss is "
            "no larger, median over the repetitions, where one that never gets there counts as "
            "later than all others; in brackets, how many never do."
        )
    if "stuck" in columns:
        text += (
            f" Stuck: the validation loss is never below {NEAR_CHANCE:g} of the entropy of the "
            "validation labels, which is the loss of a model that knows nothing but their shares."
        )
    if "circuits an epoch" in columns:
        text += (
            " Circuits an epoch: those of the cost below, divided by the epochs and by the "
            "configurations that were tried."
        )
    return text


def _values(numbers: pd.Series[float]) -> list[str]:
    return [w.value("loss", number) for number in numbers]


def _reached(median: float, never: float, n: int) -> str:
    text = f"{median:g}" if math.isfinite(median) else w.NOTHING
    return f"{text} ({w.count(never)} of {n} never)" if never > 0 else text


def training_frame(results: Results) -> pd.DataFrame:
    """Summarise the training curves, one row an arm that has some.

    Returns
    -------
    DataFrame
        arm, label, n (repetitions with curves), final_train_loss, best_validation_loss,
        last_validation_loss, epoch_reached (median; infinite where most never reach the
        threshold, NaN without one), never_reached, stuck (number of runs, NaN where the entropy of
        the labels is not known), circuits_per_epoch, seconds_per_epoch (NaN where not known).
    """
    having = set(results.curves["arm"]) if is_shown(results) else set()
    rows = [_row(results, arm) for arm in results.arms if arm.name in having]
    columns = ["arm", "label", "n", "final_train_loss", "best_validation_loss"]
    columns += ["last_validation_loss", "epoch_reached", "never_reached", "stuck"]
    return pd.DataFrame(rows, columns=[*columns, "circuits_per_epoch", "seconds_per_epoch"])


def is_shown(results: Results) -> bool:
    """Whether a setting is about training, and not only about what comes out of it."""
    protocol = results.protocol
    recorded = "train_accuracy" in set(results.curves["curve"])
    return bool(protocol.compare) or protocol.threshold is not None or recorded


def _row(results: Results, arm: Arm) -> dict[str, str | float]:
    curves = results.curves[results.curves["arm"] == arm.name]
    train, validation = (
        _by_repetition(curves, curve) for curve in ("train_loss", "validation_loss")
    )
    return {
        "arm": arm.name,
        "label": arm.title,
        "n": curves["repetition"].nunique(),
        "final_train_loss": _mean([own.iloc[-1] for own in train.values()]),
        "best_validation_loss": _mean([own.min() for own in validation.values()]),
        "last_validation_loss": _mean([own.iloc[-1] for own in validation.values()]),
        **_threshold(validation, results.protocol.threshold),
        "stuck": _stuck(results, validation),
        "circuits_per_epoch": _circuits(results, arm, curves),
        "seconds_per_epoch": _mean(list(results.values(arm.name, SECONDS_PER_EPOCH))),
    }


def _by_repetition(curves: pd.DataFrame, curve: str) -> dict[int, pd.Series[float]]:
    """Return a curve by repetition, each by epoch."""
    rows = curves[curves["curve"] == curve].sort_values("epoch", kind="stable")
    repetitions = [int(r) for r in rows["repetition"].unique()]
    return {r: rows[rows["repetition"] == r].set_index("epoch")["value"] for r in repetitions}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _threshold(
    validation: dict[int, pd.Series[float]], threshold: float | None
) -> dict[str, float]:
    if threshold is None or not validation:
        return {"epoch_reached": math.nan, "never_reached": math.nan}
    epochs = [
        float(own.index[own <= threshold].min()) if (own <= threshold).any() else math.inf
        for own in validation.values()
    ]
    ordered = sorted(epochs)
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return {"epoch_reached": sum(middle) / 2, "never_reached": float(sum(map(math.isinf, epochs)))}


def _stuck(results: Results, validation: dict[int, pd.Series[float]]) -> float:
    """Count the repetitions that never left chance; NaN where chance is not known."""
    levels = {r: chance_loss(results, r) for r in validation}
    if not levels or not all(map(math.isfinite, levels.values())):
        return math.nan
    return float(sum(validation[r].min() >= NEAR_CHANCE * levels[r] for r in levels))


def never_left_chance(results: Results, arm: Arm, repetition: int) -> bool:
    """Whether the validation loss of a training never fell below that of knowing nothing."""
    own = results.curves
    own = own[(own["arm"] == arm.name) & (own["repetition"] == repetition)]
    losses = own[own["curve"] == "validation_loss"]["value"]
    return bool(len(losses)) and bool(
        losses.min() >= NEAR_CHANCE * chance_loss(results, repetition)
    )


def chance_loss(results: Results, repetition: int) -> float:
    """Return the entropy of the validation labels of a repetition in nats.

    NaN where it is not known, where all are of one class, and for language models, which predict
    no labels.
    """
    split = results.splits.get(repetition)
    if split is None or not split.validation or results.protocol.task != "classification":
        return math.nan
    return entropy(unpacked.classes(split.validation, results.where(repetition))) or math.nan


def entropy(labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
    """Return the entropy of the shares of classes in nats."""
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum()) + 0.0


def _circuits(results: Results, arm: Arm, curves: pd.DataFrame) -> float:
    """Return the mean number of circuits of one epoch of one training; NaN without a circuit."""
    circuits = results.values(arm.name, "circuits")
    epochs = curves.groupby("repetition")["epoch"].max()
    tried = results.tuning[results.tuning["arm"] == arm.name].groupby("repetition").size()
    each = circuits / epochs / tried.reindex(circuits.index, fill_value=1)
    return float(each.dropna().mean()) if len(each.dropna()) else math.nan


def stuck_sentence(results: Results) -> str:
    """Say which arms have runs that never left chance; empty where none has.

    Arms on shuffled labels are meant to stay there.
    """
    data = training_frame(results)
    meant = [arm.name for arm in results.arms if arm.shuffle_labels]
    stuck = data[(data["stuck"] > 0) & ~data["arm"].isin(meant)]
    if stuck.empty:
        return ""
    parts = [
        f"{w.named(str(row.label))} in {row.stuck:.0f} of {row.n} runs"
        for row in stuck.itertuples()
    ]
    return f"The validation loss never left chance: {w.listed(parts)}."
