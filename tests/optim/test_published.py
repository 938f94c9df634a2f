"""The published update in Qiskit, and the batched sampler that draws from its distribution."""

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorSampler
from qiskit_aer import AerSimulator
from scipy.stats import chisquare

from qlmbench.optim.analysis import update_moments
from qlmbench.optim.blocks import from_blocks, largest_magnitudes, to_blocks
from qlmbench.optim.circuits import outcome_probabilities, update_circuit
from qlmbench.optim.published import quantum_parameter_update
from qlmbench.optim.update import BlockUpdate


def batched(gradient, rng, shots=1000, n_qubits=5, copies=1):
    """Updates of the same rule by the batched sampler, ``[copies, D]``."""
    flat = torch.from_numpy(gradient)
    update = BlockUpdate("as-published", n_qubits=n_qubits, shots=shots)
    blocks = to_blocks(flat, n_qubits, "first")
    largest = largest_magnitudes(flat, blocks, "tensor")
    drawn = update(blocks.expand(copies, -1), largest.expand(copies, 1), 0.01, rng)
    return np.stack([from_blocks(row, len(flat)).numpy() for row in drawn])


def outcomes_of(updates):
    """Bit pattern of every update of one shot, entry 0 most significant."""
    bits = (updates > 0).astype(int)
    assert np.allclose(updates, np.where(bits == 1, 0.01, -0.005))
    return bits @ (2 ** np.arange(updates.shape[1])[::-1])


@pytest.mark.parametrize(("gradient", "update"), [(1.0, -0.005), (-1.0, 0.01)])
def test_one_qubit_with_the_largest_gradient_has_a_certain_outcome(gradient, update):
    # H and RY(3 pi / 2) in all: the largest entry is moved uphill.
    found = quantum_parameter_update([gradient], shots=50, seed=0)
    assert found == pytest.approx([update], abs=1e-15)
    assert batched(np.array([gradient]), np.random.default_rng(0), 50, 1)[0] == pytest.approx(
        [update], abs=1e-15
    )


def test_bits_are_read_in_reverse():
    # Only gradient 0 is not zero, and the last of the five updates answers to it.
    gradient = np.array([0.3, 0, 0, 0, 0, 1.0])
    found = quantum_parameter_update(gradient, shots=4000, seed=1) / 0.01
    expected = 0.25 + 0.75 * np.sin(1.5 * np.pi * 0.3)
    assert found[4] == pytest.approx(expected, abs=0.06)
    assert found[0] == pytest.approx(0.25, abs=0.06)
    assert expected > 0.9


def test_only_the_first_entries_are_updated_but_all_set_the_scale():
    gradient = np.zeros(8)
    gradient[:2], gradient[7] = 0.2, -2.0
    found = quantum_parameter_update(gradient, seed=0, shots=100)
    assert found.shape == (8,)
    assert not found[5:].any()
    exact = update_moments(torch.tensor([[0.1, 0.1, 0, 0, 0]], dtype=torch.float64), shots=100)
    sigma = exact.covariance[0].diagonal().sqrt().numpy()
    assert (np.abs(found[:5] / 0.01 - exact.mean[0].numpy()) < 5 * sigma).all()


def test_zero_gradient_drifts_by_a_quarter_of_the_learning_rate():
    found = quantum_parameter_update(np.zeros(6), shots=4000, seed=0)
    assert found[:5] == pytest.approx(np.full(5, 0.0025), abs=0.0006)
    drawn = batched(np.zeros(6), np.random.default_rng(0), shots=4000)[0]
    assert drawn[:5] == pytest.approx(np.full(5, 0.0025), abs=0.0006)


def test_fewer_entries_than_qubits_make_the_circuit_smaller():
    assert quantum_parameter_update([0.5, -0.1], seed=0).shape == (2,)


GRADIENT = np.array([0.5, -0.3, 0.9, 1.0])


def exact_pattern(gradient, n_qubits):
    """Exact probabilities of the patterns that :func:`outcomes_of` numbers."""
    fractions = torch.from_numpy(gradient[None, :n_qubits] / np.abs(gradient).max())
    exact = outcome_probabilities(update_circuit("as-published", n_qubits), fractions)[0]
    return exact.view([2] * n_qubits).permute(*reversed(range(n_qubits))).flatten().numpy()


def test_published_loop_has_the_exact_joint_distribution():
    rng = np.random.default_rng(0)
    updates = [
        quantum_parameter_update(GRADIENT, shots=1, n_qubits=3, seed=rng) for _ in range(600)
    ]
    counts = np.bincount(outcomes_of(np.stack(updates)[:, :3]), minlength=8)
    assert chisquare(counts, 600 * exact_pattern(GRADIENT, 3)).pvalue > 1e-3


def test_batched_sampler_has_the_exact_joint_distribution():
    updates = batched(GRADIENT, np.random.default_rng(0), shots=1, n_qubits=3, copies=20_000)
    counts = np.bincount(outcomes_of(updates[:, :3]), minlength=8)
    assert chisquare(counts, 20_000 * exact_pattern(GRADIENT, 3)).pvalue > 1e-3
    assert not updates[:, 3:].any()


def test_chi_square_would_notice_bits_in_the_other_order():
    updates = batched(GRADIENT, np.random.default_rng(0), shots=1, n_qubits=3, copies=20_000)
    counts = np.bincount(outcomes_of(updates[:, 2::-1]), minlength=8)
    assert chisquare(counts, 20_000 * exact_pattern(GRADIENT, 3)).pvalue < 1e-6


def test_given_backend_or_primitive_runs_it():
    exact = update_moments(torch.from_numpy(GRADIENT[None, :3]), shots=2000)
    sigma = exact.covariance[0].diagonal().sqrt().numpy()
    for backend in (AerSimulator(seed_simulator=1), StatevectorSampler(seed=1)):
        found = quantum_parameter_update(GRADIENT, backend, shots=2000, n_qubits=3) / 0.01
        assert (np.abs(found[:3] - exact.mean[0].numpy()) < 5 * sigma).all()


def test_same_seed_gives_the_same_update_and_a_generator_goes_on():
    first = quantum_parameter_update(GRADIENT, seed=3)
    assert (quantum_parameter_update(GRADIENT, seed=3) == first).all()
    rng = np.random.default_rng(3)
    assert (quantum_parameter_update(GRADIENT, seed=rng) == first).all()
    assert (quantum_parameter_update(GRADIENT, seed=rng) != first).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gradient_values": [0.1, float("nan")]}, "NaN or infinity"),
        ({"gradient_values": []}, "at least one entry"),
        ({"gradient_values": [[0.1]]}, "flatten"),
        ({"gradient_values": [0.1], "shots": 0}, "shots=0"),
        ({"gradient_values": [0.1], "n_qubits": 0}, "n_qubits=0"),
        ({"gradient_values": [0.1], "backend": "ibm"}, "BackendV2 or SamplerV2"),
        ({"gradient_values": [0.1], "backend": StatevectorSampler(), "seed": 1}, "seed"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        quantum_parameter_update(**arguments)
    assert "\n" not in str(error.value)
