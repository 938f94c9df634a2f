from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.packing import pack_classes
from qlmbench.records import Outcome, Record
from qlmbench.report import details
from qlmbench.report.load import load_results
from qlmbench.report.quoted import quoted_table
from qlmbench.report.render import Table, to_csv, to_json, to_latex, to_markdown, to_text
from qlmbench.report.tables import (
    best_baseline,
    comparison_frame,
    comparison_table,
    for_terminal,
    reference_arm,
)
from qlmbench.spec import Quoted

METRIC = "test_accuracy"


def test_the_reference_is_the_classical_arm_that_is_best_on_validation_not_on_test(fake, tmp_path):
    store = fake.fill(tmp_path / "default" / "main", repetitions=6)
    folder = store.folder
    study = fake.study()
    results = load_results(study, folder)
    # The majority class wins on validation, whatever its test score.
    results.records.loc[results.records["arm"] == "chance", "validation_accuracy"] = 1.0
    assert best_baseline(results, METRIC).name == "chance"
    frame = comparison_frame(results, METRIC).set_index("arm")
    assert frame.loc["chance", "mean"] < frame.loc["svc", "mean"]
    assert frame["reference"].sum() == 1
    assert "validation" in comparison_table(results).caption


def test_a_reference_that_the_study_declares_counts_wherever_it_has_records(fake, results):
    declared = fake.study(reference="logreg")
    with_it = replace(results, study=declared)
    assert best_baseline(with_it, METRIC).name != "logreg"
    assert reference_arm(with_it, METRIC).name == "logreg"
    frame = comparison_frame(with_it, METRIC).set_index("arm")
    assert list(frame.index[frame["reference"]]) == ["logreg"]
    caption = comparison_table(with_it).caption
    assert "Logistic regression, is the one that the study declares" in caption
    assert "optimistic" in caption


def test_a_declared_reference_without_records_gives_way_to_the_best_baseline(fake, results):
    declared = fake.study(reference="huge")
    without = replace(results, study=declared)
    assert reference_arm(without, METRIC) == best_baseline(without, METRIC)
    caption = comparison_table(without).caption
    assert "is the best baseline, chosen by its mean validation accuracy" in caption
    assert "100 modes, which the study declares, has no records here" in caption


def test_the_tuning_table_shows_by_how_much_validation_promised_too_much(fake, results):
    raised = replace(results, study=fake.study(reference="svc"), records=results.records.copy())
    mlp = raised.records["arm"] == "mlp"
    raised.records.loc[mlp, "validation_accuracy"] = raised.records[METRIC] + 0.05
    table = details.tuning_table(raised)
    assert table.data.set_index("arm").loc["mlp", "optimism"] == pytest.approx(0.05)
    shown = table.shown.set_index("arm")["validation minus test"]
    assert shown["MLP 768-100-50-2"] == "+5.0"
    assert "the reference, “SVC, linear”, has" in table.caption


def test_differences_to_the_reference_are_paired_and_the_reference_has_none(results):
    frame = comparison_frame(results, METRIC).set_index("arm")
    reference = frame.index[frame["reference"]][0]
    for arm in ("photonic-8-1", "tanh"):
        expected = (results.values(arm, METRIC) - results.values(reference, METRIC)).mean()
        assert frame.loc[arm, "difference"] == pytest.approx(expected)
    assert np.isnan(frame.loc[reference, "difference"])


def test_macro_f1_stands_beside_accuracy_where_there_are_more_than_two_classes(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", fake.lean(), repetitions=2)
    two = load_results(fake.lean(), tmp_path / "default" / "main")
    assert "macro-F1, %" not in comparison_table(two).columns
    three = replace(
        two,
        splits={
            r: split.model_copy(update={"test": pack_classes([0, 1, 2])})
            for r, split in two.splits.items()
        },
    )
    assert three.n_classes == 3
    table = comparison_table(three)
    expected = 100 * two.values("logreg", "test_macro_f1").mean()
    shown = table.shown.set_index("arm")["macro-F1, %"]
    row = next(value for arm, value in shown.items() if "Logistic" in arm)
    assert float(row) == pytest.approx(expected, abs=0.051)


def test_means_lie_inside_their_intervals(results):
    frame = comparison_frame(results, METRIC)
    assert ((frame["low"] <= frame["mean"]) & (frame["mean"] <= frame["high"])).all()


def test_a_quoted_percentage_and_a_quoted_fraction_read_alike(fake, results):
    table = quoted_table(results)
    shown = dict(zip(table.shown["method as published"], table.shown["quoted"], strict=True))
    assert shown == {"8 modes": "83.8", "LogReg": "76.7", "MLP (paper)": "91.4"}
    assert "quoted" in table.caption.lower()
    assert Quoted(method="x", value=1.0, source="y").value == 1.0


def test_a_control_as_good_as_the_papers_arm_keeps_its_explanation(fake, tmp_path):
    skill = fake.SKILL | {"tanh": fake.SKILL["photonic-8-2"], "frozen": 0.6}
    names = ("photonic-8-2", "tanh", "frozen", "shuffled")
    study = fake.study()
    few = study.model_copy(
        update={"arms": [study.arm(name) for name in names], "claims": study.claims[:0]}
    )
    fake.fill(tmp_path / "default" / "main", few, skill=skill, repetitions=80)
    table = details.controls_table(load_results(few, tmp_path / "default" / "main"))
    reading = dict(zip(table.data["arm"], table.data["reading"], strict=True))
    assert "stands" in reading["tanh"]
    assert "does not explain" in reading["frozen"]
    assert "no leak" in reading["shuffled"]


@pytest.mark.parametrize(
    ("first", "reading"),
    [
        (0, "exactly the same test accuracy in each of 14 repetitions: this explanation stands"),
        (8, "cannot tell: the two are equal in each of 6 repetitions: no difference to test"),
    ],
)
def test_a_control_that_never_differs_keeps_its_explanation(results, first, reading):
    records = results.records[results.records["repetition"] >= first].copy()
    twin = records.loc[records["arm"] == "photonic-8-2", "test_accuracy"].to_numpy()
    records.loc[records["arm"] == "tanh", "test_accuracy"] = twin
    table = details.controls_table(replace(results, records=records))
    assert dict(zip(table.data["arm"], table.data["reading"], strict=True))["tanh"] == reading


def test_shuffled_labels_above_chance_are_called_out(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", skill=fake.SKILL | {"shuffled": 0.8})
    table = details.controls_table(load_results(fake.study(), tmp_path / "default" / "main"))
    assert "above chance" in table.data.set_index("arm").loc["shuffled", "reading"]


def test_the_tuning_table_shows_what_was_searched_and_its_sensitivity(results):
    table = details.tuning_table(results).data.set_index("arm")
    assert table.loc["logreg", "searched"] == "C: 0.1, 1, 10, 100"
    assert table.loc["mlp", "configurations"] == 4
    assert (table["sensitivity"] >= 0).all()
    tried = results.tuning[results.tuning["arm"] == "mlp"]
    means = tried.groupby("configuration")["accuracy"].mean()
    assert table.loc["mlp", "sensitivity"] == pytest.approx(means.max() - means.min())


def test_parameters_and_hardware_cost_are_shown_for_every_arm(results):
    table = details.parameters_table(results)
    assert len(table) == len(results.arms)
    cost = details.cost_table(results).shown.set_index("arm")
    assert cost.loc["Photonic, 8 modes, 2 ph.", "shots on hardware"] == "768 million"
    assert cost.loc["SVC, linear", "shots on hardware"] == "–"


def test_failures_are_shown_and_count_nowhere(fake, tmp_path):
    store = fake.fill(tmp_path / "default" / "main", repetitions=2)
    failed = Record(id="f" * 16, study="fake", arm="huge", repetition=0, status="failed", error="x")
    store.save(Outcome(record=failed))
    store.consolidate()
    results = load_results(fake.study(), store.folder)
    assert details.failures_table(results).rows == [["huge", "0", "x"]]
    assert "huge" not in set(comparison_frame(results, METRIC)["arm"])


def test_the_environment_table_counts_the_trials_of_each_environment(results):
    table = details.environment_table(results)
    assert table.rows[0] == ["trials", str(len(results.records))]
    assert "2026-01-02" in table.caption


def test_the_terminal_table_fits_a_hundred_columns_and_keeps_every_word(results):
    table = for_terminal(comparison_table(results))
    text = to_text(table, 100)
    assert max(map(len, text.splitlines())) <= 100
    words = {word for row in table.rows for cell in row for word in cell.replace("*", "").split()}
    assert words <= set(text.split())


cells = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=30)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_text_breaks_the_shape_of_a_table(rows):
    frame = pd.DataFrame(rows, columns=["a", "b"])
    table = Table("t", "caption", frame, frame, ("a",))
    lines = to_markdown(table).splitlines()
    assert len(lines) == len(rows) + 2
    assert all(line.replace(r"\|", "").count("|") == 3 for line in lines)
    assert to_latex(table).count(r"\\") >= len(rows) + 1
    assert len(json.loads(to_json(table))["rows"]) == len(rows)
    assert [tuple(r) for r in csv.reader(io.StringIO(to_csv(table)))][1:] == [
        tuple(row) for row in rows
    ] or any("\r" in c or "\n" in c for row in rows for c in row)


def test_latex_escapes_what_it_would_read_as_commands():
    frame = pd.DataFrame({"a_b": ["50 % & #1 {x} ~ \\"]})
    text = to_latex(Table("t", "c", frame, frame, ()))
    assert r"a\_b" in text
    assert r"50 \% \& \#1 \{x\} \textasciitilde{} \textbackslash{}" in text


def test_missing_numbers_are_null_in_json_and_empty_in_csv():
    frame = pd.DataFrame({"x": [float("nan"), 0.5]})
    table = Table("t", "c", frame, frame.astype(str), ())
    assert json.loads(to_json(table))["rows"] == [{"x": None}, {"x": 0.5}]
    assert to_csv(table).split() == ["x", '""', "0.5"]


def test_published_parameters_stand_beside_the_counted_ones(fake, results):
    row = quoted_table(results).data.set_index("method").loc["8 modes"]
    counted = results.values("photonic-8-2", "parameters_total").mean()
    assert (row["quoted_parameters"], row["parameters_total"]) == (77086, counted)
    assert row["parameters_effective"] < counted
