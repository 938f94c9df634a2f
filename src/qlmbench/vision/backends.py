"""The circuit of a projection run by PennyLane and by Qiskit, with gradients: the references."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_exports import pennylane_qnode, qiskit_circuit

Backend = Literal["statevector", "pennylane", "qiskit"]


def pennylane_z(description: CircuitDescription, weights: Tensor, inputs: Tensor) -> Tensor:
    """Z of every wire from PennyLane's ``default.qubit``, differentiated by torch.

    Parameters
    ----------
    description : CircuitDescription
        The circuit.
    weights : Tensor, ``[n_weights]``
    inputs : Tensor, ``[B, n_inputs]``

    Returns
    -------
    Tensor, ``[B, n_qubits]``
        In the type of the inputs.
    """
    values: Any = weights.double().cpu()
    node = pennylane_qnode(description, values, "z", range(description.n_qubits))
    found: Tensor = torch.stack(list(node(inputs.double().cpu())), -1)
    return found.to(inputs)


def qiskit_z(description: CircuitDescription, weights: Tensor, inputs: Tensor) -> Tensor:
    """Z of every wire from Qiskit's ``StatevectorEstimator``, differentiated by parameter shift.

    See `pennylane_z`.
    """
    found: Tensor = _QiskitZ.apply(description, weights, inputs)  # type: ignore[no-untyped-call]
    return found


class _QiskitZ(torch.autograd.Function):
    """Expectations, and as gradients half the difference of those at angles plus, minus pi / 2.

    This holds where every weight and input turns one qubit once, as in all circuits here.
    """

    @staticmethod
    def forward(ctx: Any, description: CircuitDescription, weights: Tensor, inputs: Tensor) -> Any:
        ctx.description = description
        ctx.save_for_backward(weights, inputs)
        return torch.from_numpy(_estimate(description, *_angles(weights, inputs))).to(inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weights, inputs = ctx.saved_tensors
        w, x = _angles(weights, inputs)
        upstream = gradients[0].detach().cpu().double().numpy()

        def slope(number: int) -> NDArray[np.float64]:
            """Change of the loss with one angle, a row a sample."""
            ends = []
            for sign in (1, -1):
                shifted = np.concatenate([w, x], 1)
                shifted[:, number] += sign * math.pi / 2
                moved = shifted[:, : w.shape[1]], shifted[:, w.shape[1] :]
                ends.append(_estimate(ctx.description, *moved))
            both: NDArray[np.float64] = (upstream * (ends[0] - ends[1]) / 2).sum(1)
            return both

        slopes = np.stack([slope(i) for i in range(w.shape[1] + x.shape[1])], 1)
        by_weight = torch.from_numpy(slopes[:, : w.shape[1]].sum(0)).to(weights)
        return None, by_weight, torch.from_numpy(slopes[:, w.shape[1] :]).to(inputs)


def _angles(weights: Tensor, inputs: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights, a copy for each sample, and inputs."""
    x = inputs.detach().cpu().double().numpy()
    w = weights.detach().cpu().double().numpy()
    return np.repeat(w[None], len(x), 0), x


def _estimate(
    description: CircuitDescription, weights: NDArray[np.float64], inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    from qiskit.circuit import ParameterVector
    from qiskit.primitives import StatevectorEstimator
    from qiskit.quantum_info import SparsePauliOp

    n = description.n_qubits
    open_weights: Any = ParameterVector("w", description.n_weights)
    circuit = qiskit_circuit(description, open_weights)
    # Qiskit sorts by name: w before x, each by its number.
    values = np.concatenate([weights, inputs], 1)[:, None]
    observables = [SparsePauliOp.from_sparse_list([("Z", [q], 1.0)], n) for q in range(n)]
    job = StatevectorEstimator().run([(circuit, [observables], values)])
    return np.asarray(job.result()[0].data.evs, dtype=np.float64)
