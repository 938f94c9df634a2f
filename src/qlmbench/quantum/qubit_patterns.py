"""The circuits that the field builds again and again, as descriptions to join with ``then``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from qlmbench.quantum.qubit_description import (
    AMPLITUDE,
    Angle,
    CircuitDescription,
    Gate,
    feature,
    weight,
)

Axis = Literal["RX", "RY", "RZ"]


def _rotations(
    n_qubits: int, axis: Axis, angle: Callable[[int], Angle], first: int = 0
) -> list[Gate]:
    return [Gate(axis, (q,), angle(first + q)) for q in range(n_qubits)]


def hadamards(n_qubits: int) -> CircuitDescription:
    """H on every qubit."""
    return CircuitDescription(n_qubits, tuple(Gate("H", (q,)) for q in range(n_qubits)))


def cnot_chain(n_qubits: int) -> CircuitDescription:
    """CNOT from each qubit to the next: 0 to 1, 1 to 2, and so on; open at the end."""
    return CircuitDescription(
        n_qubits, tuple(Gate("CNOT", (q, q + 1)) for q in range(n_qubits - 1))
    )


def cnot_ring(n_qubits: int, stride: int = 1) -> CircuitDescription:
    """CNOT from every qubit q to q + stride modulo the number of qubits.

    Raises
    ------
    ValueError
        If the stride is a multiple of the number of qubits: a CNOT needs two wires.
    """
    if stride % n_qubits == 0:
        raise ValueError(
            f"got stride {stride} on {n_qubits} qubits; expected one that is no multiple of "
            f"{n_qubits}, for a CNOT needs two different wires"
        )
    pairs = [(q, (q + stride) % n_qubits) for q in range(n_qubits)]
    return CircuitDescription(n_qubits, tuple(Gate("CNOT", pair) for pair in pairs))


def rotation_layer(n_qubits: int, axis: Axis = "RY") -> CircuitDescription:
    """One trainable rotation on every qubit; weight q turns qubit q."""
    return CircuitDescription(n_qubits, tuple(_rotations(n_qubits, axis, weight)))


def angle_encoding(n_qubits: int, axis: Axis = "RY", scale: float = 1.0) -> CircuitDescription:
    """Turn qubit q by ``scale * inputs[q]``."""
    gates = _rotations(n_qubits, axis, lambda q: feature(q, scale))
    return CircuitDescription(n_qubits, tuple(gates))


def amplitude_encoding(n_qubits: int, width: int | None = None) -> CircuitDescription:
    """Load ``width`` inputs as amplitudes, zero-padded to ``2 ** n_qubits`` and normalised.

    Parameters
    ----------
    n_qubits : int
        Qubits that hold the vector.
    width : int, optional
        Number of inputs; all ``2 ** n_qubits`` if left out.

    Raises
    ------
    ValueError
        If the inputs do not fit into the amplitudes.
    """
    features = (0, 2**n_qubits if width is None else width)
    gate = Gate(AMPLITUDE, tuple(range(n_qubits)), features=features)
    return CircuitDescription(n_qubits, (gate,))


def reuploading(
    encoding: CircuitDescription, block: CircuitDescription, times: int
) -> CircuitDescription:
    """Repeat encoding and block: the same features each time, fresh weights in each block.

    References
    ----------
    Perez-Salinas et al. 2020, DOI 10.22331/q-2020-02-06-226.
    """
    circuit = CircuitDescription(encoding.n_qubits, ())
    for _ in range(times):
        circuit = circuit.then(encoding).then(block)
    return circuit


def basic_entangler_layers(n_qubits: int, n_layers: int, axis: Axis = "RX") -> CircuitDescription:
    """PennyLane's ``BasicEntanglerLayers``: one rotation a qubit, then a ring of CNOTs.

    As there, two qubits are joined by a single CNOT and one qubit by none. Weight
    ``layer * n_qubits + q`` turns qubit q.
    """
    layer = rotation_layer(n_qubits, axis)
    if n_qubits > 1:
        layer = layer.then(cnot_chain(2) if n_qubits == 2 else cnot_ring(n_qubits))
    return _repeat(layer, n_layers)


def connectivity_layers(n_qubits: int, connectivity: int, n_layers: int = 1) -> CircuitDescription:
    """Layers of the QLLM head: for c = 1 .. C a ring of CNOT q to q + c, then RY on every qubit.

    Each CNOT of a ring is followed by a trainable RY on its target. A layer has
    ``(connectivity + 1) * n_qubits`` weights, numbered in the order of the gates.

    Parameters
    ----------
    n_qubits : int
        Q, number of qubits.
    connectivity : int
        C, from 0 to Q - 1.
    n_layers : int
        L, number of layers.

    Raises
    ------
    ValueError
        If the connectivity is not 0 to Q - 1.

    References
    ----------
    Kim et al. 2025, DOI 10.1109/QCE65121.2025.00258.
    """
    if not 0 <= connectivity < n_qubits:
        raise ValueError(
            f"got connectivity {connectivity} on {n_qubits} qubits; expected 0 to {n_qubits - 1}"
        )
    gates: list[Gate] = []
    for c in range(1, connectivity + 1):
        for q in range(n_qubits):
            target = (q + c) % n_qubits
            gates.append(Gate("CNOT", (q, target)))
            gates.append(Gate("RY", (target,), weight((c - 1) * n_qubits + q)))
    gates.extend(_rotations(n_qubits, "RY", weight, connectivity * n_qubits))
    return _repeat(CircuitDescription(n_qubits, tuple(gates)), n_layers)


def embedding_layers(
    n_qubits: int,
    n_layers: int,
    *,
    closed: bool = False,
    source: Literal["weight", "feature"] = "weight",
) -> CircuitDescription:
    """RY and RZ on every qubit, layers joined by CNOT chains, none after the last layer.

    Angle ``(layer * n_qubits + q) * 2`` is the RY of qubit q and the one after it its RZ: the
    flattened form of an array ``[n_layers, n_qubits, 2]``.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size of the circuit.
    closed : bool
        Close each chain to a ring (only for more than two qubits, as published).
    source : {"weight", "feature"}
        Whether the angles are the circuit's own weights, or inputs: a token that owns its angles
        feeds them in.
    """
    angle = weight if source == "weight" else feature
    entangler = cnot_ring(n_qubits) if closed and n_qubits > 2 else cnot_chain(n_qubits)
    gates: list[Gate] = []
    for layer in range(n_layers):
        if layer:
            gates.extend(entangler.gates)
        for q in range(n_qubits):
            first = (layer * n_qubits + q) * 2
            gates.append(Gate("RY", (q,), angle(first)))
            gates.append(Gate("RZ", (q,), angle(first + 1)))
    return CircuitDescription(n_qubits, tuple(gates))


def quantum_gradient(n_qubits: int = 5, scale: float = math.pi) -> CircuitDescription:
    """H, RY(theta), CNOT chain, RY(theta / 2) with ``theta = scale * inputs``.

    With inputs ``g / max|g|`` and the default scale, the circuit that rewrites gradients in the
    quantum-gradient fine-tuning project.
    """
    return (
        hadamards(n_qubits)
        .then(angle_encoding(n_qubits, scale=scale))
        .then(cnot_chain(n_qubits))
        .then(angle_encoding(n_qubits, scale=scale / 2))
    )


def swap_test(n_qubits: int, width: int | None = None) -> CircuitDescription:
    """SWAP test of two vectors of ``n_qubits`` qubits each: Z on wire 0 is their squared overlap.

    Wire 0 is the ancilla, then the wires of the first vector, then those of the second; the
    inputs are the two vectors one after the other. The ancilla reads 0 with probability
    ``(1 + F) / 2``, so that its Z expectation is ``F``.
    """
    width = 2**n_qubits if width is None else width
    first = tuple(range(1, n_qubits + 1))
    second = tuple(range(n_qubits + 1, 2 * n_qubits + 1))
    gates = [Gate(AMPLITUDE, first, features=(0, width))]
    gates.append(Gate(AMPLITUDE, second, features=(width, width)))
    gates.append(Gate("H", (0,)))
    gates.extend(Gate("CSWAP", (0, a, b)) for a, b in zip(first, second, strict=True))
    gates.append(Gate("H", (0,)))
    return CircuitDescription(2 * n_qubits + 1, tuple(gates))


def _repeat(layer: CircuitDescription, times: int) -> CircuitDescription:
    """Repeat a weight-only layer with fresh weights each time (an empty circuit for 0 times)."""
    circuit = CircuitDescription(layer.n_qubits, ())
    for _ in range(times):
        circuit = circuit.then(layer)
    return circuit
