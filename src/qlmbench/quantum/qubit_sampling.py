"""Finite shots: exact draws from exact probabilities, one random stream a repetition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Keeps the stream of shots apart from the stream that initialises weights with the same seed.
_SHOT_STREAM = 0x5407


def shot_generators(seeds: Sequence[int]) -> list[np.random.Generator]:
    """One generator of shots a repetition; a repetition's draws depend on its own seed alone."""
    return [np.random.default_rng([_SHOT_STREAM, seed]) for seed in seeds]


def draw_counts(
    probabilities: Tensor, shots: int, generators: Sequence[np.random.Generator]
) -> Tensor:
    """How often each outcome comes in ``shots`` independent measurements.

    Parameters
    ----------
    probabilities : Tensor, ``[R, ..., outcomes]``
        Exact probabilities.
    shots : int
        Measurements of each distribution.
    generators : sequence of R generators
        Row r of the first axis is drawn with generator r.

    Returns
    -------
    Tensor
        Integer counts, of the shape of the probabilities.
    """
    outcomes = probabilities.shape[-1]
    exact = probabilities.detach().cpu().double().numpy()
    # Rounding of float32 sums; numpy wants a total of 1 within 1e-12.
    exact = exact / exact.sum(axis=-1, keepdims=True)
    draw = _count_outcomes if outcomes <= shots else _invert
    counts = np.stack(
        [
            draw(rng, shots, rows.reshape(-1, outcomes))
            for rng, rows in zip(generators, exact, strict=True)
        ]
    )
    return torch.from_numpy(counts.reshape(exact.shape)).to(probabilities.device)


def _count_outcomes(
    rng: np.random.Generator, shots: int, rows: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One binomial draw an outcome: cheap for few outcomes and many shots."""
    return rng.multinomial(shots, rows)


def _invert(rng: np.random.Generator, shots: int, rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """One search a shot in the cumulative distribution: cheap for many outcomes, few shots."""
    counts = np.empty(rows.shape, dtype=np.int64)
    for i, cumulative in enumerate(np.cumsum(rows, axis=1)):
        # The last entry may round below 1: a draw above it would belong to no outcome.
        drawn = np.searchsorted(cumulative, rng.random(shots) * cumulative[-1], side="right")
        counts[i] = np.bincount(drawn, minlength=rows.shape[1])
    return counts
