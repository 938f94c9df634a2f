"""Families of arms stand side by side where they differ in one whole number, and only there."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from qlmbench.registry import get_study
from qlmbench.report import plots
from qlmbench.report.sweep import sweep_frame

STUDY = SimpleNamespace(study=get_study("hybrid_vlm"))


def arms(*names):
    """Tabulate arms of the study, each with its width as its mean."""
    declared = [STUDY.study.arm(name) for name in names]
    rows = [
        {
            "arm": arm.name,
            "label": arm.title,
            "kind": arm.kind.value,
            "group": arm.group,
            "mean": float(arm.params["n_qubits"]),
            "low": 0.0,
            "high": 9.0,
        }
        for arm in declared
    ]
    return pd.DataFrame(rows)


WIDTHS = (2, 4, 6, 8)
BOTH = [f"{family}-{n}" for family in ("linear", "published") for n in WIDTHS]


def test_families_are_joined_by_the_argument_that_their_arms_differ_in():
    frame = sweep_frame(STUDY, arms(*BOTH))
    assert set(frame["argument"]) == {"n_qubits"}
    assert frame["label"].nunique() == 2
    assert (frame["value"] == frame["mean"]).all()


@pytest.mark.parametrize(
    "names",
    [BOTH[:4], [*BOTH[:4], "published-2", "published-4"], ["tanh-4", "cosine-4", *BOTH[:4]]],
    ids=["one family", "a family of two points", "arms that differ in a word"],
)
def test_without_two_families_of_three_points_nothing_is_drawn(names):
    assert sweep_frame(STUDY, arms(*names)).empty


def test_a_line_is_drawn_for_each_family_in_the_order_of_its_numbers():
    frame = sweep_frame(STUDY, arms(*BOTH[::-1]))
    axes = plots.families(frame, "n_qubits", "test_cross_entropy").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == len(WIDTHS)]
    assert len(lines) == 2
    for line in lines:
        assert list(line.get_ydata()) == list(map(float, WIDTHS))
