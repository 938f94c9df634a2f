"""Rows of a language model: token ids, each row a text, then padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlmbench.models.token_ids import check_token_ids
from qlmbench.seeding import seed_for

PADDING = 0
"""Stands after the end of a text, and nowhere else."""


def check_texts(X: Any, vocab_size: int, name: str, length: int | None = None) -> NDArray[np.int64]:
    """Refuse what is no table of texts.

    Parameters
    ----------
    X : array-like of shape (n, T)
        Token ids; 0 is padding, and stands only at the end of a row.
    vocab_size : int
        V; ids are whole numbers from 0 to V - 1.
    name : str
        Who asks, for the message.
    length : int, optional
        T, where it is known.

    Returns
    -------
    ndarray of int64, shape (n, T)

    Raises
    ------
    ValueError
        If X is something else, or a row has no token.
    """
    ids = np.asarray(X)
    if ids.ndim != 2 or not ids.size or length not in (None, ids.shape[1]):
        columns = "T" if length is None else length
        raise ValueError(
            f"{name}: got X of shape {ids.shape}; expected token ids, shape (n, {columns}), at "
            "least one row"
        )
    check_token_ids(ids, vocab_size, name)
    ids = ids.astype(np.int64)
    real = ids != PADDING
    gaps = np.flatnonzero((real[:, 1:] & ~real[:, :-1]).any(1))
    if gaps.size:
        raise ValueError(
            f"{name}: got padding (id {PADDING}) before a token in row {gaps[0]}; expected it only "
            "at the end of a row"
        )
    empty = np.flatnonzero(~real.any(1))
    if empty.size:
        raise ValueError(
            f"{name}: got nothing but padding (id {PADDING}) in row {empty[0]}; expected at least "
            "one token in each row"
        )
    return ids


def text_draws(n: int, length: int, random_state: int) -> NDArray[np.float64]:
    """Draw what decides each token of texts, uniform on [0, 1), shape (n, length).

    The first rows do not depend on how many there are.
    """
    seed = seed_for("sampling", seed=random_state, purpose="text")
    return np.random.default_rng(seed).random((n, length))


def choose(probabilities: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose a column of each row by its probability.

    Parameters
    ----------
    probabilities : ndarray of shape (n, k)
        Each row with the sum 1, but for rounding.
    draws : ndarray of shape (n,)
        Uniform on [0, 1).
    """
    sums = probabilities.cumsum(1)
    # The draw is held against the sum as it is: rounding leaves it next to 1.
    chosen: NDArray[np.int64] = (sums[:, :-1] <= (draws * sums[:, -1])[:, None]).sum(1)
    return chosen
