"""Damage anywhere in the records is named; what was lost runs again, and nothing of it is used."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.trust.faults import (
    FEW,
    MANY,
    RUN,
    SETTING,
    Damage,
    call,
    contents,
    damage,
    flipped,
    write_study,
)

from qlmbench.records import (
    AttentionMap,
    AttentionMaps,
    Condition,
    Conditions,
    Curves,
    Outcome,
    Predictions,
    Record,
    RunInfo,
    SplitLabels,
    Tuning,
    environment_id,
)
from qlmbench.store import Store


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the cheap study once; tests copy what they break."""
    folder = write_study(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(*RUN, "--jobs", "1").exit_code == 0
    return folder / SETTING


TABLES = ("records.jsonl", "predictions.jsonl", "splits.jsonl", "tuning.jsonl")


def copied(run: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in run.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def of_all(store: Store) -> list[dict[Any, Any]]:
    return [
        {record.id: record for record in store.records()},
        {record.id: record for record in store.failures()},
        dict(store.predictions()),
        dict(store.splits()),
        dict(store.tuning()),
        dict(store.curves()),
        dict(store.conditions()),
        dict(store.attention()),
    ]


def check_damaged_table(run: Path, folder: Path, table: str, change: Damage) -> None:
    sound = of_all(Store(run))
    path = copied(run, folder) / table
    raw = path.read_bytes()
    after = change(raw)
    path.write_bytes(after)
    store = Store(folder)
    for whole, left in zip(sound, of_all(store), strict=True):
        assert left.items() <= whole.items(), "what is used is what was written"
    # A file that ends between two rows has lost trials, which run again, and has no damaged row.
    between = after and raw.startswith(after) and b"\n" in (after[-1:], raw[len(after) :][:1])
    assert between or any(str(path) in problem for problem in store.problems), "it is named"


@FEW
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_damaged_table_gives_sound_rows_alone_and_is_named(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    check_damaged_table(finished_run, tmp_path_factory.mktemp("t") / "r", table, change)


@pytest.mark.slow
@MANY
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_table_damaged_anywhere_gives_sound_rows_alone_and_is_named(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    check_damaged_table(finished_run, tmp_path_factory.mktemp("t") / "r", table, change)


@pytest.mark.slow
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=st.sampled_from(TABLES), change=damage())
def test_a_run_over_damage_ends_with_the_records_of_an_undisturbed_one(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory, table: str, change: Damage
) -> None:
    work = write_study(tmp_path_factory.mktemp("again"))
    path = copied(finished_run, work / SETTING) / table
    path.write_bytes(change(path.read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        assert call(*RUN, "--jobs", "1").exit_code == 0
    again, whole = contents(work / SETTING), contents(finished_run)
    assert again == whole


def outcomes() -> list[Outcome]:
    """Make trials that leave a row in every table there is."""
    made = []
    for i in range(6):
        key = f"{i + 0xA0:016x}"
        record = Record(id=key, study="s", arm=f"arm{i % 2}", repetition=i, metrics={"m": 0.1 * i})
        attention = AttentionMap(tokens=["a", "ä"], weights=[[1.0, 0.0], [0.5, 0.5]])
        made.append(
            Outcome(
                record=record,
                predictions=Predictions(id=key, validation="1:2:gA==", test="1:2:QA==", texts="ä"),
                curves=Curves(id=key, epochs=[1, 2], values={"train_loss": [1.0, 0.1 * i]}),
                tuning=Tuning(
                    id=key,
                    configurations=[{"C": 1}],
                    validation_accuracy=[0.5],
                    validation_loss=[1],
                ),
                conditions=Conditions(id=key, rows=[Condition(name="n", value=i, metrics={})]),
                attention=AttentionMaps(id=key, maps=[attention]),
                split=SplitLabels(
                    repetition=i, digest="d", test_digest="t", n_train=4, validation="", test="1"
                ),
            )
        )
    failed = Record(id="f" * 16, study="s", arm="arm0", repetition=9, status="failed", error="no")
    return [*made, Outcome(record=failed)]


def filled(folder: Path, pending: int) -> Store:
    """Save all trials, the last ones of them after the tables were written."""
    store = Store(folder)
    for left, outcome in zip(range(7, 0, -1), outcomes(), strict=True):
        if left == pending:
            store.consolidate()
        store.save(outcome)
    if not pending:
        store.consolidate()
    return store


def check_damaged_store(folder: Path, which: int, pending: int, change: Damage) -> None:
    whole = of_all(filled(folder / "whole", 0))
    store = filled(folder / "r", pending)
    files = sorted([*store.folder.glob("*.jsonl"), *store.folder.glob("trials/*.json")])
    assert len(files) == 8 - (pending > 0) + pending, "every table has rows"
    path = files[which % len(files)]
    path.write_bytes(change(path.read_bytes()))
    for left, sound in zip(of_all(store), whole, strict=True):
        assert left.items() <= sound.items(), "what is used is what was written"
    finished = store.finished()
    for outcome in outcomes():  # what a run does with those that are missing
        if outcome.record.id not in finished:
            store.save(outcome)
    store.consolidate()
    assert of_all(Store(store.folder)) == whole, path.name


WHICH = {"which": st.integers(0, 100), "pending": st.sampled_from([0, 0, 3]), "change": damage()}


@FEW
@given(**WHICH)
def test_what_is_damaged_among_tables_and_single_trials_is_not_used_and_made_again(
    tmp_path_factory: pytest.TempPathFactory, which: int, pending: int, change: Damage
) -> None:
    check_damaged_store(tmp_path_factory.mktemp("any"), which, pending, change)


@pytest.mark.slow
@MANY
@given(**WHICH)
def test_whatever_is_damaged_among_tables_and_single_trials_is_not_used_and_made_again(
    tmp_path_factory: pytest.TempPathFactory, which: int, pending: int, change: Damage
) -> None:
    check_damaged_store(tmp_path_factory.mktemp("any"), which, pending, change)


@FEW
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_what_a_run_says_of_itself_is_named_and_not_used(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("info"))
    info = RunInfo(
        profile="smoke", setting="main", dataset={"name": "ä", "sha256": "0f"}, encoder={"w": "1"}
    )
    store.save_info(info)
    path = store.folder / "run.json"
    path.write_bytes(flipped(path.read_bytes(), position, bit))
    found = Store(store.folder)
    assert found.info() is None
    assert any(str(path) in problem for problem in found.problems)
    found.save_info(info)
    assert Store(store.folder).info() == info


def test_what_a_run_said_of_itself_before_it_had_a_checksum_is_read(tmp_path: Path) -> None:
    info = RunInfo(profile="smoke", setting="main", dataset={"name": "d"}, encoder={"name": "e"})
    (tmp_path / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    assert Store(tmp_path).info() == info


@FEW
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_an_environment_is_named_and_not_shown(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("environment"))
    described = {"python": "3.11", "commit": "abc"}
    path = store.folder / "environments.json"
    path.write_text(json.dumps({environment_id(described): described}), encoding="utf-8")
    assert store.environments() == {environment_id(described): described}
    path.write_bytes(flipped(path.read_bytes(), position, bit))
    assert store.environments() == {}
    assert any(str(path) in problem for problem in store.problems)


@FEW
@example("told\u2028in\u2029two\x85lines\x0b\x0c")
@given(st.text(max_size=30))
def test_a_failure_is_kept_whatever_its_message_holds(
    tmp_path_factory: pytest.TempPathFactory, message: str
) -> None:
    store = Store(tmp_path_factory.mktemp("message"))
    failed = Record(id="0", study="s", arm="a", repetition=0, status="failed", error=message)
    store.save(Outcome(record=failed))
    store.consolidate()
    assert store.failures() == [failed]
    assert store.problems == []
