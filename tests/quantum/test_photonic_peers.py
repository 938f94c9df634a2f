"""The stacked circuit equals merlin's QuantumLayer and Perceval's SLOS."""

import copy

import perceval
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.quantum.photonic import PhotonicCircuit

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


@st.composite
def shapes(draw, most_modes=6):
    n_modes = draw(st.integers(2, most_modes))
    n_photons = draw(st.integers(1, max(1, n_modes // 2)))
    occupied = draw(st.permutations(range(n_modes)))[:n_photons]
    return {
        "n_modes": n_modes,
        "input_state": [int(mode in occupied) for mode in range(n_modes)],
        "space": draw(st.sampled_from(["unbunched", "fock"])),
        "n_blocks": draw(st.integers(1, 2)),
        "mesh": draw(st.sampled_from(["mzi", "mzi+phases"])),
    }


def random(shape, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def assert_equal_to_merlin(circuit, seed):
    """Compare outputs and the gradients of angles and of inputs, repetition by repetition.

    merlin computes in float64 throughout: in float32 its own error, which is several times ours,
    can exceed 1e-6.
    """
    tolerance = TOLERANCE[circuit.angles.dtype]
    shape = (circuit.repetitions, 3, circuit.n_blocks * circuit.n_modes)
    phases = random(shape, seed, circuit.angles.dtype).requires_grad_()
    weights = random((*shape[:2], circuit.output_size), seed + 1, circuit.angles.dtype)
    outputs = circuit(phases)
    (outputs.abs() * weights).sum().backward()
    for repetition in range(circuit.repetitions):
        layer = copy.deepcopy(circuit).double().to_merlin(repetition)
        inputs = phases.detach()[repetition].double().requires_grad_()
        expected = layer(inputs)
        (expected.abs() * weights[repetition].double()).sum().backward()
        gradient = torch.cat([p.grad for p in layer.parameters()])
        # a gradient sums over the outputs and samples, and so does its rounding error
        assert (outputs[repetition] - expected).abs().max() < tolerance
        assert (circuit.angles.grad[repetition].flatten() - gradient).abs().max() < 20 * tolerance
        assert (phases.grad[repetition] - inputs.grad).abs().max() < 20 * tolerance


@given(shape=shapes(), dtype=st.sampled_from([torch.float64, torch.float32]))
@settings(max_examples=20, deadline=None)
def test_probabilities_and_gradients_equal_merlin(shape, dtype):
    assert_equal_to_merlin(PhotonicCircuit(repetitions=2, dtype=dtype, **shape), seed=3)


@pytest.mark.parametrize("n_photons", [1, 4])
@pytest.mark.parametrize("space", ["unbunched", "fock"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_eight_modes_equal_merlin(n_photons, space, dtype):
    assert_equal_to_merlin(PhotonicCircuit(8, n_photons, space=space, dtype=dtype), seed=5)


@given(shape=shapes())
@settings(max_examples=10, deadline=None)
def test_single_precision_equals_merlins_single_precision(shape):
    circuit = PhotonicCircuit(**{**shape, "n_blocks": 1})
    phases = random((1, 3, circuit.n_modes), 3, torch.float32)
    # both errors together; ours alone is below 1e-6, see above
    assert torch.allclose(circuit(phases)[0], circuit.to_merlin()(phases[0]), rtol=0, atol=3e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_twelve_modes_with_one_photon_equal_merlin(dtype):
    assert_equal_to_merlin(PhotonicCircuit(12, 1, dtype=dtype), seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("n_photons", [2, 3, 4, 5, 6])
def test_twelve_modes_with_more_photons_equal_merlin(n_photons):
    assert_equal_to_merlin(PhotonicCircuit(12, n_photons, dtype=torch.float64), seed=11)


@pytest.mark.parametrize("space", ["unbunched", "fock"])
@pytest.mark.parametrize("readout", ["mode_expectations", "amplitudes"])
def test_other_readouts_equal_merlin(space, readout):
    circuit = PhotonicCircuit(5, 2, space=space, readout=readout, dtype=torch.float64)
    assert_equal_to_merlin(circuit, seed=13)


@pytest.mark.parametrize("n_groups", [1, 2, 4, 7])
def test_groups_equal_merlins_lexical_grouping(n_groups):
    circuit = PhotonicCircuit(5, 3, space="fock", n_groups=n_groups, dtype=torch.float64)
    assert_equal_to_merlin(circuit, seed=17)


@pytest.mark.parametrize("n_modes", range(2, 10))
def test_default_input_state_and_order_of_states_are_merlins(n_modes):
    for n_photons in range(1, n_modes // 2 + 1):
        circuit = PhotonicCircuit(n_modes, n_photons)
        layer = merlin_layer(n_modes, n_photons)
        assert list(circuit.input_state) == list(layer.input_state)
        assert circuit.state_space() == [tuple(key) for key in layer.output_keys]


def merlin_layer(n_modes, n_photons):
    """Build the layer as its users do, without naming an input state."""
    from merlin import CircuitBuilder, ComputationSpace, MeasurementStrategy, QuantumLayer

    builder = CircuitBuilder(n_modes=n_modes)
    builder.add_entangling_layer(trainable=True, name="UA")
    builder.add_angle_encoding(modes=list(range(n_modes)), name="x")
    builder.add_entangling_layer(trainable=True, name="UB")
    return QuantumLayer(
        input_size=n_modes,
        builder=builder,
        n_photons=n_photons,
        measurement_strategy=MeasurementStrategy.probs(ComputationSpace.UNBUNCHED),
    )


def test_circuit_loaded_from_a_users_layers_gives_their_outputs():
    layers = [merlin_layer(4, 2) for _ in range(3)]
    circuit = PhotonicCircuit.from_merlin(layers)
    phases = random((3, 5, 4), 19, torch.float32)
    expected = torch.stack([q(x) for q, x in zip(layers, phases, strict=True)])
    assert torch.allclose(circuit(phases), expected, atol=1e-6)


@given(shape=shapes(most_modes=5))
@settings(max_examples=15, deadline=None)
def test_exported_circuit_equals_percevals_slos(shape):
    circuit = PhotonicCircuit(repetitions=2, renormalise=False, dtype=torch.float64, **shape)
    phases = random((2, 1, circuit.n_blocks * circuit.n_modes), 23, torch.float64)
    probs = circuit(phases)[1, 0].tolist()
    backend = perceval.SLOSBackend()
    backend.set_circuit(circuit.to_perceval(1, phases[1, 0]))
    backend.set_input_state(perceval.BasicState(list(circuit.input_state)))
    for state, probability in zip(circuit.state_space(), probs, strict=True):
        expected = backend.probability(perceval.BasicState(list(state)))
        assert probability == pytest.approx(expected, abs=1e-12)


def test_stacked_unitaries_are_unitary_and_percevals():
    circuit = PhotonicCircuit(5, 2, repetitions=3, mesh="mzi+phases", dtype=torch.float64)
    unitaries = circuit.unitaries().detach()
    identity = torch.eye(5, dtype=torch.complex128).expand_as(unitaries)
    assert torch.allclose(unitaries @ unitaries.mH, identity, atol=1e-13)
    zeros = torch.zeros(5, dtype=torch.float64)
    whole = torch.from_numpy(circuit.to_perceval(2, zeros).compute_unitary())
    assert torch.allclose(unitaries[2, 1] @ unitaries[2, 0], whole, atol=1e-13)
