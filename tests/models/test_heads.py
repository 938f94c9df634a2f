"""Heads are scikit-learn classifiers, whose parameters are counted truly."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.classical import BottleneckClassifier, MLPClassifier
from qlmbench.models.parameters import count_parameters
from qlmbench.models.photonic import PhotonicClassifier
from qlmbench.models.qubit import QubitClassifier

FAST = {"epochs": 60, "learning_rate": 0.02}


@parametrize_with_checks(
    [
        MLPClassifier(hidden=(16,), **FAST),
        BottleneckClassifier(width=6, **FAST),
        PhotonicClassifier(n_modes=4, n_photons=2, **FAST),
        QubitClassifier(n_qubits=4, **FAST),
    ]
)
def test_heads_pass_the_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def three_classes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    return rng.normal(size=(60, 4)) + 3 * np.eye(4)[y], np.array(["x", "y", "z"])[y]


def test_a_photonic_head_learns_three_classes() -> None:
    X, y = three_classes()
    head = PhotonicClassifier(n_modes=4, n_photons=2, epochs=150, learning_rate=0.05).fit(X, y)
    assert head.score(*three_classes(1)) > 0.85
    assert head.predict_proba(X).shape == (60, 3)
    np.testing.assert_allclose(head.predict_proba(X).sum(1), 1)


def test_merlin_as_backend_gives_the_same_head() -> None:
    X, y = three_classes()
    params = {"n_modes": 4, "n_photons": 2, "epochs": 5, "precision": "double"}
    ours = PhotonicClassifier(**params).fit(X, y)
    merlin = PhotonicClassifier(**params, backend="merlin").fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), merlin.predict_proba(X), atol=1e-8)
    ours_counted, merlin_counted = count_parameters(ours), count_parameters(merlin)
    assert ours_counted is not None
    assert merlin_counted is not None
    assert ours_counted.effective == merlin_counted.effective
    assert ours_counted.dead == merlin_counted.dead


def test_a_frozen_circuit_stays_as_drawn_and_is_not_counted() -> None:
    X, y = three_classes()
    head = PhotonicClassifier(train_circuit=False, epochs=3).fit(X, y)
    drawn = PhotonicClassifier.build([head], 4, 3, torch.float64)
    np.testing.assert_array_equal(
        head.network_.circuit.angles.detach().numpy(), drawn.circuit.angles.detach().numpy()
    )
    counted = count_parameters(head)
    assert counted is not None
    assert counted.quantum == 0


@pytest.mark.parametrize(
    ("n_modes", "n_photons", "quantum", "rank"),
    [(4, 1, 24, 15), (4, 2, 24, 19), (6, 3, 60, 49)],
)
def test_effective_angles_are_those_measured_on_merlin(
    n_modes: int, n_photons: int, quantum: int, rank: int
) -> None:
    X, y = three_classes()
    head = PhotonicClassifier(
        n_modes=n_modes, n_photons=n_photons, epochs=1, precision="double"
    ).fit(X, y)
    counted = count_parameters(head)
    assert counted is not None
    outputs = math.comb(n_modes, n_photons)
    assert counted.quantum == quantum
    assert counted.classical == 4 * n_modes + n_modes + 3 * outputs + 3
    assert counted.effective == counted.classical + rank


def test_parameters_of_scikit_learn_models_are_their_coefficients() -> None:
    X, y = three_classes()
    y = y == "x"
    linear = count_parameters(LogisticRegression().fit(X, y))
    assert linear is not None
    assert linear.total == 5
    kernel = SVC(kernel="rbf").fit(X, y)
    counted = count_parameters(kernel)
    assert counted is not None
    assert counted.total == len(kernel.support_) + 1


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"precision": "half"}, "expected one of single, double"),
        ({"backend": "cloud"}, "expected 'stacked' or 'merlin'"),
        ({"n_modes": 2, "n_photons": 3}, "3"),
        ({"space": "bunched"}, "bunched"),
    ],
)
def test_arguments_that_do_not_fit_are_named(params: dict[str, object], said: str) -> None:
    X, y = three_classes()
    with pytest.raises(ValueError, match=said):
        PhotonicClassifier(epochs=1, **params).fit(X, y)


def test_a_qubit_head_without_entangling_gates_has_no_cnot() -> None:
    X, y = three_classes()
    head = QubitClassifier(connectivity=0, epochs=1).fit(X, y)
    entangled = QubitClassifier(connectivity=1, epochs=1).fit(X, y)
    assert "CNOT" not in {gate.name for gate in head.network_[2].description.gates}
    assert "CNOT" in {gate.name for gate in entangled.network_[2].description.gates}


def test_a_qubit_head_trains_from_shots() -> None:
    X, y = three_classes()
    head = QubitClassifier(n_qubits=2, shots=200, epochs=30, learning_rate=0.05).fit(X, y)
    assert head.score(X, y) > 0.6


@pytest.mark.parametrize("cls", [PhotonicClassifier, QubitClassifier])
def test_a_head_drops_into_setfit(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    setfit = pytest.importorskip("setfit")
    from sentence_transformers import SentenceTransformer

    class Body(SentenceTransformer):
        """Stands in for a sentence transformer: letter counts, without weights to fetch."""

        def __init__(self) -> None:
            super().__init__(modules=[torch.nn.Identity()], device="cpu")

        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            letters = "abcdefghijklmnopqrstuvwxyz"
            counts = [[text.lower().count(c) for c in letters] for text in texts]
            return np.array(counts, dtype=float)

    texts, labels = ["good", "great fun", "bad", "a dull mess"] * 4, [1, 1, 0, 0] * 4
    model = setfit.SetFitModel(model_body=Body(), model_head=cls(epochs=80, learning_rate=0.05))
    model.fit(texts, labels, num_epochs=1)
    assert list(model.predict(["good", "bad"])) == [1, 0]
    assert model.predict_proba(["good"]).shape == (1, 2)


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="epoch"):
        MLPClassifier(epoch=3)  # type: ignore[call-arg]


def test_counts_do_not_depend_on_what_training_made_of_the_head() -> None:
    from qlmbench.models import parameters

    X, y = three_classes()
    heads = [
        MLPClassifier(hidden=(30,), epochs=60, learning_rate=0.5, random_state=r).fit(X, y)
        for r in range(2)
    ]
    counts = []
    for order in (heads, heads[::-1]):
        parameters._AUDITED.clear()
        counts.append([count_parameters(head) for head in order])
    assert counts[0] == counts[1]
    assert counts[0][0] == counts[0][1]
