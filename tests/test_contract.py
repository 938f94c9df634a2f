"""Every shipped study passes the contract, and counts the parameters that its paper printed."""

from pathlib import Path

import numpy as np
import pytest

from qlmbench.models.parameters import count_parameters
from qlmbench.registry import get_study, model_class, study_folders
from qlmbench.testing import Check, contract

CHECKS = [check for name in sorted(study_folders()) for check in contract(name)]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_contract(check: Check, tmp_path: Path) -> None:
    check(tmp_path)


# Of the other arms the paper's numbers belong to settings that it does not name.
PRINTED = [
    (q.arm, q.parameters)
    for q in get_study("qllm").quoted
    if q.parameters and (q.arm == "mlp" or q.arm.endswith("-published"))
]


@pytest.mark.parametrize(("arm_name", "printed"), PRINTED)
def test_as_published_heads_have_the_number_of_parameters_that_was_printed(
    arm_name: str, printed: int
) -> None:
    arm = get_study("qllm").arm(arm_name)
    params = {**arm.params, "epochs": 1}
    X = np.random.default_rng(0).normal(size=(6, 768))
    head = model_class("qllm", arm.model)(**params).fit(X, [0, 1] * 3)
    counted = count_parameters(head)
    assert counted is not None
    assert counted.total == printed


@pytest.mark.parametrize(("n_modes", "reached"), [(2, 1), (4, 2), (6, 3), (8, 3)])
def test_few_of_the_hundred_published_features_reach_a_phase(n_modes: int, reached: int) -> None:
    cls = model_class("qllm", "heads:PublishedPhotonicClassifier")
    X = np.random.default_rng(0).normal(size=(6, 10))
    head = cls(n_modes=n_modes, n_photons=1, epochs=1).fit(X, [0, 1] * 3)
    counted = count_parameters(head)
    assert counted is not None
    assert counted.dead_in["encoder.0.weight"] == 10 * (100 - reached)
    assert counted.dead_in["encoder.0.bias"] == 100 - reached
