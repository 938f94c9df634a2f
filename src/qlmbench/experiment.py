"""One arm on several repetitions: tune on validation, fit, score once, and write down the outcome.

This is the only place where a model meets data. It knows nothing of files, processes or progress.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import torch

from qlmbench.data.tokens import START, Vocabulary
from qlmbench.errors import UserError
from qlmbench.memory import keep_freed_memory, peak_memory_mb
from qlmbench.metrics import IntArray
from qlmbench.models.parameters import count_parameters
from qlmbench.models.stacked_model import StackedModel
from qlmbench.packing import pack_texts
from qlmbench.plan import Trial
from qlmbench.privacy import without_private
from qlmbench.provenance import environment
from qlmbench.records import (
    AttentionMap,
    AttentionMaps,
    Condition,
    Conditions,
    Cost,
    Curves,
    Outcome,
    Predictions,
    Record,
    SplitLabels,
    Tuning,
    environment_id,
)
from qlmbench.registry import model_class
from qlmbench.seeding import seed_for
from qlmbench.spec import Scalar, Task
from qlmbench.tasks import Rows, score

Config = dict[str, Scalar]

TEXTS_SHOWN = 3
"""Test texts whose attention is kept."""
REPETITIONS_SHOWN = 2
"""Repetitions whose attention is kept: the training of the first one may have failed."""


@dataclass(frozen=True)
class RepetitionData:
    """Features and class indices of one repetition, equal for every arm.

    Repetitions share one table of features: a copy for each would be gigabytes.
    """

    features: np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int32]]
    """One row a text: features, or token ids."""
    places: dict[str, IntArray]
    """By role: where its rows stand in the table."""
    labels: dict[str, IntArray]
    """By role: class indices."""
    split: SplitLabels
    n_classes: int
    vocabulary: Vocabulary | None = None
    """What the ids stand for, where the features are token ids."""

    def role(self, name: str) -> Rows:
        """Return features, in double precision, and class indices of a role."""
        return self.features[self.places[name]].astype(np.float64), self.labels[name]


@dataclass
class _Candidate:
    """One configuration of one repetition, and how it did on validation."""

    model: Any
    config: Config
    accuracy: float = float("nan")
    loss: float = float("nan")
    error: str = ""


def run_job(trials: Sequence[Trial], data: dict[int, RepetitionData]) -> list[Outcome]:
    """Run trials that differ in their repetition alone.

    Parameters
    ----------
    trials : sequence of Trial
        Trials of one arm.
    data : dict
        Data by repetition.

    Returns
    -------
    list of Outcome
        One a trial, finished or failed; an error in one trial does not touch the others.
    """
    torch.set_num_threads(1)  # sums in one order: the number of jobs must not change a result
    keep_freed_memory()
    started = time.perf_counter()
    try:
        results = _fit_and_score(trials, data)
    except UserError:
        raise
    except Exception as error:
        results = [_failure(trial, error) for trial in trials]
    seconds = (time.perf_counter() - started) / len(trials)
    measured = {
        "seconds": round(seconds, 4),
        "stacked": len(trials),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return [_stamped(outcome, **measured) for outcome in results]


def fit_trial(trial: Trial, data: RepetitionData) -> tuple[Any, Outcome]:
    """Run one trial by itself, and return its model as well.

    Parameters
    ----------
    trial : Trial
        What to train.
    data : RepetitionData
        Of its repetition.

    Raises
    ------
    ArithmeticError
        If no configuration could be trained.
    """
    torch.set_num_threads(1)
    tried = _fit_all([trial], {trial.repetition: data})[0]
    outcome = _stamped(_outcome(trial, tried, data))
    return choose(tried, trial.choose_by or "accuracy").model, outcome


def _stamped(outcome: Outcome, **measured: Any) -> Outcome:
    """Write into an outcome where it was made, and what was measured of its job."""
    here = environment()
    record = outcome.record.model_copy(update={**measured, "environment": environment_id(here)})
    return outcome.model_copy(update={"record": record, "environment": here})


def _fit_and_score(trials: Sequence[Trial], data: dict[int, RepetitionData]) -> list[Outcome]:
    return [
        _outcome(t, candidates, data[t.repetition])
        for t, candidates in zip(trials, _fit_all(trials, data), strict=True)
    ]


def _fit_all(trials: Sequence[Trial], data: dict[int, RepetitionData]) -> list[list[_Candidate]]:
    """Fit every configuration of every trial, together where the model can."""
    configs = configurations(trials[0].tune)
    by_trial = [[_Candidate(_make(t, config), config) for config in configs] for t in trials]
    rows = {
        t.repetition: (
            _training_rows(t, data[t.repetition]),
            data[t.repetition].role("validation"),
        )
        for t in trials
    }
    flat = [
        (candidate, *rows[t.repetition])
        for t, candidates in zip(trials, by_trial, strict=True)
        for candidate in candidates
    ]
    together = getattr(flat[0][0].model, "max_stack", len(flat))
    for start in range(0, len(flat), together):
        _fit_candidates(flat[start : start + together], trials[0].task)
    return by_trial


def configurations(grid: dict[str, list[Scalar]]) -> list[Config]:
    """List the points of a grid, the last argument fastest; one empty point without a grid."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _training_rows(trial: Trial, data: RepetitionData) -> Rows:
    X, y = data.role("train")
    if not trial.shuffle_labels:
        return X, y
    seed = seed_for("labels", repetition=trial.repetition, digest=data.split.digest)
    return X, np.random.default_rng(seed).permutation(y)


def _make(trial: Trial, config: Config) -> Any:
    """Construct the model of a trial with one configuration, with the repetition's seed."""
    cls = model_class(trial.study, trial.model)
    params: dict[str, Any] = {**trial.params, **config}
    known = cls().get_params() if hasattr(cls, "get_params") else {}
    if "random_state" in known and "random_state" not in params:
        params["random_state"] = seed_for("initialisation", repetition=trial.repetition)
    try:
        return cls(**params)
    except TypeError as error:
        raise UserError(
            f"study {trial.study!r}, arm {trial.arm!r}: {error}",
            expected="one of " + ", ".join(sorted(known)),
        ) from None


def _fit_candidates(work: Sequence[tuple[_Candidate, Rows, Rows]], task: Task | None) -> None:
    """Fit candidates, together where the model can, and score them on validation."""
    models = [candidate.model for candidate, _, _ in work]
    if isinstance(models[0], StackedModel):
        rows = [(*train, *validation) for _, train, validation in work]
        fitted: list[Any] = models[0].fit_many(models, rows)
    else:
        fitted = [
            _fit_alone(model, train) for model, (_, train, _) in zip(models, work, strict=True)
        ]
    for result, (candidate, _, validation) in zip(fitted, work, strict=True):
        if isinstance(result, Exception):
            candidate.error = f"{type(result).__name__}: {result}"
        else:
            scored = score(task, "validation", result, validation, _n_classes(result))
            candidate.accuracy, candidate.loss = scored.accuracy, scored.loss


def _fit_alone(model: Any, train: Rows) -> Any:
    try:
        return model.fit(*train)
    except (ValueError, ArithmeticError) as error:
        return error


def _n_classes(model: Any) -> int:
    return len(getattr(model, "classes_", ()))


def choose(
    candidates: Sequence[_Candidate], by: Literal["accuracy", "loss"] = "accuracy"
) -> _Candidate:
    """Choose by validation accuracy, then lower validation loss, then the grid's order.

    Or by loss, then accuracy.
    """
    sound = [c for c in candidates if not c.error]
    if not sound:
        raise ArithmeticError(candidates[0].error)

    def quality(candidate: _Candidate) -> tuple[float, float]:
        gain = -float(np.nan_to_num(candidate.loss, nan=np.inf))
        return (gain, candidate.accuracy) if by == "loss" else (candidate.accuracy, gain)

    return max(sound, key=quality)


def _outcome(trial: Trial, candidates: Sequence[_Candidate], data: RepetitionData) -> Outcome:
    try:
        best = choose(candidates, trial.choose_by or "accuracy")
    except ArithmeticError as error:
        return _failure(trial, error)
    model, n_classes = best.model, data.n_classes
    train, test = _training_rows(trial, data), data.role("test")
    roles = {"train": train, "validation": data.role("validation"), "test": test}
    scored = {role: score(trial.task, role, model, rows, n_classes) for role, rows in roles.items()}
    metrics = {name: value for own in scored.values() for name, value in own.metrics.items()}
    if hasattr(model, "diagnostics"):
        metrics |= model.diagnostics(test[0])
    cost = model.hardware_cost(len(train[1])) if hasattr(model, "hardware_cost") else None
    if cost is not None:  # the search is part of the price
        n = len(candidates)
        cost = Cost(circuits=n * cost.circuits, shots=n * cost.shots)
    record = Record(
        id=trial.id,
        study=trial.study,
        arm=trial.arm,
        repetition=trial.repetition,
        metrics={name: _round(value) for name, value in metrics.items()},
        chosen=best.config,
        parameters=count_parameters(model),
        cost=cost,
        seconds_per_epoch=_seconds_per_epoch(model),
    )
    return Outcome(
        record=record,
        predictions=Predictions(
            id=trial.id,
            validation=scored["validation"].predictions,
            test=scored["test"].predictions,
            texts=pack_texts(scored["test"].texts),
        ),
        curves=_curves(trial.id, model),
        tuning=_tuning(trial.id, candidates),
        conditions=_conditions(trial, model, test, n_classes),
        attention=_attention(trial, model, data),
        split=data.split,
    )


def _conditions(trial: Trial, model: Any, test: Rows, n_classes: int) -> Conditions | None:
    """Score the trained model under conditions that it was not trained under, one at a time."""
    known: frozenset[str] = getattr(model, "conditions", frozenset())
    asked = {k: v for k, v in (trial.evaluate or {}).items() if k in known}
    if not asked:
        return None
    rows = []
    for name, values in asked.items():
        for value in values:
            scored = score(trial.task, "test", model.under(**{name: value}), test, n_classes)
            rounded = {metric: _round(number) for metric, number in scored.metrics.items()}
            rows.append(Condition(name=name, value=value, metrics=rounded))
    return Conditions(id=trial.id, rows=rows)


def _seconds_per_epoch(model: Any) -> float | None:
    """Seconds of an epoch, where the training had the processor to itself."""
    history = getattr(model, "history_", None)
    if history is None or history.n_copies > 1:
        return None
    return _round(history.seconds / history.stopped_at)


def _attention(trial: Trial, model: Any, data: RepetitionData) -> AttentionMaps | None:
    """Say where the attention goes in the first test texts."""
    if (
        trial.repetition >= REPETITIONS_SHOWN
        or data.vocabulary is None
        or not hasattr(model, "attention_weights")
    ):
        return None
    if model.attention == "none":
        return None
    X = data.role("test")[0][:TEXTS_SHOWN]
    maps = []
    for row, weights in zip(X.astype(int), model.attention_weights(X).mean(1), strict=True):
        n = int((row != 0).sum())
        words = [data.vocabulary.word(token) for token in row[:n].tolist()]
        if trial.task == "language-model":  # its places hold the words that come before
            words = [START, *words[:-1]]
        shown = weights[:n, :n].tolist()
        rounded = [[_round(weight, 4) for weight in query] for query in shown]
        maps.append(AttentionMap(tokens=words, weights=rounded))
    return AttentionMaps(id=trial.id, maps=maps)


def _curves(trial_id: str, model: Any) -> Curves | None:
    history = getattr(model, "history_", None)
    if history is None:
        return None
    named = {
        "train_loss": history.train_loss,
        "train_accuracy": history.train_accuracy,
        "validation_loss": history.validation_loss,
        "validation_accuracy": history.validation_accuracy,
    }
    values = {name: [_round(v, 5) for v in curve] for name, curve in named.items() if curve}
    return Curves(id=trial_id, epochs=history.epochs, values=values)


def _tuning(trial_id: str, candidates: Sequence[_Candidate]) -> Tuning | None:
    if len(candidates) == 1:
        return None
    return Tuning(
        id=trial_id,
        configurations=[c.config for c in candidates],
        validation_accuracy=[_round(_finite(c.accuracy, -1.0)) for c in candidates],
        validation_loss=[_round(_finite(c.loss, -1.0), 5) for c in candidates],
    )


def _finite(value: float, otherwise: float) -> float:
    """JSON has no NaN: a configuration that diverged has accuracy and loss -1."""
    return value if np.isfinite(value) else otherwise


def _round(value: float, digits: int = 6) -> float:
    return round(float(value), digits)


def _failure(trial: Trial, error: Exception) -> Outcome:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Outcome(
        record=Record(
            id=trial.id,
            study=trial.study,
            arm=trial.arm,
            repetition=trial.repetition,
            status="failed",
            error=without_private(said),
        )
    )
