"""Students of a known teacher: what they can learn, how they begin, and what is fair among them."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from qlmbench.data.datasets import best_possible
from qlmbench.data.teacher_student import TEACHERS, WIDTH, base_weights, teacher_probabilities
from qlmbench.models.parameters import count_parameters
from qlmbench.registry import model_class

Student = model_class("quantum_lora", "student:StudentClassifier")
Teacher = model_class("quantum_lora", "student:TeacherClassifier")
MODULES = {
    name: sys.modules[f"{Student.__module__.rpartition('.')[0]}.{name}"]
    for name in ("start", "update")
}
gradient_variance = MODULES["start"].gradient_variance
variance_by_width = MODULES["start"].variance_by_width
Update = MODULES["update"].Update
RATE: dict[str, Any] = {"learning_rate": 0.03}


def rows(teacher: str, n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, WIDTH))
    sums = teacher_probabilities(teacher, X).cumsum(1)
    return X, (rng.random((n, 1)) > sums[:, :-1]).sum(1)


def excess(model: Any, teacher: str) -> float:
    """Mean Kullback-Leibler divergence from the teacher, in nats: no labels, no noise of theirs."""
    X, _ = rows(teacher, seed=9)
    p = teacher_probabilities(teacher, X)
    return float((p * (np.log(p) - np.log(model.predict_proba(X)))).sum(1).mean())


def fitted(teacher: str, **params: Any) -> Any:
    return Student(**(RATE | params)).fit(*rows(teacher), *rows(teacher, 500, seed=1))


@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_teacher_is_its_own_optimum(teacher: str) -> None:
    X, y = rows(teacher, 4000)
    model = Teacher(teacher=teacher).fit(X, y)
    losses = -np.log(model.predict_proba(X)[np.arange(len(y)), y])
    expected = best_possible(f"teacher-{teacher}")["log_loss"]
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(len(y)) + 0.03
    assert excess(model, teacher) == 0
    assert count_parameters(model).total == 0


def test_a_frozen_student_is_the_base() -> None:
    X, y = rows("low-rank", 20)
    logits = Student(method="none").fit(X, y).logits(X)
    assert np.allclose(logits, X @ base_weights().T)
    untrained = Student(trained=False, n_photons=2).fit(X, y)
    assert np.array_equal(untrained.logits(X), logits)


def test_rank_2_is_what_lora_needs_for_a_difference_of_rank_2() -> None:
    one, two = (
        excess(fitted("low-rank", method="lora", r=r, epochs=20), "low-rank") for r in (1, 2)
    )
    frozen = excess(fitted("low-rank", method="none"), "low-rank")
    assert two < 0.08 < one < frozen


def test_no_linear_update_learns_the_nonlinear_difference_and_one_photon_does() -> None:
    frozen = excess(fitted("nonlinear", method="none"), "nonlinear")
    lora = excess(fitted("nonlinear", method="lora", r=8, alpha=8.0, epochs=10), "nonlinear")
    photonic = excess(fitted("nonlinear", alpha=4.0, epochs=30), "nonlinear")
    assert lora > 0.9 * frozen
    assert photonic < 0.6 * frozen


def test_as_published_hardware_efficient_adds_the_same_to_every_row() -> None:
    model = fitted("nonlinear", method="as-published", ansatz="hardware_efficient", epochs=5)
    X, _ = rows("nonlinear", 50)
    update = model.logits(X) - X @ base_weights().T
    assert np.abs(update).max() > 1e-3
    assert np.allclose(update, update[:1], atol=1e-9)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"method": "as-published"},
        {"method": "lora"},
        {"bottleneck": "cosine"},
        {"n_photons": 2},
    ],
)
def test_every_start_is_the_base(params: dict[str, Any]) -> None:
    model = fitted("low-rank", epochs=1, **params)
    assert model.diagnostics(rows("low-rank", 100)[0])["start_difference"] < 1e-12


def test_the_same_seed_gives_the_same_student_and_leaves_the_global_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    X, y = rows("low-rank", 100)
    for params in ({"method": "lora", "dropout": 0.2}, {"n_photons": 2}):
        one, two = (Student(epochs=2, **params, random_state=3).fit(X, y).logits(X) for _ in "ab")
        other = Student(epochs=2, **params, random_state=4).fit(X, y).logits(X)
        assert np.array_equal(one, two)
        assert not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_student_is_an_estimator() -> None:
    student = Student(r=8, n_photons=2, ansatz="universal", learning_rate=0.1)
    assert clone(student).get_params() == student.get_params()
    assert {"method", "bottleneck", "random_state", "batch_size"} <= set(student.get_params())


def test_all_classes_are_known_whichever_the_rows_have() -> None:
    X, y = rows("low-rank", 5)
    assert Student(epochs=1).fit(X, y).predict_proba(X).shape == (5, 16)


def test_gradients_at_the_start_are_those_of_finite_differences() -> None:
    """One angle after the other is moved; the mean square of the slopes is what is reported."""
    model = Student(r=3, random_state=2)
    model.fit(*rows("low-rank", 20))
    network = model._evaluation_network()
    circuit = network.base.adapter().bottleneck
    x = torch.tensor(rows("low-rank", 1)[0])[None]
    values = network.base.adapter().down(x[0])
    angles, slopes, h = circuit.circuit.angles, [], 1e-6
    with torch.no_grad():
        for i in range(angles.numel()):
            ends = []
            for sign in (1, -1):
                angles.view(-1)[i] += sign * h
                ends.append(circuit(values).clone())
                angles.view(-1)[i] -= sign * h
            slopes.append((ends[0] - ends[1]) / (2 * h))
    expected = float(torch.stack(slopes).square().mean())
    # Random signs give the mean square on average, not exactly.
    assert gradient_variance(network, x) == pytest.approx(expected, rel=0.7)


def test_gradients_are_reported_of_trained_circuits_alone() -> None:
    X, y = rows("low-rank", 20)
    for params in ({"method": "lora"}, {"bottleneck": "tanh"}, {"train_circuit": False}):
        found = Student(epochs=1, **params).fit(X, y).diagnostics(X)
        assert set(found) == {"start_difference"}
    assert (
        Student(epochs=1, method="as-published").fit(X, y).diagnostics(X)["start_gradient_variance"]
    )


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.zeros((3, 5)), [0, 1, 2], "rows of 5 numbers; expected 32"),
        (np.zeros((3, 32)), [0, 1, 16], "whole numbers from 0 to 15"),
        (np.zeros((3, 32)), [0.5, 1, 2], "whole numbers from 0 to 15"),
    ],
)
def test_other_rows_and_classes_are_refused(X: np.ndarray, y: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Student().fit(X, np.array(y))


def test_wrong_settings_are_refused_when_it_is_trained() -> None:
    X, y = rows("low-rank", 5)
    with pytest.raises(ValueError, match="does not look at"):
        Student(method="lora", n_photons=2).fit(X, y)


def test_gradients_shrink_with_the_width() -> None:
    updates = [Update(), Update(ansatz="hardware_efficient")]
    found = list(variance_by_width(updates, [4, 8], n_draws=5))
    assert [(u.ansatz, u.r) for u, _ in found] == [(u.ansatz, r) for u in updates for r in (4, 8)]
    simple_4, simple_8, shallow_4, shallow_8 = (variance for _, variance in found)
    assert simple_8 < simple_4
    assert shallow_8 < shallow_4


def test_widths_with_too_few_modes_are_left_out() -> None:
    found = variance_by_width([Update(r=8, n_photons=4)], [2, 4, 6], n_draws=1)
    assert [update.r for update, _ in found] == [6]


def test_a_variance_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an update that trains a circuit"):
        list(variance_by_width([Update(method="lora")], [4], n_draws=1))
