"""Features as amplitudes, and what a circuit can tell apart."""

import numpy as np
import pytest
import torch

from qlmbench.models.parameters import count_parameters
from qlmbench.vision.diagnostic import AmplitudeClassifier

FAST = {"epochs": 60, "learning_rate": 0.05, "batch_size": None}


def rows(n=60, width=6, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(0, 0.3, (n, width))
    X[:, 0] += np.where(y, 3.0, 0.5)
    X[:, -1] += np.where(y, 0.5, 3.0)
    return X, np.array(["circle", "square"])[y]


X, y = rows()


@pytest.fixture(scope="module", params=["published", "noncommuting"])
def model(request):
    return AmplitudeClassifier(2, ansatz=request.param, **FAST).fit(X, y)


def test_it_tells_apart_what_differs_in_its_amplitudes(model):
    new = rows(seed=1)
    assert model.score(*new) > 0.9
    assert model.network_[0].description.n_qubits == 3


def test_the_length_of_a_row_plays_no_role(model):
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(7 * X), atol=1e-10)


def test_the_published_state_is_pennylane_s():
    import pennylane as qml

    model = AmplitudeClassifier(2, epochs=1).fit(X, y)
    circuit = model.network_[0]

    @qml.qnode(qml.device("default.qubit", wires=3))
    def published(row, weights):
        qml.AmplitudeEmbedding(row, wires=range(3), pad_with=0.0, normalize=True)
        qml.BasicEntanglerLayers(weights, wires=range(3))
        return [qml.expval(qml.PauliZ(q)) for q in range(3)]

    weights = circuit.weights.detach().numpy().reshape(2, 3)
    ours = circuit(torch.tensor(X[None, :4])).detach()[0].numpy()
    theirs = np.array([published(row, weights) for row in X[:4]])
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_shots_and_noise_are_conditions_of_the_evaluation(model):
    exact = model.predict_proba(X)
    np.testing.assert_allclose(model.under(shots=100_000).predict_proba(X), exact, atol=0.1)
    blind = model.under(depolarizing=0.75).predict_proba(X)
    np.testing.assert_allclose(blind, np.repeat(blind[:1], len(X), 0), atol=1e-10)


def test_no_parameter_of_the_other_ansatz_is_dead():
    model = AmplitudeClassifier(2, ansatz="noncommuting", epochs=1).fit(X, y)
    assert count_parameters(model).dead == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ansatz": "other"}, "one of published, noncommuting"),
        ({"n_layers": 0}, "at least 1"),
        ({"shots": 10}, "evaluate under"),
        ({"depolarizing": 0.1}, "evaluate under"),
    ],
)
def test_a_wrong_option_says_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        AmplitudeClassifier(**options).fit(X, y)


def test_a_row_of_zeros_has_no_state(model):
    with pytest.raises(ValueError, match="zero"):
        model.predict(np.zeros((1, 6)))
