"""The stacked qubit circuit: equal to its peers, one method to another, a stack to its parts."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qlmbench.quantum import qubit_memory
from qlmbench.quantum.qubit_description import (
    CircuitDescription,
    Gate,
    constant,
    feature,
    weight,
)
from qlmbench.quantum.qubit_exports import from_qiskit_order
from qlmbench.quantum.qubit_patterns import (
    amplitude_encoding,
    angle_encoding,
    basic_entangler_layers,
    cnot_ring,
    connectivity_layers,
    embedding_layers,
    hadamards,
    quantum_gradient,
    reuploading,
    rotation_layer,
    swap_test,
)
from qlmbench.quantum.qubits import QubitCircuit, initial_weights

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}
ONE_QUBIT = ["H", "X", "Y", "Z", "S", "T"]
SEVERAL = {"CNOT": 2, "CZ": 2, "SWAP": 2, "CSWAP": 3}


@st.composite
def descriptions(draw, max_qubits=5, max_gates=25):
    n_qubits = draw(st.integers(1, max_qubits))
    gates, n_weights, n_inputs = [], 0, 0
    if draw(st.booleans()):
        held = draw(st.integers(1, n_qubits))
        wires = tuple(draw(st.permutations(range(n_qubits)))[:held])
        n_inputs = draw(st.integers(1, 2**held))
        gates.append(Gate("AMPLITUDE", wires, features=(0, n_inputs)))
    names = [*ONE_QUBIT, *["RX", "RY", "RZ"] * 3, *(g for g in SEVERAL if SEVERAL[g] <= n_qubits)]
    scale = st.sampled_from([1.0, 0.5, -1.7])
    for name in draw(st.lists(st.sampled_from(names), max_size=max_gates)):
        wires = tuple(draw(st.permutations(range(n_qubits)))[: SEVERAL.get(name, 1)])
        if not name.startswith("R"):
            gates.append(Gate(name, wires))
            continue
        source = draw(st.sampled_from([weight, feature, constant]))
        if source is constant:
            gates.append(Gate(name, wires, constant(draw(st.floats(-4, 4)))))
            continue
        used = n_weights if source is weight else n_inputs
        index = draw(st.integers(0, used))
        n_weights += source is weight and index == used
        n_inputs += source is feature and index == used
        gates.append(Gate(name, wires, source(index, draw(scale))))
    return CircuitDescription(n_qubits, tuple(gates))


def random_inputs(description, repetitions=2, samples=3, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (repetitions, samples, description.n_inputs)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, deadline=None)
@given(description=descriptions())
def test_amplitudes_equal_pennylane(dtype, description):
    circuit = QubitCircuit(description, repetitions=2, readout="state", dtype=dtype)
    inputs = random_inputs(description, dtype=dtype)
    ours = circuit(inputs)
    for r in range(2):
        node = circuit.to_pennylane(r)
        for b in range(3):
            theirs = node(inputs[r, b].double())
            assert torch.allclose(ours[r, b].cdouble(), theirs, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, deadline=None)
@given(description=descriptions())
def test_amplitudes_equal_qiskit(dtype, description):
    from qiskit.quantum_info import Statevector

    circuit = QubitCircuit(description, repetitions=2, readout="state", dtype=dtype)
    inputs = random_inputs(description, dtype=dtype)
    ours = circuit(inputs).detach().numpy()
    for r, b in [(0, 0), (1, 2)]:
        state = Statevector(circuit.to_qiskit(r, inputs[r, b].tolist()))
        theirs = from_qiskit_order(state.data)
        np.testing.assert_allclose(ours[r, b], theirs, rtol=0, atol=TOLERANCE[dtype])


@settings(max_examples=25, deadline=None)
@given(description=descriptions(), data=st.data())
def test_readouts_of_measured_wires_equal_pennylane(description, data):
    wires = data.draw(st.permutations(range(description.n_qubits)))
    wires = wires[: data.draw(st.integers(1, description.n_qubits))]
    inputs = random_inputs(description)
    for readout in ("z", "probabilities"):
        circuit = QubitCircuit(
            description, repetitions=2, readout=readout, measured=wires, dtype=torch.float64
        )
        theirs = circuit.to_pennylane(1)(inputs[1, 2])
        theirs = torch.stack(theirs) if readout == "z" else theirs
        assert torch.allclose(circuit(inputs)[1, 2], theirs, rtol=0, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(description=descriptions())
def test_norm_stays_one(description):
    circuit = QubitCircuit(description, readout="state", dtype=torch.float64)
    norms = torch.linalg.vector_norm(circuit(random_inputs(description, 1)), dim=2)
    assert torch.allclose(norms, torch.ones_like(norms), rtol=0, atol=1e-12)


def gradients(description, method, inputs, cotangent, with_inputs):
    circuit = QubitCircuit(description, repetitions=2, diff_method=method, dtype=torch.float64)
    inputs = inputs.clone().requires_grad_(with_inputs)
    out = circuit(inputs)
    wanted = [circuit.weights] + [inputs] * with_inputs
    return out, torch.autograd.grad((out * cotangent).sum(), wanted, allow_unused=True)


@settings(max_examples=30, deadline=None)
@given(description=descriptions())
def test_the_three_methods_agree(description):
    assume(description.n_weights)
    loads_amplitudes = any(gate.features for gate in description.gates)
    with_inputs = description.n_inputs > 0 and not loads_amplitudes
    inputs = random_inputs(description)
    shape = (2, 3, description.n_qubits)
    cotangent = torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()
    out, exact = gradients(description, "backprop", inputs, cotangent, with_inputs)
    for method in ("adjoint", "parameter-shift"):
        other, found = gradients(description, method, inputs, cotangent, with_inputs)
        assert torch.allclose(out, other, rtol=0, atol=1e-12)
        for mine, theirs in zip(found, exact, strict=True):
            assert torch.allclose(mine, theirs, rtol=0, atol=1e-9)


def test_adjoint_carries_gradients_to_encoded_amplitudes():
    description = amplitude_encoding(3, 5).then(connectivity_layers(3, 1, 2))
    inputs, cotangent = random_inputs(description), torch.arange(18.0).view(2, 3, 3)
    _, exact = gradients(description, "backprop", inputs, cotangent, True)
    _, found = gradients(description, "adjoint", inputs, cotangent, True)
    assert torch.allclose(found[1], exact[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_gradient_equals_finite_differences(method):
    description = reuploading(angle_encoding(3, "RX"), embedding_layers(3, 2), 2)
    circuit = QubitCircuit(description, diff_method=method, dtype=torch.float64)
    inputs = random_inputs(description, 1, 2).requires_grad_()

    def run(weights, inputs):
        return torch.func.functional_call(circuit, {"weights": weights}, (inputs,))

    assert torch.autograd.gradcheck(run, (circuit.weights, inputs))


def test_backprop_can_be_differentiated_twice():
    circuit = QubitCircuit(
        angle_encoding(2).then(basic_entangler_layers(2, 2)), dtype=torch.float64
    )
    inputs = random_inputs(circuit.description, 1, 2)

    def run(weights):
        return torch.func.functional_call(circuit, {"weights": weights}, (inputs,))

    assert torch.autograd.gradgradcheck(run, (circuit.weights,))


@pytest.mark.parametrize("samples", [2, 40, 200])
def test_dense_unitaries_change_nothing(samples):
    # Many samples make one unitary a repetition cheaper than many gates.
    description = reuploading(angle_encoding(3), connectivity_layers(3, 2, 3), 2)
    inputs = random_inputs(description, 1, samples)
    outs = [
        QubitCircuit(description, diff_method=method, dtype=torch.float64)(inputs[:, chunk])
        for method in ("backprop", "adjoint")
        for chunk in (slice(None), slice(0, 1))
    ]
    assert torch.allclose(outs[0], outs[2], rtol=0, atol=1e-12)
    assert torch.allclose(outs[0][:, :1], outs[1], rtol=0, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(description=descriptions(), shots=st.sampled_from([None, 100]))
def test_a_repetition_of_a_stack_equals_the_circuit_alone(description, shots):
    seeds = (7, 3, 12)
    stack = QubitCircuit(description, repetitions=3, seeds=seeds, shots=shots, dtype=torch.float64)
    inputs = random_inputs(description, 3)
    out = stack(inputs)
    out.sum().backward() if out.requires_grad and description.n_weights else None
    for r, seed in enumerate(seeds):
        alone = QubitCircuit(description, seeds=(seed,), shots=shots, dtype=torch.float64)
        single = alone(inputs[r : r + 1])
        assert torch.equal(alone.weights[0], stack.weights[r])
        assert torch.allclose(single[0], out[r], rtol=0, atol=1e-12)
        if description.n_weights:
            single.sum().backward()
            assert torch.allclose(alone.weights.grad[0], stack.weights.grad[r], rtol=0, atol=1e-10)


def test_z_estimates_have_the_variance_of_their_shots():
    circuit = QubitCircuit(
        embedding_layers(3, 2), repetitions=2, shots=50, diff_method="parameter-shift"
    )
    circuit.train()
    exact = QubitCircuit(embedding_layers(3, 2), repetitions=2)(torch.zeros(2, 1, 0))
    draws = circuit(torch.zeros(2, 4000, 0))
    expected = (1 - exact[:, 0] ** 2) / 50
    # The mean of 4,000 draws and their variance, each within five standard errors.
    assert torch.all((draws.mean(1) - exact[:, 0]).abs() < 5 * (expected / 4000).sqrt() + 1e-6)
    assert torch.all((draws.var(1) - expected).abs() < 5 * expected * math.sqrt(2.2 / 4000) + 1e-4)


@pytest.mark.parametrize("shots", [40, 640])
def test_shot_gradients_are_unbiased_and_their_variance_falls_with_shots(shots):
    description = CircuitDescription(1, (Gate("RY", (0,), weight(0)),))
    repetitions = 3000
    circuit = QubitCircuit(
        description, repetitions=repetitions, seeds=range(repetitions), shots=shots
    )
    angle = 0.8
    torch.nn.init.constant_(circuit.weights, angle)
    circuit(torch.zeros(repetitions, 1, 0)).sum().backward()
    found = circuit.weights.grad[:, 0]
    # Z = cos(a): each shifted run has mean -+ sin(a), so variance cos(a)^2 / shots.
    expected = math.cos(angle) ** 2 / (2 * shots)
    assert abs(found.mean() + math.sin(angle)) < 5 * math.sqrt(expected / repetitions)
    assert found.var().item() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("shots", [20, 5000])
def test_counts_follow_the_exact_distribution(shots):
    # Twenty shots on 32 outcomes are drawn by search, 5,000 by binomials.
    circuit = QubitCircuit(quantum_gradient(5), readout="probabilities", seeds=(4,))
    inputs = torch.linspace(-1, 1, 5).expand(1, 2000, 5)
    counts = circuit.counts(inputs, shots)
    exact = circuit(inputs)[0, 0].double()
    assert torch.all(counts.sum(2) == shots)
    total = counts.sum((0, 1))
    expected = exact * total.sum()
    kept = expected > 5
    chi_square = ((total - expected) ** 2 / expected)[kept].sum().item()
    assert chi_square < 31 + 6 * math.sqrt(2 * 31)


def test_shots_give_the_same_stream_for_the_same_seed_and_move_on():
    make = [QubitCircuit(hadamards(3), seeds=(s,), shots=9) for s in (1, 1, 2)]
    first, again, other = (circuit(torch.zeros(1, 30, 0)) for circuit in make)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, make[0](torch.zeros(1, 30, 0)))


def test_swap_test_reads_the_squared_overlap():
    circuit = QubitCircuit(swap_test(2, 3), measured=[0], dtype=torch.float64)
    pair = random_inputs(circuit.description, 1, 4)
    a, b = pair[..., :3], pair[..., 3:]
    overlap = torch.nn.functional.cosine_similarity(a, b, dim=2) ** 2
    assert torch.allclose(circuit(pair)[..., 0], overlap, rtol=0, atol=1e-12)


def test_amplitudes_are_padded_normalised_and_keep_their_order():
    circuit = QubitCircuit(amplitude_encoding(2, 3), readout="state", dtype=torch.float64)
    out = circuit(torch.tensor([[[3.0, 0.0, 4.0]]]))
    assert out.flatten().tolist() == pytest.approx([0.6, 0, 0.8, 0])


def test_real_circuits_stay_real_and_complex_ones_do_not():
    real = QubitCircuit(
        reuploading(angle_encoding(3), connectivity_layers(3, 1), 2), readout="state"
    )
    mixed = QubitCircuit(embedding_layers(3, 1), readout="state")
    assert real(torch.zeros(1, 1, 3)).dtype == torch.float32
    assert mixed(torch.zeros(1, 1, 0)).dtype == torch.complex64


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_fourteen_qubits_run_forward_and_backward(method):
    description = amplitude_encoding(14, 768).then(connectivity_layers(14, 1, 1))
    circuit = QubitCircuit(description, diff_method=method)
    out = circuit(random_inputs(description, 1, 2, torch.float32))
    out.square().sum().backward()
    assert out.shape == (1, 2, 14)
    assert bool(circuit.weights.grad.isfinite().all())


def test_weights_survive_saving_copying_and_a_change_of_precision():
    circuit = QubitCircuit(embedding_layers(3, 2), repetitions=2, seeds=(5, 6))
    twin = QubitCircuit(embedding_layers(3, 2), repetitions=2)
    twin.load_state_dict(circuit.state_dict())
    none = torch.zeros(2, 4, 0)
    assert list(circuit.state_dict()) == ["weights"]
    assert torch.equal(twin(none), circuit(none))
    doubled = copy.deepcopy(circuit).double()
    assert doubled(none).dtype == torch.float64
    assert torch.allclose(doubled(none).float(), circuit(none), atol=1e-6)
    assert torch.allclose(circuit(none.half()), circuit(none))


def test_initial_weights_have_the_scale_asked_for():
    narrow = initial_weights(4000, (1,), 0.1)
    wide = initial_weights(4000, (1,), None)
    assert narrow.std().item() == pytest.approx(0.1, rel=0.1)
    assert wide.min() >= 0
    assert wide.max() < 2 * math.pi
    assert wide.mean().item() == pytest.approx(math.pi, rel=0.05)


def test_frozen_weights_get_no_gradient():
    circuit = QubitCircuit(embedding_layers(2, 1), trainable=False)
    assert not circuit(torch.zeros(1, 1, 0)).requires_grad


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 4, 3), r"\[2, 4, 3\].*\[1, any, 4\]"),
        ((1, 4, 3), r"\[1, 4, 3\].*\[1, any, 4\]"),
        ((4, 4), r"\[4, 4\].*\[1, any, 4\]"),
        ((1, 0, 4), r"\[1, 0, 4\].*at least one sample"),
    ],
)
def test_wrong_shapes_are_refused(shape, expected):
    with pytest.raises(ValueError, match=expected):
        QubitCircuit(angle_encoding(4))(torch.zeros(shape))


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_a_vector_without_direction_is_refused(bad):
    circuit = QubitCircuit(amplitude_encoding(2), repetitions=2)
    inputs = torch.ones(2, 3, 4)
    inputs[1, 2] = bad
    with pytest.raises(ValueError, match=r"repetition 1, sample 2, features 0 to 3"):
        circuit(inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "x"}, "readout='x'; expected one of"),
        ({"diff_method": "magic"}, "diff_method='magic'"),
        ({"dtype": torch.float16}, "dtype=torch.float16"),
        ({"repetitions": 0}, "repetitions=0"),
        ({"repetitions": 2, "seeds": (1,)}, "1 seeds for repetitions=2"),
        ({"measured": (0, 3)}, "wires from 0 to 2"),
        ({"measured": (0, 0)}, "different wires"),
        ({"measured": ()}, "different wires"),
        ({"readout": "state", "measured": (1,)}, "all 3 wires"),
        ({"shots": 0}, "shots=0"),
        ({"shots": 10, "diff_method": "adjoint"}, "'parameter-shift', the only method"),
        ({"shots": 10, "readout": "state"}, "cannot be measured"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QubitCircuit(rotation_layer(3), **options)


def test_amplitude_gradients_under_parameter_shift_are_refused():
    description = amplitude_encoding(2).then(rotation_layer(2))
    circuit = QubitCircuit(description, diff_method="parameter-shift")
    with pytest.raises(ValueError, match="parameter-shift rule knows rotations only"):
        circuit(torch.ones(1, 1, 4, requires_grad=True))


def test_counts_need_a_number_of_shots():
    with pytest.raises(ValueError, match="got shots=None"):
        QubitCircuit(hadamards(2)).counts(torch.zeros(1, 1, 0))


def test_more_qubits_than_memory_are_refused_before_anything_is_allocated():
    with pytest.raises(ValueError, match=r"got 60 qubits, which need about .* GiB"):
        QubitCircuit(hadamards(60))


def test_more_samples_than_memory_are_refused(monkeypatch):
    circuit = QubitCircuit(angle_encoding(8).then(cnot_ring(8, 3)))
    monkeypatch.setattr(qubit_memory, "available_memory", lambda: 10**6)
    monkeypatch.setattr(qubit_memory, "_ALWAYS_THERE", 0)
    with pytest.raises(ValueError, match="use diff_method='adjoint' or fewer samples"):
        circuit(torch.zeros(1, 2000, 8))


@pytest.mark.parametrize("repetition", [-1, 2])
def test_exports_of_a_repetition_that_does_not_exist_are_refused(repetition):
    circuit = QubitCircuit(rotation_layer(2), repetitions=2)
    for export in (circuit.to_pennylane, circuit.to_qiskit, circuit.draw):
        with pytest.raises(ValueError, match=f"got repetition {repetition}; expected 0 to 1"):
            export(repetition)
