"""Settings whose metric is no accuracy: losses, perplexities, seconds; and how arms train."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.data.datasets import best_possible
from qlmbench.errors import UserError
from qlmbench.records import AttentionMap, RunInfo
from qlmbench.report import compare_folders, details, style, terminal_summary
from qlmbench.report.blocks import GitHub
from qlmbench.report.claims import judge_claims
from qlmbench.report.figures import by_arm_name, plots_of
from qlmbench.report.load import load_run
from qlmbench.report.plots.curves import summary_of
from qlmbench.report.plots.forest import forest_plot
from qlmbench.report.plots.limits import far_worse
from qlmbench.report.protocol import protocol_table
from qlmbench.report.reports import load_page
from qlmbench.report.settings_page import setting_blocks
from qlmbench.report.spanning import forest_frame
from qlmbench.report.tables import (
    best_of,
    comparison_frame,
    comparison_table,
    main_metric,
    margin_of,
    reference_arm,
    validation_metric,
)
from qlmbench.report.training import attention_plot, comparison_plot, comparison_sentence
from qlmbench.report.training_table import entropy, stuck_sentence, training_frame, training_table
from qlmbench.spec import ArmKind

REPETITIONS = 12


@pytest.fixture(scope="module")
def made_up():
    path = Path(__file__).with_name("fake_training.py")
    spec = importlib.util.spec_from_file_location("qlmbench_fake_training", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(made_up, tmp_path_factory):
    return made_up.fill(tmp_path_factory.mktemp("r") / "made_up" / "default", REPETITIONS)


@pytest.fixture(scope="module")
def run(made_up, folder):
    return load_run(made_up.study(), folder)


@pytest.fixture(scope="module")
def curves(run):
    return run.settings["curves"]


@pytest.fixture(scope="module")
def language(run):
    return run.settings["language"]


@pytest.fixture(scope="module")
def time(run):
    return run.settings["time"]


def with_dataset(results, name="token-sentiment"):
    info = RunInfo(profile="default", setting="x", dataset={"name": name}, encoder={"name": "ids"})
    return replace(results, info=info)


def with_protocol(results, **changes):
    return replace(results, protocol=results.protocol.model_copy(update=changes))


# --- the metric of a setting --------------------------------------------------------------------


def test_the_metric_of_a_setting_is_its_own_else_that_of_a_claim_else_that_of_its_task(
    made_up, curves, language, time
):
    assert [main_metric(r) for r in (curves, language, time)] == [
        "test_log_loss",
        "test_perplexity",
        "seconds_per_epoch",
    ]
    assert main_metric(with_protocol(curves, metric="")) == "validation_log_loss"
    no_claims = replace(language, study=made_up.study(claims=[]))
    assert main_metric(with_protocol(no_claims, metric="")) == "test_perplexity"


def test_the_counterpart_on_validation_decides_and_a_time_decides_for_itself(
    curves, language, time
):
    assert validation_metric(curves, "test_log_loss") == "validation_log_loss"
    assert validation_metric(curves, "train_log_loss") == "validation_log_loss"
    assert validation_metric(curves, "test_auc") == "validation_accuracy"
    assert validation_metric(language, "test_auc") == "validation_perplexity"
    assert validation_metric(time, "seconds_per_epoch") == "seconds_per_epoch"


def test_of_losses_the_lowest_on_validation_is_the_best(curves):
    low = replace(curves, records=curves.records.copy())
    low.records.loc[low.records["arm"] == "no-cnot", "validation_log_loss"] = 0.001
    kinds = [arm.model_copy(update={"kind": ArmKind.BASELINE}) for arm in low.study.arms]
    low = replace(low, study=low.study.model_copy(update={"arms": kinds}))
    assert reference_arm(low, "test_log_loss").name == "no-cnot"


def test_the_seconds_of_an_epoch_are_a_column_only_where_they_were_measured(curves, time):
    assert "seconds_per_epoch" not in curves.records
    assert time.values("classical", "seconds_per_epoch").between(0.012, 0.0127).all()


@given(st.lists(st.floats(0.01, 1, allow_nan=False), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_which_arms_are_far_worse_does_not_depend_on_which_way_the_metric_goes(means):
    values, kinds = pd.Series(means), pd.Series(["baseline"] * len(means))
    up, down = far_worse(values, kinds, "test_accuracy"), far_worse(-values, kinds, "test_log_loss")
    assert list(up) == list(down)


def test_an_arm_far_above_in_loss_is_an_arrow_at_the_right(language):
    plot = plots_of(language, comparison_frame(language, "test_perplexity"))[0]
    axes = plot.draw().axes[0]
    arrows = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    assert [line.get_marker() for line in arrows] == [">"]
    assert axes.get_xlim()[1] < language.values("frozen", "test_perplexity").mean()
    assert "far above" in plot.key


# --- what pages say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "name", "title", "unit"),
    [
        ("curves", "log-loss", "Log loss against parameters", "test log loss, nats"),
        ("language", "perplexity", "Perplexity against parameters", "test perplexity"),
        ("time", "seconds-per-epoch", "Time per epoch against parameters", "time per epoch"),
    ],
)
def test_figures_are_named_after_their_metric_and_speak_of_no_accuracy(
    run, setting, name, title, unit
):
    results = run.settings[setting]
    found = plots_of(results, comparison_frame(results, main_metric(results)))
    by_arm = found[0]
    assert by_arm.name == by_arm_name(results) == name
    assert by_arm.draw().axes[0].get_xlabel() == unit
    assert title in [plot.title for plot in found]
    for plot in found:
        words = f"{plot.title} {plot.sentence} {plot.key}"
        assert "accuracy" not in words.lower()
        assert "point" not in words
        assert plot.sentence.endswith(".")
        light, dark = style.to_svg(plot.draw())
        assert "nan" not in re.sub(r"<[^>]*>", " ", light).split()
        assert light != dark


def test_the_comparison_of_times_writes_each_with_its_unit_and_its_numbers_plain(time):
    table = comparison_table(time)
    shown = dict(zip(table.data["arm"], table.rows, strict=True))
    assert re.match(r"1\.\d\d s \[1\.\d\d, 1\.\d\d\] s$", shown["quantum"][2])
    assert re.match(r"12\.\d ms \[12\.\d, 12\.\d\] ms$", shown["classical"][2])
    assert "validation" not in table.columns
    assert table.data["mean"].between(0.012, 1.4).all()


def test_a_table_of_losses_says_nats_and_that_less_is_better(curves):
    table = comparison_table(curves)
    assert "test log loss, nats [95 % interval]" in table.columns
    assert "to the reference, nats" in table.columns
    assert "less is better" in table.caption


def test_every_page_is_written_and_leads_with_the_comparison(made_up, folder):
    flavour, page = GitHub(), load_page(folder.parent.parent, made_up.study())
    readme = flavour.write(page.blocks(flavour))
    sections = page.runs[0].settings
    files = {s.page: flavour.write(setting_blocks(s, "README.md", "results")) for s in sections}
    assert "figures/default-curves-made_up_comparison-light.svg" in readme
    assert "figures/default-curves-log-loss-light.svg" in readme
    headings = re.findall(r"^## (.*)$", files["default-curves.md"], flags=re.M)
    assert headings.index("Training curves, compared") < headings.index("Ranks")
    assert "Where the attention goes" in headings
    assert "<summary>Training</summary>" in files["default-curves.md"]
    assert "Controls: what they rule out" not in files["default-time.md"]


def test_the_terminal_names_the_metric_of_each_setting_where_they_differ(made_up, folder):
    text = terminal_summary(made_up.study(), folder)
    for metric in ("test log loss, nats", "test perplexity", "time per epoch"):
        assert metric in text
    assert "metric" not in terminal_summary(made_up.study(), folder, ["time"]).split("claim")[0]


def test_the_protocol_says_what_is_not_as_usual(curves, language, time):
    rows = {r.setting: dict(protocol_table(r).rows) for r in (curves, language, time)}
    assert "language model" in rows["language"]["task"]
    assert "validation token accuracy" in rows["language"]["chooses among configurations"]
    assert "lowest validation loss" in rows["curves"]["chooses among configurations"]
    assert "by itself" in rows["time"]["trained together"]
    assert set(rows["time"]) == {"encoder", "search on validation", "trained together"}


# --- claims -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(run):
    return {j.claim.id: j for j in judge_claims(run)}


def test_each_claim_speaks_in_the_unit_of_its_metric(judged):
    assert judged["loss"].effect.endswith(" nats")
    assert judged["train-loss"].said == "\N{MINUS SIGN}0.05 nats"
    assert judged["accuracy"].effect.endswith(" points")
    assert re.fullmatch(r"\N{MINUS SIGN}\d+\.\d", judged["perplexity"].effect)
    assert judged["slow"].effect.endswith(" s")
    assert judged["level"].said == "0.1 to 0.2 nats"


def test_the_reason_of_a_verdict_names_effect_and_margin_in_that_unit(judged):
    reasons = {name: j.verdict.reason for name, j in judged.items()}
    assert re.search(r"is 0\.\d+ nats below Classical", reasons["loss"])
    assert "the published 0.05 nats" in reasons["train-loss"]
    assert "more than the margin of 2.00 points" in reasons["accuracy"]
    assert re.search(r"is \d\.\d\d s above Classical", reasons["slow"])
    assert "level of 0.1 to 0.2 nats" in reasons["level"]


def test_no_statistics_over_rows_are_made_from_what_are_no_classes(language, judged, folder):
    assert language.correct == {}
    assert language.problems == ()
    assert judged["perplexity"].rows is None
    same = compare_folders(folder / "language", folder / "language", 0.0)
    assert same.agree
    assert (same.trials["equal_predictions"] == 1).all()


def test_claims_in_points_in_nats_and_in_other_units_have_a_panel_each(run, judged):
    figure = forest_plot(forest_frame(run, list(judged.values())))
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "difference in loss, nats",
        "difference in validation accuracy, points",
        "difference in test perplexity",
        "difference in time per epoch",
    ]


# --- controls and tuning ------------------------------------------------------------------------


def test_a_control_counts_as_equal_within_the_margin_of_a_claim_about_the_metric(curves, language):
    assert margin_of(curves, "test_log_loss") == 0.01
    assert margin_of(language, "test_perplexity") == 2.0
    assert np.isnan(margin_of(replace(language, study=curves.study), "test_bleu_error"))
    assert "equal within 0.01 nats" in details.controls_table(curves).caption
    assert "equal within 2 (" in details.controls_table(language).caption


def test_a_metric_without_a_margin_never_makes_a_control_equal(made_up, language):
    table = details.controls_table(replace(language, study=made_up.study(claims=[])))
    assert "equal" not in table.caption
    assert not table.data["reading"].str.contains("equal").any()


def test_shuffled_labels_are_held_against_the_entropy_of_the_labels(curves):
    table = details.controls_table(curves).data.set_index("arm")
    assert table.loc["shuffled", "reading"] == (
        "not below chance (the entropy of the labels is 0.693 nats): no leak seen"
    )
    lucky = replace(curves, records=curves.records.copy())
    own = lucky.records["arm"] == "shuffled"
    lucky.records.loc[own, "test_log_loss"] -= 0.3
    table = details.controls_table(lucky).data.set_index("arm")
    assert "labels leak" in table.loc["shuffled", "reading"]


def test_where_loss_chooses_tuning_is_told_in_nats_without_what_diverged(curves, time):
    table = details.tuning_table(curves)
    assert table.data["sensitivity"].iloc[0] == pytest.approx(-0.3)
    assert "mean validation loss over the repetitions, in nats" in table.caption
    assert "in nats of test log loss" in table.caption
    by_accuracy = details.tuning_table(time)
    assert "mean validation accuracy over the repetitions, in points" in by_accuracy.caption
    assert "validation minus test" not in by_accuracy.columns


# --- the best possible --------------------------------------------------------------------------


def test_the_best_possible_is_drawn_and_told_where_it_is_known(curves):
    known = with_dataset(curves)
    best = best_possible("token-sentiment")
    assert best_of(known, "test_log_loss") == best["log_loss"]
    assert np.isnan(best_of(known, "train_log_loss"))
    assert np.isnan(best_of(curves, "test_log_loss"))
    assert np.isnan(best_of(with_dataset(curves, "rotten-tomatoes"), "test_log_loss"))
    assert f"The best possible is {best['log_loss']:.3g} nats." in comparison_table(known).caption
    metric = main_metric(known)
    for results, written in ((known, True), (curves, False)):
        found = plots_of(results, comparison_frame(results, metric))[:2]
        for plot in found:
            assert ("best possible" in style.to_svg(plot.draw())[0]) is written


# --- training curves ----------------------------------------------------------------------------


def test_only_settings_that_compare_arms_have_the_figure_and_it_bears_the_studys_name(curves, time):
    assert comparison_plot(curves).name == "made_up_comparison"
    assert comparison_plot(time) is None


def test_training_of_one_epoch_has_no_comparison_of_curves(curves):
    short = replace(curves, curves=curves.curves[curves.curves["epoch"] == 1])
    assert comparison_plot(curves) is not None
    assert comparison_plot(short) is None


def test_the_comparison_has_a_panel_for_each_curve_and_a_line_for_each_arm(curves):
    figure = comparison_plot(curves).draw()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Training",
        "Validation",
        "",
        "",
    ]
    for axes, curve in zip(
        figure.axes,
        ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"),
        strict=True,
    ):
        own = curves.curves[curves.curves["curve"] == curve]
        k = 100 if "accuracy" in curve else 1
        expected = [
            k * own[(own["arm"] == arm) & (own["epoch"] == 10)]["value"].mean()
            for arm in curves.protocol.compare
        ]
        assert [line.get_ydata()[-1] for line in axes.lines] == pytest.approx(expected)
    looks = {(x.get_marker(), x.get_fillstyle()) for x in figure.axes[0].lines}
    assert len(looks) == len(curves.protocol.compare)  # told apart without colour


def test_records_without_the_accuracy_of_training_say_so(curves):
    old = replace(curves, curves=curves.curves[curves.curves["curve"] != "train_accuracy"])
    figure = comparison_plot(old).draw()
    assert [text.get_text() for text in figure.axes[2].texts] == ["not recorded"]


def summary(rows):
    columns = ["arm", "curve", "epoch", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def test_the_sentence_says_who_is_lowest_first_and_last_and_whose_bands_overlap():
    both = [
        ("a", "validation_loss", 1, 0.6, 0.5, 0.7),
        ("a", "validation_loss", 5, 0.2, 0.1, 0.3),
        ("b", "validation_loss", 1, 0.5, 0.4, 0.6),
        ("b", "validation_loss", 5, 0.3, 0.25, 0.4),
        ("c", "validation_loss", 1, 0.8, 0.7, 0.9),
        ("c", "validation_loss", 5, 0.7, 0.6, 0.8),
    ]
    labels = {"a": "A", "b": "B", "c": "C"}
    assert comparison_sentence(summary(both), labels) == (
        "Validation loss: B is lowest at epoch 1 (0.500 nats), A at epoch 5 (0.200 nats); "
        "the band of B overlaps its own there."
    )
    apart = [row for row in both if row[0] != "b"]
    assert comparison_sentence(summary(apart), labels) == (
        "Validation loss: A is lowest at epoch 1 (0.600 nats), again at epoch 5 (0.200 nats); "
        "no other band reaches its own there."
    )
    alone = [(*row[:4], row[3], row[3]) for row in apart]
    assert "band" not in comparison_sentence(summary(alone), labels)
    shorter = [row for row in apart if row[:3] != ("c", "validation_loss", 5)]
    assert "at each arm's last epoch" in comparison_sentence(summary(shorter), labels)


def test_the_band_holds_the_middle_of_the_repetitions():
    values = np.arange(11.0)
    frame = pd.DataFrame({"arm": "a", "repetition": range(11), "epoch": 1, "curve": "train_loss"})
    found = summary_of(frame.assign(value=values)).iloc[0]
    assert (found["low"], found["mean"], found["high"]) == (1.0, 5.0, 9.0)


# --- attention ----------------------------------------------------------------------------------


def test_attention_is_drawn_for_the_compared_arms_that_kept_it(curves, time):
    assert set(curves.attention) == {"quantum", "classical"}
    assert attention_plot(time) is None
    plot = attention_plot(curves)
    titles = [axes.get_title(loc="left") for axes in plot.draw().axes]
    assert [t for t in titles if t not in ("", "weight")] == [
        "Quantum embedding and attention",
        "Classical",
    ]
    assert titles.count("") == 4  # two more texts of each arm
    largest = max(np.max(one.weights) for one in curves.attention["classical"][0])
    assert f"Classical {largest:.2f}" in plot.sentence
    assert "uniform over 6 tokens is 0.17" in plot.sentence
    assert "uniform: 1/6" in style.to_svg(plot.draw())[0]


def test_where_tokens_see_only_what_came_before_the_last_one_is_told_of(language):
    plot = attention_plot(language)
    last = max(np.max(one.weights[-1]) for one in language.attention["classical"][0])
    assert plot.sentence.startswith("Largest weight of the last token")
    assert f"Classical {last:.2f}" in plot.sentence


def test_maps_of_other_texts_are_never_drawn_beside_each_other(curves):
    other = AttentionMap(tokens=["x"], weights=[[1.0]])
    changed = replace(curves, attention=curves.attention | {"classical": {0: [other]}})
    with pytest.raises(UserError, match="other texts"):
        attention_plot(changed)


def test_tokens_of_long_texts_are_not_named_and_the_key_says_so(curves):
    long = AttentionMap(tokens=[f"t{i}" for i in range(40)], weights=np.full((40, 40), 0.025))
    plot = attention_plot(replace(curves, attention={"quantum": {0: [long, long, long]}}))
    assert "not named" in plot.key
    assert "2 test texts" in plot.key  # a third one would be too many cells
    assert "t39" not in style.to_svg(plot.draw())[0]


# --- the table of trainings ---------------------------------------------------------------------


def test_the_table_of_trainings_is_what_the_curves_say(curves):
    row = training_frame(curves).set_index("arm").loc["quantum"]
    own = curves.curves[(curves.curves["arm"] == "quantum")]
    loss = own[own["curve"] == "validation_loss"].pivot_table(
        index="epoch", columns="repetition", values="value"
    )
    assert row["best_validation_loss"] == pytest.approx(loss.min().mean())
    assert row["last_validation_loss"] == pytest.approx(loss.loc[10].mean())
    assert row["epoch_reached"] == np.median([(loss[r] <= 0.3).idxmax() for r in loss])
    assert (row["never_reached"], row["n"]) == (0, REPETITIONS)
    assert row["circuits_per_epoch"] == 1000  # three configurations of ten epochs


def test_a_repetition_that_never_reaches_the_loss_counts_as_later_than_all_others(curves):
    frozen = training_frame(with_protocol(curves, threshold=0.52)).set_index("arm").loc["frozen"]
    assert frozen["never_reached"] == 3
    assert np.isfinite(frozen["epoch_reached"])
    shown = training_table(curves).shown.set_index("arm")["epoch of loss 0.3"]
    assert shown["Frozen random circuit"] == f"\N{EN DASH} ({REPETITIONS} of {REPETITIONS} never)"


def test_runs_that_never_left_chance_are_counted_and_called_out(curves):
    frame = training_frame(curves).set_index("arm")
    assert frame.loc["frozen", "stuck"] == 3
    assert frame.loc["quantum", "stuck"] == 0
    assert stuck_sentence(curves) == (
        "The validation loss never left chance: Frozen random circuit in 3 of 12 runs."
    )


def test_columns_of_what_is_not_known_are_left_out(curves, language, time):
    without = training_table(with_protocol(curves, threshold=None))
    assert not [c for c in without.columns if c.startswith("epoch of loss")]
    assert "time per epoch" not in without.columns
    assert "stuck" not in training_table(language).columns  # tokens are no labels
    assert stuck_sentence(language) == ""
    assert "time per epoch" in training_table(time).columns


def test_a_setting_that_is_not_about_training_has_no_such_table(results, curves):
    assert len(training_table(results)) == 0
    old = curves.curves[curves.curves["curve"] != "train_accuracy"]
    plain = replace(with_protocol(curves, threshold=None, compare=[]), curves=old)
    assert len(training_table(plain)) == 0


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_entropy_lies_between_one_class_and_all_classes_alike(labels):
    found = entropy(np.array(labels))
    assert 0 <= found <= np.log(4) + 1e-12
    assert (found == 0) == (len(set(labels)) == 1)
