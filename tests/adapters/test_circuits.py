"""Circuits between Down and Up: closed forms, ansatzes, readouts, circuits of one's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.adapters import QuantumLoRAConfig, QuantumLoRALayer
from qlmbench.adapters.circuits import (
    PhotonicBottleneck,
    ShallowCircuit,
    grouping_matrix,
    make_circuit,
)
from qlmbench.adapters.one_photon import one_photon_probabilities
from qlmbench.models.parameters import angle_rank
from qlmbench.quantum.photonic import PhotonicCircuit


def phases(n: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * math.pi * torch.rand(n, width, generator=generator, dtype=torch.float64)


def circuit_of(**options: object) -> PhotonicCircuit:
    return make_circuit(QuantumLoRAConfig(**options), 0, torch.float64)  # type: ignore[arg-type]


@given(
    n_modes=st.integers(2, 6), n_blocks=st.integers(1, 3), seed=st.integers(0, 99), place=st.data()
)
@settings(max_examples=20, deadline=None)
def test_one_photon_in_closed_form_equals_the_simulator_gradients_too(
    n_modes: int, n_blocks: int, seed: int, place: st.DataObject
) -> None:
    mode = place.draw(st.integers(0, n_modes - 1))
    circuit = PhotonicCircuit(
        n_modes,
        input_state=[int(m == mode) for m in range(n_modes)],
        n_blocks=n_blocks,
        seeds=[seed],
        dtype=torch.float64,
    )
    x = phases(5, n_blocks * n_modes, seed).requires_grad_()
    weights = phases(5, n_modes, seed + 1)
    results = []
    for out in (
        circuit(x[None])[0],
        one_photon_probabilities(circuit.unitaries(), x, circuit.occupied),
    ):
        grads = torch.autograd.grad((out * weights).sum(), [x, circuit.angles])
        results.append([out, *grads])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)


def frequencies(circuit: PhotonicCircuit) -> int:
    """Return the highest frequency of the outputs in one phase, which is a finite Fourier sum."""
    n = 32
    line = torch.zeros(n, circuit.n_modes, dtype=torch.float64)
    line[:, 1] = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    with torch.no_grad():
        spectrum = torch.fft.rfft(PhotonicBottleneck(circuit)(line), dim=0).abs().amax(1)
    return int(torch.nonzero(spectrum > 1e-9).max())


def test_universal_reaches_frequencies_and_ranks_that_simple_does_not() -> None:
    for n_photons in (1, 2):
        options = {"n_photons": n_photons, "space": "fock", "readout": "probabilities"}
        simple, universal = circuit_of(**options), circuit_of(**options, ansatz="universal")
        assert frequencies(simple) == n_photons
        assert frequencies(universal) == 3 * n_photons
    assert simple.angles.numel() == 24
    assert universal.angles.numel() == 48
    assert angle_rank(universal) > angle_rank(simple)


def test_hardware_efficient_sees_its_input() -> None:
    with torch.no_grad():
        for n_photons in (1, 2):
            circuit = circuit_of(n_photons=n_photons, ansatz="hardware_efficient")
            spread = PhotonicBottleneck(circuit)(phases(50, 4)).std(0)
            assert spread.max() > 0.05


@given(n_modes=st.integers(2, 6), n_photons=st.integers(1, 2), n_blocks=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_a_shallow_mesh_is_a_whole_one_whose_later_columns_do_nothing(
    n_modes: int, n_photons: int, n_blocks: int
) -> None:
    circuit = ShallowCircuit(n_modes, n_photons, n_blocks=n_blocks, dtype=torch.float64)
    assert circuit.angles.shape == (1, n_blocks + 1, 2 * (n_modes - 1))
    x = phases(4, n_blocks * n_modes)[None]
    torch.testing.assert_close(circuit.completed()(x), circuit(x), atol=1e-12, rtol=1e-10)
    reach = circuit.unitaries()[0, 0].abs() > 1e-9
    distance = (torch.arange(n_modes)[:, None] - torch.arange(n_modes)[None]).abs()
    assert not (reach & (distance > 2)).any()


def test_a_shallow_circuit_is_exported_to_perceval() -> None:
    circuit = ShallowCircuit(4, 2, dtype=torch.float64)
    x = phases(1, 4)[0]
    exported = torch.as_tensor(circuit.to_perceval(phases=x).compute_unitary())
    first, second = circuit.unitaries()[0].detach()
    torch.testing.assert_close(
        exported, second @ torch.diag(torch.polar(torch.ones_like(x), x)) @ first
    )


def test_in_a_shallow_circuit_one_photon_does_not_see_every_phase_of_one_encoding() -> None:
    def seen(n_blocks: int) -> int:
        circuit = circuit_of(r=8, ansatz="hardware_efficient", n_blocks=n_blocks)
        x = phases(20, 8).requires_grad_()
        out = PhotonicBottleneck(circuit)(x)
        (grad,) = torch.autograd.grad((out * phases(20, 8, 1)).sum(), x)
        return int((grad.abs().amax(0) > 1e-9).sum())

    assert [seen(1), seen(2), seen(3)] == [4, 7, 8]


def test_a_phase_common_to_all_modes_does_nothing() -> None:
    """The circuit sees r - 1 of the r values."""
    for ansatz in ("simple", "universal", "hardware_efficient"):
        bottleneck = PhotonicBottleneck(circuit_of(n_photons=2, ansatz=ansatz))
        x = phases(10, 4)
        torch.testing.assert_close(bottleneck(x + 0.7), bottleneck(x), atol=1e-12, rtol=1e-10)


@given(n_states=st.integers(1, 40), data=st.data())
@settings(max_examples=30, deadline=None)
def test_groups_are_neighbours_of_nearly_equal_number(n_states: int, data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, n_states))
    matrix = grouping_matrix(n_states, n_groups)
    assert matrix.sum(1).eq(1).all()
    assert matrix.sum(0).max() - matrix.sum(0).min() <= 1
    assert matrix.argmax(1).diff().ge(0).all()


def test_readouts_are_sums_of_the_probabilities() -> None:
    x = phases(7, 4).float()
    outputs = {}
    for readout in ("probabilities", "grouped", "mode_expectations"):
        layer = QuantumLoRALayer(nn.Linear(3, 3), 4, 2, readout=readout)
        outputs[readout] = layer.adapter().bottleneck(x)
    assert outputs["probabilities"].shape == (7, 6)
    torch.testing.assert_close(
        outputs["grouped"], outputs["probabilities"] @ grouping_matrix(6, 4).float()
    )
    torch.testing.assert_close(outputs["mode_expectations"].sum(1), torch.full((7,), 2.0))


def test_distinguishable_photons_do_not_interfere_and_one_photon_does_not_mind() -> None:
    x = phases(7, 4)
    ideal, apart = (
        PhotonicBottleneck(circuit_of(n_photons=2, indistinguishability=value))(x)
        for value in (1.0, 0.0)
    )
    assert (ideal - apart).abs().max() > 0.05
    alone = [
        PhotonicBottleneck(circuit_of(n_photons=1, indistinguishability=value))(x)
        for value in (1.0, 0.0)
    ]
    assert torch.equal(*alone)


def test_mean_photon_numbers_show_interference_only_where_bunched_outcomes_are_discarded() -> None:
    """In the whole Fock space they are sums over photons, each as if it were alone."""
    x = phases(20, 4)
    gaps = {}
    for space in ("fock", "unbunched"):
        ideal, apart = (
            PhotonicBottleneck(circuit_of(n_photons=2, space=space, indistinguishability=value))(x)
            for value in (1.0, 0.0)
        )
        gaps[space] = (ideal - apart).abs().max().item()
    assert gaps["fock"] < 1e-12
    assert gaps["unbunched"] > 0.05


def test_a_frozen_circuit_stays_frozen() -> None:
    from qlmbench.adapters import convert_to_quantum_lora, set_adapter

    model = nn.ModuleDict({"a": nn.Linear(4, 4)})
    host = convert_to_quantum_lora(model, r=4, train_circuit=False)["a"]
    set_adapter(model, "default")
    trained = {name for name, p in host.adapter().named_parameters() if p.requires_grad}
    assert trained == {"down.weight", "up.weight"}


# ---- circuits of one's own ------------------------------------------------------------


def test_a_photonic_circuit_of_ones_own_is_copied_for_each_layer() -> None:
    from qlmbench.adapters import convert_to_quantum_lora

    own = PhotonicCircuit(4, 2, n_blocks=2, mesh="mzi+phases", space="fock")
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    hosts = convert_to_quantum_lora(model, r=4, n_photons=2, ansatz=own)
    circuits = [host.adapter().bottleneck.circuit for host in hosts.values()]
    assert circuits[0] is not circuits[1]
    assert torch.equal(circuits[0].angles, own.angles)
    x = phases(3, 4).float()
    out = hosts["a"].adapter().bottleneck(x)
    torch.testing.assert_close(out, own(x.repeat(1, 2)[None])[0])
    assert hosts["a"].adapter().up.in_features == 10


def test_shots_of_a_circuit_of_ones_own_are_taken() -> None:
    own = PhotonicCircuit(4, 1, shots=10)
    out = QuantumLoRALayer(nn.Linear(3, 3), 4, ansatz=own).adapter().bottleneck(phases(20, 4))
    torch.testing.assert_close(10 * out, (10 * out).round(), atol=1e-4, rtol=0)


def test_a_function_makes_a_circuit_a_layer_from_r_and_a_seed() -> None:
    from qlmbench.adapters import convert_to_quantum_lora

    seeds = []

    def make(r: int, seed: int) -> nn.Module:
        seeds.append((r, seed))
        return PhotonicCircuit(r, 1, seeds=[seed])

    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    convert_to_quantum_lora(model, r=3, ansatz=make)
    assert [r for r, _ in seeds] == [3, 3]
    assert seeds[0][1] != seeds[1][1]


def test_a_merlin_layer_is_a_circuit_of_ones_own() -> None:
    merlin = PhotonicCircuit(4, 2).to_merlin()
    layer = QuantumLoRALayer(nn.Linear(3, 3), 4, n_photons=2, ansatz=merlin)
    nn.init.ones_(layer.adapter().up.weight)
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    layer(x).square().sum().backward()
    assert all(p.grad is not None for p in layer.adapter().bottleneck.parameters())
    torch.testing.assert_close(
        layer.adapter().bottleneck(phases(3, 4).float()), merlin(phases(3, 4).float())
    )


def test_a_circuit_of_ones_own_keeps_its_precision_when_the_model_is_halved() -> None:
    merlin = PhotonicCircuit(4, 2).to_merlin()
    layer = QuantumLoRALayer(nn.Linear(3, 3), 4, n_photons=2, ansatz=merlin).to(torch.bfloat16)
    assert {p.dtype for p in layer.adapter().bottleneck.parameters()} == {torch.float32}
    assert layer(torch.zeros(2, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


class Complex(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.polar(torch.ones_like(values), values)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (PhotonicCircuit(3, 1), "the circuit has 3 modes, r=4"),
        (PhotonicCircuit(4, 1, repetitions=2), "the circuit has 2 repetitions; expected 1"),
        (PhotonicCircuit(4, 1, readout="amplitudes"), "reads out amplitudes"),
        (nn.Linear(3, 2), r"the circuit Linear does not take values of shape \(2, 4\)"),
        (Complex(), r"the circuit Complex makes \(2, 4\) of values"),
        (lambda r, seed: seed, "the circuit is a int; expected a torch.nn.Module"),
    ],
)
def test_a_circuit_that_does_not_fit_is_one_line(own: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        QuantumLoRALayer(nn.Linear(3, 3), 4, ansatz=own)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_custom_ansatz_without_its_circuit_is_refused() -> None:
    with pytest.raises(ValueError, match="ansatz 'custom' needs a circuit"):
        QuantumLoRALayer(nn.Linear(3, 3), 4, ansatz="custom")
