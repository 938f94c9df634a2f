from __future__ import annotations

import numpy as np
import pytest

from qlmbench.errors import UserError
from qlmbench.plan import make_trials
from qlmbench.records import Outcome, Record, RunInfo
from qlmbench.report import load_frame
from qlmbench.report.load import load_results, load_runs, profile_of
from qlmbench.report.runs import runs_table
from qlmbench.store import Store


def test_arms_come_in_the_order_of_the_study(fake, results):
    declared = [arm.name for arm in fake.study().arms if arm.name != "huge"]
    assert list(dict.fromkeys(results.records["arm"])) == declared


def test_correctness_agrees_with_the_recorded_accuracy(results):
    for arm in results.arms:
        for repetition, accuracy in results.values(arm.name, "test_accuracy").items():
            assert np.mean(results.correct[arm.name][repetition]) == pytest.approx(accuracy)


def test_trials_still_in_files_of_their_own_count_like_consolidated_ones(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", repetitions=2, consolidate=False)
    pending = load_results(fake.study(), tmp_path / "default" / "main").records
    Store(tmp_path / "default" / "main").consolidate()
    after = load_results(fake.study(), tmp_path / "default" / "main").records
    assert pending.equals(after)


def test_the_later_record_of_an_arm_and_repetition_counts_and_the_page_says_so(fake, tmp_path):
    study = fake.study()
    store = fake.fill(tmp_path / "default" / "main", repetitions=1)
    old = fake.outcome(study, study.arm("logreg"), 0.2, 0, np.zeros(240, dtype=int))
    older = old.record.model_copy(update={"id": "f" * 16, "finished": "2020-01-01T00:00:00Z"})
    store.save(old.model_copy(update={"record": older, "predictions": None, "split": None}))
    store.consolidate()
    results = load_results(study, tmp_path / "default" / "main")
    assert "f" * 16 not in set(results.records["id"])
    assert any("1 record left out" in problem for problem in results.problems)


def test_only_trials_as_they_are_declared_now_count(fake, tmp_path):
    study = fake.study()
    info = RunInfo(
        profile="default", setting="main", dataset={"sha256": "00"}, encoder={"weights": "11"}
    )
    store = Store(tmp_path / "default" / "main")
    store.save_info(info)
    trials = list(make_trials(study, info, study.arms[:2], 3))
    for trial in trials:
        record = Record(id=trial.id, study=study.name, arm=trial.arm, repetition=trial.repetition)
        store.save(Outcome(record=record))
    store.consolidate()
    assert len(load_results(study, store.folder).records) == len(trials)
    newer = study.model_copy(update={"version": study.version + 1})
    later = load_results(newer, store.folder)
    assert later.records.empty
    assert any(f"{len(trials)} records left out" in problem for problem in later.problems)


def test_a_damaged_row_is_named_and_left_out(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", repetitions=2)
    table = tmp_path / "default" / "main" / "records.jsonl"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0].replace("0.", "1.", 1), *lines[1:]]) + "\n")
    results = load_results(fake.study(), tmp_path / "default" / "main")
    assert len(results.records) == len(lines) - 1
    assert any("line 1" in problem for problem in results.problems)


@pytest.mark.parametrize("role", ["test", "validation"])
def test_labels_of_an_older_form_are_a_users_error_that_says_where(fake, tmp_path, role):
    store = fake.fill(tmp_path / "default" / "main", repetitions=2)
    study = fake.study()
    outcome = fake.outcome(study, study.arm("logreg"), 0.8, 1, np.zeros(240, int))
    old = store.splits()[1].model_copy(update={role: "0110"})
    store.save(outcome.model_copy(update={"split": old, "predictions": None}))
    store.consolidate()
    with pytest.raises(UserError, match=r"repetition 1: .*--overwrite always"):
        runs_table([load_results(study, store.folder)], {})


def test_runs_come_with_the_default_first_and_unknown_folders_are_no_runs(fake, tmp_path):
    for run in ("smoke", "paper-x", "default", "other"):
        fake.fill(tmp_path / run / "main", repetitions=1)
    (tmp_path / "figures").mkdir()
    runs = load_runs(fake.study(), tmp_path)
    assert [run.run for run in runs] == ["default", "paper-x", "smoke"]


def test_a_run_belongs_to_the_profile_its_name_begins_with(fake):
    assert profile_of(fake.study(), "paper-sst2-mpnet") == "paper"
    with pytest.raises(UserError, match="default"):
        profile_of(fake.study(), "papers")


def test_users_get_all_runs_of_a_study_as_one_frame(results_folder):
    frame = load_frame(results_folder / "fake")
    assert set(frame["run"]) == {"default", "paper-mine"}
    one = load_frame(results_folder / "fake" / "default")
    assert len(one) == (frame["run"] == "default").sum()
    assert {"test_accuracy", "parameters_total", "chosen_lr", "shots"} <= set(one.columns)


def test_a_folder_without_records_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="no records"):
        load_frame(tmp_path)


def test_a_run_without_finished_trials_loads_empty(fake, tmp_path):
    assert load_results(fake.study(), tmp_path / "default" / "main").records.empty
