"""How each task scores a trained model, and what of it decides on validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qlmbench.metrics import (
    FloatArray,
    IntArray,
    classification_metrics,
    language_model_metrics,
)
from qlmbench.packing import pack_classes, pack_numbers
from qlmbench.spec import Task

Rows = tuple[FloatArray, IntArray]


@dataclass(frozen=True)
class Score:
    """What a model did on the rows of one role.

    Parameters
    ----------
    metrics : dict
        Values by name, the role in front.
    accuracy : float
        Share that is right, for the choice among configurations.
    loss : float
        Nats a row, or a token; NaN for a model without probabilities.
    predictions : str
        What is kept of each row, packed.
    texts : tuple of str
        What the model wrote, for the first rows or for all; empty for models that do not write.
    """

    metrics: dict[str, float]
    accuracy: float
    loss: float
    predictions: str
    texts: tuple[str, ...] = ()


def score(task: Task | None, role: str, model: Any, rows: Rows, n_classes: int) -> Score:
    """Score a trained model on rows.

    Parameters
    ----------
    task : str or None
        What is predicted; None for a class.
    role : str
        train, validation or test.
    model : estimator
        A classifier; or a language model, with ``log_likelihoods(X)``, shape (n, T), and
        ``predict(X)``, the most likely token at each place; or a captioner, with
        ``caption_scores(X, written)``: metrics by name without a role, the log-likelihood of
        each caption in nats a word, shape (n,), and the captions that it wrote. Where nothing is to
        be written, the metrics are those of words given the right words before them.
    rows : tuple of ndarray
        Features or token ids, and class indices; of captions features, then ids.
    n_classes : int
        Number of classes of the dataset.
    """
    return _SCORES[task or "classification"](role, model, rows, n_classes)


def _classification(role: str, model: Any, rows: Rows, n_classes: int) -> Score:
    X, y = rows
    probabilities = None
    if hasattr(model, "predict_proba"):
        probabilities = np.asarray(model.predict_proba(X))
    predicted = np.asarray(model.predict(X))
    metrics = classification_metrics(role, y, predicted, probabilities, n_classes)
    return Score(
        metrics,
        metrics[f"{role}_accuracy"],
        metrics.get(f"{role}_log_loss", float("nan")),
        pack_classes(predicted.tolist()),
    )


def _language_model(role: str, model: Any, rows: Rows, n_classes: int) -> Score:
    tokens = rows[0].astype(np.int64)
    log_likelihoods = np.asarray(model.log_likelihoods(tokens))
    metrics = language_model_metrics(role, tokens, model.predict(tokens), log_likelihoods)
    per_row = log_likelihoods.sum(1) / np.maximum((tokens != 0).sum(1), 1)
    return Score(
        metrics,
        metrics[f"{role}_token_accuracy"],
        metrics[f"{role}_cross_entropy"],
        pack_numbers(per_row.tolist()),
    )


def _captioning(role: str, model: Any, rows: Rows, n_classes: int) -> Score:
    metrics, per_row, texts = model.caption_scores(rows[0], written=role == "test")
    return Score(
        {f"{role}_{name}": float(value) for name, value in metrics.items()},
        float(metrics["token_accuracy"]),
        float(metrics["cross_entropy"]),
        pack_numbers(per_row.tolist()),
        tuple(texts),
    )


_SCORES: dict[Task, Callable[[str, Any, Rows, int], Score]] = {
    "classification": _classification,
    "language-model": _language_model,
    "captioning": _captioning,
}
