"""Data that is handed over on disk comes out as it went in."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.errors import UserError
from qlmbench.experiment import RepetitionData
from qlmbench.handover import hand_over, take
from qlmbench.records import SplitLabels


def repetition(
    number: int, features: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
) -> RepetitionData:
    rows = np.array([number, 0])
    split = SplitLabels(
        repetition=number, digest="d", test_digest="t", n_train=2, validation="", test=""
    )
    roles = ("train", "validation", "test")
    return RepetitionData(
        features, dict.fromkeys(roles, rows), dict.fromkeys(roles, rows), split, 2
    )


def test_what_is_taken_equals_what_was_handed_over(tmp_path: Path) -> None:
    shared, own = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    data = {0: repetition(0, shared), 1: repetition(1, shared), 4: repetition(4, own)}
    handed = hand_over(data, tmp_path)
    taken = take(handed, [0, 1, 4])
    for number, expected in data.items():
        for role in ("train", "validation", "test"):
            for here, there in zip(expected.role(role), taken[number].role(role), strict=True):
                assert np.array_equal(here, there)
        assert taken[number].split == expected.split
    assert set(take(handed, [4])) == {4}, "a job takes no more than it needs"


def test_a_table_that_repetitions_share_is_written_once(tmp_path: Path) -> None:
    table = np.zeros((1000, 50), dtype=np.float32)
    hand_over({r: repetition(r, table) for r in range(4)}, tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert table.nbytes < written < 1.5 * table.nbytes


def test_a_worker_that_does_not_see_the_folder_says_so_in_one_line(tmp_path: Path) -> None:
    handed = hand_over({0: repetition(0, np.zeros((5, 3), dtype=np.float32))}, tmp_path)
    with pytest.raises(UserError, match="does not see") as caught:
        take(replace(handed, folder=tmp_path / "elsewhere"), [0])
    assert "--results" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["features-0.npy", "0.joblib"])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=20)
def test_data_with_a_flipped_bit_is_not_used(name: str, place: float, bit: int) -> None:
    with TemporaryDirectory() as folder:
        table = np.ones((5, 3), dtype=np.float32)
        handed = hand_over({0: repetition(0, table)}, Path(folder))
        path = handed.folder / name
        raw = bytearray(path.read_bytes())
        raw[int(place * len(raw))] ^= 1 << bit
        path.write_bytes(raw)
        with pytest.raises(UserError, match="other bytes") as caught:
            take(handed, [0])
    assert name in str(caught.value)


def test_data_that_ends_early_is_not_used(tmp_path: Path) -> None:
    handed = hand_over({0: repetition(0, np.ones((5, 3), dtype=np.float32))}, tmp_path)
    for name in handed.digests:
        path = handed.folder / name
        raw = path.read_bytes()
        path.write_bytes(raw[:-1])
        with pytest.raises(UserError, match="other bytes"):
            take(handed, [0])
        path.write_bytes(raw)
    assert set(take(handed, [0])) == {0}
