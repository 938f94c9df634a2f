"""A stack trains each of its copies as if alone, and ends in the state that validation chose."""

import numpy as np
import pytest
import torch

from qlmbench.models.classical import BottleneckClassifier, MLPClassifier
from qlmbench.models.photonic import PhotonicClassifier
from qlmbench.models.qubit import QubitClassifier
from qlmbench.models.stacked import StackedClassifier, TrainingDivergedError
from qlmbench.models.training import Problem, Schedule, StackedAdam, train_stack

HEADS: list[tuple[type[StackedClassifier], dict[str, object]]] = [
    (MLPClassifier, {"hidden": (6,), "dropout": 0.3}),
    (BottleneckClassifier, {"width": 3, "activation": "cosine-sine"}),
    (PhotonicClassifier, {"n_modes": 4, "n_photons": 2}),
    (PhotonicClassifier, {"n_modes": 4, "n_photons": 2, "indistinguishability": 0.0}),
    (QubitClassifier, {"n_qubits": 3, "n_blocks": 2}),
]


def rows(seed: int, n: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(2 * n, 5)), np.arange(2 * n) % 2
    X[:, 0] += y
    return X[:n], y[:n], X[n:], y[n:]


@pytest.mark.parametrize(("cls", "params"), HEADS)
def test_a_stack_equals_training_each_copy_alone(
    cls: type[StackedClassifier], params: dict[str, object]
) -> None:
    def head(r: int) -> StackedClassifier:
        rates = [1e-2, 3e-3, 1e-3]
        return cls(
            **params,
            random_state=r,
            epochs=12,
            batch_size=7,
            learning_rate=rates[r],
            init_scale=1 / (r + 1),
            weight_decay=r * 1e-3,
        )

    data = [rows(r) for r in range(3)]
    together = cls.fit_many([head(r) for r in range(3)], data)
    for r in (2, 0, 1):
        alone = head(r).fit(*data[r])
        stacked = together[r]
        assert isinstance(stacked, StackedClassifier)
        np.testing.assert_allclose(
            stacked.history_.train_loss, alone.history_.train_loss, atol=1e-5, rtol=0
        )
        X_test = rows(99)[0]
        np.testing.assert_array_equal(stacked.predict(X_test), alone.predict(X_test))
        np.testing.assert_allclose(
            stacked.predict_proba(X_test), alone.predict_proba(X_test), atol=1e-5
        )


def test_the_best_state_on_validation_is_really_restored() -> None:
    X, y, X_val, y_val = rows(3)
    head = MLPClassifier(hidden=(20,), epochs=80, learning_rate=0.03, random_state=1)
    head.fit(X, y, X_val, y_val)
    history = head.history_
    best = max(history.validation_accuracy)
    assert best > history.validation_accuracy[-1], "the case must tell best from last"
    assert head.score(X_val, y_val) == pytest.approx(best)
    assert history.best_epoch is not None
    assert history.validation_accuracy[history.epochs.index(history.best_epoch)] == best


def test_without_restoring_the_last_state_is_kept() -> None:
    X, y, X_val, y_val = rows(3)
    params = {"hidden": (20,), "epochs": 40, "learning_rate": 0.1, "random_state": 1}
    seen = MLPClassifier(**params, restore_best=False).fit(X, y, X_val, y_val)
    unseen = MLPClassifier(**params, restore_best=False).fit(X, y)
    np.testing.assert_array_equal(seen.predict_proba(X), unseen.predict_proba(X))


def test_patience_stops_early_and_needs_validation() -> None:
    X, y, X_val, y_val = rows(5)
    head = MLPClassifier(epochs=400, learning_rate=0.05, patience=30).fit(X, y, X_val, y_val)
    assert head.n_iter_ < 400
    with pytest.raises(ValueError, match="patience needs validation"):
        MLPClassifier(patience=3).fit(X, y)


def test_one_diverging_copy_does_not_touch_the_others() -> None:
    data = [rows(0), rows(1)]
    heads = [MLPClassifier(epochs=10, learning_rate=lr) for lr in (1e300, 1e-2)]
    first, second = MLPClassifier.fit_many(heads, data)
    assert isinstance(first, TrainingDivergedError)
    assert "not a number from epoch" in str(first)
    alone = MLPClassifier(epochs=10, learning_rate=1e-2).fit(*data[1])
    assert isinstance(second, MLPClassifier)
    np.testing.assert_array_equal(second.predict_proba(data[1][0]), alone.predict_proba(data[1][0]))


def test_stacked_adam_of_one_copy_is_torch_adam() -> None:
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 6)[None].clone()) for _ in range(2))
    stacked = StackedAdam([ours], lr=[0.05], weight_decay=[0.1])
    reference = torch.optim.Adam([theirs], lr=0.05, weight_decay=0.1)
    for _ in range(50):
        for optimiser, parameter in ((stacked, ours), (reference, theirs)):
            optimiser.zero_grad()
            ((parameter - 0.3) ** 4).sum().backward()
            optimiser.step()
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_class_weights_move_the_decision() -> None:
    X, y, _, _ = rows(7, n=60)
    keep = (y == 0) | (np.arange(60) < 12)
    X, y = X[keep], y[keep]
    plain = MLPClassifier(epochs=60).fit(X, y)
    weighted = MLPClassifier(epochs=60, class_weight="balanced").fit(X, y)
    assert weighted.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


def test_problems_of_one_stack_must_agree_on_validation() -> None:
    X, y, X_val, y_val = rows(0)
    network = MLPClassifier.build([MLPClassifier(), MLPClassifier()], 5, 2, torch.float32)
    with pytest.raises(ValueError, match="1 of 2 problems have validation rows"):
        train_stack(
            network,
            [Problem(X, y, X_val, y_val), Problem(X, y)],
            Schedule(1, None, True, None),
            learning_rates=[1e-3] * 2,
            weight_decays=[0.0] * 2,
            seeds=[0, 1],
        )


def test_short_patience_is_looked_at_in_time_and_counts_the_epochs_of_each_copy() -> None:
    data = [rows(r) for r in range(3)]

    def head(r: int) -> MLPClassifier:
        return MLPClassifier(patience=3, learning_rate=0.02, random_state=r)

    together = MLPClassifier.fit_many([head(r) for r in range(3)], data)
    for r in range(3):
        alone = head(r).fit(*data[r])
        stacked = together[r]
        assert isinstance(stacked, MLPClassifier)
        assert stacked.n_iter_ == alone.n_iter_ < 200
        np.testing.assert_array_equal(
            stacked.predict_proba(data[r][0]), alone.predict_proba(data[r][0])
        )


def test_patience_without_restoring_is_refused() -> None:
    with pytest.raises(ValueError, match="restore_best=True"):
        MLPClassifier(patience=3, restore_best=False).fit(*rows(0))


def test_rows_that_cannot_be_fitted_fail_alone() -> None:
    X, y, X_val, y_val = rows(0)
    one_class = (X, np.zeros_like(y), X_val, np.zeros_like(y_val))
    first, second = MLPClassifier.fit_many(
        [MLPClassifier(epochs=2), MLPClassifier(epochs=2)], [one_class, (X, y, X_val, y_val)]
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, MLPClassifier)


@pytest.mark.parametrize("epochs", [0, -1, True, "3", 2.5])
def test_a_number_of_epochs_that_is_none_is_refused(epochs: object) -> None:
    head = MLPClassifier(hidden=(2,), epochs=epochs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a whole number, at least 1"):
        head.fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize(
    "option",
    [
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"learning_rate": -1.0},
        {"learning_rate": np.nan},
        {"weight_decay": -1e-3},
        {"weight_decay": np.inf},
    ],
)
def test_a_number_of_the_training_that_makes_no_sense_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(option))}="):
        MLPClassifier(hidden=(2,), **option).fit(np.eye(4), [0, 1, 0, 1])  # type: ignore[arg-type]
