"""Circuits of the update, their exact probabilities, and the moments that follow from them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector

from qlmbench.optim.circuits import CIRCUITS, outcome_probabilities, update_circuit
from qlmbench.optim.factors import (
    expected_factors,
    factor_covariance,
    factor_table,
    gaussian_factors,
)
from qlmbench.quantum.qubit_exports import from_qiskit_order, qiskit_circuit
from qlmbench.quantum.qubit_patterns import angle_encoding, rotation_layer

fractions_of = st.lists(st.floats(-1, 1), min_size=1, max_size=4)


def probabilities(name, fractions):
    x = torch.tensor([fractions], dtype=torch.float64)
    return outcome_probabilities(update_circuit(name, len(fractions)), x)[0]


@settings(max_examples=10)
@given(fractions=fractions_of, name=st.sampled_from(sorted(CIRCUITS)))
def test_probabilities_equal_qiskits(fractions, name):
    circuit = qiskit_circuit(update_circuit(name, len(fractions)), [], fractions)
    theirs = from_qiskit_order(Statevector(circuit).probabilities())
    assert np.allclose(probabilities(name, fractions).numpy(), theirs, rtol=0, atol=1e-12)


def test_published_circuit_is_the_published_circuit():
    # H on all, RY(theta), CNOT chain, RY(theta / 2), theta = pi times the fraction.
    from qiskit import QuantumCircuit

    theta = [math.pi * g for g in (0.3, -0.8, 0.5)]
    qc = QuantumCircuit(3)
    for q in range(3):
        qc.h(q)
    for q in range(3):
        qc.ry(theta[q], q)
    qc.cx(0, 1)
    qc.cx(1, 2)
    for q in range(3):
        qc.ry(theta[q] / 2, q)
    theirs = from_qiskit_order(Statevector(qc).probabilities())
    assert np.allclose(probabilities("as-published", [0.3, -0.8, 0.5]), theirs, rtol=0, atol=1e-12)


@settings(max_examples=10)
@given(fractions=fractions_of)
def test_without_cnot_every_bit_has_its_closed_form(fractions):
    table = factor_table(len(fractions), reversed_bits=False)
    found = expected_factors(probabilities("no-cnot", fractions), table)
    sines = torch.tensor([math.sin(1.5 * math.pi * g) for g in fractions], dtype=torch.float64)
    assert torch.allclose(found, 0.25 + 0.75 * sines, rtol=0, atol=1e-12)


@settings(max_examples=10)
@given(fractions=fractions_of, fill=st.integers(1, 2))
def test_zeros_behind_the_last_weight_change_nothing_before_them(fractions, fill):
    whole = probabilities("as-published", fractions + [0.0] * fill)
    before = whole.view(-1, 2**fill).sum(1)
    assert torch.allclose(before, probabilities("as-published", fractions), rtol=0, atol=1e-12)


def test_many_gradients_at_once_equal_one_by_one(monkeypatch):
    x = torch.linspace(-1, 1, 21, dtype=torch.float64).view(7, 3)
    circuit = update_circuit("cnot-ring", 3)
    alone = torch.cat([outcome_probabilities(circuit, row[None]) for row in x])
    monkeypatch.setattr("qlmbench.optim.circuits._AMPLITUDES", 16)
    assert torch.allclose(outcome_probabilities(circuit, x), alone, rtol=0, atol=1e-14)


def test_every_named_circuit_is_unbiased_at_zero():
    for name in CIRCUITS:
        assert torch.allclose(probabilities(name, [0.0] * 4), torch.full((16,), 1 / 16).double())


def test_published_table_is_the_other_one_read_backwards():
    ours, published = (factor_table(3, reversed_bits=r) for r in (False, True))
    assert torch.equal(published, ours.flip(1))
    # Outcome 4 is |100>: qubit 0 reads 1.
    assert ours[4].tolist() == [1.0, -0.5, -0.5]


@settings(max_examples=10)
@given(fractions=st.lists(st.floats(-1, 1), min_size=2, max_size=3), shots=st.integers(1, 50))
def test_covariance_is_that_of_independent_shots(fractions, shots):
    p, table = (
        probabilities("as-published", fractions),
        factor_table(len(fractions), reversed_bits=True),
    )
    mean = sum(p[k] * table[k] for k in range(len(p)))
    by_hand = sum(p[k] * torch.outer(table[k] - mean, table[k] - mean) for k in range(len(p)))
    found = factor_covariance(p, table, shots)
    assert torch.allclose(found, by_hand / shots, rtol=0, atol=1e-12)


def test_gaussian_factors_have_mean_and_covariance_of_the_bits():
    p = probabilities("as-published", [0.4, -0.6])
    table, copies = factor_table(2, reversed_bits=False), 40_000
    normals = torch.from_numpy(np.random.default_rng(0).standard_normal((copies, 4)))
    drawn = gaussian_factors(p.expand(copies, -1), table, 10, normals)
    exact = factor_covariance(p, table, 10)
    assert torch.allclose(drawn.mean(0), expected_factors(p, table), rtol=0, atol=6e-3)
    assert torch.allclose(torch.cov(drawn.T), exact, rtol=0, atol=0.03 * float(exact.max()))


@pytest.mark.parametrize(
    ("circuit", "n_qubits", "message"),
    [
        ("as-publishd", 2, "did you mean 'as-published'"),
        ("as-published", 0, "n_qubits=0"),
        (angle_encoding(3), 2, "expected 2 qubits"),
        (angle_encoding(2).then(rotation_layer(2)), 2, "no weights"),
    ],
)
def test_wrong_circuits_are_refused(circuit, n_qubits, message):
    with pytest.raises(ValueError, match=message):
        update_circuit(circuit, n_qubits)
