"""Whether a caption is likelier under its own image than under others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlmbench.seeding import seed_for


def distractors(captions: NDArray[np.int64], n: int, random_state: int) -> NDArray[np.int64]:
    """Draw other rows for each caption, none of them with the same caption.

    Parameters
    ----------
    captions : ndarray of int64, shape (n_rows, T)
        Ids.
    n : int
        Others for each row, at least 1.
    random_state : int
        Seed. A row's others depend on all captions.

    Returns
    -------
    ndarray of int64, shape (n_rows, n)
        Different rows.

    Raises
    ------
    ValueError
        If n is below 1 or a caption has fewer than n rows with another one.
    """
    if n < 1:
        raise ValueError(f"got {n + 1} candidates; expected at least 2, an image and another one")
    rng = np.random.default_rng(seed_for("sampling", purpose="retrieval", seed=random_state))
    _, kinds = np.unique(captions, axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    fewest = len(kinds) - int(np.bincount(kinds).max())
    if fewest < n:
        raise ValueError(
            f"got rows of which {fewest} have another caption than the most frequent one; expected "
            f"at least {n}, to choose among {n + 1} images"
        )
    return np.stack([rng.choice(np.flatnonzero(kinds != k), n, replace=False) for k in kinds])


def share_of_choice(own: NDArray[np.float64], rivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each choice that goes to the own image: all, nothing, or its part of a tie.

    Parameters
    ----------
    own : ndarray of shape (n,)
        Log-likelihoods.
    rivals : ndarray of shape (n, k)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    # Equal tokens may give sums that differ in the last digits.
    margin = 1e-9 * np.maximum(np.abs(own), 1)[:, None]
    beaten = (rivals > own[:, None] + margin).any(1)
    ties = (np.abs(rivals - own[:, None]) <= margin).sum(1)
    return np.where(beaten, 0.0, 1 / (1 + ties))
