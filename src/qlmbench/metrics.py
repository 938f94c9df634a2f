"""Metrics of a model on rows it has not seen."""

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


def language_model_metrics(
    role: str, tokens: IntArray, predicted: IntArray, log_likelihoods: FloatArray
) -> dict[str, float]:
    """Score predictions of each token from those before it; padding counts for nothing.

    Parameters
    ----------
    role : str
        Prefix of the names: train, validation or test.
    tokens : ndarray of shape (n, T)
        Token ids; 0 is padding.
    predicted : ndarray of shape (n, T)
        The most likely token at each place.
    log_likelihoods : ndarray of shape (n, T)
        Log-probability of each token, in nats.

    Returns
    -------
    dict of str to float
        ``<role>_token_accuracy`` as a fraction, ``_cross_entropy`` in nats a token, and
        ``_perplexity``, its exponential.
    """
    real = tokens != 0
    cross_entropy = -float(log_likelihoods[real].mean())
    return {
        f"{role}_token_accuracy": float((predicted[real] == tokens[real]).mean()),
        f"{role}_cross_entropy": cross_entropy,
        f"{role}_perplexity": float(np.exp(cross_entropy)),
    }
