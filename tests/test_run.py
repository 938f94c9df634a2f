"""Running a plan: what is missing is run, what fails is kept apart, what is finished stays."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.data.tiny_models import write_model
from tests.studies import LOGREG, MLP, arm, head, profile, put_study

from qlmbench.errors import UserError
from qlmbench.experiment import choose, configurations
from qlmbench.packing import count_classes, holds_classes, unpack_classes, unpack_rows
from qlmbench.plan import Plan, make_plans
from qlmbench.prepare import prepare
from qlmbench.registry import get_study
from qlmbench.run import (
    jobs_of,
    longest_first,
    missing_trials,
    one_by_one,
    run_plan,
)
from qlmbench.store import Store
from qlmbench.testing import VARIES
from qlmbench.timing import seconds_by_arm

STUDY = (
    head("tiny")
    + arm("logreg", LOGREG)
    + arm(
        "mlp",
        MLP,
        "params = { hidden = [4], epochs = 3 }",
        "tune = { learning_rate = [1e300, 0.01] }",
    )
    + arm("diverges", MLP, "params = { hidden = [4], epochs = 3, learning_rate = 1e300 }")
    + arm("shuffled", LOGREG, "shuffle_labels = true", kind="control")
    + profile("smoke", repetitions=3, per_class=10, test=30)
    + profile("default", repetitions=3, per_class=1000, test=30)
)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Smoke plan of a small study in a working folder of its own."""
    put_study(tmp_path, "tiny", STUDY)
    monkeypatch.chdir(tmp_path)
    return make_plans(get_study("tiny"), "smoke")[0]


def silent(_: str) -> None:
    pass


def run(plan: Plan, store: Store, **options: object) -> tuple[int, int]:
    arguments = {"jobs": 1, "overwrite": "only-missing", "say": silent, **options}
    done = run_plan(plan, store, **arguments)  # type: ignore[arg-type]
    return done.finished, done.failed


def test_failures_are_kept_apart_and_tried_again(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    assert run(plan, store) == (9, 3)
    assert {r.arm for r in store.failures()} == {"diverges"}
    assert "not a number from epoch" in store.failures()[0].error
    assert run(plan, store) == (0, 3)
    assert run(plan, store, overwrite="never") == (0, 0)
    assert run(plan, store, overwrite="only-cache") == (0, 0)


def test_always_runs_everything_again_and_gives_the_same_records(
    plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    before = {r.id: r.metrics for r in store.records()}
    assert run(plan, store, overwrite="always") == (9, 3)
    assert {r.id: r.metrics for r in store.records()} == before


def everything(store: Store) -> dict[str, object]:
    """Return what two runs of one plan must agree in, to the last digit."""
    return {
        "records": {r.id: r.model_dump(exclude=VARIES) for r in store.records()},
        "failures": {r.id: r.error for r in store.failures()},
        "predictions": store.predictions(),
        "curves": store.curves(),
        "tuning": store.tuning(),
        "splits": store.splits(),
    }


def test_order_processes_and_the_hashes_of_a_process_change_nothing(
    plan: Plan, tmp_path: Path
) -> None:
    backwards = Store(tmp_path / "backwards")
    run(replace(plan, trials=plan.trials[::-1]), backwards)
    expected = everything(backwards)
    assert len(expected["records"]) == 9  # type: ignore[arg-type]
    # Sets of strings are walked in another order under another hash seed.
    elsewhere = subprocess.run(
        [
            *(sys.executable, "-m", "qlmbench", "run", "tiny", "--profile", "smoke", "-q"),
            *("--results", "r", "--jobs", "2"),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=False,
    )
    assert elsewhere.returncode == 1, "one arm always fails"
    assert everything(Store(tmp_path / "r" / plan.folder)) == expected


def test_arms_of_a_repetition_share_their_rows(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    splits = store.splits()
    assert len(splits) == 3
    assert len({s.digest for s in splits.values()}) == 3
    predictions = store.predictions()
    lengths = {count_classes(predictions[r.id].test) for r in store.records()}
    assert lengths == {30}
    assert {len(unpack_rows(s.test_rows)) for s in splits.values()} == {30}


def test_a_metric_can_be_computed_from_what_is_stored(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    for record in store.records():
        for role in ("validation", "test"):
            truth = unpack_classes(getattr(store.splits()[record.repetition], role))
            predicted = unpack_classes(getattr(store.predictions()[record.id], role))
            accuracy = float((truth == predicted).mean())
            assert record.metrics[f"{role}_accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_tuning_chooses_on_validation_and_keeps_what_it_tried(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    tuned = [r for r in store.records() if r.arm == "mlp"]
    assert all(r.chosen == {"learning_rate": 0.01} for r in tuned), "the other one diverges"
    tried = store.tuning()[tuned[0].id]
    assert tried.configurations == [{"learning_rate": 1e300}, {"learning_rate": 0.01}]
    assert tried.validation_accuracy[0] == -1


def test_the_choice_never_looks_at_the_test_rows() -> None:
    names = set(choose.__code__.co_names) | set(choose.__code__.co_varnames)
    assert not any("test" in name for name in names)


def test_a_grid_lists_every_configuration_once() -> None:
    grid = {"a": [1, 2], "b": ["x", "y", "z"]}
    found = configurations(grid)  # type: ignore[arg-type]
    assert len(found) == 6
    assert len({tuple(c.items()) for c in found}) == 6
    assert configurations({}) == [{}]


def test_a_record_of_another_version_of_the_study_does_not_count(
    plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    newer = plan.study.model_copy(update={"version": 2})
    assert len(missing_trials(make_plans(newer, "smoke")[0], store, "only-missing")) == 12


def test_two_runs_at_once_on_one_store_do_no_harm(plan: Plan, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qlmbench", "run", "tiny", "--profile", "smoke", "-q"]
    both = [
        subprocess.Popen(
            [*command, "--results", "r", "--jobs", "1"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [process.wait() for process in both] == [1, 1], "one arm always fails"
    store = Store(tmp_path / "r" / plan.folder)
    alone = Store(tmp_path / "alone")
    run(plan, alone)
    metrics = {r.id: r.metrics for r in store.records()}
    assert metrics == {r.id: r.metrics for r in alone.records()}
    assert store.problems == []


def test_kill_9_in_mid_run_loses_nothing_and_the_next_run_finishes(
    plan: Plan, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "qlmbench", "run", "tiny", "--profile", "smoke"]
    process = subprocess.Popen(
        [*command, "--results", "r", "--jobs", "1"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while (line := process.stderr.readline()) and not line.startswith("[3/12]"):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = Store(tmp_path / "r" / plan.folder)
    kept = {r.id: r.finished for r in store.records()}
    assert len(kept) >= 3
    finished, failed = run(plan, store)
    assert (finished + len(kept), failed) == (9, 3)
    after = {r.id: r.finished for r in store.records()}
    assert kept.items() <= after.items()


def test_a_folder_never_mixes_two_datasets(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    other = replace(
        plan, info=plan.info.model_copy(update={"dataset": {"name": "toy", "sha256": "00"}})
    )
    with pytest.raises(UserError, match="holds a run of another dataset"):
        run(other, store)


@pytest.mark.parametrize("table", ["predictions", "splits"])
def test_a_trial_without_its_predictions_or_labels_runs_again(
    plan: Plan, tmp_path: Path, table: str
) -> None:
    store = Store(tmp_path / "r")
    run(plan, store)
    path = tmp_path / "r" / f"{table}.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:]) + "\n")
    finished, _ = run(plan, store)
    assert finished >= 1
    assert len(path.read_text().splitlines()) == len(lines)


def test_a_failed_start_leaves_no_run_behind(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1000"):
        run(make_plans(plan.study, "default")[0], Store(tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "r")
    run(replace(plan, trials=plan.trials[:2]), store)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qlmbench.store.os.fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        run(plan, store)
    assert len(store.records()) == 2
    assert not list((tmp_path / "r").rglob("*.part"))


TUNED = """
[settings.frozen]
[settings.tuned]
encoder_tuning = {{ steps = 2, learning_rate = 1e-3 }}
[profiles.tuned]
dataset = "toy"
encoder = "{encoder}"
repetitions = 2
arms = ["logreg"]
settings = {{ frozen = {{}}, tuned = {{}} }}
[profiles.tuned.split]
train = {{ per_class = 4 }}
validation = {{ count = 6 }}
test = {{ count = 20 }}
"""


def test_a_tuned_encoder_meets_the_rows_of_the_frozen_one_and_other_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = write_model(tmp_path / "encoder")
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "cache"))
    put_study(tmp_path, "tiny", STUDY + TUNED.format(encoder=encoder))
    monkeypatch.chdir(tmp_path)
    plans = make_plans(get_study("tiny"), "tuned")
    frozen, tuned = (prepare(plan, [0, 1], lambda _: None) for plan in plans)
    for r in (0, 1):
        assert frozen[r].split == tuned[r].split, "the same rows, in the same order"
        assert not np.allclose(frozen[r].role("test")[0], tuned[r].role("test")[0])
    again = prepare(plans[1], [1, 0], lambda _: None, jobs=2)
    assert np.array_equal(again[1].role("train")[0], tuned[1].role("train")[0])


CONDITIONS = """
[[arms]]
name = "photonic"
kind = "paper"
model = "qlmbench.models.photonic:PhotonicClassifier"
params = { n_modes = 2, epochs = 2 }
[settings.noise]
evaluate = { shots = [1, 100000], indistinguishability = [0.0], depolarizing = [0.1] }
[profiles.noise]
dataset = "toy"
encoder = "hashing"
repetitions = 2
arms = ["photonic", "logreg"]
settings = { noise = {} }
[profiles.noise.split]
train = { per_class = 4 }
validation = { count = 6 }
test = { count = 20 }
"""


def test_a_trained_model_is_also_scored_under_the_conditions_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_study(tmp_path, "tiny", STUDY + CONDITIONS)
    monkeypatch.chdir(tmp_path)
    plan = make_plans(get_study("tiny"), "noise")[0]
    store = Store(tmp_path / "r")
    run(plan, store)
    scored = store.conditions()
    assert set(scored) == {r.id for r in store.records() if r.arm == "photonic"}
    for row in scored.values():
        assert [(c.name, c.value) for c in row.rows] == [
            ("shots", 1),
            ("shots", 100000),
            ("indistinguishability", 0.0),
        ]
        assert all(0 <= c.metrics["test_accuracy"] <= 1 for c in row.rows)


def test_jobs_that_take_long_start_first_and_new_ones_before_them(plan: Plan) -> None:
    seconds = {"logreg": 1.0, "shuffled": 3.0, "diverges": 2.0}
    order = [trials[0].arm for trials in longest_first(jobs_of(plan.trials), seconds)]
    assert order == ["mlp", "shuffled", "diverges", "logreg"]


def test_a_model_that_trains_one_copy_at_a_time_gets_a_job_for_each_trial(plan: Plan) -> None:
    alone = "qlmbench.models.fine_tuning:FineTunedClassifier"
    mlp = [trial for trial in plan.trials if trial.arm == "mlp"]
    tuned = [trial.model_copy(update={"model": alone}) for trial in mlp]
    assert [len(job) for job in jobs_of(mlp)] == [3]
    assert [len(job) for job in jobs_of(tuned)] == [1, 1, 1]


def test_of_jobs_that_take_as_long_the_first_repetition_starts_first(plan: Plan) -> None:
    work = [[trial] for trial in plan.trials]
    order = [trials[0].repetition for trials in longest_first(work, {})]
    assert order == sorted(trial.repetition for trial in plan.trials)


def test_the_time_of_an_arm_is_that_of_its_records(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(replace(plan, trials=plan.trials[:3]), store)
    expected = sum(record.seconds for record in store.records()) / 3
    assert seconds_by_arm(plan, store) == pytest.approx({"logreg": expected})


TOKENS = """
[[arms]]
name = "tokens"
kind = "paper"
model = "qlmbench.models.token_transformer:TokenTransformerClassifier"
params = { vocab_size = 30, padding_id = 0, epochs = 2, embedding = "table" }
[[arms]]
name = "bag"
kind = "baseline"
model = "qlmbench.models.bag_of_tokens:BagOfTokensClassifier"
params = { vocab_size = 30, padding_id = 0 }
tune = { C = [1.0, 100.0] }
[[arms]]
name = "pairs"
kind = "baseline"
model = "qlmbench.models.ngrams:NGramLanguageModel"
params = { vocab_size = 30 }
[settings.words]
encoder = "words-30x20"
arms = ["tokens", "bag"]
choose_by = "loss"
[settings.alone]
encoder = "words-30x20"
arms = ["tokens", "bag"]
alone = true
tune = { C = [1.0] }
[settings.next-word]
encoder = "words-30x20"
arms = ["pairs"]
task = "language-model"
[profiles.smoke.settings]
words = {}
alone = {}
next-word = {}
"""


@pytest.fixture
def token_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Plan]:
    """Plans of a small study on words, by setting."""
    put_study(tmp_path, "tiny", STUDY + TOKENS)
    monkeypatch.chdir(tmp_path)
    return {plan.info.setting: plan for plan in make_plans(get_study("tiny"), "smoke")}


def test_words_of_the_test_rows_never_enter_the_vocabulary(token_plans: dict[str, Plan]) -> None:
    for repetition, data in prepare(token_plans["words"], [0, 1, 2], silent).items():
        assert data.vocabulary is not None
        assert len(data.vocabulary.words) <= 30
        X, _ = data.role("train")
        known = set(range(2, len(data.vocabulary.words)))
        assert known <= set(np.unique(X).astype(int)), f"repetition {repetition}"


def test_the_attention_of_the_first_repetitions_is_kept_with_its_words(
    token_plans: dict[str, Plan], tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    run(token_plans["words"], store)
    kept = store.attention()
    first = [r for r in store.records() if r.arm == "tokens" and r.repetition < 2]
    assert set(kept) == {record.id for record in first}
    for shown in kept[first[0].id].maps:
        assert len(shown.weights) == len(shown.tokens) > 0
        assert all(word and word != "<pad>" for word in shown.tokens)
        assert np.allclose(np.sum(shown.weights, axis=1), 1, atol=1e-3)


def test_a_setting_may_choose_by_loss(token_plans: dict[str, Plan], tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    run(token_plans["words"], store)
    for record in store.records():
        if record.arm == "bag":
            tried = store.tuning()[record.id]
            best = tried.configurations[int(np.argmin(tried.validation_loss))]
            assert record.chosen == best


def test_seconds_of_an_epoch_are_known_where_a_training_runs_alone(
    token_plans: dict[str, Plan], tmp_path: Path
) -> None:
    seconds = {}
    for setting in ("words", "alone"):
        store = Store(tmp_path / setting)
        run(token_plans[setting], store)
        seconds[setting] = {r.seconds_per_epoch for r in store.records() if r.arm == "tokens"}
        assert all(r.seconds_per_epoch is None for r in store.records() if r.arm == "bag")
    assert seconds["words"] == {None}
    assert all(s is not None and s > 0 for s in seconds["alone"])


def test_trials_that_run_alone_take_turns(token_plans: dict[str, Plan]) -> None:
    work = one_by_one(token_plans["alone"].trials)
    assert all(len(trials) == 1 for trials in work)
    assert [t.arm for (t,) in work[:4]] == ["tokens", "bag", "tokens", "bag"]


def test_a_language_model_leaves_perplexity_and_numbers_a_row(
    token_plans: dict[str, Plan], tmp_path: Path
) -> None:
    store = Store(tmp_path / "r")
    plan = token_plans["next-word"]
    assert run(plan, store) == (3, 0)
    for record in store.records():
        assert 1 < record.metrics["test_perplexity"] < 30
        assert "test_accuracy" not in record.metrics
        assert not holds_classes(store.predictions()[record.id].test)
    assert run(plan, store) == (0, 0)
