"""Texts that are numbers already come out as they stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.data.encoders import encode, encoder_folder, encoder_identity
from qlmbench.data.numbers import numbers_width
from qlmbench.errors import UserError


@given(st.lists(st.lists(st.integers(-9999, 9999), min_size=3, max_size=3), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_numbers_come_out_as_they_stand(rows: list[list[int]]) -> None:
    texts = [" ".join(f"{number / 1000:.3f}" for number in row) for row in rows]
    features = encode("numbers-3", texts)
    assert features.dtype == np.float32
    assert np.allclose(features, np.array(rows) / 1000, atol=1e-6)


@pytest.mark.parametrize("text", ["1 2", "1 2 3 4", "1 two 3", "1 2 nan", "1 inf 3"])
def test_anything_else_is_refused_and_shown(text: str) -> None:
    with pytest.raises(UserError, match=f"got the text '{text}'.*expected 3 finite numbers"):
        encode("numbers-3", ["1 2 3", text])


def test_the_name_says_the_width() -> None:
    assert encoder_identity("numbers-7")["width"] == "7"
    assert [numbers_width(name) for name in ("numbers-7", "numbers-0", "numbers", "words-7x2")] == [
        7,
        None,
        None,
        None,
    ]


def test_there_is_no_folder_of_weights() -> None:
    with pytest.raises(UserError, match="no weights"):
        encoder_folder("numbers-7")
