"""A weight tensor as blocks of n entries, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qlmbench.optim.rules import Coverage, Normalise


def to_blocks(gradient: Tensor, n_qubits: int, coverage: Coverage) -> Tensor:
    """Rows of ``n_qubits`` entries of a flattened gradient, ``[D]`` to ``[B, n]``.

    The last row is filled with zeros; in the circuits with an open chain of CNOTs these change
    nothing for the entries before them.

    Parameters
    ----------
    gradient : Tensor, ``[D]``
        The flattened gradient.
    n_qubits : int
        n, at most D.
    coverage : {"first", "all"}
        The first n entries alone, or all.

    Raises
    ------
    ValueError
        If there are fewer entries than qubits.
    """
    if gradient.numel() < n_qubits:
        raise ValueError(
            f"got {gradient.numel()} weights for {n_qubits} qubits; expected at least as many "
            "weights as qubits"
        )
    if coverage == "first":
        return gradient[:n_qubits].view(1, -1)
    missing = -gradient.numel() % n_qubits
    return torch.nn.functional.pad(gradient, (0, missing)).view(-1, n_qubits)


def largest_magnitudes(gradient: Tensor, blocks: Tensor, normalise: Normalise) -> Tensor:
    """Magnitude that each block is divided by, ``[B, 1]``: the whole tensor's, or its own."""
    if normalise == "block":
        return blocks.abs().amax(1, keepdim=True)
    return gradient.abs().amax().expand(len(blocks), 1)


def from_blocks(blocks: Tensor, size: int) -> Tensor:
    """Put rows behind one another, ``[B, n]`` to ``[size]``: fill is dropped, the rest is zero."""
    flat = blocks.reshape(-1)[:size]
    return torch.nn.functional.pad(flat, (0, size - len(flat)))


def shuffled(
    gradient: Tensor, n_qubits: int, normalise: Normalise, rng: np.random.Generator
) -> Tensor:
    """Let the entries of a flattened gradient change places at random.

    They do so in the whole tensor; or each within its own block where blocks are independent of
    one another (``normalise="block"``).
    """
    if normalise == "tensor":
        return gradient[torch.from_numpy(rng.permutation(gradient.numel()))]
    whole = gradient.numel() // n_qubits * n_qubits
    places = np.arange(whole).reshape(-1, n_qubits)
    order = np.concatenate(
        [rng.permuted(places, axis=1).ravel(), whole + rng.permutation(gradient.numel() - whole)]
    )
    return gradient[torch.from_numpy(order)]
