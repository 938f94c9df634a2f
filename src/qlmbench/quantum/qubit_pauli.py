"""Mixed states of few qubits, exactly, as vectors over Pauli strings.

A state is ``c[P] = Tr(P rho)`` over all strings of I, X, Y, Z: real numbers, ``4 ** n`` of them. A
gate is a real matrix on the axes of its wires, and the depolarising channel shrinks X, Y and Z of
one wire: the noise costs nothing beside the gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription, Gate
from qlmbench.quantum.qubit_plan import FIXED_MATRIX, PAULI

Matrix = NDArray[np.complex128]

_PAULIS = [np.eye(2, dtype=complex), PAULI["X"], PAULI["Y"], PAULI["Z"]]

# Numbers that the states of one pass may hold, 32 MiB of them.
_NUMBERS = 2**22


def pauli_probabilities(
    description: CircuitDescription,
    weights: Tensor,
    inputs: Tensor,
    measured: Sequence[int],
    depolarizing: float,
) -> Tensor:
    """Exact outcome probabilities of a circuit with depolarising noise after every gate.

    Parameters
    ----------
    description : CircuitDescription
        The circuit.
    weights : Tensor, ``[n_weights]``
        Angles in radians, float64.
    inputs : Tensor, ``[B, n_inputs]``
        Samples, float64.
    measured : sequence of int
        Wires that are measured, the most significant bit first.
    depolarizing : float
        p of the channel on each wire that a gate touched, p / 3 for each of X, Y and Z.

    Returns
    -------
    Tensor, ``[B, 2 ** len(measured)]``
    """
    size = max(1, _NUMBERS // 4**description.n_qubits)
    keep = 1 - 4 * depolarizing / 3
    parts = [
        _probabilities(_evolved(description, weights, block, keep), measured)
        for block in torch.split(inputs, size)
    ]
    return torch.cat(parts)


def _evolved(
    description: CircuitDescription, weights: Tensor, inputs: Tensor, keep: float
) -> Tensor:
    """Coefficients ``[B, 4, ..., 4]`` after the last gate."""
    n_qubits = description.n_qubits
    ground = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    state = torch.ones(len(inputs), *[1] * n_qubits, dtype=torch.float64)
    for q in range(n_qubits):
        state = state * ground.view([4 if q == axis else 1 for axis in range(n_qubits)])
    for gate in description.gates:
        if gate.features is not None:
            state = _load(state, gate, inputs)
            matrix = torch.eye(4 ** len(gate.wires), dtype=torch.float64)
        else:
            matrix = _matrix(gate, weights, inputs)
        state = _apply(_depolarised(matrix, len(gate.wires), keep), state, gate.wires)
    return state


def _depolarised(matrix: Tensor, n_wires: int, keep: float) -> Tensor:
    factors = torch.tensor([1.0, keep, keep, keep], dtype=torch.float64)
    scale = torch.ones(1, dtype=torch.float64)
    for _ in range(n_wires):
        scale = torch.outer(scale, factors).flatten()
    return scale[:, None] * matrix


def _apply(matrix: Tensor, state: Tensor, wires: Sequence[int]) -> Tensor:
    """Multiply the axes of some wires by ``[d, d]``, or by ``[B, d, d]``, one a sample."""
    axes, front = [1 + q for q in wires], list(range(1, 1 + len(wires)))
    moved = state.movedim(axes, front)
    flat = moved.reshape(len(state), matrix.shape[-1], -1)
    return (matrix @ flat).reshape(moved.shape).movedim(front, axes)


def _load(state: Tensor, gate: Gate, inputs: Tensor) -> Tensor:
    """Put the coefficients of an amplitude encoding in the place of untouched wires."""
    assert gate.features is not None
    first, width = gate.features
    values = inputs.narrow(1, first, width)
    values = values / torch.linalg.vector_norm(values, dim=1, keepdim=True)
    vector = torch.nn.functional.pad(values, (0, 2 ** len(gate.wires) - width))
    loaded = _coefficients(vector, len(gate.wires))
    axes, front = [1 + q for q in gate.wires], list(range(1, 1 + len(gate.wires)))
    moved = state.movedim(axes, front)
    # The entry of I on every one of these wires is the state of the other wires.
    others = moved.reshape(len(state), 4 ** len(gate.wires), -1)[:, :1]
    return (loaded.reshape(len(state), -1, 1) * others).view(moved.shape).movedim(front, axes)


def _coefficients(vector: Tensor, n_qubits: int) -> Tensor:
    """Tr(P |v><v|) of real vectors, ``[B, 2 ** n]`` to ``[B, 4, ..., 4]``."""
    density = vector.unsqueeze(2) * vector.unsqueeze(1)
    state = density.to(torch.complex128).view(len(vector), *[2] * (2 * n_qubits))
    traces = torch.from_numpy(np.stack([p.T for p in _PAULIS]))
    for q in range(n_qubits):
        # Rows and columns of this qubit are the first that are left; its Pauli goes to the end.
        state = torch.tensordot(state, traces, dims=([1, 1 + n_qubits - q], [1, 2]))
    return state.real


def _probabilities(state: Tensor, measured: Sequence[int]) -> Tensor:
    n_qubits = state.dim() - 1
    rest = [q for q in range(n_qubits) if q not in measured]
    ordered = state.permute(0, *[1 + q for q in (*measured, *rest)])
    traced = ordered.reshape(len(state), 4 ** len(measured), -1)[:, :, 0]
    signs = traced.view(len(state), *[4] * len(measured))
    for axis in range(1, 1 + len(measured)):
        identity, z = signs.select(axis, 0), signs.select(axis, 3)
        signs = torch.stack([identity + z, identity - z], axis) / 2
    return signs.reshape(len(state), -1)


def _matrix(gate: Gate, weights: Tensor, inputs: Tensor) -> Tensor:
    """Make a gate's action on coefficients, ``[d, d]``; ``[B, d, d]`` if it reads a feature."""
    if gate.angle is None:
        return _transfer(gate.name)
    still, cosine, sine = _turning(gate.name)
    if gate.angle.source == "constant":
        angle = torch.tensor(gate.angle.scale, dtype=torch.float64)
    elif gate.angle.source == "weight":
        angle = gate.angle.scale * weights[gate.angle.index]
    else:
        angle = gate.angle.scale * inputs[:, gate.angle.index, None, None]
    return still + angle.cos() * cosine + angle.sin() * sine


@lru_cache(maxsize=16)
def _transfer(name: str) -> Tensor:
    return _pauli_transfer(FIXED_MATRIX.get(name, _ENTANGLER.get(name)))


@lru_cache(maxsize=4)
def _turning(axis: str) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of a rotation's action that are constant, and that go with its cosine and sine."""
    half, quarter = (
        _pauli_transfer(np.cos(a / 2) * np.eye(2) - 1j * np.sin(a / 2) * PAULI[axis[1]])
        for a in (np.pi, np.pi / 2)
    )
    eye = torch.eye(4, dtype=torch.float64)
    still = (eye + half) / 2
    return still, (eye - half) / 2, quarter - still


def _pauli_transfer(unitary: Matrix | None) -> Tensor:
    assert unitary is not None
    strings = [np.eye(1, dtype=complex)]
    while strings[0].shape != unitary.shape:
        strings = [np.kron(string, p) for string in strings for p in _PAULIS]
    turned = np.stack([unitary @ string @ unitary.conj().T for string in strings])
    traces = np.einsum("iab,jba->ij", np.stack(strings), turned)
    return torch.from_numpy(traces.real / len(unitary))


def _permutation(order: Sequence[int]) -> Matrix:
    return np.asarray(np.eye(len(order))[list(order)], dtype=np.complex128)


_ENTANGLER: dict[str, Matrix] = {
    "CNOT": _permutation([0, 1, 3, 2]),
    "CZ": np.diag([1, 1, 1, -1]).astype(np.complex128),
    "SWAP": _permutation([0, 2, 1, 3]),
    "CSWAP": _permutation([0, 1, 2, 3, 4, 6, 5, 7]),
}
