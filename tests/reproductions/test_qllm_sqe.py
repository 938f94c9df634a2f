"""The paper's qubit head: equal to its peers, of the sizes the paper names, a proper classifier."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.parameters import count_parameters
from qlmbench.quantum.qubit_exports import from_qiskit_order
from qlmbench.registry import model_class

SQEClassifier: Any = model_class("qllm", "sqe:SQEClassifier")

SMALL = {"n_encoder_qubits": 4, "n_qpu_qubits": 3}


def rows(seed: int = 0, n: int = 24, n_classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, 11)) + 3 * np.eye(11)[y], np.array(["a", "b", "c"])[y]


@parametrize_with_checks(
    [
        SQEClassifier(
            n_encoder_qubits=4, n_qpu_qubits=2, angle_scale=math.pi, epochs=12, learning_rate=0.05
        )
    ]
)
def test_the_head_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(("n_encoders", "n_qpu"), [(1, 3), (2, 4)])
def test_the_whole_network_equals_pennylane(n_encoders: int, n_qpu: int) -> None:
    """Written gate by gate from the description of the paper, not from our own descriptions."""
    import pennylane as qml

    X, y = rows()
    head = SQEClassifier(
        4, n_encoders, n_qpu, n_layers=2, connectivity=2, n_reuploading=2, angle_scale=0.7, epochs=2
    ).fit(X, y)

    def circuit(weights: list[float], n: int) -> None:
        angles = iter(weights)
        for q in range(n):
            qml.RY(next(angles), wires=q)
        for _ in range(2):
            for c in (1, 2):
                for q in range(n):
                    qml.CNOT(wires=[q, (q + c) % n])
                    qml.RY(next(angles), wires=(q + c) % n)

    @qml.qnode(qml.device("default.qubit", wires=4))
    def encoder(x: np.ndarray, weights: list[float]) -> Any:
        qml.AmplitudeEmbedding(x, wires=range(4), pad_with=0.0, normalize=True)
        circuit(weights, 4)
        return [qml.expval(qml.PauliZ(q)) for q in range(n_qpu // n_encoders)]

    @qml.qnode(qml.device("default.qubit", wires=n_qpu))
    def second(z: np.ndarray, weights: np.ndarray) -> Any:
        for block in weights[:-1]:
            for q in range(n_qpu):
                qml.RY(0.7 * z[q], wires=q)
            circuit(block, n_qpu)
        circuit(weights[-1], n_qpu)
        return qml.expval(qml.PauliZ(0))

    network = head.network_
    encoders = [e.weights[0].tolist() for e in network.encoders]
    blocks = network.circuit.weights[0].detach().numpy().reshape(3, -1)
    for x, logits in zip(X[:4], head.logits(X[:4]), strict=True):
        z = np.concatenate([encoder(x, weights) for weights in encoders])
        read = float(second(z, blocks))
        theirs = network.readout.weight[0, :, 0] * read + network.readout.bias[0, :, 0]
        np.testing.assert_allclose(logits, theirs.detach().numpy(), atol=1e-10)


def test_both_circuits_equal_qiskit() -> None:
    from qiskit.quantum_info import Statevector

    X, y = rows()
    head = SQEClassifier(**SMALL, epochs=1).fit(X, y)
    encoder, circuit = head.network_.encoders[0], head.network_.circuit
    with torch.no_grad():
        z = encoder(torch.tensor(X[None, :1]))
        read = circuit(z)
    for module, values, ours in ((encoder, X[0], z), (circuit, z[0, 0].tolist(), read)):
        state = Statevector(module.to_qiskit(0, list(values)))
        probabilities = from_qiskit_order(np.abs(state.data) ** 2)
        for q, value in enumerate(ours[0, 0].tolist()):
            bits = np.arange(len(probabilities)) >> (module.description.n_qubits - 1 - q) & 1
            assert value == pytest.approx(float(probabilities @ (1 - 2 * bits)), abs=1e-10)


@pytest.mark.parametrize("train_circuit", [True, False])
@pytest.mark.parametrize("n_reuploading", [1, 3])
def test_a_stack_equals_training_each_copy_alone_to_the_last_bit(
    train_circuit: bool, n_reuploading: int
) -> None:
    def head(r: int) -> Any:
        return SQEClassifier(
            4,
            2,
            4,
            n_reuploading=n_reuploading,
            train_circuit=train_circuit,
            epochs=4,
            batch_size=7,
            learning_rate=[1e-2, 3e-2, 1e-3][r],
            random_state=r,
        )

    data = [(*rows(r), *rows(r + 50)) for r in range(3)]
    together = SQEClassifier.fit_many([head(r) for r in range(3)], data)
    for r in range(3):
        alone = head(r).fit(*data[r])
        X = rows(99)[0]
        np.testing.assert_array_equal(together[r].logits(X), alone.logits(X))
        assert together[r].history_.train_loss == alone.history_.train_loss


def test_the_head_learns_three_classes() -> None:
    X, y = rows(n=60, n_classes=3)
    head = SQEClassifier(4, n_measured=4, angle_scale=math.pi, epochs=150, learning_rate=0.05).fit(
        X, y
    )
    assert head.score(*rows(1, n=60, n_classes=3)) > 0.8
    assert head.predict_proba(X).shape == (60, 3)


def test_an_embedding_and_its_negative_are_one_state() -> None:
    X, y = rows()
    head = SQEClassifier(**SMALL, epochs=2).fit(X, y)
    np.testing.assert_allclose(head.logits(-2 * X), head.logits(X), atol=1e-12)


def test_rows_in_blocks_are_the_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = rows()
    params = SMALL | {"epochs": 3, "learning_rate": 0.05}
    whole = SQEClassifier(**params).fit(X, y)
    monkeypatch.setitem(SQEClassifier.build.__globals__, "_AMPLITUDES", 5 * 2**4)
    blocks = SQEClassifier(**params).fit(X, y)
    np.testing.assert_allclose(blocks.logits(X), whole.logits(X), atol=1e-10)


def test_a_zero_embedding_says_nothing_and_disturbs_no_other() -> None:
    X, y = rows()
    head = SQEClassifier(**SMALL, epochs=2).fit(X, y)
    some = X.copy()
    some[5] = 0
    logits = head.logits(some)
    np.testing.assert_array_equal(np.delete(logits, 5, 0), np.delete(head.logits(X), 5, 0))
    with torch.no_grad():
        nothing = head.network_.circuit(torch.zeros(1, 1, 3, dtype=torch.float64))
        np.testing.assert_allclose(logits[5], head.network_.readout(nothing)[0, 0], atol=1e-12)


def test_parameters_and_cost_are_those_of_the_description() -> None:
    X, y = rows()
    head = SQEClassifier(
        4, 2, 4, n_layers=2, connectivity=1, encoder_layers=1, n_reuploading=3, epochs=2
    ).fit(X, y)
    counted = count_parameters(head)
    assert counted is not None
    second = 4 * 4 * (1 + 2)
    assert counted.quantum == 2 * 4 * (1 + 1) + second
    assert counted.classical == 4
    assert head.hardware_cost(24).circuits == 2 * 24 * (1 + 2 * (3 * 4 + second))
    frozen = SQEClassifier(**SMALL, train_circuit=False, epochs=2).fit(X, y)
    assert frozen.hardware_cost(24).circuits == 2 * 24
    assert count_parameters(frozen).quantum == 0


@pytest.mark.parametrize(
    "params",
    [
        # two 10-qubit encoders that feed 14 qubits
        {
            "n_encoders": 2,
            "n_qpu_qubits": 14,
            "encoder_layers": 10,
            "encoder_connectivity": 2,
            "n_layers": 5,
            "connectivity": 2,
            "n_reuploading": 2,
        },
        # one 14-qubit encoder that feeds 14 qubits
        {"n_encoder_qubits": 14, "n_layers": 2, "connectivity": 3, "n_reuploading": 7},
        # one 10-qubit encoder that feeds 4 qubits
        {"n_qpu_qubits": 4, "n_layers": 10, "connectivity": 2, "n_reuploading": 7},
    ],
)
def test_a_setting_has_the_886_parameters_of_the_paper(params: dict[str, Any]) -> None:
    head = SQEClassifier(**params)
    encoder, second = head.encoder_description(768), head.qpu_description()
    readout = 2 * (1 + 1)
    assert head.n_encoders * encoder.n_weights + second.n_weights + readout == 886


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_encoder_qubits": 3}, "11 features do not fit into the 8 amplitudes.*at least 4"),
        ({"n_encoders": 2, "n_qpu_qubits": 3}, "a multiple of 2, up to 8"),
        ({"n_qpu_qubits": 6}, "a multiple of 1, up to 4"),
        ({"n_encoders": 0}, "n_encoders=0"),
        ({"n_reuploading": 0}, "n_reuploading=0"),
        ({"n_measured": 5}, "n_measured=5"),
        ({"connectivity": 4}, "connectivity 0 to 3"),
        ({"shots": 0}, "shots=0"),
        ({"depolarizing": 0.1}, r"under\(depolarizing=0.1\)"),
    ],
)
def test_arguments_that_do_not_fit_are_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SQEClassifier(**({"n_encoder_qubits": 4, "epochs": 1} | params)).fit(*rows())


def test_noise_pulls_the_outputs_together_and_shots_scatter_them() -> None:
    X, y = rows()
    head = SQEClassifier(**SMALL, epochs=20, learning_rate=0.05).fit(X, y)

    def spread(p: float) -> float:
        return float(np.ptp(head.under(depolarizing=p).logits(X)[:, 1]))

    sizes = [spread(p) for p in (0.0, 0.02, 0.1, 0.75)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == pytest.approx(0, abs=1e-10)
    few, many = (np.abs(head.under(shots=s).logits(X) - head.logits(X)).max() for s in (20, 10**6))
    assert many < few


def test_only_the_second_circuit_is_noisy() -> None:
    """The readout of p = 3/4 is that of a Z of nought, whatever the encoders say."""
    X, y = rows()
    head = SQEClassifier(**SMALL, epochs=2).fit(X, y)
    bias = head.network_.readout.bias[0, :, 0].detach().numpy()
    noisy = head.under(depolarizing=0.75).logits(X)
    np.testing.assert_allclose(noisy, np.tile(bias, (len(X), 1)), atol=1e-12)


def test_an_unfitted_head_has_no_other_conditions() -> None:
    with pytest.raises(NotFittedError):
        SQEClassifier().under(shots=10)
