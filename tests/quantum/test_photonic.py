"""The stacked photonic circuit as a module: sums, stacking, gradients, state and bad input."""

import copy
import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.quantum import fock_autograd
from qlmbench.quantum.fock import fock_states, space_size
from qlmbench.quantum.fock_autograd import fock_coefficients, fock_probabilities
from qlmbench.quantum.mesh import mesh_size, mesh_unitaries
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.quantum.transfer import transfer_amplitudes


def random_phases(circuit, batch=4, seed=0):
    shape = (circuit.repetitions, batch, circuit.n_blocks * circuit.n_modes)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(circuit.angles.dtype)


@given(
    n_modes=st.integers(2, 7),
    n_photons=st.integers(1, 7),
    space=st.sampled_from(["unbunched", "fock"]),
    n_blocks=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_probabilities_are_positive_and_sum_to_one(n_modes, n_photons, space, n_blocks):
    n_photons = min(n_photons, n_modes)
    circuit = PhotonicCircuit(
        n_modes, n_photons, repetitions=2, space=space, n_blocks=n_blocks, dtype=torch.float64
    )
    probs = circuit(random_phases(circuit))
    assert probs.shape == (2, 4, space_size(n_modes, n_photons, space))
    assert (probs >= 0).all()
    assert torch.allclose(probs.sum(-1), torch.ones(2, 4, dtype=torch.float64), atol=1e-12)


@given(n_modes=st.integers(2, 6), mesh=st.sampled_from(["mzi", "mzi+phases"]))
@settings(max_examples=10, deadline=None)
def test_a_repetition_of_a_stack_equals_the_circuit_alone(n_modes, mesh):
    stack = PhotonicCircuit(n_modes, repetitions=3, seeds=[5, 2, 9], mesh=mesh)
    phases = random_phases(stack)
    stack(phases).square().sum().backward()
    for repetition, seed in enumerate([5, 2, 9]):
        alone = PhotonicCircuit(n_modes, seeds=[seed], mesh=mesh)
        assert torch.equal(alone.angles[0], stack.angles[repetition])
        probs = alone(phases[repetition : repetition + 1])
        probs.square().sum().backward()
        assert torch.allclose(probs[0], stack(phases)[repetition], atol=1e-6)
        assert torch.allclose(alone.angles.grad[0], stack.angles.grad[repetition], atol=1e-5)


def test_angles_start_with_the_scale_of_their_repetition_in_both_precisions():
    single = PhotonicCircuit(6, repetitions=2, init_scale=[0.0, 1.0], seeds=[1, 1])
    double = PhotonicCircuit(6, init_scale=2.0, seeds=[1], dtype=torch.float64)
    assert (single.angles[0] == 0).all()
    assert torch.allclose(2 * single.angles[1], double.angles[0].float())


def test_surviving_mass_is_what_the_unbunched_states_have_in_the_fock_space():
    fock = PhotonicCircuit(5, 3, space="fock", dtype=torch.float64)
    unbunched = PhotonicCircuit(5, 3, dtype=torch.float64)
    phases = random_phases(fock)
    kept = [max(state) == 1 for state in fock.state_space()]
    mass = fock(phases)[..., kept].sum(-1)
    assert torch.allclose(unbunched.surviving_mass(phases), mass, atol=1e-13)
    assert torch.allclose(fock.surviving_mass(phases), torch.ones_like(mass), atol=1e-13)
    raw = PhotonicCircuit(5, 3, renormalise=False, dtype=torch.float64)
    assert torch.allclose(raw(phases), fock(phases)[..., kept], atol=1e-13)


def test_where_nothing_survives_all_outputs_and_gradients_are_zero():
    transfer = torch.zeros(1, 2, 2, 1, dtype=torch.complex128)
    transfer[0, :, 0] = 1  # both photons leave in mode 0
    transfer.requires_grad_()
    probs = fock_probabilities(transfer, "unbunched", True)
    probs.sum().backward()
    assert (probs == 0).all()
    assert (transfer.grad == 0).all()


def test_mode_expectations_count_the_photons():
    circuit = PhotonicCircuit(6, 3, readout="mode_expectations", dtype=torch.float64)
    probs = PhotonicCircuit(6, 3, dtype=torch.float64)(random_phases(circuit))
    outputs = circuit(random_phases(circuit))
    assert outputs.shape == (1, 4, circuit.output_size) == (1, 4, 6)
    assert torch.allclose(outputs.sum(-1), torch.full((1, 4), 3.0, dtype=torch.float64))
    first = [state[0] == 1 for state in circuit.state_space()]
    assert torch.allclose(outputs[..., 0], probs[..., first].sum(-1))


def test_groups_sum_neighbours():
    phases = random_phases(PhotonicCircuit(4, 2))
    probs = PhotonicCircuit(4, 2)(phases)
    groups = PhotonicCircuit(4, 2, n_groups=3)(phases)
    assert torch.allclose(groups, probs.view(1, 4, 3, 2).sum(-1))


def test_amplitudes_square_to_probabilities():
    for space in ("unbunched", "fock"):
        options = {"space": space, "dtype": torch.float64}
        amplitudes = PhotonicCircuit(5, 3, readout="amplitudes", **options)
        phases = random_phases(amplitudes)
        probs = PhotonicCircuit(5, 3, **options)(phases)
        assert torch.allclose(amplitudes(phases).abs().square(), probs, atol=1e-13)


@pytest.mark.parametrize("mesh", ["mzi", "mzi+phases"])
@pytest.mark.parametrize("n_modes", [2, 3, 5])
def test_gradient_of_the_mesh_is_the_numerical_one(n_modes, mesh):
    generator = torch.Generator().manual_seed(n_modes)
    shape = (2, mesh_size(n_modes, mesh))
    angles = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: mesh_unitaries(a, n_modes, mesh), [angles])


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
def test_gradient_of_the_transfer_is_the_numerical_one(n_blocks):
    generator = torch.Generator().manual_seed(n_blocks)
    shape = (2, n_blocks + 1, 3, 3)
    unitaries = torch.randn(shape, generator=generator, dtype=torch.complex128, requires_grad=True)
    shape = (2, 2, n_blocks * 3)
    phases = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    occupied = torch.tensor([0, 2])
    assert torch.autograd.gradcheck(
        lambda u, x: transfer_amplitudes(u, x, occupied), [unitaries, phases]
    )


@pytest.mark.parametrize("space", ["unbunched", "fock"])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_gradient_of_the_coefficients_is_the_numerical_one(space, dtype):
    generator = torch.Generator().manual_seed(3)
    transfer = torch.randn(2, 3, 4, 2, generator=generator, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: fock_coefficients(a, space), [transfer])


@pytest.mark.parametrize("space", ["unbunched", "fock"])
@pytest.mark.parametrize("renormalise", [True, False])
def test_gradient_of_the_probabilities_is_the_numerical_one(space, renormalise):
    generator = torch.Generator().manual_seed(4)
    shape = (2, 3, 4, 2)
    transfer = torch.randn(shape, generator=generator, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a: fock_probabilities(a, space, renormalise), [transfer], atol=1e-4
    )


def test_a_second_derivative_is_refused():
    circuit = PhotonicCircuit(4, 2)
    probs = circuit(random_phases(circuit))
    with pytest.raises(RuntimeError, match="differentiated once"):
        torch.autograd.grad(probs[..., 0].sum(), circuit.angles, create_graph=True)


@pytest.mark.parametrize("space", ["unbunched", "fock"])
def test_chunks_change_nothing(space, monkeypatch):
    circuit = PhotonicCircuit(5, 2, repetitions=2, space=space, dtype=torch.float64)
    phases = random_phases(circuit, batch=7)
    results = []
    for size in (2**20, 1500):
        monkeypatch.setitem(fock_autograd.WORKSPACE_BYTES, "cpu", size)
        circuit.zero_grad()
        probs = circuit(phases)
        probs[..., 0].sum().backward()
        results.append((probs.detach(), circuit.angles.grad.clone()))
    (probs, gradient), (chunked, chunked_gradient) = results
    assert torch.allclose(probs, chunked, atol=1e-14)
    assert torch.allclose(gradient, chunked_gradient, atol=1e-13)


def test_an_empty_batch_has_no_outputs_and_no_gradient():
    circuit = PhotonicCircuit(4, 2)
    probs = circuit(torch.zeros(1, 0, 4))
    probs.sum().backward()
    assert probs.shape == (1, 0, 6)
    assert (circuit.angles.grad == 0).all()


def test_frozen_circuit_passes_gradients_to_its_inputs_only():
    circuit = PhotonicCircuit(4, 2, trainable=False)
    phases = random_phases(circuit).requires_grad_()
    circuit(phases).square().sum().backward()
    assert circuit.angles.grad is None
    assert phases.grad.abs().sum() > 0


def test_state_dict_pickle_deepcopy_and_change_of_precision():
    circuit = PhotonicCircuit(4, 2, repetitions=2, readout="mode_expectations")
    phases = random_phases(circuit)
    circuit(phases).sum().backward()
    file = io.BytesIO()
    torch.save(circuit, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    other = PhotonicCircuit(4, 2, repetitions=2, readout="mode_expectations", seeds=[7, 8])
    other.load_state_dict(circuit.state_dict())
    for same in (loaded, other, copy.deepcopy(circuit)):
        assert torch.equal(same(phases), circuit(phases))
    assert list(circuit.state_dict()) == ["angles"]
    double = copy.deepcopy(circuit).double()
    assert torch.allclose(double(phases.double()), circuit(phases).double(), atol=1e-6)


def test_training_reaches_a_distribution_that_the_circuit_can_make():
    target = PhotonicCircuit(4, 2, seeds=[3])
    circuit = PhotonicCircuit(4, 2, seeds=[4])
    phases = random_phases(circuit, batch=8)
    wanted = target(phases).detach()
    optimiser = torch.optim.Adam(circuit.parameters(), lr=0.05)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = (circuit(phases) - wanted).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_states_are_in_descending_lexicographic_order():
    for space in ("unbunched", "fock"):
        states = fock_states(5, 3, space)
        assert states == sorted(states, reverse=True)
        assert len(states) == len(set(states)) == space_size(5, 3, space)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_modes": 1}, "n_modes=1"),
        ({"n_modes": 3, "n_photons": 4}, "at most one photon a mode"),
        ({"n_modes": 3, "n_photons": 0}, "n_photons=0"),
        ({"n_modes": 3, "input_state": [1, 0]}, "expected 3 numbers"),
        ({"n_modes": 3, "input_state": [2, 0, 0]}, "0 or 1"),
        ({"n_modes": 3, "input_state": [0, 0, 0]}, "not all 0"),
        ({"n_modes": 3, "n_photons": 2, "input_state": [1, 0, 0]}, "has 1 photons"),
        ({"n_modes": 3, "space": "dual_rail"}, "space='dual_rail'"),
        ({"n_modes": 3, "mesh": "bell"}, "mesh='bell'"),
        ({"n_modes": 3, "readout": "parity"}, "readout='parity'"),
        ({"n_modes": 3, "dtype": torch.float16}, "dtype="),
        ({"n_modes": 3, "repetitions": 2, "seeds": [1]}, "expected 2 numbers"),
        ({"n_modes": 3, "seeds": [-1]}, "at least 0"),
        ({"n_modes": 3, "init_scale": [1.0, 2.0]}, "one a repetition"),
        ({"n_modes": 4, "n_groups": 5}, "take n_groups=3"),
        ({"n_modes": 4, "n_groups": 2, "readout": "amplitudes"}, "leave n_groups out"),
        ({"n_modes": 4, "indistinguishability": 1.5}, "from 0 to 1"),
        ({"n_modes": 4, "transmittance": math.nan}, "from 0 to 1"),
        ({"n_modes": 4, "shots": 0}, "shots=0"),
        ({"n_modes": 4, "shots": 10, "readout": "amplitudes"}, "ideal photons"),
        ({"n_modes": 14, "n_photons": 7, "indistinguishability": 0.5}, "at most 6 photons"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PhotonicCircuit(**options)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 5), (2, 3, 3), (1, 3, 4), (2, 3, 8)])
def test_phases_of_another_shape_are_refused(shape):
    circuit = PhotonicCircuit(4, 2, repetitions=2)
    with pytest.raises(ValueError, match=r"expected \[2, batch, 4\]"):
        circuit(torch.zeros(shape))


def test_phases_of_another_precision_are_refused():
    with pytest.raises(ValueError, match="circuit computes in"):
        PhotonicCircuit(4, 2)(torch.zeros(1, 3, 4, dtype=torch.float64))


def test_a_space_that_would_fill_the_memory_is_refused():
    circuit = PhotonicCircuit(30, 15)
    with pytest.raises(ValueError, match="more than the 1,000,000"):
        circuit(torch.zeros(1, 1, 30))
