from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qlmbench.report import style
from qlmbench.report.effects import designs, effects_sentence, effects_table, is_design
from qlmbench.report.learning import learning_curves
from qlmbench.report.regimes import regimes, regimes_frame, regimes_sentence
from qlmbench.spec import Arm

METRIC = "test_accuracy"


@pytest.fixture(scope="module")
def settings(several):
    return several.run.settings


@pytest.fixture(scope="module")
def arms(several):
    return {section.results.setting: section.comparison.data for section in several.settings}


@pytest.fixture(scope="module")
def tables(several):
    return {spanning.table.name: spanning.table for spanning in several.spanning}


# ---- learning curves -----------------------------------------------------------------------------


def test_settings_that_share_a_curve_are_its_points_and_others_are_not(tables):
    data = tables["learning-frozen"].data
    assert dict(zip(data["setting"], data["n_train"], strict=True)) == {"few": 16, "more": 64}


def test_the_table_of_a_learning_curve_has_every_arm_at_every_size(tables, settings):
    table = tables["learning-frozen"]
    assert table.columns == ["arm", "kind", "16", "64"]
    assert len(table) == len(settings["few"].arms)
    point = table.data.set_index(["setting", "arm"]).loc[("more", "logreg")]
    assert point["mean"] == pytest.approx(settings["more"].values("logreg", METRIC).mean())
    assert point["low"] < point["mean"] < point["high"]


def test_one_size_is_no_learning_curve(several, arms):
    only = dataclasses.replace(several.run, settings={"few": several.run.settings["few"]})
    assert learning_curves(only, arms) == []


def test_the_arms_of_a_learning_curve_are_few_of_every_kind_and_named(several):
    plot = next(s.plot for s in several.spanning if s.plot.name == "learning-frozen")
    figure = plot.draw()
    names = {text.get_text().replace("\n", " ") for text in figure.axes[0].texts}
    assert names == {
        "Photonic, 8 modes, 2 ph.",
        "As published, 8 modes, 2 ph.",
        "SVC, linear",
        "Tanh bottleneck",
    }
    assert figure.axes[0].get_xscale() == "log"
    assert plot.sentence.startswith("From 16 to 64 training rows")


# ---- encoder regimes -------------------------------------------------------------------------


def test_regimes_are_paired_by_repetition_on_the_same_rows(tables, settings):
    data = tables["regimes-more-tuned"].data.set_index("arm")
    both = settings["tuned"].values("svc", METRIC) - settings["more"].values("svc", METRIC)
    assert data.loc["svc", "difference"] == pytest.approx(both.mean())
    assert data.loc["svc", "low"] < both.mean() < data.loc["svc", "high"]
    assert set(data.index) == {arm.name for arm in settings["more"].arms}


def test_other_rows_are_no_pair(settings, arms):
    splits = {
        r: split.model_copy(update={"digest": "other"})
        for r, split in settings["tuned"].splits.items()
    }
    apart = dataclasses.replace(settings["tuned"], splits=splits)
    assert regimes_frame(settings["more"], apart, arms["more"], arms["tuned"]).empty


def test_settings_with_other_splits_are_no_regimes(several, arms):
    both = {name: several.run.settings[name] for name in ("few", "tuned")}
    assert regimes(dataclasses.replace(several.run, settings=both), arms) == []


@pytest.mark.parametrize(("moved", "bigger"), [(0.0, "head"), (0.2, "regime")])
def test_the_sentence_on_regimes_says_which_makes_the_bigger_difference(
    settings, tables, moved, bigger
):
    frame = tables["regimes-more-tuned"].data.assign(difference=moved)
    text = regimes_sentence(settings["more"], settings["tuned"], frame, METRIC)
    assert "SVC, linear" in text
    assert text.endswith(f"the {bigger} makes the bigger difference.")


# ---- conditions ------------------------------------------------------------------------------


def test_conditions_are_compared_with_the_same_arm_as_it_was_trained(several):
    table = several.main.conditions.data.set_index(["arm", "condition", "value"])
    row = table.loc[("photonic-8-2", "shots", 100)]
    assert row["change"] == pytest.approx(-0.04)
    assert row["own"] == pytest.approx(several.main.results.values("photonic-8-2", METRIC).mean())
    assert len(table) == 3 + 3 + 2


def test_every_condition_has_a_figure_logarithmic_where_values_span_much(several):
    plots = {p.name: p for p in several.main.plots if p.name.startswith("conditions-")}
    scales = {name: plot.draw().axes[0].get_xscale() for name, plot in plots.items()}
    assert scales == {"conditions-shots": "log", "conditions-indistinguishability": "linear"}
    assert "at 100 and" in plots["conditions-shots"].sentence
    for light, dark in (style.to_svg(plot.draw()) for plot in plots.values()):
        assert "as trained" in light
        assert light != dark


# ---- main effects ------------------------------------------------------------------------------


def design(cases):
    return [
        Arm(name=f"x{i}", kind="paper", model="x:Y", group="g", params=case)
        for i, case in enumerate(cases)
    ]


FULL = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in ("x", "y") for c in (True, False)]
ORTHOGONAL = [
    {"a": 1, "b": 1, "c": 1},
    {"a": 1, "b": 2, "c": 2},
    {"a": 2, "b": 1, "c": 2},
    {"a": 2, "b": 2, "c": 1},
]


@pytest.mark.parametrize("cases", [FULL, ORTHOGONAL])
def test_full_factorials_and_orthogonal_arrays_are_designs(cases):
    assert is_design(design([case | {"constant": 3} for case in cases]))


@pytest.mark.parametrize(
    "cases",
    [
        FULL[:-1],
        [{"a": a, "b": b} for a in (1, 2) for b in (1, 2)],
        [case | {"d": case["a"]} for case in FULL],
        [case if case["a"] == 1 else {"a": 2, "b": case["b"]} for case in FULL],
    ],
)
def test_unbalanced_small_and_incomplete_groups_are_no_designs(cases):
    assert not is_design(design(cases))


def test_a_main_effect_is_the_paired_difference_of_the_means_at_two_levels(several):
    results = several.main.results
    assert list(designs(results)) == ["design"]
    table = effects_table(results)
    data = table.data.set_index(["factor", "level"])
    means = {
        level: np.mean(
            [
                results.values(arm.name, METRIC).mean()
                for arm in results.arms
                if arm.group == "design" and arm.params["b"] == level
            ]
        )
        for level in (1, 2)
    }
    assert data.loc[("b", "2"), "difference"] == pytest.approx(means[2] - means[1])
    assert data.loc[("b", "2"), "low"] > 0
    assert data.loc[("a", "2"), "low"] < 0 < data.loc[("a", "2"), "high"]
    assert np.isnan(data.loc[("b", "1"), "difference"])
    assert "that of b, 2 against 1" in effects_sentence(table.data, METRIC)
