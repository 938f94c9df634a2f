"""The teachers are what they say: known optimum, known rank, and one that no linear map follows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.data import teacher_student as ts
from qlmbench.data.datasets import best_possible, dataset_identity, load_dataset
from qlmbench.data.digests import identity_digest
from qlmbench.data.encoders import encode


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, ts.WIDTH))


def as_loaded(teacher: str) -> tuple[np.ndarray, np.ndarray]:
    part = load_dataset(f"teacher-{teacher}").parts["train"]
    return encode("numbers-32", part.texts).astype(float), part.labels


@pytest.mark.parametrize("teacher", ts.TEACHERS)
def test_the_best_loss_is_what_the_teacher_gets_on_its_own_labels(teacher: str) -> None:
    X, y = as_loaded(teacher)
    p = ts.teacher_probabilities(teacher, X)
    losses, right = -np.log(p[np.arange(len(y)), y]), p.argmax(1) == y
    best = best_possible(f"teacher-{teacher}")
    for values, expected in ((losses, best["log_loss"]), (right, best["accuracy"])):
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(y))


@pytest.mark.parametrize("teacher", ts.TEACHERS)
def test_labels_have_the_probabilities_of_the_teacher(teacher: str) -> None:
    X, y = as_loaded(teacher)
    expected = ts.teacher_probabilities(teacher, X).sum(0)
    counts = np.bincount(y, minlength=ts.N_CLASSES)
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected)).all()


@pytest.mark.parametrize(("teacher", "rank"), [("low-rank", 2), ("full-rank", 16)])
def test_linear_differences_have_their_rank(teacher: str, rank: int) -> None:
    matrix = ts.difference(teacher, np.eye(ts.WIDTH)).T
    assert np.linalg.matrix_rank(matrix) == rank
    assert np.allclose(ts.difference(teacher, rows(5)), rows(5) @ matrix.T)


def test_the_nonlinear_difference_is_even_and_centred() -> None:
    X = rows(200_000)
    difference = ts.difference("nonlinear", X)
    assert np.allclose(ts.difference("nonlinear", -X[:100]), difference[:100])
    assert (np.abs(difference.mean(0)) < 5 * difference.std(0) / np.sqrt(len(X))).all()


@given(seed=st.integers(0, 100))
@settings(max_examples=5, deadline=None)
def test_the_nonlinear_difference_is_two_cosines(seed: int) -> None:
    X = rows(50, seed)
    u, v = (X @ ts._projections().T).T
    waves = np.stack([np.cos(u + v), np.cos(u - v), np.ones(50)], axis=1)
    _, residual, rank, _ = np.linalg.lstsq(waves, ts.difference("nonlinear", X), rcond=None)
    assert rank == 3
    assert np.allclose(residual, 0)


@pytest.mark.parametrize("teacher", ts.TEACHERS)
def test_differences_are_about_as_large(teacher: str) -> None:
    assert 0.8 < ts.difference(teacher, rows(4000)).std() / ts.DIFFERENCE_SCALE < 1.25


def test_rows_are_distinct_and_the_same_every_time() -> None:
    first, second = ts.teacher_rows("low-rank"), ts.teacher_rows("low-rank")
    assert first == second
    assert len({text for text, _ in first}) == ts.N_ROWS
    assert {len(text.split()) for text, _ in first} == {ts.WIDTH}


def test_teachers_are_three_datasets() -> None:
    identities = {dataset_identity(f"teacher-{name}")["sha256"] for name in ts.TEACHERS}
    assert len(identities) == 3


def test_shared_weights_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ts.base_weights()[0, 0] = 1.0


def test_an_unknown_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'low-rank'"):
        ts.difference("low-rang", rows(2))


@pytest.mark.parametrize("teacher", ts.TEACHERS)
def test_the_stated_hash_is_that_of_the_rows(teacher: str) -> None:
    fields = [field for row in ts.teacher_rows(teacher) for field in row]
    assert identity_digest(*fields) == ts.ROWS_SHA256[teacher]
