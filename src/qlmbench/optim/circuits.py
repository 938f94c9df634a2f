"""The circuits that turn gradients into updates, and the exact probabilities of their outcomes.

A circuit of n qubits reads n *fractions*: gradient entries divided by the largest magnitude, so
that they lie in [-1, 1]. The published circuit turns qubit i by ``pi * fraction_i``, and by half of
that once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from qlmbench.errors import nearest
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import (
    angle_encoding,
    cnot_chain,
    cnot_ring,
    hadamards,
    quantum_gradient,
)
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_whole

# Amplitudes that the states of one pass may hold, 16 MiB of them.
_AMPLITUDES = 2**21


def _without_cnot(n_qubits: int) -> CircuitDescription:
    turns = angle_encoding(n_qubits, scale=math.pi).then(
        angle_encoding(n_qubits, scale=math.pi / 2)
    )
    return hadamards(n_qubits).then(turns)


def _closed(n_qubits: int) -> CircuitDescription:
    first = hadamards(n_qubits).then(angle_encoding(n_qubits, scale=math.pi))
    joined = first.then(cnot_ring(n_qubits)) if n_qubits > 2 else first.then(cnot_chain(n_qubits))
    return joined.then(angle_encoding(n_qubits, scale=math.pi / 2))


def _first_layer(n_qubits: int) -> CircuitDescription:
    turned = hadamards(n_qubits).then(angle_encoding(n_qubits, scale=math.pi))
    return turned.then(cnot_chain(n_qubits))


CIRCUITS: dict[str, Callable[[int], CircuitDescription]] = {
    "as-published": quantum_gradient,
    "no-cnot": _without_cnot,
    "cnot-ring": _closed,
    "one-layer": _first_layer,
}
"""Named circuits: the published one; without CNOT; with the chain closed to a ring (from three
qubits on); without the second layer of rotations."""


def update_circuit(circuit: str | CircuitDescription, n_qubits: int) -> CircuitDescription:
    """Circuit of a name in `CIRCUITS`, or the given one if it can stand for it.

    Parameters
    ----------
    circuit : str or CircuitDescription
        A name, or a circuit that reads one input a qubit and has no weights of its own.
    n_qubits : int
        Gradient entries that it takes at once.

    Raises
    ------
    ValueError
        If the name is unknown, or the circuit does not have that shape.
    """
    check_whole("n_qubits", n_qubits)
    if isinstance(circuit, str):
        if circuit not in CIRCUITS:
            raise ValueError(
                f"got circuit={circuit!r}{nearest(circuit, list(CIRCUITS))}; expected one of "
                f"{', '.join(CIRCUITS)}, or a CircuitDescription"
            )
        return CIRCUITS[circuit](n_qubits)
    shape = (circuit.n_qubits, circuit.n_inputs, circuit.n_weights)
    if shape != (n_qubits, n_qubits, 0):
        raise ValueError(
            f"got a circuit of {shape[0]} qubits, {shape[1]} inputs and {shape[2]} weights; "
            f"expected {n_qubits} qubits, {n_qubits} inputs and no weights"
        )
    return circuit


def outcome_probabilities(circuit: CircuitDescription, fractions: Tensor) -> Tensor:
    """Exact probabilities of the measured bits, many gradients at once.

    Parameters
    ----------
    circuit : CircuitDescription
        On n qubits, reading n fractions.
    fractions : Tensor, ``[B, n]``
        Gradient entries divided by the largest magnitude.

    Returns
    -------
    Tensor, ``[B, 2 ** n]``
        In float64; qubit 0 is the most significant bit. Differentiable in the fractions.
    """
    module = _compiled(circuit)
    block = max(1, _AMPLITUDES // 2**circuit.n_qubits)
    parts = [module(part[None])[0] for part in torch.split(fractions.double(), block)]
    return torch.cat(parts)


@lru_cache(maxsize=16)
def _compiled(circuit: CircuitDescription) -> QubitCircuit:
    return QubitCircuit(circuit, readout="probabilities", trainable=False, dtype=torch.float64)
