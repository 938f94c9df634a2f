"""The plan of a circuit: few passes over the state, whatever the number of gates."""

import pytest

from qlmbench.quantum.qubit_patterns import (
    angle_encoding,
    basic_entangler_layers,
    cnot_ring,
    connectivity_layers,
    embedding_layers,
    quantum_gradient,
    reuploading,
    rotation_layer,
)
from qlmbench.quantum.qubit_plan import make_plan


def sampled_steps(plan):
    return [step for step in plan.steps if plan.buckets[step.bucket].sampled]


@pytest.mark.parametrize("n_qubits", [4, 8])
def test_a_layer_of_rotations_takes_one_pass_per_four_qubits(n_qubits):
    plan = make_plan(basic_entangler_layers(n_qubits, 3))
    # The first layer is a product state; each further one follows a ring that is one gather.
    assert len(plan.steps) == 2 * n_qubits // 4


def test_cnots_alone_take_no_pass():
    circuit = rotation_layer(6).then(cnot_ring(6)).then(cnot_ring(6, 2)).then(cnot_ring(6, 5))
    assert make_plan(circuit).steps == ()


def test_rotations_that_follow_one_another_are_one_matrix():
    turn = rotation_layer(3, "RY")
    plan = make_plan(turn.then(turn).then(rotation_layer(3, "RZ")).then(turn))
    assert plan.steps == ()
    # RY and RY add their angles; RZ and the last RY are further factors of the same matrix.
    assert [bucket.depth for bucket in plan.buckets] == [3]


def test_encodings_after_a_staircase_of_cnots_share_a_layer():
    n_qubits = 6
    plan = make_plan(reuploading(angle_encoding(n_qubits), connectivity_layers(n_qubits, 1), 3))
    assert len(sampled_steps(plan)) == 2 * n_qubits // 2


@pytest.mark.parametrize(
    ("description", "real"),
    [
        (connectivity_layers(4, 2, 2), True),
        (quantum_gradient(5), True),
        (embedding_layers(3, 1), False),
        (angle_encoding(2, "RX"), False),
    ],
)
def test_a_circuit_is_real_when_all_its_gates_are(description, real):
    assert make_plan(description).real is real
