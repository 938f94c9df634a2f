"""Metrics of a classifier on rows it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def classification_metrics(
    role: str,
    y_true: IntArray,
    predicted: IntArray,
    probabilities: FloatArray | None,
    n_classes: int,
) -> dict[str, float]:
    """Score predictions.

    Parameters
    ----------
    role : str
        Prefix of the names: train, validation or test.
    y_true, predicted : ndarray of shape (n,)
        Class indices.
    probabilities : ndarray of shape (n, n_classes), optional
        Without it, there is no loss.
    n_classes : int
        Number of classes of the dataset.

    Returns
    -------
    dict of str to float
        ``<role>_accuracy``, ``_balanced_accuracy``, ``_macro_f1`` as fractions and
        ``_log_loss`` in nats.
    """
    labels = list(range(n_classes))
    values: dict[str, Any] = {
        "accuracy": accuracy_score(y_true, predicted),
        "balanced_accuracy": balanced_accuracy_score(y_true, predicted),
        "macro_f1": f1_score(y_true, predicted, labels=labels, average="macro", zero_division=0),
    }
    if probabilities is not None:
        values["log_loss"] = log_loss(y_true, probabilities, labels=labels)
    return {f"{role}_{name}": float(value) for name, value in values.items()}
