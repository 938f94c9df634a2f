"""Depolarising noise equals PennyLane's mixed states; trajectories do so on average."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.quantum.qubit_description import CircuitDescription, Gate, constant, feature, weight
from qlmbench.quantum.qubit_noise import noisy_probabilities, z_expectations
from qlmbench.quantum.qubit_patterns import (
    amplitude_encoding,
    angle_encoding,
    connectivity_layers,
    hadamards,
    reuploading,
    swap_test,
)
from qlmbench.quantum.qubits import QubitCircuit

SEVERAL = {"CNOT": 2, "CZ": 2, "SWAP": 2}


@st.composite
def descriptions(draw, several=tuple(SEVERAL), fixed=("H", "X", "Y", "Z", "S")):
    """Circuits of up to three qubits, amplitudes loaded on some."""
    n_qubits = draw(st.integers(2, 3))
    gates = []
    if draw(st.booleans()):
        wires = tuple(draw(st.permutations(range(n_qubits)))[: draw(st.integers(1, n_qubits))])
        gates.append(Gate("AMPLITUDE", wires, features=(0, draw(st.integers(1, 2)))))
    n_inputs, n_weights = (gates[0].features[1] if gates else 0), 0
    names = st.sampled_from([*fixed, *several, *["RX", "RY", "RZ"] * 3])
    for name in draw(st.lists(names, min_size=1, max_size=8)):
        wires = tuple(draw(st.permutations(range(n_qubits)))[: SEVERAL.get(name, 1)])
        if not name.startswith("R"):
            gates.append(Gate(name, wires))
            continue
        source = draw(st.sampled_from(["weight", "feature", "constant"]))
        if source == "constant":
            gates.append(Gate(name, wires, constant(0.7)))
        elif source == "weight":
            gates.append(Gate(name, wires, weight(n_weights, 1.3)))
            n_weights += 1
        else:
            index = draw(st.integers(0, n_inputs))
            gates.append(Gate(name, wires, feature(index, -0.6)))
            n_inputs = max(n_inputs, index + 1)
    return CircuitDescription(n_qubits, tuple(gates))


def random_inputs(description, repetitions=1, samples=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (repetitions, samples, description.n_inputs)
    return torch.randn(shape, generator=g, dtype=torch.float64)


def pennylane_probabilities(circuit, inputs, p):
    """Run the circuit on default.mixed with a channel written after every gate by hand."""
    import pennylane as qml

    description, weights = circuit.description, circuit.weights[0].tolist()

    @qml.qnode(qml.device("default.mixed", wires=description.n_qubits))
    def noisy(x):
        loads = [gate for gate in description.gates if gate.features is not None]
        vector, loaded = np.ones(1), [q for gate in loads for q in gate.wires]
        for gate in loads:
            first, width = gate.features
            room = 2 ** len(gate.wires) - width
            vector = np.kron(vector, np.pad(x[first : first + width], (0, room)))
        if loads:  # only one preparation can come first
            qml.StatePrep(vector, wires=loaded, normalize=True)
            for q in loaded:
                qml.DepolarizingChannel(p, wires=q)
        for gate in description.gates:
            if gate.features is not None:
                continue
            if gate.angle is not None:
                source = {"weight": weights, "feature": x, "constant": [1.0]}[gate.angle.source]
                index = max(gate.angle.index, 0)
                getattr(qml, gate.name)(gate.angle.scale * source[index], wires=gate.wires)
            else:
                name = {"H": "Hadamard"}.get(gate.name, gate.name)
                getattr(qml, name)(wires=gate.wires)
            for q in gate.wires:
                qml.DepolarizingChannel(p, wires=q)
        return qml.probs(wires=list(circuit.measured))

    return np.stack([noisy(x.numpy()) for x in inputs[0]])


@settings(max_examples=25, deadline=None)
@given(description=descriptions(fixed=("H", "X", "Y", "Z", "S", "T")), p=st.floats(0.01, 0.9))
def test_exact_noise_equals_pennylane(description, p):
    circuit = QubitCircuit(description, measured=[1, 0], dtype=torch.float64)
    inputs = random_inputs(description)
    ours = noisy_probabilities(circuit, inputs, p)[0]
    np.testing.assert_allclose(ours, pennylane_probabilities(circuit, inputs, p), atol=1e-10)


def test_exact_noise_equals_pennylane_where_a_swap_is_controlled():
    circuit = QubitCircuit(swap_test(1), measured=[0], dtype=torch.float64)
    inputs = random_inputs(circuit.description)
    ours = noisy_probabilities(circuit, inputs, 0.05)[0]
    np.testing.assert_allclose(ours, pennylane_probabilities(circuit, inputs, 0.05), atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(description=descriptions(), p=st.floats(0.01, 0.5), seed=st.integers(0, 10))
def test_trajectories_equal_exact_noise_within_their_error(description, p, seed):
    circuit = QubitCircuit(description, dtype=torch.float64)
    inputs = random_inputs(description)
    exact = noisy_probabilities(circuit, inputs, p)
    means = noisy_probabilities(circuit, inputs, p, n_trajectories=3000, seeds=[seed])
    # A probability of a trajectory is at most 1: its mean strays by 0.5 / sqrt(T) at most.
    np.testing.assert_allclose(means, exact, atol=5 * 0.5 / math.sqrt(3000))


def test_each_error_alone_equals_pennylane_with_that_error():
    """With all errors of one kind the trajectory is the circuit with that Pauli after each gate."""
    from qlmbench.quantum.qubit_noise import _Errors, _mean, _moved_to_the_end

    description = reuploading(angle_encoding(3), connectivity_layers(3, 2), 2)
    circuit = QubitCircuit(description, dtype=torch.float64)
    inputs = random_inputs(description)
    places = sum(len(gate.wires) for gate in description.gates)
    for number, name in enumerate("XYZ", start=1):
        patterns = np.full((1, places), number, dtype=np.int8)
        turns, flips = _moved_to_the_end(description, patterns)
        errors = _Errors(turns, flips, np.ones(1))
        ours = _mean(description, circuit.weights[0].detach(), inputs[0], circuit.measured, errors)
        gates = [
            g for gate in description.gates for g in (gate, *(Gate(name, (q,)) for q in gate.wires))
        ]
        with_errors = QubitCircuit(
            CircuitDescription(3, tuple(gates)), readout="probabilities", dtype=torch.float64
        )
        np.testing.assert_allclose(ours, with_errors(inputs)[0].detach(), atol=1e-12)


@pytest.mark.parametrize("n_qubits", [4, 8])
def test_without_noise_the_circuit_is_exact(n_qubits):
    description = amplitude_encoding(n_qubits, 11).then(connectivity_layers(n_qubits, 1))
    circuit = QubitCircuit(description, repetitions=2, measured=[2, 0], dtype=torch.float64)
    inputs = random_inputs(description, repetitions=2)
    ours = z_expectations(noisy_probabilities(circuit, inputs, 0.0))
    torch.testing.assert_close(ours, circuit(inputs).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("trajectories", [None, 400])
def test_more_noise_shrinks_z(trajectories):
    description = angle_encoding(4).then(connectivity_layers(4, 1))
    circuit = QubitCircuit(description, dtype=torch.float64)
    inputs = random_inputs(description, samples=20)
    sizes = [
        float(
            z_expectations(noisy_probabilities(circuit, inputs, p, n_trajectories=trajectories))
            .abs()
            .mean()
        )
        for p in (0.0, 0.02, 0.1, 0.75)
    ]
    assert sizes == sorted(sizes, reverse=True)
    if trajectories is None:
        assert sizes[-1] == pytest.approx(0, abs=1e-12), "p = 3/4 leaves nothing"


def test_a_repetition_has_errors_of_its_own_seed_and_a_sample_those_of_all():
    description = angle_encoding(8).then(connectivity_layers(8, 1))
    both = QubitCircuit(description, repetitions=2, seeds=[3, 9], measured=[0])
    inputs = random_inputs(description, repetitions=2, samples=6)
    together = noisy_probabilities(both, inputs, 0.1)
    alone = QubitCircuit(description, seeds=[9], measured=[0])
    torch.testing.assert_close(
        noisy_probabilities(alone, inputs[1:, 4:], 0.1), together[1:, 4:], rtol=0, atol=1e-12
    )


def test_probabilities_stay_probabilities_beyond_the_exact_size():
    description = hadamards(7).then(angle_encoding(7)).then(connectivity_layers(7, 1))
    circuit = QubitCircuit(description, measured=[0, 3])
    noisy = noisy_probabilities(circuit, random_inputs(description, samples=50), 0.3)
    assert noisy.min() >= 0
    torch.testing.assert_close(noisy.sum(-1), torch.ones(1, 50, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"depolarizing": 1.2}, "a number from 0 to 1"),
        ({"depolarizing": 0.1, "n_trajectories": 0}, "at least 1"),
        ({"depolarizing": 0.1, "seeds": [1, 2]}, "expected 1"),
        ({"depolarizing": 0.9, "n_trajectories": 50}, "CSWAP"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, said):
    circuit = QubitCircuit(swap_test(1), measured=[0])
    with pytest.raises(ValueError, match=said):
        noisy_probabilities(circuit, random_inputs(circuit.description), **arguments)


def test_inputs_of_another_shape_are_refused():
    circuit = QubitCircuit(angle_encoding(2))
    with pytest.raises(ValueError, match=r"\[1, any, 2\]"):
        noisy_probabilities(circuit, torch.zeros(1, 3, 5), 0.1)
