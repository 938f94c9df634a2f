"""The quantum projection: equal to its references, in any type, with shots and noise."""

import numpy as np
import pytest
import torch
from torch import nn

from qlmbench.vision.projection import QuantumProjection


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def gradients(projection, features):
    features = features.clone().requires_grad_()
    tokens = projection(features)
    (tokens * normal(*tokens.shape, seed=1)).sum().backward()
    return [tokens.detach(), features.grad, *(p.grad for p in projection.parameters())]


@pytest.mark.parametrize("ansatz", ["published", "noncommuting"])
@pytest.mark.parametrize("n_qubits", [2, 3, 4, 5, 6])
def test_values_and_gradients_equal_pennylane(ansatz, n_qubits):
    features = normal(3, 9)
    options = {"n_qubits": n_qubits, "ansatz": ansatz, "seed": 2}
    ours = gradients(QuantumProjection(9, 7, **options).double(), features)
    theirs = gradients(QuantumProjection(9, 7, **options, backend="pennylane").double(), features)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ansatz", ["published", "noncommuting"])
@pytest.mark.parametrize("n_qubits", [2, 3, 6])
def test_values_equal_qiskit(ansatz, n_qubits):
    features = normal(3, 9)
    options = {"n_qubits": n_qubits, "ansatz": ansatz, "seed": 2}
    ours = QuantumProjection(9, 7, **options).double()(features)
    theirs = QuantumProjection(9, 7, **options, backend="qiskit").double()(features)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ansatz", ["published", "noncommuting"])
def test_gradients_equal_qiskit_by_parameter_shift(ansatz):
    features = normal(2, 9)
    options = {"n_qubits": 2, "n_layers": 2, "ansatz": ansatz, "seed": 2}
    ours = gradients(QuantumProjection(9, 7, **options).double(), features)
    theirs = gradients(QuantumProjection(9, 7, **options, backend="qiskit").double(), features)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_the_published_circuit_equals_pennylane_templates(n_qubits):
    import pennylane as qml

    device = qml.device("default.qubit", wires=n_qubits)

    @qml.qnode(device, interface="torch")
    def published(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(n_qubits), rotation="X")
        qml.BasicEntanglerLayers(weights, wires=range(n_qubits))
        return [qml.expval(qml.PauliZ(q)) for q in range(n_qubits)]

    projection = QuantumProjection(9, 7, n_qubits=n_qubits, n_layers=3).double()
    angles = normal(5, n_qubits)
    weights = projection.circuit.weights.detach().reshape(3, n_qubits)
    theirs = torch.stack(published(angles, weights), -1)
    torch.testing.assert_close(projection.expectations(angles), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("features", [torch.float16, torch.float32, torch.float64])
def test_every_type_of_features_and_weights_goes_together(dtype, features):
    exact = QuantumProjection(9, 7).double()
    projection = QuantumProjection(9, 7).to(dtype)
    tokens = projection(normal(3, 9).to(features))
    assert tokens.dtype == dtype
    assert projection.circuit.weights.dtype in (torch.float32, torch.float64)
    tolerance = {torch.float16: 0.02, torch.bfloat16: 0.1}.get(dtype, 2e-3)
    torch.testing.assert_close(tokens.double(), exact(normal(3, 9)), rtol=0, atol=tolerance)
    tokens.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in projection.parameters())


def test_a_projection_inside_a_model_survives_half_precision_with_the_circuit_unrounded():
    model = nn.Sequential(QuantumProjection(9, 7))
    before = model[0].circuit.weights.detach().clone()
    model.half().float()
    assert torch.equal(model[0].circuit.weights, before)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3)])
def test_any_number_of_leading_axes_is_kept(shape):
    projection = QuantumProjection(9, 7).double()
    features = normal(*shape, 9)
    tokens = projection(features)
    assert tokens.shape == (*shape, 7)
    rows = projection(features.reshape(-1, 9))
    torch.testing.assert_close(tokens.reshape(-1, 7), rows, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_qubits", [1, 8])
def test_any_number_of_qubits(n_qubits):
    assert QuantumProjection(9, 7, n_qubits=n_qubits)(torch.zeros(2, 9)).shape == (2, 7)


def test_the_seed_decides_all_and_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    first, again, other = (QuantumProjection(9, 7, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for mine, same, different in zip(
        first.parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(mine, same)
        assert not torch.equal(mine, different)


def test_many_shots_come_near_the_exact_values_and_a_row_depends_on_itself_alone():
    exact = QuantumProjection(9, 7, seed=1).double().eval()
    shots = QuantumProjection(9, 7, seed=1, shots=40_000).double().eval()
    features = normal(4, 9)
    torch.testing.assert_close(shots(features), exact(features), rtol=0, atol=0.03)
    assert torch.equal(shots(features)[1:2], shots(features[1:2]))


def test_training_with_shots_gives_gradients_near_the_exact_ones():
    features = normal(4, 9)
    exact = gradients(QuantumProjection(9, 7, n_layers=1).double(), features)
    shots = gradients(QuantumProjection(9, 7, n_layers=1, shots=40_000).double(), features)
    for mine, other in zip(shots, exact, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0.2)


def test_full_noise_leaves_the_bias_alone():
    """At p = 3/4 every gate forgets its qubits, so that all expectations are 0."""
    noisy = QuantumProjection(9, 7, depolarizing=0.75).double().eval()
    expected = noisy.expand.bias.expand(3, -1)
    torch.testing.assert_close(noisy(normal(3, 9)), expected, rtol=0, atol=1e-12)


def test_noise_equals_pennylane_channels():
    import pennylane as qml

    noisy = QuantumProjection(9, 7, n_qubits=2, n_layers=1, depolarizing=0.1).double().eval()
    angles = normal(1, 2)
    weights = noisy.circuit.weights[0].tolist()

    @qml.qnode(qml.device("default.mixed", wires=2))
    def published():
        for gate in noisy.circuit.description.gates:
            if gate.angle is None:
                qml.CNOT(wires=gate.wires)
            else:
                is_weight = gate.angle.source == "weight"
                value = weights[gate.angle.index] if is_weight else angles[0, gate.angle.index]
                qml.RX(float(value), wires=gate.wires)
            for wire in gate.wires:
                qml.DepolarizingChannel(0.1, wires=wire)
        return [qml.expval(qml.PauliZ(q)) for q in range(2)]

    ours = noisy.expectations(angles)[0].numpy()
    np.testing.assert_allclose(ours, np.array(published()), rtol=0, atol=1e-10)


def test_a_frozen_circuit_gets_no_gradient():
    projection = QuantumProjection(9, 7, train_circuit=False)
    projection(torch.ones(2, 9)).sum().backward()
    assert projection.circuit.weights.grad is None
    assert projection.reduce.weight.grad is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "cirq"}, "expected one of statevector"),
        ({"backend": "qiskit", "shots": 10}, "the references are exact"),
        ({"backend": "pennylane", "depolarizing": 0.1}, "the references are exact"),
        ({"shots": 0}, "at least 1"),
        ({"depolarizing": 2.0}, "a number from 0 to 1"),
        ({"depolarizing": float("nan")}, "a number from 0 to 1"),
        ({"n_qubits": 0}, "at least 1"),
        ({"n_layers": 0}, "at least 1"),
        ({"ansatz": "other"}, "published, noncommuting"),
        ({"hidden_size": 0}, "at least 1"),
    ],
)
def test_a_wrong_option_says_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        QuantumProjection(**{"in_features": 9, "hidden_size": 7, **options})


def test_wrong_features_and_noisy_training_are_refused():
    with pytest.raises(ValueError, match="expected 9 along the last axis"):
        QuantumProjection(9, 7)(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="call eval"):
        QuantumProjection(9, 7, depolarizing=0.1)(torch.zeros(2, 9))


def test_noise_elsewhere_than_on_the_processor_is_refused():
    elsewhere = QuantumProjection(9, 7, depolarizing=0.1).to("meta").eval()
    with pytest.raises(ValueError, match="expected 'cpu'"):
        elsewhere(torch.zeros(2, 9, device="meta"))
