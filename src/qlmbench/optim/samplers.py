"""What measures the circuits: this package's exact simulator by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from qlmbench.optim.circuits import outcome_probabilities
from qlmbench.optim.qiskit_sampling import QiskitSampler
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_sampling import draw_counts

if TYPE_CHECKING:
    from qlmbench.optim.qiskit_sampling import QiskitSource


class Sampler(Protocol):
    """Measures one circuit for many gradients."""

    label: str
    """What runs the circuits."""

    def counts(self, fractions: Tensor, shots: int, rng: np.random.Generator) -> Tensor:
        """How often each outcome comes, ``[B, n]`` to ``[B, 2 ** n]``, qubit 0 leading."""


class LocalSampler:
    """Exact probabilities of all circuits at once, then multinomial draws from them.

    Any faithful simulator draws from the same distribution; the randomness here is numpy's.
    """

    label = "local simulator"

    def __init__(self, circuit: CircuitDescription) -> None:
        self._circuit = circuit

    def counts(self, fractions: Tensor, shots: int, rng: np.random.Generator) -> Tensor:
        """How often each outcome comes, ``[B, n]`` to ``[B, 2 ** n]``, qubit 0 leading."""
        return draw_counts(outcome_probabilities(self._circuit, fractions)[None], shots, [rng])[0]


def make_sampler(circuit: CircuitDescription, backend: QiskitSource | None) -> Sampler:
    """Sampler of a circuit: local, or on the Qiskit backend or primitive that is given."""
    return LocalSampler(circuit) if backend is None else QiskitSampler(circuit, backend)
