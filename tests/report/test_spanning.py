from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qlmbench.packing import pack_rows
from qlmbench.report import style
from qlmbench.report import wording as w
from qlmbench.report.effects import (
    designs,
    effects_sentence,
    effects_table,
    is_design,
    is_saturated,
)
from qlmbench.report.learning import learning_curves
from qlmbench.report.regimes import regimes, regimes_frame, regimes_sentence
from qlmbench.report.tables import best_arm, ends, mean_difference
from qlmbench.spec import Arm, ArmKind, Claim

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


def test_intervals_are_widened_where_training_sets_overlap_much(several, arms, settings):
    splits = {
        r: split.model_copy(update={"n_train": 300, "test_rows": pack_rows(range(240), 540)})
        for r, split in settings["more"].splits.items()
    }
    much = dataclasses.replace(settings["more"], splits=splits)
    run = dataclasses.replace(several.run, settings={"few": settings["few"], "more": much})
    (curve,) = learning_curves(run, arms)
    plain, wide = arms["more"].set_index("arm"), curve.table.data.set_index(["setting", "arm"])
    factor = np.sqrt((1 / 12 + 240 / 300) / (1 / 12))
    row = wide.loc[("more", "logreg")]
    assert row["widened"] == pytest.approx(factor)
    for end in ("low", "high"):
        expected = factor * (plain.loc["logreg", end] - plain.loc["logreg", "mean"])
        assert row[end] - row["mean"] == pytest.approx(expected)
    assert (wide.loc["few", "widened"] == 1).all()
    for text in (curve.plot.key, curve.table.caption):
        assert "At 300 rows" in text
        assert "Nadeau and Bengio" in text


def test_intervals_stay_as_they_are_where_training_sets_overlap_little(several):
    curve = next(s for s in several.spanning if s.plot.name == "learning-frozen")
    assert (curve.table.data["widened"] == 1).all()
    assert "widened" not in curve.plot.key


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


@pytest.mark.parametrize(("moved", "larger"), [(0.0, "the arm"), (0.2, "tuning")])
def test_the_sentence_on_regimes_says_which_mean_is_larger_and_no_more(
    settings, tables, moved, larger
):
    frame = tables["regimes-more-tuned"].data.assign(difference=moved)
    text = regimes_sentence(settings["more"], settings["tuned"], frame, METRIC)
    assert "the reference, “SVC, linear”, by" in text
    assert f"The mean difference that {larger} makes is larger in size" in text


def test_the_sentence_on_regimes_is_about_the_headline_arm_and_never_about_a_control(
    fake, settings, tables
):
    frame = tables["regimes-more-tuned"].data
    text = regimes_sentence(settings["more"], settings["tuned"], frame, METRIC)
    # No headline claim is about these settings: it is the paper's arm that is best on validation.
    papers = [arm for arm in settings["more"].arms if arm.kind is ArmKind.PAPER]
    best = best_arm(settings["more"], papers, METRIC)
    for setting in ("more", "tuned"):
        lead = mean_difference(settings[setting], best.name, "svc", METRIC)
        assert w.interval(METRIC, *ends(lead), signed=True) in text
    claims = [fake.GAIN | {"arm": arm, "setting": "tuned"} for arm in ("tanh", "photonic-4-1")]
    claims = [claim | {"id": f"about-{claim['arm']}"} for claim in claims]
    study = fake.several().model_copy(update={"claims": [Claim(**claim) for claim in claims]})
    frozen, tuned = (dataclasses.replace(settings[s], study=study) for s in ("more", "tuned"))
    text = regimes_sentence(frozen, tuned, frame, METRIC)
    assert "“Photonic, 4 modes, 1 ph” minus the reference" in text
    assert "Tanh" not in text


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


def test_a_design_with_one_arm_more_than_factors_is_saturated():
    assert is_saturated(design(ORTHOGONAL))
    assert not is_saturated(design(FULL))
    assert not is_saturated(design([case | {"c": i} for i, case in enumerate(ORTHOGONAL)]))


def test_the_caption_of_a_saturated_design_says_what_is_confounded(several):
    results = several.main.results
    full = effects_table(results).caption
    assert "confounded" not in full
    assert "model's arguments" in full
    half = [
        arm
        for arm in results.study.arms
        if arm.group != "design" or sum(map(int, arm.params.values())) % 2
    ]
    fewer = dataclasses.replace(results, study=results.study.model_copy(update={"arms": half}))
    assert "4 arms for 3 factors of two levels" in effects_table(fewer).caption
    assert "confounded with interactions of two other factors" in effects_table(fewer).caption


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
