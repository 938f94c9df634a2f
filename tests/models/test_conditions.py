"""A trained head, evaluated under shots, noise and loss: the same parameters, another circuit."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from qlmbench.models.classical import MLPClassifier
from qlmbench.models.measurement import Measurement, row_generators
from qlmbench.models.photonic import PhotonicClassifier
from qlmbench.models.qubit import QubitClassifier
from qlmbench.models.stacked import StackedClassifier

PHOTONIC = PhotonicClassifier(n_modes=4, n_photons=2, epochs=20, learning_rate=0.05)
QUBIT = QubitClassifier(n_qubits=3, n_blocks=2, epochs=20, learning_rate=0.05)
WIDE = QubitClassifier(n_qubits=7, epochs=2, learning_rate=0.05)
CONDITIONS: list[tuple[StackedClassifier, dict[str, Any]]] = [
    (PHOTONIC, {"shots": 50}),
    (PHOTONIC, {"indistinguishability": 0.0}),
    (QUBIT, {"shots": 50}),
    (QUBIT, {"depolarizing": 0.05}),
    (QUBIT, {"depolarizing": 0.05, "n_trajectories": 40, "shots": 50}),
    (WIDE, {"depolarizing": 0.05}),
]


def rows(seed: int = 0, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(size=(n, 5)) + 2 * np.eye(5)[y], np.array(["x", "y", "z"])[y]


def fitted(head: StackedClassifier) -> Any:
    return clone(head).fit(*rows())


@pytest.mark.parametrize(("head", "conditions"), CONDITIONS)
def test_conditions_change_the_outputs_and_not_the_head(
    head: StackedClassifier, conditions: dict[str, Any]
) -> None:
    X, _ = rows(1)
    trained = fitted(head)
    before = trained.logits(X)
    other = trained.under(**conditions)
    assert not np.allclose(other.logits(X), before, atol=1e-6)
    np.testing.assert_array_equal(trained.logits(X), before)
    assert {k: other.get_params()[k] for k in conditions} == conditions
    assert trained.get_params() == head.get_params()
    for (name, ours), theirs in zip(
        trained.network_.named_parameters(), other.network_.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize(("head", "conditions"), CONDITIONS)
def test_a_row_is_evaluated_alike_in_any_batch_and_any_order(
    head: StackedClassifier, conditions: dict[str, Any]
) -> None:
    X, _ = rows(1)
    other = fitted(head).under(**conditions)
    whole = other.logits(X)
    np.testing.assert_array_equal(other.logits(X), whole)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(other.logits(X[order]), whole[order], atol=1e-12)
    for i in (0, 17):
        np.testing.assert_allclose(other.logits(X[i : i + 1])[0], whole[i], atol=1e-12)


@pytest.mark.parametrize("head", [PHOTONIC, QUBIT])
def test_back_under_the_old_conditions_the_head_is_the_old_one(head: StackedClassifier) -> None:
    X, _ = rows(1)
    trained = fitted(head)
    back = trained.under(shots=10).under(shots=None)
    np.testing.assert_array_equal(back.logits(X), trained.logits(X))


@pytest.mark.parametrize("head", [PHOTONIC, QUBIT])
def test_the_random_state_draws_other_shots_of_the_same_head(head: StackedClassifier) -> None:
    X, _ = rows(1)
    trained = fitted(head)
    first, second = (trained.under(shots=100, random_state=r).logits(X) for r in (1, 2))
    assert not np.array_equal(first, second)
    draws = [trained.under(shots=100, random_state=r).logits(X) for r in range(200)]
    # The readout is linear in the frequencies: shots are unbiased, and their error is known.
    error = np.std(draws, axis=0) / np.sqrt(200)
    assert np.all(np.abs(np.mean(draws, axis=0) - trained.logits(X)) < 6 * error + 1e-12)


@pytest.mark.parametrize("head", [PHOTONIC, QUBIT])
def test_more_shots_come_closer_to_the_exact_head(head: StackedClassifier) -> None:
    X, _ = rows(1)
    trained = fitted(head)
    errors = [
        np.abs(trained.under(shots=s).logits(X) - trained.logits(X)).mean()
        for s in (10, 10**3, 10**5)
    ]
    assert errors == sorted(errors, reverse=True)


def test_a_photonic_head_trains_exactly_and_draws_shots_in_evaluation() -> None:
    exact = fitted(PHOTONIC)
    sampled = clone(PHOTONIC).set_params(shots=40).fit(*rows())
    assert sampled.history_.train_loss == exact.history_.train_loss
    X, _ = rows(1)
    np.testing.assert_array_equal(sampled.logits(X), exact.under(shots=40).logits(X))


def test_loss_costs_events_in_the_unbunched_space_and_outputs_in_the_other() -> None:
    X, _ = rows(1)
    trained = fitted(PHOTONIC)
    lossy = trained.under(transmittance=0.5)
    np.testing.assert_allclose(lossy.logits(X), trained.logits(X), atol=1e-12)
    masses = [head.diagnostics(X)["surviving_mass"] for head in (trained, lossy)]
    assert masses[1] == pytest.approx(masses[0] * 0.5**2)
    counting = clone(PHOTONIC).set_params(space="fock", readout="mode_expectations").fit(*rows())
    bias = counting.network_.readout.bias[0, :, 0].detach().numpy()
    # Half of the photons arrive: the mean photon numbers are halved.
    np.testing.assert_allclose(
        counting.under(transmittance=0.5).logits(X) - bias, (counting.logits(X) - bias) / 2
    )


def test_a_condition_that_gives_another_shape_is_refused() -> None:
    trained = clone(PHOTONIC).set_params(space="fock").fit(*rows())
    with pytest.raises(ValueError, match=r"transmittance=0.5.*readout.weight.*\(1, 3, 15\)"):
        trained.under(transmittance=0.5)


@pytest.mark.parametrize(
    ("head", "conditions", "said"),
    [
        (PHOTONIC, {"n_modes": 6}, "got n_modes; expected only indistinguishability"),
        (PHOTONIC, {"photons": 6}, "got photons"),
        (PHOTONIC, {"epochs": 6}, "got epochs"),
        (PHOTONIC, {"shots": 0}, "shots=0"),
        (PHOTONIC, {"transmittance": 1.5}, "transmittance"),
        (QUBIT, {"shots": -1}, "shots=-1"),
        (QUBIT, {"depolarizing": 2.0}, "depolarizing=2.0"),
        (QUBIT, {"n_trajectories": 0}, "n_trajectories=0"),
        (MLPClassifier(hidden=(4,), epochs=1), {"shots": 5}, "expected only nothing"),
    ],
)
def test_other_arguments_are_refused_by_name(
    head: StackedClassifier, conditions: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fitted(head).under(**conditions)


def test_noise_in_training_is_refused_with_the_way_to_do_it() -> None:
    with pytest.raises(ValueError, match=r"head.under\(depolarizing=0.1\)"):
        QubitClassifier(depolarizing=0.1, epochs=1).fit(*rows())


def test_merlins_layers_draw_no_shots() -> None:
    with pytest.raises(ValueError, match="backend='stacked'"):
        PhotonicClassifier(backend="merlin", shots=5, epochs=1).fit(*rows())


def test_an_unfitted_head_has_no_other_conditions() -> None:
    with pytest.raises(NotFittedError):
        PhotonicClassifier().under(shots=5)


def test_a_head_with_a_gradient_method_of_its_own_is_evaluated_with_shots() -> None:
    trained = clone(QUBIT).set_params(diff_method="backprop").fit(*rows())
    assert trained.under(shots=30).predict(rows(1)[0]).shape == (30,)


def test_shots_are_multinomial_of_the_exact_probabilities() -> None:
    probabilities = torch.tensor([[[0.5, 0.3, 0.2]]], dtype=torch.float64).expand(1, 4000, 3)
    X = torch.arange(4000.0, dtype=torch.float64).view(1, 4000, 1)
    drawn = Measurement(0, shots=20).frequencies(probabilities, X)
    torch.testing.assert_close(drawn.sum(-1), torch.ones(1, 4000, dtype=torch.float64))
    expected = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    torch.testing.assert_close(drawn.mean((0, 1)), expected, atol=0.01, rtol=0)
    variance = expected * (1 - expected) / 20
    torch.testing.assert_close(drawn.var(1)[0], variance, atol=0, rtol=0.15)


def test_a_generator_knows_its_row_and_its_seed_only() -> None:
    X = torch.tensor([[1.0, 0.0], [1.0, -0.0], [2.0, 0.0]], dtype=torch.float64)
    first = [g.random() for g in row_generators(X, 0)]
    assert first[0] == first[1] != first[2]
    assert [g.random() for g in row_generators(X.flip(0), 0)] == first[::-1]
    assert [g.random() for g in row_generators(X, 1)] != first
