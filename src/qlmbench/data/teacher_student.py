r"""Made-up tasks of which the best possible classifier is known: a teacher labels random vectors.

A row is x, 32 standard normal numbers; its class, one of 16, is drawn from the softmax of
:math:`W_0 x + \Delta(x)`. A student knows :math:`W_0` and learns the difference :math:`\Delta`, as
an adapter of a frozen layer does. There are three teachers:

- ``low-rank``: :math:`\Delta(x) = B A x` of rank 2, which LoRA with r = 2 expresses.
- ``full-rank``: :math:`\Delta(x) = D x` of rank 16.
- ``nonlinear``: :math:`\Delta(x) = \sqrt 2\, (p \cos(u + v) + q \cos(u - v))`, cosines centred, of
  two orthonormal projections u and v of x: what two paths of a photon make by interference. It is
  even in x, so that its correlation with every linear function of x is zero.

The entries of the differences have about the same mean square.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import TYPE_CHECKING

from qlmbench.errors import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

WIDTH = 32
N_CLASSES = 16
N_ROWS = 6_000
RANK = 2
BASE_SCALE = 1.5
"""Standard deviation of a logit of the base."""
DIFFERENCE_SCALE = 2.0
"""Standard deviation of a logit of the difference."""
DIGITS = 3
"""Decimals that a row's numbers are written with; the teacher labels the rounded numbers."""
SEED = 20251103

TEACHERS = ("low-rank", "full-rank", "nonlinear")
CLASSES = tuple(map(str, range(N_CLASSES)))
ROWS_SHA256 = {
    "low-rank": "4eefc9722e5b0808b1963359cf040b3a1e8bf2ad624073e872f5eca0f29c2f5d",
    "full-rank": "f9e0eeac6ab86ce9588aa1804fe2ec0678dee0a7520663617bbff98e1b4cb9e6",
    "nonlinear": "3bbe6f4340ae945e452c0ea6d52e2e60b6e0e63f8b37f6535d2a17de9e7e7f8c",
}
"""Hash of each teacher's rows, so that the identity of a dataset is known without making them."""


def base_weights() -> FloatArray:
    """Return the weights that teacher and student share, shape (16, 32); read-only."""
    return _drawn("base", N_CLASSES, WIDTH, BASE_SCALE / math.sqrt(WIDTH))


def difference(teacher: str, X: FloatArray) -> FloatArray:
    """Return what the teacher adds to the logits of the base.

    Parameters
    ----------
    teacher : {"low-rank", "full-rank", "nonlinear"}
        Which teacher.
    X : ndarray of shape (n, 32)
        Rows.

    Returns
    -------
    ndarray of shape (n, 16)

    Raises
    ------
    ValueError
        If there is no such teacher.
    """
    import numpy as np

    check_teacher(teacher)
    if teacher == "low-rank":
        down = _drawn("low-rank, down", RANK, WIDTH, 1 / math.sqrt(WIDTH))
        up = _drawn("low-rank, up", N_CLASSES, RANK, DIFFERENCE_SCALE / math.sqrt(RANK))
        return np.asarray(X @ down.T @ up.T)
    if teacher == "full-rank":
        weights = _drawn("full-rank", N_CLASSES, WIDTH, DIFFERENCE_SCALE / math.sqrt(WIDTH))
        return np.asarray(X @ weights.T)
    u, v = (X @ _projections().T).T
    waves = np.stack([np.cos(u + v), np.cos(u - v)], axis=1) - math.exp(-1)
    # Of the cosine of a normal angle of variance 2 and mean 0.
    deviation = (1 - math.exp(-2)) / math.sqrt(2)
    up = _drawn("nonlinear, up", N_CLASSES, RANK, DIFFERENCE_SCALE / math.sqrt(RANK))
    return np.asarray(waves / deviation @ up.T)


def teacher_probabilities(teacher: str, X: FloatArray) -> FloatArray:
    """Return the probabilities that labels are drawn from, shape (n, 16): the best prediction.

    Parameters
    ----------
    teacher : {"low-rank", "full-rank", "nonlinear"}
        Which teacher.
    X : ndarray of shape (n, 32)
        Rows.
    """
    import numpy as np

    logits = X @ base_weights().T + difference(teacher, X)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def teacher_rows(teacher: str) -> list[tuple[str, str]]:
    """Return rows, as numbers with blanks between, with their class; the same ones every time."""
    import numpy as np

    draw = random.Random(f"{SEED} rows {teacher}")
    rows = ([draw.gauss(0, 1) for _ in range(WIDTH)] for _ in range(N_ROWS))
    texts = [" ".join(f"{number:.{DIGITS}f}" for number in row) for row in rows]
    sums = teacher_probabilities(teacher, _read(texts)).cumsum(axis=1)
    coins = np.array([draw.random() for _ in texts])
    labels = np.minimum((coins[:, None] > sums).sum(axis=1), N_CLASSES - 1)
    return [(text, CLASSES[label]) for text, label in zip(texts, labels.tolist(), strict=True)]


def best_possible(teacher: str) -> dict[str, float]:
    """Return accuracy, and cross-entropy in nats, that the teacher itself can expect on its rows.

    Parameters
    ----------
    teacher : {"low-rank", "full-rank", "nonlinear"}
        Which teacher.

    Returns
    -------
    dict of str to float
        ``accuracy`` and ``log_loss``: over the labels, which are random; rows as they are.
    """
    import numpy as np

    p = teacher_probabilities(teacher, _read([text for text, _ in teacher_rows(teacher)]))
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    return {"accuracy": float(p.max(axis=1).mean()), "log_loss": float(entropy)}


def check_teacher(teacher: str) -> None:
    """Refuse a teacher that there is not.

    Raises
    ------
    ValueError
        If there is no such teacher.
    """
    if teacher not in TEACHERS:
        raise ValueError(
            f"teacher is {teacher!r}{nearest(str(teacher), TEACHERS)}; expected one of "
            f"{', '.join(TEACHERS)}"
        )


def _read(texts: list[str]) -> FloatArray:
    import numpy as np

    return np.array([text.split() for text in texts], dtype=np.float64)


@lru_cache
def _drawn(what: str, n_rows: int, n_columns: int, scale: float) -> FloatArray:
    """Draw a matrix of normal numbers, by Python's generator, which is the same everywhere."""
    import numpy as np

    draw = random.Random(f"{SEED} {what}")
    weights = np.array([[draw.gauss(0, scale) for _ in range(n_columns)] for _ in range(n_rows)])
    weights.setflags(write=False)
    return weights


@lru_cache
def _projections() -> FloatArray:
    """Two orthonormal directions, shape (2, 32)."""
    import numpy as np

    first, second = _drawn("nonlinear, down", 2, WIDTH, 1.0)
    first = first / np.linalg.norm(first)
    second = second - (second @ first) * first
    return np.stack([first, second / np.linalg.norm(second)])
