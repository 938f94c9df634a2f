"""How measured bits become factors of the update: the exact mean and covariance of their average.

A bit 1 stands for the factor +1 and a bit 0 for -1/2, as published. Over S shots the update of a
weight is the learning rate times the mean factor of its bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ONE, ZERO = 1.0, -0.5
"""Published factors of a measured 1 and of a measured 0."""


def factor_table(n_qubits: int, *, reversed_bits: bool) -> Tensor:
    """Factor of every weight for every outcome, ``[2 ** n, n]``.

    Parameters
    ----------
    n_qubits : int
        n.
    reversed_bits : bool
        Whether weight i reads qubit ``n - 1 - i``, as in the published code, which takes Qiskit's
        bit strings (last qubit first) from left to right; else weight i reads qubit i.
    """
    outcomes = torch.arange(2**n_qubits).unsqueeze(1)
    qubits = torch.arange(n_qubits)
    # Qubit 0 is the most significant bit.
    places = qubits if reversed_bits else n_qubits - 1 - qubits
    bits = (outcomes >> places) & 1
    return torch.where(bits == 1, ONE, ZERO).double()


def expected_factors(probabilities: Tensor, table: Tensor) -> Tensor:
    """Mean factor of every weight, ``[..., 2 ** n]`` and ``[2 ** n, n]`` to ``[..., n]``."""
    return probabilities @ table


def factor_covariance(probabilities: Tensor, table: Tensor, shots: int) -> Tensor:
    """Covariance of the mean factors over ``shots`` measurements.

    Parameters
    ----------
    probabilities : Tensor, ``[..., 2 ** n]``
        Of the outcomes.
    table : Tensor, ``[2 ** n, n]``
        Factors of the outcomes.
    shots : int
        Independent measurements that are averaged.

    Returns
    -------
    Tensor, ``[..., n, n]``
        ``(sum_k p_k f_k f_k^T - m m^T) / shots`` with the mean ``m``.
    """
    mean = expected_factors(probabilities, table)
    centred = table - mean.unsqueeze(-2)
    return centred.mT @ (probabilities.unsqueeze(-1) * centred) / shots


def average_factors(counts: Tensor, table: Tensor, shots: int) -> Tensor:
    """Mean factor of every weight from counts ``[..., 2 ** n]``, ``[..., n]``."""
    return counts.double() @ table / shots


def gaussian_factors(probabilities: Tensor, table: Tensor, shots: int, normals: Tensor) -> Tensor:
    """Gaussian noise with the mean and the covariance of the average over ``shots``.

    Parameters
    ----------
    probabilities : Tensor, ``[B, 2 ** n]``
        Of the outcomes.
    table : Tensor, ``[2 ** n, n]``
        Factors of the outcomes.
    shots : int
        Measurements whose average is imitated.
    normals : Tensor, ``[B, 2 ** n]``
        Independent standard normal numbers.

    Returns
    -------
    Tensor, ``[B, n]``

    Notes
    -----
    ``sqrt(p_k) x_k - p_k sum_j sqrt(p_j) x_j`` has the covariance ``diag(p) - p p^T`` of one
    measured outcome: no matrix has to be factored, and none can be singular.
    """
    # Rounding leaves probabilities of -1e-17.
    roots = probabilities.clamp_min(0).sqrt() * normals
    outcomes = roots - probabilities * roots.sum(-1, keepdim=True)
    noisy: Tensor = probabilities + outcomes / math.sqrt(shots)
    return noisy @ table
