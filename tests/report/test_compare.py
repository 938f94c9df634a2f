from __future__ import annotations

import numpy as np
import pytest

from qlmbench.errors import UserError
from qlmbench.records import Outcome, Predictions, environment_id
from qlmbench.report import compare_folders, compare_runs, export_table
from qlmbench.report.compare import difference_table
from qlmbench.store import Store


@pytest.fixture
def pair(fake, tmp_path):
    for name in "ab":
        fake.fill(tmp_path / name / "main", repetitions=2, rows=60)
    return tmp_path / "a", tmp_path / "b"


def test_a_run_agrees_with_itself(pair):
    comparison = compare_folders(*pair, tolerance=0.0)
    assert comparison.agree
    assert (comparison.trials["equal_predictions"] == 1).all()


def test_a_metric_beyond_the_tolerance_is_named_with_its_arm(fake, pair):
    _change(fake, pair[1] / "main", 0.02)
    comparison = compare_folders(*pair, tolerance=0.01)
    assert list(comparison.beyond["arm"]) == ["logreg"]
    assert comparison.beyond["difference"].iloc[0] == pytest.approx(0.02)
    text, agree = compare_runs(*pair, 0.01)
    assert not agree
    assert "logreg" in text
    assert compare_runs(*pair, 0.05)[1]


def test_a_metric_of_one_side_only_never_agrees(fake, pair):
    _change(fake, pair[1] / "main", 0.0, drop="test_log_loss")
    comparison = compare_folders(*pair, tolerance=1.0)
    assert not comparison.agree
    assert comparison.beyond["metric"].tolist() == ["test_log_loss"]


def test_each_metric_that_differs_has_a_row_with_its_tolerance_and_its_worst_trial(fake, pair):
    _change(fake, pair[1] / "main", 0.02)
    table = difference_table(
        compare_folders(*pair, 0.005, {"test_*": 1.0, "test_acc*": 0.03}).metrics
    )
    (row,) = table.data.to_dict("records")
    assert row["metric"] == "test_accuracy"
    assert (row["differ"], row["beyond"], row["tolerance"]) == (1, 0, 0.03)
    assert row["largest"] == pytest.approx(0.02)
    assert row["where"].startswith("logreg, repetition")


def test_a_tolerance_for_one_metric_leaves_the_others_alone(fake, pair):
    _change(fake, pair[1] / "main", 0.02)
    assert compare_folders(*pair, 0.0, {"test_accuracy": 0.03}).agree
    assert not compare_folders(*pair, 0.0, {"test_log_loss": 0.03}).agree
    with pytest.raises(UserError, match=r"unknown metric 'test_acuracy'.*did you mean"):
        compare_folders(*pair, 0.0, {"test_acuracy": 0.03})


def test_the_comparison_says_where_the_runs_come_from(fake, tmp_path):
    for name, torch in (("a", "2.6.0"), ("b", "2.12.1")):
        folder = tmp_path / name / "main"
        fake.fill(folder, repetitions=1, rows=60)
        environment = {"torch": torch, "python": "3.11.7"}
        _relocate(folder, environment)
    text, agree = compare_runs(tmp_path / "a", tmp_path / "b", 0.0)
    assert agree, "another environment is no difference"
    assert "the same in both: python 3.11.7" in text
    (line,) = [line for line in text.splitlines() if line.startswith("torch")]
    assert line.split() == ["torch", "2.6.0", "2.12.1"]


def test_trials_of_one_side_only_are_counted(fake, pair, tmp_path):
    fake.fill(tmp_path / "longer" / "main", repetitions=3, rows=60)
    comparison = compare_folders(pair[0], tmp_path / "longer", tolerance=0.1)
    assert comparison.only_a == 0
    assert comparison.only_b == len(comparison.trials) / 2
    assert not comparison.agree


def test_a_subset_may_lack_trials_of_the_second_run_but_the_second_none_of_the_first(
    fake, pair, tmp_path
):
    fake.fill(tmp_path / "longer" / "main", repetitions=3, rows=60)
    longer = tmp_path / "longer"
    assert compare_folders(pair[0], longer, 0.0, subset=True).agree
    assert not compare_folders(longer, pair[0], 0.0, subset=True).agree
    _change(fake, pair[0] / "main", 0.02)
    assert not compare_folders(pair[0], longer, 0.0, subset=True).agree


def test_runs_without_a_common_trial_do_not_agree(fake, pair, tmp_path):
    fake.fill(tmp_path / "other" / "main", repetitions=1, seed=5)
    text, agree = compare_runs(pair[0], tmp_path / "other")
    assert not agree
    assert "0 trials in both" in text


def test_predictions_of_an_older_form_are_a_users_error_that_says_where(fake, pair):
    store = Store(pair[1] / "main")
    _change(fake, store.folder, 0.0, predictions="0110")
    with pytest.raises(UserError, match="this version does not read") as caught:
        compare_folders(*pair, tolerance=0.1)
    assert str(pair[1]) in str(caught.value)
    assert "logreg, repetition 0" in str(caught.value)
    assert "--overwrite always" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_records_and_a_negative_tolerance_are_users_errors(pair, tmp_path):
    with pytest.raises(UserError, match="no records"):
        compare_folders(pair[0], tmp_path / "none", tolerance=0.1)
    with pytest.raises(UserError, match="tolerance"):
        compare_folders(*pair, tolerance=-1)
    with pytest.raises(UserError, match="tolerance"):
        compare_folders(*pair, by_metric={"test_accuracy": float("nan")})


@pytest.mark.parametrize("what", ["comparison", "records", "claims"])
@pytest.mark.parametrize(("kind", "sign"), [("csv", ","), ("latex", r"\toprule"), ("json", "{")])
def test_every_table_can_be_exported_in_every_form(fake, results_folder, what, kind, sign):
    assert sign in export_table(fake.study(), results_folder / "fake" / "default", None, what, kind)


def test_unknown_tables_settings_forms_and_folders_are_users_errors(fake, pair, tmp_path):
    pair[0].rename(tmp_path / "default")
    pair = (tmp_path / "default", pair[1])
    with pytest.raises(UserError, match="comparison"):
        export_table(fake.study(), pair[0], None, "all", "csv")
    with pytest.raises(UserError, match="latex"):
        export_table(fake.study(), pair[0], None, "records", "xlsx")
    with pytest.raises(UserError, match="qlmbench run fake"):
        export_table(fake.study(), tmp_path / "smoke", None, "records", "csv")
    with pytest.raises(UserError, match="setting"):
        export_table(fake.study(), tmp_path / "default", "other", "records", "csv")


def _relocate(folder, environment: dict[str, str]) -> None:
    """Let all records of a run come from one environment."""
    store = Store(folder)
    for record in store.records():
        moved = record.model_copy(update={"environment": environment_id(environment)})
        predictions = store.predictions()[record.id]
        store.save(Outcome(record=moved, predictions=predictions, environment=environment))
    store.consolidate()


def _change(fake, folder, by: float, drop: str = "", predictions: str = "") -> None:
    """Alter one record of a run as another machine might have left it."""
    study = fake.study()
    record = next(r for r in Store(folder).records() if r.arm == "logreg")
    metrics = {k: v + by * (k == "test_accuracy") for k, v in record.metrics.items() if k != drop}
    outcome = fake.outcome(study, study.arm("logreg"), 0.8, record.repetition, np.zeros(60, int))
    changed = outcome.record.model_copy(update={"metrics": metrics})
    store = Store(folder)
    old = Predictions(id=record.id, validation="", test=predictions) if predictions else None
    store.save(outcome.model_copy(update={"record": changed, "split": None, "predictions": old}))
    store.consolidate()
