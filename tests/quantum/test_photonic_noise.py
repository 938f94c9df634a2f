"""Distinguishable and lost photons, and shots, against known answers and Perceval."""

import math
from itertools import permutations

import perceval
import pytest
import torch

from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.quantum.transfer import transfer_amplitudes

NOISES = [(1.0, 0.6), (0.7, 1.0), (0.0, 1.0), (0.35, 0.8), (0.0, 0.5)]


def random_phases(circuit, batch=2):
    shape = (circuit.repetitions, batch, circuit.n_blocks * circuit.n_modes)
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def half_mirror(**options):
    """Two photons on a 50:50 beam splitter; the second mesh only adds phases."""
    circuit = PhotonicCircuit(
        2, 2, space="fock", dtype=torch.float64, **{"input_state": [1, 1], **options}
    )
    with torch.no_grad():
        circuit.angles.copy_(torch.tensor([[[math.pi / 2, 0.3], [math.pi, 0.1]]]))
    return circuit


@pytest.mark.parametrize("indistinguishability", [0.0, 0.25, 0.5, 1.0])
def test_hong_ou_mandel_dip(indistinguishability):
    circuit = half_mirror(indistinguishability=indistinguishability)
    probs = dict(zip(circuit.state_space(), circuit(random_phases(circuit, 1))[0, 0], strict=True))
    bunched = 0.25 * (1 + indistinguishability)
    assert probs[1, 1].item() == pytest.approx(0.5 * (1 - indistinguishability), abs=1e-12)
    assert probs[2, 0].item() == pytest.approx(bunched, abs=1e-12)
    assert probs[0, 2].item() == pytest.approx(bunched, abs=1e-12)


@pytest.mark.parametrize("space", ["unbunched", "fock"])
def test_distinguishable_photons_follow_the_permanent_of_the_squared_moduli(space):
    circuit = PhotonicCircuit(
        4, 3, space=space, indistinguishability=0, renormalise=False, dtype=torch.float64
    )
    phases = random_phases(circuit, 1)
    transfer = transfer_amplitudes(circuit.unitaries(), phases, circuit.occupied)
    classical = transfer[0, :, :, 0].abs().square().tolist()
    for state, probability in zip(circuit.state_space(), circuit(phases)[0, 0], strict=True):
        modes = [mode for mode, count in enumerate(state) for _ in range(count)]
        permanent = sum(
            math.prod(classical[photon][mode] for photon, mode in zip(order, modes, strict=True))
            for order in permutations(range(3))
        )
        expected = permanent / math.prod(math.factorial(count) for count in state)
        assert probability.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("indistinguishability", "transmittance"), NOISES)
@pytest.mark.parametrize("input_state", [[1, 0, 1, 0], [1, 1, 0, 1]])
def test_noise_equals_percevals_noise_model(indistinguishability, transmittance, input_state):
    circuit = PhotonicCircuit(
        4,
        input_state=input_state,
        space="fock",
        indistinguishability=indistinguishability,
        transmittance=transmittance,
        dtype=torch.float64,
    )
    phases = random_phases(circuit, 1)
    noise = perceval.NoiseModel(
        indistinguishability=indistinguishability, transmittance=transmittance
    )
    processor = perceval.Processor("SLOS", circuit.to_perceval(0, phases[0, 0]), noise=noise)
    processor.min_detected_photons_filter(0)
    processor.with_input(perceval.BasicState(input_state))
    expected = processor.probs()["results"]
    probs = circuit(phases)[0, 0]
    assert probs.sum().item() == pytest.approx(1)
    for state, probability in zip(circuit.state_space(), probs.tolist(), strict=True):
        assert probability == pytest.approx(expected[perceval.BasicState(state)], abs=1e-6)


def test_noise_equals_merlins_with_its_gradient():
    noise = perceval.NoiseModel(indistinguishability=0.6)
    circuit = PhotonicCircuit(4, 2, space="fock", indistinguishability=0.6, dtype=torch.float64)
    layer = noisy_merlin_layer(circuit, noise)
    phases = random_phases(circuit)
    probs, expected = circuit(phases)[0], layer(phases[0])
    assert torch.allclose(probs, expected, atol=1e-9)
    probs[:, 3].sum().backward()
    expected[:, 3].sum().backward()
    gradient = torch.cat([p.grad for p in layer.parameters()])
    assert torch.allclose(circuit.angles.grad.flatten(), gradient, atol=1e-9)


def noisy_merlin_layer(circuit, noise):
    from merlin import CircuitBuilder, ComputationSpace, MeasurementStrategy, QuantumLayer

    builder = CircuitBuilder(n_modes=4)
    builder.add_entangling_layer(trainable=True, name="UA")
    builder.add_angle_encoding(modes=[0, 1, 2, 3], name="x")
    builder.add_entangling_layer(trainable=True, name="UB")
    layer = QuantumLayer(
        input_size=4,
        builder=builder,
        n_photons=2,
        noise=noise,
        measurement_strategy=MeasurementStrategy.probs(ComputationSpace.FOCK),
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter, angles in zip(layer.parameters(), circuit.angles[0], strict=True):
            parameter.copy_(angles)
    return layer


@pytest.mark.parametrize(("indistinguishability", "transmittance"), NOISES)
def test_gradient_of_noisy_probabilities_is_the_numerical_one(indistinguishability, transmittance):
    circuit = PhotonicCircuit(
        3,
        2,
        space="fock",
        indistinguishability=indistinguishability,
        transmittance=transmittance,
        dtype=torch.float64,
    )
    phases = random_phases(circuit).requires_grad_()
    assert torch.autograd.gradcheck(circuit, [phases])


def test_partly_distinguishable_photons_reach_both_ends():
    def probs(indistinguishability):
        circuit = PhotonicCircuit(
            5, 3, indistinguishability=indistinguishability, dtype=torch.float64
        )
        return circuit(random_phases(circuit))

    assert torch.allclose(probs(1 - 1e-12), probs(1.0), atol=1e-9)
    assert torch.allclose(probs(1e-20), probs(0.0), atol=1e-9)


def test_loss_lowers_the_surviving_mass_and_not_the_post_selected_probabilities():
    ideal = PhotonicCircuit(5, 3, dtype=torch.float64)
    lossy = PhotonicCircuit(5, 3, transmittance=0.5, dtype=torch.float64)
    phases = random_phases(ideal)
    assert torch.allclose(lossy(phases), ideal(phases), atol=1e-13)
    expected = ideal.surviving_mass(phases) / 8
    assert torch.allclose(lossy.surviving_mass(phases), expected, atol=1e-13)


def test_mode_expectations_shrink_by_the_transmittance():
    options = {"space": "fock", "readout": "mode_expectations", "dtype": torch.float64}
    ideal = PhotonicCircuit(4, 2, **options)
    lossy = PhotonicCircuit(4, 2, transmittance=0.3, **options)
    phases = random_phases(ideal)
    assert torch.allclose(lossy(phases), 0.3 * ideal(phases), atol=1e-13)


def test_shots_are_whole_counts_with_multinomial_mean_and_variance():
    shots, batch = 50, 4000
    exact = PhotonicCircuit(4, 2)
    sampled = PhotonicCircuit(4, 2, shots=shots)
    phases = torch.full((1, batch, 4), 0.7)
    probs = exact(phases)[0, 0].detach()
    frequencies = sampled(phases)[0].detach()
    counts = frequencies * shots
    assert torch.allclose(counts, counts.round(), atol=1e-3)
    assert torch.allclose(frequencies.sum(-1), torch.ones(batch), atol=1e-5)
    variance = probs * (1 - probs) / shots
    assert ((frequencies.mean(0) - probs).abs() < 5 * (variance / batch).sqrt()).all()
    covariance = torch.cov(frequencies.T)
    expected = (torch.diag(probs) - torch.outer(probs, probs)) / shots
    assert (covariance - expected).abs().max() < 0.1 * variance.max()


def test_gradient_with_shots_is_that_of_the_exact_probabilities():
    exact = PhotonicCircuit(4, 2, dtype=torch.float64)
    sampled = PhotonicCircuit(4, 2, shots=10, dtype=torch.float64)
    phases = random_phases(exact)
    for circuit in (exact, sampled):
        circuit(phases)[..., 0].sum().backward()
    assert torch.allclose(exact.angles.grad, sampled.angles.grad)


def test_a_repetition_draws_the_same_shots_alone_and_in_a_stack():
    stack = PhotonicCircuit(4, 2, repetitions=2, shots=20, seeds=[3, 4], sampling_seeds=[8, 9])
    alone = PhotonicCircuit(4, 2, shots=20, seeds=[4], sampling_seeds=[9])
    phases = torch.linspace(0, 1, 24).view(2, 3, 4)
    assert torch.equal(stack(phases)[1], alone(phases[1:])[0])
    assert not torch.equal(alone(phases[1:]), alone(phases[1:]))


def test_without_renormalisation_rejected_shots_are_missing():
    circuit = PhotonicCircuit(4, 2, shots=400, renormalise=False, transmittance=0.7)
    phases = torch.full((1, 200, 4), 0.7)
    kept = circuit(phases).sum(-1).mean()
    assert kept.item() == pytest.approx(circuit.surviving_mass(phases)[0, 0].item(), abs=0.01)


def test_shots_are_refused_where_nothing_survives():
    circuit = PhotonicCircuit(4, 2, shots=10, transmittance=0.0)
    with pytest.raises(ValueError, match="no event survives"):
        circuit(torch.zeros(1, 1, 4))
