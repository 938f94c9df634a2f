"""Samplers: local and Qiskit's draw from one distribution, and say what they are."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2
from scipy.stats import chisquare

from qlmbench.optim.circuits import outcome_probabilities, update_circuit
from qlmbench.optim.samplers import make_sampler

FRACTIONS = torch.tensor([[0.1, -0.4, 0.3], [0.7, 0.2, -0.9]], dtype=torch.float64)
CIRCUIT = update_circuit("as-published", 3)

SOURCES = {
    "local simulator": lambda: None,
    "Qiskit backend qiskit_aer.AerSimulator (aer_simulator)": AerSimulator,
    "Qiskit primitive qiskit.StatevectorSampler": lambda: StatevectorSampler(seed=1),
    "Qiskit primitive qiskit_aer.SamplerV2": SamplerV2,
    "Qiskit primitive qiskit.BackendSamplerV2 (aer_simulator)": lambda: BackendSamplerV2(
        backend=AerSimulator()
    ),
}


@pytest.mark.parametrize("label", SOURCES)
def test_every_sampler_draws_from_the_exact_distribution(label):
    sampler = make_sampler(CIRCUIT, SOURCES[label]())
    assert sampler.label == label
    shots = 5000
    counts = sampler.counts(FRACTIONS, shots, np.random.default_rng(0))
    assert counts.shape == (2, 8)
    exact = shots * outcome_probabilities(CIRCUIT, FRACTIONS)
    for row, expected in zip(counts, exact, strict=True):
        # Some samplers cannot be seeded: a wrong distribution is far below this.
        assert chisquare(row.numpy(), expected.numpy()).pvalue > 1e-6


@pytest.mark.parametrize("label", SOURCES)
def test_shots_are_new_for_every_gradient_and_every_call(label):
    sampler, rng = make_sampler(CIRCUIT, SOURCES[label]()), np.random.default_rng(0)
    same = FRACTIONS[:1].expand(2, -1)
    first, second = (sampler.counts(same, 1000, rng) for _ in range(2))
    rows = [*first.tolist(), *second.tolist()]
    assert len({tuple(row) for row in rows}) == 4


@pytest.mark.parametrize(
    "primitive",
    [
        SamplerV2(seed=1),
        BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": 1}),
        BackendSamplerV2(backend=AerSimulator(seed_simulator=1)),
    ],
    ids=["aer", "options", "backend"],
)
def test_primitive_that_would_repeat_its_shots_is_refused(primitive):
    with pytest.raises(ValueError, match="the fixed seed 1, which repeats its shots"):
        make_sampler(CIRCUIT, primitive)


def test_backend_with_its_own_gates_and_layout_keeps_the_order_of_the_bits():
    # A line of seven noisy qubits: the circuit is placed and rewritten.
    line = [[q, q + 1] for q in range(6)] + [[q + 1, q] for q in range(6)]
    backend = GenericBackendV2(7, coupling_map=line, seed=3)
    sampler = make_sampler(CIRCUIT, backend)
    assert sampler.label == "Qiskit backend qiskit.GenericBackendV2 (generic_backend_7q)"
    counts = sampler.counts(FRACTIONS, 4000, np.random.default_rng(0))
    exact = outcome_probabilities(CIRCUIT, FRACTIONS)
    assert (counts.sum(1) == 4000).all()
    assert torch.allclose(counts.double() / 4000, exact, rtol=0, atol=0.06)
    backwards = exact.view(2, 2, 2, 2).permute(0, 3, 2, 1).reshape(2, 8)
    assert not torch.allclose(counts.double() / 4000, backwards, rtol=0, atol=0.1)


def test_more_than_eight_qubits_fill_more_than_a_byte():
    circuit = update_circuit("no-cnot", 9)
    fractions = torch.zeros(1, 9, dtype=torch.float64)
    # A turn of 3 pi / 2: bits that read 0 for certain on top of H.
    fractions[0, :] = 1.0
    sampler = make_sampler(circuit, StatevectorSampler(seed=0))
    assert sampler.counts(fractions, 20, np.random.default_rng(0))[0, 0] == 20
    fractions[0, 0] = -1.0
    assert sampler.counts(fractions, 20, np.random.default_rng(0))[0, 256] == 20


def test_optimiser_needs_no_qiskit():
    code = "import sys, qlmbench.optim.optimizer, qlmbench.optim.published; "
    code += "assert not any(name.startswith('qiskit') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
