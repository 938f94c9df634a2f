"""The rows that captioners take: the features of an image, then the ids of its caption."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from qlmbench.data.images.vocabulary import PADDING
from qlmbench.metrics import FloatArray, IntArray


def split_rows(
    X: Any, n_image_features: int, width: int | None = None
) -> tuple[FloatArray, IntArray]:
    """Split rows into features (n, F) and ids (n, T), which are not checked; see `check_captions`.

    Parameters
    ----------
    X : array-like of shape (n, F + T)
    n_image_features : int
        F.
    width : int, optional
        F + T, as the rows of the training had it.

    Raises
    ------
    ValueError
        If the rows have another length, or are too short to hold a caption.
    """
    X = check_array(X, dtype=np.float64)
    if X.shape[1] <= n_image_features or (width or X.shape[1]) != X.shape[1]:
        raise ValueError(
            f"got rows of length {X.shape[1]}; expected "
            f"{width or f'more than {n_image_features}'}: {n_image_features} features, then the "
            "ids of a caption"
        )
    return X[:, :n_image_features], X[:, n_image_features:]


def feature_scale(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what centres features and brings a row to a length of about 1: mean and divisor.

    Parameters
    ----------
    features : ndarray of float64, shape (n, F)
    """
    spread = features.std(0)
    # What never changes says nothing; and rows of length one keep a step of Adam, which moves
    # all weights of an angle alike, from turning it around many times.
    return features.mean(0), np.where(spread > 0, spread, 1.0) * math.sqrt(features.shape[1])


def check_captions(ids: Any, vocab_size: int) -> IntArray:
    """Check rows of caption ids; return them as whole numbers, (n, T).

    Raises
    ------
    ValueError
        If an id is out of range or not whole, a row is empty, or padding stands before an id.
    """
    rows = np.asarray(ids, dtype=np.float64)
    if (rows != np.floor(rows)).any() or rows.min() < 0 or rows.max() >= vocab_size:
        raise ValueError(
            f"got caption ids from {rows.min()} to {rows.max()}; expected whole numbers from 0 to "
            f"{vocab_size - 1}"
        )
    real = rows != PADDING
    if not real[:, 0].all() or (real[:, 1:] & ~real[:, :-1]).any():
        raise ValueError("got padding before an id, or a row of nothing else; expected it at ends")
    return rows.astype(np.int64)
