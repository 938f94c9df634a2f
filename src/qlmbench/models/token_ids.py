"""Rows of token ids, as they come in from a feature table."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Tags


class TokenIdsMixin:
    """Says of an estimator that its rows are token ids, of which the order does not matter."""

    def __sklearn_tags__(self) -> Tags:
        """Say that X holds categories, numbered from 0."""
        tags: Tags = super().__sklearn_tags__()  # type: ignore[misc]
        if tags.classifier_tags is not None:
            # The blobs of scikit-learn's checks differ by which column a value stands in.
            tags.classifier_tags.poor_score = True
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        return tags


def check_token_ids(X: Any, vocab_size: int, name: str) -> None:
    """Refuse what is no token.

    Parameters
    ----------
    X : ndarray
        Of any shape.
    vocab_size : int
        Ids are whole numbers from 0 to one less.
    name : str
        Who asks, for the message.

    Raises
    ------
    ValueError
        If there is something else in X.
    """
    if not np.issubdtype(X.dtype, np.number):
        raise ValueError(f"{name}: got X of type {X.dtype}; expected token ids, whole numbers")
    low, high = X.min(), X.max()
    if low < 0:
        raise ValueError(
            f"Negative values in data passed to {name}: got {low}; expected token ids from 0 "
            f"to {vocab_size - 1}"
        )
    broken = X[np.floor(X) != X]
    if broken.size:
        raise ValueError(
            f"{name}: got {broken[0]} in X; expected token ids, whole numbers from 0 to "
            f"{vocab_size - 1}"
        )
    if high >= vocab_size:
        raise ValueError(
            f"{name}: got the token id {int(high)}; expected 0 to {vocab_size - 1}: set "
            "vocab_size to the number of tokens"
        )
