"""What the published circuit computes, and that the other one computes more."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.models.parameters import dead_entries, jacobian_rank
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.vision.circuits import commuting_form, projection_circuit

SIZES = list(itertools.product((1, 2, 3, 4, 5, 6), (1, 2, 3)))


def circuit_of(n_qubits, n_layers, ansatz, seed=0):
    description = projection_circuit(n_qubits, n_layers, ansatz)
    return QubitCircuit(description, seeds=[seed], dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@settings(max_examples=25)
@given(size=st.sampled_from(SIZES), seed=st.integers(0, 99))
def test_the_published_circuit_is_its_closed_form(size, seed):
    circuit = circuit_of(*size, "published", seed)
    inputs = normal(5, size[0], seed=seed)
    expected = commuting_form(*size)(inputs, circuit.weights[0])
    torch.testing.assert_close(circuit(inputs[None])[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(2, 3), (4, 3), (5, 3), (6, 3), (6, 6)])
def test_an_output_reads_those_inputs_and_weights_that_its_closed_form_reads(size):
    n_qubits, n_layers = size
    circuit = circuit_of(n_qubits, n_layers, "published")
    inputs = normal(1, 7, n_qubits).requires_grad_()
    form = commuting_form(n_qubits, n_layers)
    outputs = circuit(inputs)[0]
    for q in range(n_qubits):
        by_input, by_weight = torch.autograd.grad(
            outputs[:, q].sum(), [inputs, circuit.weights], retain_graph=True
        )
        read = (by_input[0].abs() > 1e-12).any(0).nonzero().flatten()
        assert tuple(read.tolist()) == form.inputs_of(q)
        turned = (by_weight[0].abs() > 1e-12).nonzero().flatten()
        assert set(turned.tolist()) <= set(form.weights_of(q))


def test_with_four_qubits_and_three_layers_an_output_reads_one_or_two_inputs():
    form = commuting_form(4, 3)
    assert [form.inputs_of(q) for q in range(4)] == [(1,), (1, 2), (2, 3), (0, 3)]


def test_with_one_layer_an_output_is_a_product_of_cosines():
    form = commuting_form(4, 1)
    circuit = circuit_of(4, 1, "published")
    angles = normal(9, 4)
    turned = torch.cos(angles + circuit.weights[0])
    outputs = circuit(angles[None])[0]
    for q in range(4):
        assert form.factors(q)
        product = turned[:, list(form.inputs_of(q))].prod(1)
        torch.testing.assert_close(outputs[:, q], product, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_qubits", [2, 4, 6])
def test_the_first_layer_of_the_published_weights_is_a_bias_again(n_qubits):
    circuit = circuit_of(n_qubits, 3, "published")
    inputs = normal(1, 5, n_qubits)
    before = circuit(inputs)
    moved = normal(n_qubits, seed=1)
    with torch.no_grad():
        circuit.weights[0, :n_qubits] += moved
    torch.testing.assert_close(circuit(inputs - moved), before, rtol=0, atol=1e-12)


def rank_of_bias_and_weights(ansatz, n_qubits=4, n_layers=3):
    circuit = circuit_of(n_qubits, n_layers, ansatz)
    bias = normal(n_qubits, seed=2).requires_grad_()
    outputs = circuit(normal(1, 64, n_qubits) + bias)
    return jacobian_rank(outputs, [bias, circuit.weights]), bias.numel() + circuit.weights.numel()


def test_the_published_ansatz_loses_a_layer_of_parameters_and_the_other_none():
    rank, total = rank_of_bias_and_weights("published")
    assert rank == total - 4
    rank, total = rank_of_bias_and_weights("noncommuting")
    assert rank == total


@pytest.mark.parametrize("n_qubits", [2, 4, 5])
def test_in_the_other_ansatz_an_output_reads_more_than_two_inputs_and_no_weight_is_dead(n_qubits):
    circuit = circuit_of(n_qubits, 3, "noncommuting")
    inputs = normal(1, 16, n_qubits).requires_grad_()
    outputs = circuit(inputs)
    assert not dead_entries(outputs, {"weights": circuit.weights})
    for q in range(n_qubits):
        (slopes,) = torch.autograd.grad(outputs[..., q].sum(), inputs, retain_graph=True)
        assert (slopes.abs() > 1e-9).any(1).sum() == n_qubits


def test_the_other_ansatz_does_not_commute():
    """Its output depends on the order of two rotations that the published one may swap."""
    description = projection_circuit(2, 1, "noncommuting")
    names = [gate.name for gate in description.gates]
    assert {"RX", "RY", "RZ"} <= set(names)
    published = [g.name for g in projection_circuit(2, 1, "published").gates if g.angle]
    assert set(published) == {"RX"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, "published"), "at least 1"), ((2, 0, "published"), "at least 1")],
)
def test_a_circuit_of_no_size_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        projection_circuit(*arguments)
    with pytest.raises(ValueError, match="expected one of published, noncommuting"):
        projection_circuit(2, 1, "other")


def test_the_different_products_are_different():
    form = commuting_form(5, 4)
    assert len(np.unique(form.products, axis=0)) == len(form.products)
    assert form.weights.sum(0).tolist() == [1] * 20
