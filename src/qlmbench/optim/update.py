"""One update of many blocks of weights: gradients in, what is subtracted from the weights out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from qlmbench.optim.circuits import outcome_probabilities, update_circuit
from qlmbench.optim.factors import (
    ONE,
    ZERO,
    average_factors,
    expected_factors,
    factor_covariance,
    factor_table,
    gaussian_factors,
)
from qlmbench.optim.rules import BASES, resolve
from qlmbench.optim.samplers import LocalSampler, make_sampler
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.ranges import check_not_negative, check_whole

if TYPE_CHECKING:
    from qlmbench.optim.qiskit_sampling import QiskitSource


class BlockUpdate:
    """An update rule on blocks of n weights, all blocks at once.

    Parameters
    ----------
    rule : str
        A name in :data:`qlmbench.optim.rules.RULES`.
    base : {"as-published", "corrected"}, optional
        What the rule stands on; the rule's own or as-published if left out.
    circuit : str or CircuitDescription
        As for :func:`qlmbench.optim.circuits.update_circuit`.
    n_qubits : int
        n, weights in a block.
    shots : int
        Measurements of a circuit.
    angle_scale : float
        Angle of the first rotation by the largest gradient entry, in radians, above 0 and at most
        pi. As published it is pi: with the second rotation, entries above two thirds of the largest
        turn so far that the update has the wrong sign. Without CNOTs, the update rises with the
        gradient up to ``pi / 3``.
    temperature : float, optional
        T of Langevin noise, whose variance is ``2 * rate * T``. Left out, the noise is as large as
        the shot noise of the circuit's update at a zero gradient.
    backend : BackendV2 or BaseSamplerV2, optional
        Where measured circuits run; the local simulator if left out.

    Attributes
    ----------
    circuits : dict of str to int
        How many circuits each sampler has run, by its label.

    Raises
    ------
    ValueError
        If an argument is unknown or out of its range, or arguments contradict each other.
    """

    def __init__(
        self,
        rule: str,
        *,
        base: str | None = None,
        circuit: str | CircuitDescription = "as-published",
        n_qubits: int = 5,
        shots: int = 1000,
        angle_scale: float = math.pi,
        temperature: float | None = None,
        backend: QiskitSource | None = None,
    ) -> None:
        self.rule, self.base = resolve(rule, base, circuit)
        self.name, self.scheme = rule, BASES[self.base]
        check_whole("shots", shots)
        if not 0 < angle_scale <= math.pi:
            raise ValueError(f"got angle_scale={angle_scale}; expected above 0 and at most pi")
        check_not_negative("temperature", temperature, or_none=True)
        self.n_qubits, self.shots = n_qubits, shots
        self.angle_scale, self.temperature = angle_scale, temperature
        self.circuit = update_circuit(self.rule.circuit or circuit, n_qubits)
        if backend is not None and self.rule.source != "measured":
            raise ValueError(
                f"got a backend with rule={rule!r}; expected none, for it measures no circuit"
            )
        local = self.rule.source != "measured"
        self._sampler = LocalSampler(self.circuit) if local else make_sampler(self.circuit, backend)
        self._table = factor_table(n_qubits, reversed_bits=self.scheme.reversed_bits)
        none = torch.zeros(1, n_qubits, dtype=torch.float64)
        self.mean_at_zero = expected_factors(outcome_probabilities(self.circuit, none), self._table)
        self.circuits: dict[str, int] = {}

    @property
    def shared(self) -> bool:
        """Whether the inner optimiser updates the chosen weights too."""
        return self.scheme.shared if self.rule.shared is None else self.rule.shared

    def __call__(
        self, gradients: Tensor, largest: Tensor, rate: float, rng: np.random.Generator
    ) -> Tensor:
        """Draw one update.

        Parameters
        ----------
        gradients : Tensor, ``[B, n]``
            One row a block.
        largest : Tensor, ``[B, 1]``
            The magnitude that each row is divided by, at least that of its entries. Where it is
            zero, the as-published base divides by 1, as its source does; the corrected base gives
            no update, for there is no direction.
        rate : float
            Learning rate of the update.
        rng : Generator
            Of shots and noise.

        Returns
        -------
        Tensor, ``[B, n]``
            In float64, to be subtracted from the weights.

        Raises
        ------
        ValueError
            If the shapes do not fit or a gradient is not finite.
        """
        gradients, largest = self._checked(gradients, largest)
        if self.rule.source == "nothing":
            return torch.zeros_like(gradients)
        if self.rule.source == "langevin":
            return self._langevin(gradients, rate, rng)
        if self.rule.source == "mean-at-zero":
            return (rate * self.mean_at_zero).expand_as(gradients).clone()
        if not self.scheme.centred:
            fractions = gradients / torch.where(largest == 0, 1.0, largest)
            return rate * self._factors(fractions, rng)
        update = torch.zeros_like(gradients)
        known = largest[:, 0] > 0
        if bool(known.any()):
            factors = self._factors(gradients[known] / largest[known], rng)
            update[known] = rate * (factors - self.mean_at_zero)
        return update

    def _checked(self, gradients: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
        rows = len(gradients)
        if gradients.shape != (rows, self.n_qubits) or largest.shape != (rows, 1):
            raise ValueError(
                f"got gradients of shape {list(gradients.shape)} and largest magnitudes of shape "
                f"{list(largest.shape)}; expected [B, {self.n_qubits}] and [B, 1]"
            )
        gradients, largest = gradients.detach().cpu().double(), largest.detach().cpu().double()
        if not bool(gradients.isfinite().all() & largest.isfinite().all()):
            raise ValueError("got a gradient with NaN or infinity; expected finite numbers")
        if bool((gradients.abs() > largest).any()):
            raise ValueError(
                "got a gradient entry above its row's largest magnitude; expected the largest "
                "magnitude to bound the row"
            )
        return gradients, largest

    def _factors(self, fractions: Tensor, rng: np.random.Generator) -> Tensor:
        """Mean factors over the shots, or noise that imitates them."""
        fractions = fractions * (self.angle_scale / math.pi)
        if self.rule.source == "gradient":
            return self.mean_at_zero + self._of_equal_size(fractions)
        if self.rule.source == "gaussian":
            exact = outcome_probabilities(self.circuit, fractions)
            normals = torch.from_numpy(rng.standard_normal(tuple(exact.shape)))
            return gaussian_factors(exact, self._table, self.shots, normals)
        counts = self._sampler.counts(fractions, self.shots, rng)
        label = self._sampler.label
        if self.rule.source == "measured":
            self.circuits[label] = self.circuits.get(label, 0) + len(fractions)
        return average_factors(counts, self._table, self.shots)

    def _of_equal_size(self, fractions: Tensor) -> Tensor:
        """Scale the gradient to the root mean square that the circuit's update is expected to have.

        The shots' variance counts: it is part of the size of a measured update.
        """
        exact = outcome_probabilities(self.circuit, fractions)
        mean = expected_factors(exact, self._table) - self.mean_at_zero
        variance = factor_covariance(exact, self._table, self.shots).diagonal(dim1=-2, dim2=-1)
        size = (mean.square() + variance).mean() / fractions.square().mean()
        return fractions * size.sqrt()

    def _langevin(self, gradients: Tensor, rate: float, rng: np.random.Generator) -> Tensor:
        if self.temperature is None:
            # A fair bit's factor has the standard deviation of half the distance of its values.
            scale = rate * (ONE - ZERO) / 2 / math.sqrt(self.shots)
        else:
            scale = math.sqrt(2 * rate * self.temperature)
        noise = scale * torch.from_numpy(rng.standard_normal(tuple(gradients.shape)))
        return rate * gradients + noise if self.rule.gradient_step else noise
