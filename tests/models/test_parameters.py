"""Parameters are counted by what they do, and an estimator may count its own."""

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.svm import SVC

from qlmbench.models.classical import MLPClassifier
from qlmbench.models.parameters import (
    angle_rank,
    audit,
    count_parameters,
    dead_entries,
    jacobian_rank,
)
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.records import Parameters

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 2


def test_an_estimator_that_counts_itself_is_believed() -> None:
    class Own(SVC):
        def count_parameters(self) -> Parameters:
            return Parameters(classical=3, quantum=2)

    counted = count_parameters(Own().fit(X, Y))
    assert counted == Parameters(classical=3, quantum=2)


def test_a_model_without_parameters_has_no_count() -> None:
    assert count_parameters(DummyClassifier().fit(X, Y)) is None


def test_every_parameter_of_a_plain_network_counts() -> None:
    counted = count_parameters(MLPClassifier(hidden=(8,), epochs=1).fit(X, Y))
    assert counted is not None
    assert counted.total == counted.effective == 3 * 8 + 8 + 8 * 2 + 2
    assert counted.dead == 0


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_entries_that_no_output_depends_on_are_dead() -> None:
    used, half_used, unused = leaf(1.0, 2.0), leaf(1.0, 2.0, 3.0), leaf(1.0)
    outputs = used * half_used[:2].sin()
    named = {"used": used, "half used": half_used, "unused": unused}
    assert dead_entries(outputs, named) == {"half used": 1, "unused": 1}


@pytest.mark.parametrize(
    ("outputs", "rank"),
    [
        (lambda a: a, 3),
        (lambda a: (a[0] + a[1]) * torch.arange(1.0, 5.0, dtype=torch.float64) + a[2], 2),
        (lambda a: a.sum() * torch.ones(4, dtype=torch.float64), 1),
    ],
)
def test_the_rank_counts_directions_that_change_an_output(outputs: object, rank: int) -> None:
    angles = leaf(0.3, 0.5, 0.7)
    assert jacobian_rank(outputs(angles), [angles]) == rank  # type: ignore[operator]


def test_frozen_angles_have_no_rank() -> None:
    assert angle_rank(PhotonicCircuit(4, 2, trainable=False)) == 0


def test_a_network_of_several_circuits_has_the_sum_of_their_ranks() -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = PhotonicCircuit(4, 1, dtype=torch.float64)
            self.other = PhotonicCircuit(4, 2, dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.one(x), self.other(x)], dim=-1)

    counted = audit(Network(), 4)
    assert (counted.classical, counted.quantum, counted.effective) == (0, 48, 15 + 19)
