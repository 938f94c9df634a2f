"""How the circuit's update relates to the gradient: exact moments, drift, direction, shot noise.

Updates are in units of the learning rate, and gradients are *fractions*: divided by the largest
magnitude of their tensor. As published that is the whole weight matrix, of which the circuit reads
five entries; their largest fraction is the *scale* of what the circuit sees (:func:`block_scales`
gives it for a real gradient).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlmbench.optim.blocks import to_blocks
from qlmbench.optim.circuits import outcome_probabilities, update_circuit
from qlmbench.optim.factors import (
    average_factors,
    expected_factors,
    factor_covariance,
    factor_table,
)
from qlmbench.optim.rules import BASES, Coverage, base_of
from qlmbench.optim.update import BlockUpdate
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_sampling import draw_counts
from qlmbench.ranges import check_whole
from qlmbench.seeding import seed_for


@dataclass(frozen=True)
class Moments:
    """Exact mean ``[B, n]`` and covariance ``[B, n, n]`` of updates, per unit learning rate."""

    mean: Tensor
    covariance: Tensor


def update_moments(
    fractions: Tensor,
    *,
    base: str = "as-published",
    circuit: str | CircuitDescription = "as-published",
    shots: int = 1000,
) -> Moments:
    """Exact mean and covariance of the measured update, from the circuit's probabilities.

    Parameters
    ----------
    fractions : Tensor, ``[B, n]``
        Gradient entries divided by the largest magnitude.
    base : {"as-published", "corrected"}
        How bits become updates; in the corrected base the mean at a zero gradient is subtracted.
    circuit : str or CircuitDescription
        As for :func:`qlmbench.optim.circuits.update_circuit`.
    shots : int
        Measurements of a circuit; the covariance falls with their number.

    Raises
    ------
    ValueError
        If the shape, a name or the number of shots does not fit.
    """
    _check_fractions(fractions)
    check_whole("shots", shots)
    scheme, described = BASES[base_of(base)], update_circuit(circuit, fractions.shape[1])
    table = factor_table(fractions.shape[1], reversed_bits=scheme.reversed_bits)
    exact = outcome_probabilities(described, fractions)
    mean = expected_factors(exact, table)
    if scheme.centred:
        mean = mean - drift(fractions.shape[1], circuit=circuit, reversed_bits=scheme.reversed_bits)
    return Moments(mean, factor_covariance(exact, table, shots))


def drift(
    n_qubits: int,
    *,
    circuit: str | CircuitDescription = "as-published",
    reversed_bits: bool = True,
) -> Tensor:
    """Mean update at a zero gradient before any correction, ``[n]``, per unit learning rate."""
    none = torch.zeros(1, n_qubits, dtype=torch.float64)
    exact = outcome_probabilities(update_circuit(circuit, n_qubits), none)
    return expected_factors(exact, factor_table(n_qubits, reversed_bits=reversed_bits))[0]


def response_at_zero(
    n_qubits: int,
    *,
    base: str = "as-published",
    circuit: str | CircuitDescription = "as-published",
) -> Tensor:
    """Which gradient entry moves which weight, to first order.

    Parameters
    ----------
    n_qubits : int
        n.
    base : {"as-published", "corrected"}
        How bits become updates.
    circuit : str or CircuitDescription
        The circuit.

    Returns
    -------
    Tensor, ``[n, n]``
        Derivative of the mean update of weight i by fraction j at a zero gradient, per unit
        learning rate. A multiple of the identity would be gradient descent.
    """

    def mean(fractions: Tensor) -> Tensor:
        return update_moments(fractions[None], base=base, circuit=circuit).mean[0]

    none = torch.zeros(n_qubits, dtype=torch.float64)
    slopes: Tensor = torch.autograd.functional.jacobian(mean, none)  # type: ignore[no-untyped-call]
    return slopes


def cosines(updates: Tensor, gradients: Tensor) -> Tensor:
    """Cosine of every row with its gradient, ``[B, n]`` to ``[B]``; NaN where one is zero."""
    lengths = torch.linalg.vector_norm(updates, dim=1) * torch.linalg.vector_norm(gradients, dim=1)
    found: Tensor = (updates * gradients).sum(1) / lengths
    return found


def sign_agreement(updates: Tensor, gradients: Tensor) -> Tensor:
    """Share of a row's gradient entries whose update has their sign, ``[B, n]`` to ``[B]``.

    Entries with a gradient of zero do not count; NaN if a row has no others. An update of zero
    agrees with nothing.
    """
    known = gradients != 0
    agree = known & (updates.sign() == gradients.sign())
    return agree.sum(1) / known.sum(1)


def block_scales(gradient: Tensor, n_qubits: int = 5, coverage: Coverage = "all") -> Tensor:
    """Largest fraction of each block of a gradient: what the circuits of a tensor get to see.

    Parameters
    ----------
    gradient : Tensor
        Of a weight tensor, any shape.
    n_qubits : int
        Entries in a block.
    coverage : {"first", "all"}
        The first block alone, as published, or all.

    Returns
    -------
    Tensor, ``[B]``
        From 0 to 1; an angle is at most pi times as large.

    Raises
    ------
    ValueError
        If the gradient is zero or not finite, or smaller than a block.
    """
    flat, largest = _with_largest(gradient)
    return to_blocks(flat, n_qubits, coverage).abs().amax(1) / largest


def against_gradient(
    gradient: Tensor,
    *,
    base: str = "as-published",
    circuit: str | CircuitDescription = "as-published",
    n_qubits: int = 5,
    shots: int = 1000,
    coverage: Coverage | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Compare the update of one weight tensor with its gradient, as found in training.

    Parameters
    ----------
    gradient : Tensor
        Of a weight tensor, any shape; divided by its largest magnitude.
    base, circuit, n_qubits, shots
        As for :func:`update_moments`.
    coverage : {"first", "all"}, optional
        Which weights are updated; the base's if left out.
    seed : int
        Of the shots.

    Returns
    -------
    dict
        ``weights`` that are updated; their largest fraction, ``scale``; ``cosine`` and
        ``sign_agreement`` of a drawn update with the gradient of these weights; both without shot
        noise, ``exact_cosine`` and ``exact_sign_agreement``; and ``shot_share``, the part of the
        update's mean square that is variance from finite shots.

    Raises
    ------
    ValueError
        As for :func:`block_scales` and :func:`update_moments`.
    """
    flat, largest = _with_largest(gradient)
    scheme = BASES[base_of(base)]
    blocks = to_blocks(flat, n_qubits, coverage or scheme.coverage)
    moments = update_moments(blocks / largest, base=base, circuit=circuit, shots=shots)
    rng = np.random.default_rng(seed_for("sampling", analysis="against_gradient", seed=seed))
    update = BlockUpdate(base, circuit=circuit, n_qubits=n_qubits, shots=shots)
    drawn = update(blocks, largest.expand(len(blocks), 1), 1.0, rng)
    variance = moments.covariance.diagonal(dim1=-2, dim2=-1)
    # Fill of the last block is no weight.
    weights = min(blocks.numel(), flat.numel())
    rows = [part.reshape(1, -1)[:, :weights] for part in (blocks, drawn, moments.mean, variance)]
    covered, drawn, mean, variance = rows
    values: dict[str, float | Tensor] = {
        "weights": weights,
        "scale": covered.abs().amax() / largest,
        "cosine": cosines(drawn, covered)[0],
        "exact_cosine": cosines(mean, covered)[0],
        "sign_agreement": sign_agreement(drawn, covered)[0],
        "exact_sign_agreement": sign_agreement(mean, covered)[0],
        "shot_share": variance.sum() / (variance.sum() + mean.square().sum()),
    }
    return {name: float(value) for name, value in values.items()}


def _with_largest(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Flattened gradient and its largest magnitude, which must be a direction's."""
    flat = gradient.detach().reshape(-1).cpu().double()
    largest = flat.abs().amax() if flat.numel() else flat.sum()
    if not 0 < float(largest) < float("inf"):
        raise ValueError(
            f"got a gradient with the largest magnitude {float(largest)}; expected a finite number "
            "above 0"
        )
    return flat, largest


def by_scale(
    scales: Sequence[float],
    *,
    base: str = "as-published",
    circuit: str | CircuitDescription = "as-published",
    n_qubits: int = 5,
    shots: int = 1000,
    gradients: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare updates with gradients of random direction, scale by scale.

    Parameters
    ----------
    scales : sequence of float
        Largest fraction of the gradients, above 0 and at most 1.
    base, circuit, n_qubits, shots
        As for :func:`update_moments`.
    gradients : int
        Random directions, the same at every scale: normal entries, divided by their largest.
    seed : int
        Of directions and shots.

    Returns
    -------
    DataFrame
        One row a scale.

        - ``drift``: mean update at a zero gradient, averaged over the weights.
        - ``cosine``, ``sign_agreement``: of drawn updates with their gradients, averaged.
        - ``exact_cosine``, ``exact_sign_agreement``: of the mean updates, without shot noise.
        - ``constant_share``, ``signal_share``, ``shot_share``: parts of the mean square of the
          update, which sum to 1: the square of its mean over gradients and shots; how much its
          mean over shots varies with the gradient; and the variance from finite shots.

    Raises
    ------
    ValueError
        If a scale is out of its range, or as for :func:`update_moments`.
    """
    bad = [scale for scale in scales if not 0 < scale <= 1]
    if bad or gradients < 1:
        raise ValueError(
            f"got scales {bad} and gradients={gradients}; expected scales above 0 and at most 1, "
            "and at least one gradient"
        )
    rng = np.random.default_rng(seed_for("sampling", analysis="by_scale", seed=seed))
    directions = torch.from_numpy(rng.standard_normal((gradients, n_qubits)))
    directions = directions / directions.abs().amax(1, keepdim=True)
    options = {"base": base, "circuit": circuit, "shots": shots}
    rows = [_at_scale(scale, directions, rng, **options) for scale in scales]  # type: ignore[arg-type]
    return pd.DataFrame(rows)


def _at_scale(
    scale: float,
    directions: Tensor,
    rng: np.random.Generator,
    *,
    base: str,
    circuit: str | CircuitDescription,
    shots: int,
) -> dict[str, float]:
    fractions = scale * directions
    n_qubits = directions.shape[1]
    scheme, described = BASES[base_of(base)], update_circuit(circuit, n_qubits)
    moments = update_moments(fractions, base=base, circuit=circuit, shots=shots)
    table = factor_table(n_qubits, reversed_bits=scheme.reversed_bits)
    at_zero = drift(n_qubits, circuit=circuit, reversed_bits=scheme.reversed_bits)
    counts = draw_counts(outcome_probabilities(described, fractions)[None], shots, [rng])[0]
    drawn = average_factors(counts, table, shots) - (at_zero if scheme.centred else 0)
    constant = moments.mean.mean(0).square().sum()
    signal = moments.mean.var(0, correction=0).sum()
    shot = moments.covariance.diagonal(dim1=-2, dim2=-1).sum(-1).mean()
    total = constant + signal + shot
    values = {
        "scale": scale,
        "drift": 0.0 if scheme.centred else at_zero.mean(),
        "cosine": cosines(drawn, fractions).mean(),
        "exact_cosine": cosines(moments.mean, fractions).mean(),
        "sign_agreement": sign_agreement(drawn, fractions).mean(),
        "exact_sign_agreement": sign_agreement(moments.mean, fractions).mean(),
        "constant_share": constant / total,
        "signal_share": signal / total,
        "shot_share": shot / total,
    }
    return {name: float(value) for name, value in values.items()}


def _check_fractions(fractions: Tensor) -> None:
    if fractions.dim() != 2 or fractions.shape[1] == 0:
        raise ValueError(f"got fractions of shape {list(fractions.shape)}; expected [B, n]")
    if not bool((fractions.abs() <= 1).all()):
        raise ValueError("got a fraction outside [-1, 1]; divide by the largest magnitude")
