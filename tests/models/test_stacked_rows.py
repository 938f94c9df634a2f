"""Losses and accuracies are means over the targets that count, copy by copy."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.models.classical import MLPClassifier
from qlmbench.models.layers import StackedLinear
from qlmbench.models.stacked_rows import StackedRows
from qlmbench.models.training import History, Problem, Schedule, train_stack

R, N, T, C = 2, 11, 3, 4


def problem(seed: int) -> Problem:
    """Rows with a target at each of T positions, some of which do not count."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(2 * N, T)), rng.integers(-1, C, (2 * N, T))
    y[:, 0] = np.maximum(y[:, 0], 0)
    return Problem(X[:N], y[:N], X[N:], y[N:])


class ByPosition(torch.nn.Module):
    """Logits of each position from the number that stands there."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = StackedLinear(
            1, C, seeds=range(R), name="out", scales=[1.0] * R, dtype=torch.float64
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(x.flatten(1)[..., None]).reshape(*x.shape, C)
        return logits


def trained(learning_rate: float = 0.0, **schedule: Any) -> tuple[ByPosition, list[History]]:
    network = ByPosition()
    histories = train_stack(
        network,
        [problem(r) for r in range(R)],
        Schedule(
            **{"epochs": 1, "batch_size": 4, "restore_best": True, "patience": None} | schedule
        ),
        learning_rates=[learning_rate] * R,
        weight_decays=[0.0] * R,
        seeds=range(R),
    )
    return network, histories


def test_losses_and_accuracies_are_means_over_what_counts() -> None:
    network, histories = trained()
    for r, history in enumerate(histories):
        p = problem(r)
        assert p.X_val is not None
        assert p.y_val is not None
        for X, y, loss, accuracy in (
            (p.X, p.y, history.train_loss, history.train_accuracy),
            (p.X_val, p.y_val, history.validation_loss, history.validation_accuracy),
        ):
            with torch.no_grad():
                logits = network(torch.tensor(np.stack([X] * R)))[r].numpy()
            log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            counted = np.argwhere(y >= 0)
            assert loss == [pytest.approx(-np.mean([log_p[i, t, y[i, t]] for i, t in counted]))]
            right = [logits[i, t].argmax() == y[i, t] for i, t in counted]
            assert accuracy == [pytest.approx(np.mean(right))]


def test_rows_looked_at_in_blocks_count_as_at_once() -> None:
    _, (whole, _) = trained(0.1, epochs=5)
    _, (blocks, _) = trained(0.1, epochs=5, look_size=3)
    np.testing.assert_allclose(blocks.validation_loss, whole.validation_loss, atol=1e-12)
    assert blocks.validation_accuracy == whole.validation_accuracy


@pytest.mark.parametrize("best", ["accuracy", "loss"])
def test_the_schedule_says_which_state_is_best(best: Any) -> None:
    _, histories = trained(0.5, epochs=12, best=best)
    for h in histories:
        gains = [-loss for loss in h.validation_loss]
        quality: list[Any] = list(zip(h.validation_accuracy, gains, strict=True))
        if best == "loss":
            quality = gains
        assert h.best_epoch == h.epochs[quality.index(max(quality))]
    chosen = [h.best_epoch for h in trained(0.5, epochs=12, best="accuracy")[1]]
    assert chosen != [h.best_epoch for h in trained(0.5, epochs=12, best="loss")[1]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_what_does_not_count_changes_nothing(seed: int, weighted: bool) -> None:
    g = torch.Generator().manual_seed(seed)
    p = problem(seed)
    weights = [np.linspace(0.5, 2, C)] if weighted else None
    rows = StackedRows.of([(p.X, p.y)], weights, torch.float64)
    logits = torch.randn(1, N, T, C, generator=g, dtype=torch.float64)
    other = torch.where(rows.y[..., None] < 0, 7 * logits.flip(-1) + 1, logits)
    other.requires_grad_()
    torch.testing.assert_close(rows.losses(other), rows.losses(logits))
    assert torch.equal(rows.n_right(other), rows.n_right(logits))
    (gradient,) = torch.autograd.grad(rows.losses(other).sum(), other)
    assert not gradient[rows.y < 0].any()
    counted = rows.y >= 0
    reference = torch.nn.functional.cross_entropy(
        logits[counted], rows.y[counted], None if weights is None else torch.tensor(weights[0])
    )
    torch.testing.assert_close(rows.losses(logits), reference[None])


def test_the_training_accuracy_is_that_of_the_state_before_each_step() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] + 0.5 * rng.normal(size=60) > 0).astype(int)
    options: dict[str, Any] = {"batch_size": None, "learning_rate": 0.05}
    start = MLPClassifier(**options | {"learning_rate": 0.0}, epochs=1).fit(X, y)
    seen = MLPClassifier(**options, epochs=4).fit(X, y).history_.train_accuracy
    states = [start, *(MLPClassifier(**options, epochs=e).fit(X, y) for e in (1, 2, 3))]
    assert seen == [head.score(X, y) for head in states]


def test_the_history_says_how_many_trained_together() -> None:
    _, histories = trained()
    assert [h.n_copies for h in histories] == [R, R]


def test_the_clock_makes_no_difference_between_histories() -> None:
    assert History(seconds=1.0) == History(seconds=2.0)
