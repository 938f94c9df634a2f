"""The update as the quantum-gradient fine-tuning project computes it: one Qiskit circuit a call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlmbench.optim.circuits import update_circuit
from qlmbench.optim.factors import ONE, ZERO
from qlmbench.optim.qiskit_sampling import measured_circuit, primitive_of, transpiled
from qlmbench.ranges import check_whole

if TYPE_CHECKING:
    from qlmbench.optim.qiskit_sampling import QiskitSource


def quantum_parameter_update(
    gradient_values: ArrayLike,
    backend: QiskitSource | None = None,
    learning_rate: float = 0.01,
    shots: int = 1000,
    *,
    n_qubits: int = 5,
    seed: int | np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Update of a flattened gradient from one run of the published circuit.

    Only the first ``n_qubits`` entries enter, divided by the largest magnitude of *all* entries.
    The bit strings are read from left to right, though Qiskit writes the last qubit first: entry i
    answers to gradient ``n_qubits - 1 - i``. A measured 1 counts +1 and a 0 counts -1/2, so that a
    zero gradient gives a quarter of the learning rate on average. The caller subtracts the update.

    As published, fewer entries than qubits make the circuit smaller, and a gradient of zero is
    divided by 1 instead of by 0.

    Parameters
    ----------
    gradient_values : array_like, ``[D]``
        The flattened gradient.
    backend : BackendV2 or BaseSamplerV2, optional
        Where the circuit runs. The published code takes a backend and runs on the local
        statevector sampler nevertheless; this function runs where it is told, and there by default.
    learning_rate : float
        Multiplies the mean factors.
    shots : int
        Measurements of the circuit.
    n_qubits : int
        Qubits of the circuit.
    seed : int or Generator, optional
        Of the local statevector sampler. With an int every call draws the same shots: give a
        generator to a loop.

    Returns
    -------
    ndarray, ``[D]``
        Zero from entry ``n_qubits`` on.

    Raises
    ------
    ValueError
        If the gradient is empty, not flat or not finite, there are no shots, or a seed is given to
        a backend.
    """
    gradient = _checked(gradient_values, shots)
    if backend is not None and seed is not None:
        raise ValueError(
            "got a seed and a backend; expected one of them, for a backend has its own"
        )
    n = min(n_qubits, len(gradient))
    largest = float(np.abs(gradient).max()) or 1.0
    fractions = [float(g) / largest for g in gradient[:n]]
    sampler, target = _sampler(backend, seed)
    circuit = transpiled(measured_circuit(update_circuit("as-published", n), fractions), target)
    counts = sampler.run([circuit], shots=shots).result()[0].data.meas.get_counts()
    update = np.zeros(len(gradient))
    for bits, count in counts.items():
        for entry, bit in enumerate(bits):
            update[entry] += (ONE if bit == "1" else ZERO) * count / shots
    return learning_rate * update


def _checked(gradient_values: ArrayLike, shots: int) -> NDArray[np.float64]:
    gradient = np.asarray(gradient_values, dtype=np.float64)
    if gradient.ndim != 1 or gradient.size == 0:
        raise ValueError(
            f"got gradient values of shape {list(gradient.shape)}; expected one axis with at least "
            "one entry: flatten the gradient"
        )
    if not math.isfinite(float(np.abs(gradient).max())):
        raise ValueError("got gradient values with NaN or infinity; expected finite numbers")
    check_whole("shots", shots)
    return gradient


def _sampler(
    backend: QiskitSource | None, seed: int | np.random.Generator | None
) -> tuple[Any, Any]:
    """Primitive that runs the circuit, and the backend to transpile it for, if it has one."""
    if backend is not None:
        return primitive_of(backend)
    from qiskit.primitives import StatevectorSampler

    return StatevectorSampler(seed=seed), None
