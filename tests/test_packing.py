"""Classes and rows as short text: what is written is read back, and damage is no answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmbench.packing import (
    count_classes,
    holds_classes,
    pack_classes,
    pack_numbers,
    pack_rows,
    pack_texts,
    unpack_classes,
    unpack_numbers,
    unpack_rows,
    unpack_texts,
)


@given(st.lists(st.integers(0, 200), max_size=30))
def test_packed_classes_are_read_back(classes: list[int]) -> None:
    packed = pack_classes(classes)
    assert unpack_classes(packed).tolist() == classes
    assert count_classes(packed) == len(classes)


@given(st.sets(st.integers(0, 99)), st.integers(100, 130))
def test_packed_rows_are_read_back_in_order(rows: set[int], total: int) -> None:
    assert unpack_rows(pack_rows(sorted(rows), total)).tolist() == sorted(rows)


def test_two_classes_take_one_bit_a_row() -> None:
    assert len(pack_classes([0, 1] * 3000)) < 1020


@pytest.mark.parametrize("text", ["1:9:/w==", "1:16:/w", "x", "2:3"])
def test_text_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack_classes(text)


@given(st.lists(st.floats(-30, 0), max_size=20))
def test_packed_numbers_are_read_back_to_three_digits(values: list[float]) -> None:
    packed = pack_numbers(values)
    assert unpack_numbers(packed).tolist() == pytest.approx(values, rel=1e-3, abs=1e-7)
    assert not holds_classes(packed)
    assert holds_classes(pack_classes([0, 1]))


@pytest.mark.parametrize("text", ["f2:3:AAA=", "f2:1", "1:9:/w=="])
def test_numbers_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack_numbers(text)


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), max_size=20))
def test_packed_texts_are_read_back(texts: list[str]) -> None:
    assert unpack_texts(pack_texts(texts)) == texts


@pytest.mark.parametrize("text", ["1:AAAA", "1:x", "abc", "2:" + pack_texts(["a"]).split(":")[1]])
def test_texts_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack_texts(text)


def test_a_text_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="one line"):
        pack_texts(["a", "b\nc"])
