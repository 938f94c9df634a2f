"""What an argument may be, and what is said of one that may not."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qlmbench.ranges import (
    check_choice,
    check_not_negative,
    check_positive,
    check_share,
    check_whole,
)

NO_NUMBERS = st.sampled_from([True, False, "1", math.nan, math.inf, -math.inf, [1], None])


@settings(deadline=None, max_examples=50)
@given(st.integers() | st.integers(0, 2**40).map(np.int64), st.integers(-3, 3))
@example(np.int64(0), 1)
def test_a_whole_number_is_taken_from_the_least_one_on(value, least):
    if value >= least:
        check_whole("n", value, least)
    else:
        with pytest.raises(ValueError, match=re.escape(f"n={value!r}")):
            check_whole("n", value, least)


@settings(deadline=None, max_examples=50)
@given(st.floats(-2, 2) | st.integers(-2, 2) | st.floats(0, 2).map(np.float64))
def test_a_number_is_taken_where_its_range_holds_it(value):
    ranges = {
        check_positive: value > 0,
        check_not_negative: value >= 0,
        check_share: 0 <= value <= 1,
        lambda n, v: check_share(n, v, below_one=True): 0 <= value < 1,
    }
    for check, fits in ranges.items():
        if fits:
            check("rate", value)
        else:
            with pytest.raises(ValueError, match=r"^rate=.*; expected"):
                check("rate", value)


@settings(deadline=None, max_examples=30)
@given(NO_NUMBERS)
def test_what_is_no_finite_number_is_refused(value):
    for check in (check_whole, check_positive, check_not_negative, check_share):
        with pytest.raises(ValueError, match=r"^x="):
            check("x", value)


def test_none_is_taken_only_where_it_is_said_so():
    for check in (check_whole, check_positive, check_not_negative):
        check("x", None, or_none=True)
        with pytest.raises(ValueError, match=r"x=0.5j; expected .*, or None$"):
            check("x", 0.5j, or_none=True)


def test_a_choice_names_the_others():
    check_choice("kind", "b", ("a", "b"))
    with pytest.raises(ValueError, match=r"^kind='c'; expected one of a, b$"):
        check_choice("kind", "c", ("a", "b"))
