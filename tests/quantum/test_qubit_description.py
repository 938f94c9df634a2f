"""Descriptions of circuits, the field's patterns, and their drawings."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.quantum.qubit_description import Angle, CircuitDescription, Gate, constant, weight
from qlmbench.quantum.qubit_exports import draw_text, from_qiskit_order, qiskit_circuit
from qlmbench.quantum.qubit_patterns import (
    amplitude_encoding,
    angle_encoding,
    basic_entangler_layers,
    cnot_chain,
    cnot_ring,
    connectivity_layers,
    embedding_layers,
    quantum_gradient,
    reuploading,
    rotation_layer,
    swap_test,
)
from qlmbench.quantum.qubits import QubitCircuit


def states(description, inputs=None):
    circuit = QubitCircuit(description, readout="state", dtype=torch.float64)
    inputs = torch.zeros(0) if inputs is None else inputs
    return circuit(inputs.double().view(1, 1, -1))[0, 0].detach(), circuit.weights[0].detach()


@settings(max_examples=10, deadline=None)
@given(n_qubits=st.integers(1, 5), layers=st.integers(1, 3))
def test_basic_entangler_layers_equal_pennylanes(n_qubits, layers):
    inputs = torch.arange(n_qubits, dtype=torch.float64)
    description = angle_encoding(n_qubits, "RX").then(basic_entangler_layers(n_qubits, layers))
    ours, weights = states(description, inputs)

    @qml.qnode(qml.device("default.qubit", wires=n_qubits))
    def template():
        qml.AngleEmbedding(inputs, wires=range(n_qubits))
        qml.BasicEntanglerLayers(weights.view(layers, n_qubits), wires=range(n_qubits))
        return qml.state()

    assert torch.allclose(ours.cdouble(), template(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("closed", [False, True])
def test_embedding_layers_read_their_angles_as_layers_qubits_two(closed):
    n_qubits, layers = 4, 3
    ours, weights = states(embedding_layers(n_qubits, layers, closed=closed))
    angles = weights.view(layers, n_qubits, 2)

    @qml.qnode(qml.device("default.qubit", wires=n_qubits))
    def published():
        for layer in range(layers):
            for q in range(n_qubits):
                qml.RY(angles[layer, q, 0], wires=q)
                qml.RZ(angles[layer, q, 1], wires=q)
            if layer < layers - 1:
                for q in range(n_qubits if closed else n_qubits - 1):
                    qml.CNOT(wires=[q, (q + 1) % n_qubits])
        return qml.state()

    assert torch.allclose(ours, published(), rtol=0, atol=1e-12)


def test_embedding_angles_can_be_fed_instead_of_trained():
    trained, weights = states(embedding_layers(3, 2))
    fed, _ = states(embedding_layers(3, 2, source="feature"), weights)
    assert torch.allclose(trained, fed, rtol=0, atol=1e-12)


def test_connectivity_layers_follow_the_paper():
    layer = connectivity_layers(4, 2, 3)
    assert layer.n_weights == 3 * 4 * 3
    gates = [(gate.name, gate.wires) for gate in layer.gates[:4]]
    assert gates == [("CNOT", (0, 1)), ("RY", (1,)), ("CNOT", (1, 2)), ("RY", (2,))]
    strided = [gate.wires for gate in layer.gates[8:16] if gate.name == "CNOT"]
    assert strided == [(0, 2), (1, 3), (2, 0), (3, 1)]
    assert [gate.wires for gate in layer.gates[16:20]] == [(0,), (1,), (2,), (3,)]


def test_reuploading_shares_features_and_renews_weights():
    circuit = reuploading(angle_encoding(3), connectivity_layers(3, 1), 4)
    assert (circuit.n_inputs, circuit.n_weights) == (3, 4 * 6)


def test_chain_and_ring_join_the_wires_they_say():
    assert [g.wires for g in cnot_chain(4).gates] == [(0, 1), (1, 2), (2, 3)]
    assert [g.wires for g in cnot_ring(4, 3).gates] == [(0, 3), (1, 0), (2, 1), (3, 2)]
    assert [g.wires for g in cnot_ring(3, -1).gates] == [(0, 2), (1, 0), (2, 1)]


def test_quantum_gradient_circuit_has_its_closed_form_on_the_first_qubit():
    # H then RY(a) then, past the CNOTs that it controls, RY(a / 2): <Z> = -sin(a) cos(a / 2)
    # up to the term in <X>, which the CNOT of wire 0 multiplies by <X> of wire 1.
    g = torch.tensor([0.3, -0.7], dtype=torch.float64)
    circuit = QubitCircuit(quantum_gradient(2), measured=[0], dtype=torch.float64)
    a, b = (math.pi * g).tolist()
    expected = -math.sin(a) * math.cos(a / 2) - math.cos(a) * math.cos(b) * math.sin(a / 2)
    assert circuit(g.view(1, 1, 2)).item() == pytest.approx(expected, abs=1e-12)


def test_features_can_be_shared_or_further_ones():
    layer = angle_encoding(2)
    assert layer.then(layer).n_inputs == 2
    assert layer.then(layer, features="new").n_inputs == 4
    turn = rotation_layer(2)
    assert turn.then(turn).n_weights == 4
    assert turn.then(turn, weights="same").n_weights == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate("RQ", (0,)), "got the gate 'RQ'; expected one of"),
        (lambda: Gate("CNOT", (1, 1)), "2 different wires"),
        (lambda: Gate("CNOT", (1,)), "2 different wires"),
        (lambda: Gate("H", (-1,)), "numbered from 0"),
        (lambda: Gate("AMPLITUDE", (), features=(0, 1)), "1 different wires"),
        (lambda: Gate("RX", (0,)), "expected an angle for RX, RY and RZ"),
        (lambda: Gate("H", (0,), weight(0)), "and for no other gate"),
        (lambda: Gate("H", (0,), features=(0, 1)), "and for no other gate"),
        (lambda: Angle("guess", 0), "got the angle source 'guess'"),
        (lambda: weight(-1), "0 or more for a weight"),
        (lambda: amplitude_encoding(2, 5), "got 5 features .* expected 1 to 4"),
        (lambda: amplitude_encoding(2, 0), "got 0 features .* expected 1 to 4"),
        (lambda: CircuitDescription(0, ()), "got 0 qubits"),
        (lambda: CircuitDescription(2, (Gate("H", (2,)),)), "wires 0 to 1 in a circuit of 2"),
        (lambda: rotation_layer(2).then(rotation_layer(3)), "circuit of 3 qubits; expected 2"),
        (lambda: rotation_layer(2).then(amplitude_encoding(2)), "before every other gate"),
        (lambda: cnot_ring(3, 3), "no multiple of 3"),
        (lambda: cnot_ring(1), "two different wires"),
        (lambda: connectivity_layers(3, 3), "expected 0 to 2"),
        (lambda: from_qiskit_order(np.zeros(6)), "power of two"),
    ],
)
def test_circuits_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_dead_weight_is_refused():
    gates = (Gate("RX", (0,), weight(0)), Gate("RX", (0,), weight(2)))
    with pytest.raises(ValueError, match="no gate reads weight 1"):
        CircuitDescription(1, gates)


def test_qiskit_keeps_unbound_features_as_parameters():
    circuit = qiskit_circuit(angle_encoding(3), [])
    assert [str(p) for p in circuit.parameters] == ["x[0]", "x[1]", "x[2]"]


def test_qiskit_refuses_what_it_cannot_bind():
    with pytest.raises(ValueError, match="encodes amplitudes; expected 4 values"):
        qiskit_circuit(amplitude_encoding(2), [])
    with pytest.raises(ValueError, match="got 2 inputs; expected 3"):
        qiskit_circuit(angle_encoding(3), [], [0.0, 1.0])


def test_drawing_shows_every_wire_gate_and_value():
    turn = CircuitDescription(3, (Gate("RZ", (2,), constant(0.5)),))
    assert draw_text(swap_test(1).then(turn)).splitlines() == [
        "0: ────H──────●─────H────",
        "1: ─|x[0:2]>──x──────────",
        "2: ─|x[2:4]>──x──RZ(0.5)─",
    ]
    circuit = QubitCircuit(angle_encoding(2, scale=2.0).then(rotation_layer(2, "RX")))
    torch.nn.init.constant_(circuit.weights, 0.25)
    assert "RY(2 x[1])" in circuit.draw()
    assert "RX(w[0])" in circuit.draw()
    assert "RX(0.25)" in circuit.draw(0)
