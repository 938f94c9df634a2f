"""A seed depends on its axis and its keys, and on nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from qlmbench.seeding import seed_for


def test_seeds_are_pinned() -> None:
    assert seed_for("data", dataset="toy", repetition=0) == 933838370


@given(st.integers(0, 10**6))
def test_axes_do_not_share_seeds(repetition: int) -> None:
    data = seed_for("data", repetition=repetition)
    assert data != seed_for("initialisation", repetition=repetition)
    assert 0 <= data < 2**31


def test_the_order_of_keys_does_not_matter() -> None:
    assert seed_for("data", a=1, b=2) == seed_for("data", b=2, a=1)
