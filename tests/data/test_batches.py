import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.data.batches import balanced_batches, class_quotas
from qlmbench.errors import UserError


@given(st.lists(st.integers(0, 2), min_size=8, max_size=60), st.integers(4, 8), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_batches_are_distinct_rows_with_classes_as_equal_as_they_can_be(
    drawn_labels: list[int], batch_size: int, seed: int
) -> None:
    labels = [0, 0, 1, 1, *drawn_labels]
    for rows in balanced_batches(labels, batch_size, 5, np.random.default_rng(seed)):
        assert len(set(rows)) == len(rows) == batch_size
        held = {label: sum(labels[row] == label for row in rows) for label in set(labels)}
        for label, number in held.items():
            assert number == labels.count(label) or number >= max(held.values()) - 1


def test_every_sentence_is_drawn_before_one_is_drawn_again() -> None:
    batches = list(balanced_batches([0] * 8 + [1] * 8, 4, 4, np.random.default_rng(0)))
    assert sorted(row for rows in batches for row in rows) == list(range(16))


def test_without_a_batch_size_each_step_sees_all() -> None:
    for rows in balanced_batches([0, 1, 0, 1, 1], None, 3, np.random.default_rng(0)):
        assert sorted(rows) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("labels", "batch_size", "message"),
    [
        ([0, 1], None, "no step of the tuning sees two sentences of one class: 2 sentences of 2"),
        ([0, 0, 1, 1], 2, "batch_size 2; expected a class with at least two"),
        ([0, 0, 1, 1], 5, "batch_size 5, but there are 4 sentences"),
        ([1, 1, 1], None, "all 3 sentences to tune on are of one class"),
    ],
)
def test_sentences_that_no_step_learns_from_are_refused(
    labels: list[int], batch_size: int | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        class_quotas(labels, batch_size)
