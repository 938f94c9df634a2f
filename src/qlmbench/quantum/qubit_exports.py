"""The same circuit in PennyLane, in Qiskit and as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlmbench.quantum.qubit_description import AMPLITUDE, Angle, CircuitDescription, Gate

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Values = Sequence[float]


def pennylane_function(
    description: CircuitDescription, weights: Values, readout: str, measured: Sequence[int]
) -> Callable[[Any], Any]:
    """Quantum function of the inputs, ``[n_inputs]`` or broadcast ``[B, n_inputs]``.

    It returns one Z expectation a measured wire, their joint probabilities, or the state; wires
    and basis states are numbered as here.
    """
    import pennylane as qml

    gates = _amplitudes_first(description)

    def circuit(inputs: Any = None) -> Any:
        for gate in gates:
            if gate.features is not None:
                first, width = gate.features
                vector = inputs[..., first : first + width]
                qml.AmplitudeEmbedding(vector, wires=gate.wires, pad_with=0.0, normalize=True)
            elif gate.angle is not None:
                getattr(qml, gate.name)(_value(gate.angle, weights, inputs), wires=gate.wires)
            else:
                getattr(qml, _PENNYLANE.get(gate.name, gate.name))(wires=gate.wires)
        if readout == "z":
            return [qml.expval(qml.PauliZ(q)) for q in measured]
        return qml.state() if readout == "state" else qml.probs(wires=list(measured))

    return circuit


def pennylane_qnode(
    description: CircuitDescription, weights: Values, readout: str, measured: Sequence[int]
) -> Any:
    """QNode of :func:`pennylane_function` on ``default.qubit``, with torch's backprop."""
    import pennylane as qml

    device = qml.device("default.qubit", wires=description.n_qubits)
    function = pennylane_function(description, weights, readout, measured)
    return qml.QNode(function, device, interface="torch", diff_method="backprop")


def qiskit_circuit(
    description: CircuitDescription, weights: Values, inputs: Values | None = None
) -> QuantumCircuit:
    """Qiskit circuit with bound weights; inputs bound if given, parameters ``x[j]`` if not.

    Wire q is Qiskit's qubit q. Qiskit reads its basis states from the last qubit to the first: use
    :func:`from_qiskit_order` on its vectors of amplitudes or probabilities.

    Raises
    ------
    ValueError
        If amplitudes are encoded and no inputs are given, or if their number is wrong.
    """
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    _check_inputs(description, inputs)
    free = inputs is None and description.n_inputs > 0
    values: Any = ParameterVector("x", description.n_inputs) if free else inputs
    circuit = QuantumCircuit(description.n_qubits)
    for gate in description.gates:
        if gate.features is not None:
            _prepare(circuit, gate, values)
        elif gate.angle is not None:
            angle = _value(gate.angle, weights, values)
            getattr(circuit, gate.name.lower())(angle, *gate.wires)
        else:
            getattr(circuit, _QISKIT.get(gate.name, gate.name.lower()))(*gate.wires)
    return circuit


def _check_inputs(description: CircuitDescription, inputs: Values | None) -> None:
    if inputs is None:
        if any(gate.features is not None for gate in description.gates):
            raise ValueError(
                f"got no inputs for a circuit that encodes amplitudes; expected "
                f"{description.n_inputs} values, for Qiskit cannot leave amplitudes open"
            )
    elif len(inputs) != description.n_inputs:
        raise ValueError(f"got {len(inputs)} inputs; expected {description.n_inputs}")


def _prepare(circuit: Any, gate: Gate, inputs: Values) -> None:
    from qiskit.circuit.library import StatePreparation

    assert gate.features is not None
    first, width = gate.features
    vector = np.zeros(2 ** len(gate.wires))
    vector[:width] = np.asarray(inputs, dtype=float)[first : first + width]
    if len(gate.wires) == 1:
        # Qiskit 2 prepares (-1, 0) as (1, 0); a rotation keeps the sign.
        circuit.ry(2 * np.arctan2(vector[1], vector[0]), gate.wires[0])
        return
    # Qiskit takes the first qubit as the least significant bit; ours is the most significant.
    circuit.append(StatePreparation(vector / np.linalg.norm(vector)), list(reversed(gate.wires)))


def from_qiskit_order(vector: NDArray[Any]) -> NDArray[Any]:
    """Reorder a vector over Qiskit's basis states (qubit 0 least significant) into ours.

    Raises
    ------
    ValueError
        If the last axis is no power of two.
    """
    length = vector.shape[-1]
    n_qubits = length.bit_length() - 1
    if length != 2**n_qubits:
        raise ValueError(f"got {length} entries; expected a power of two")
    lead = vector.shape[:-1]
    split = vector.reshape(*lead, *[2] * n_qubits)
    axes = [*range(len(lead)), *reversed(range(len(lead), len(lead) + n_qubits))]
    return split.transpose(axes).reshape(vector.shape)


def draw_text(description: CircuitDescription, weights: Values | None = None) -> str:
    """Draw a circuit as text, one line a wire; weights as numbers if given, else as ``w[i]``."""
    ends = [0] * description.n_qubits
    columns: list[dict[int, str]] = []
    for gate in description.gates:
        low, high = min(gate.wires), max(gate.wires)
        at = max(ends[low : high + 1])
        while at >= len(columns):
            columns.append({})
        columns[at].update(_labels(gate, weights))
        ends[low : high + 1] = [at + 1] * (high - low + 1)
    lines = [f"{q:>{len(str(description.n_qubits - 1))}}: " for q in range(description.n_qubits)]
    for column in columns:
        width = max(map(len, column.values()))
        for q in range(description.n_qubits):
            lines[q] += "─" + column.get(q, "").center(width, "─") + "─"
    return "\n".join(lines)


def _labels(gate: Gate, weights: Values | None) -> dict[int, str]:
    """Text of a gate on every wire that it touches or crosses."""
    labels = dict.fromkeys(range(min(gate.wires), max(gate.wires) + 1), "│")
    if gate.features is not None:
        first, width = gate.features
        labels.update(dict.fromkeys(gate.wires, f"|x[{first}:{first + width}]>"))
    elif gate.angle is not None:
        labels[gate.wires[0]] = f"{gate.name}({_angle_text(gate.angle, weights)})"
    else:
        symbols = _SYMBOLS.get(gate.name, (gate.name,))
        labels.update(zip(gate.wires, symbols, strict=True))
    return labels


def _angle_text(angle: Angle, weights: Values | None) -> str:
    if angle.source == "constant":
        return f"{angle.scale:.4g}"
    if angle.source == "weight" and weights is not None:
        return f"{angle.scale * weights[angle.index]:.4g}"
    factor = "" if angle.scale == 1 else f"{angle.scale:.4g} "
    return f"{factor}{'w' if angle.source == 'weight' else 'x'}[{angle.index}]"


def _value(angle: Angle, weights: Values, inputs: Any) -> Any:
    if angle.source == "constant":
        return angle.scale
    if angle.source == "weight":
        return angle.scale * weights[angle.index]
    by_feature = inputs[..., angle.index] if hasattr(inputs, "shape") else inputs[angle.index]
    return angle.scale * by_feature


def _amplitudes_first(description: CircuitDescription) -> list[Gate]:
    """Sort amplitude encodings to the front: nothing precedes them on their wires anyway."""
    return sorted(description.gates, key=lambda gate: gate.name != AMPLITUDE)


_PENNYLANE = {"H": "Hadamard", "X": "PauliX", "Y": "PauliY", "Z": "PauliZ"}
_QISKIT = {"CNOT": "cx"}
_SYMBOLS = {
    "CNOT": ("●", "⊕"),
    "CZ": ("●", "●"),
    "SWAP": ("x", "x"),
    "CSWAP": ("●", "x", "x"),
}
