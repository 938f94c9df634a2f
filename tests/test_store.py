"""Records survive crashes, races and damage: none is lost, none is used when damaged."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.errors import UserError
from qlmbench.records import (
    Curves,
    Outcome,
    Predictions,
    Record,
    SplitLabels,
    environment_id,
)
from qlmbench.store import Store, seal, unseal

PYTHON = {"python": "3"}


def outcome(i: int, *, status: str = "ok", value: float = 0.5) -> Outcome:
    key = f"{i:016x}"
    return Outcome(
        record=Record(
            id=key,
            study="s",
            arm=f"arm{i % 3}",
            repetition=i,
            status=status,  # type: ignore[arg-type]
            metrics={"test_accuracy": value},
            environment=environment_id(PYTHON),
            error="" if status == "ok" else "ArithmeticError: no",
        ),
        predictions=Predictions(id=key, validation="01", test="0110"),
        curves=Curves(id=key, epochs=[1, 2], values={"train_loss": [1.0, 0.5]}),
        split=SplitLabels(
            repetition=i, digest="d", test_digest="t", n_train=4, validation="01", test="0101"
        ),
        environment=PYTHON,
    )


def test_what_is_saved_is_read_before_and_after_consolidation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(5):
        store.save(outcome(i))
    before = {r.id: r for r in store.records()}
    beside = (store.predictions(), store.curves(), store.splits())
    store.consolidate()
    assert {r.id: r for r in store.records()} == before
    assert (store.predictions(), store.curves(), store.splits()) == beside
    assert len(before) == 5
    assert not any((tmp_path / "trials").iterdir())
    assert len(store.predictions()) == len(store.curves()) == len(store.splits()) == 5
    assert store.environments() == {environment_id(PYTHON): PYTHON}


def test_tables_do_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    for name, order in (("a", range(6)), ("b", reversed(range(6)))):
        store = Store(tmp_path / name)
        for i in order:
            store.save(outcome(i))
            store.consolidate()
    for table in ("records", "predictions", "curves", "splits"):
        one, two = ((tmp_path / n / f"{table}.jsonl").read_bytes() for n in "ab")
        assert one == two


def test_consolidating_again_rewrites_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(outcome(1))
    store.consolidate()
    stamp = (tmp_path / "records.jsonl").stat().st_mtime_ns
    store.consolidate()
    assert (tmp_path / "records.jsonl").stat().st_mtime_ns == stamp


def test_failures_are_kept_apart_and_go_when_the_trial_finishes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(outcome(1, status="failed"))
    store.save(outcome(2))
    store.consolidate()
    assert [r.id[-1] for r in store.records()] == ["2"]
    assert [r.id[-1] for r in store.failures()] == ["1"]
    store.save(outcome(1))
    store.consolidate()
    assert store.failures() == []
    assert len(store.records()) == 2
    assert not (tmp_path / "failures.jsonl").exists()


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\n", "\r\n"])
def test_a_row_may_hold_any_character_that_ends_a_line(tmp_path: Path, end: str) -> None:
    failed = outcome(1, status="failed")
    message = f"one{end}two"
    record = failed.record.model_copy(update={"error": message})
    store = Store(tmp_path)
    store.save(failed.model_copy(update={"record": record}))
    store.consolidate()
    assert [failure.error for failure in store.failures()] == [message]
    assert store.problems == []


def test_a_table_with_the_line_ends_of_another_system_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(3):
        store.save(outcome(i))
    store.consolidate()
    table = tmp_path / "records.jsonl"
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    assert len(store.records()) == 3
    assert store.problems == []


@pytest.mark.parametrize("enabled", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(tmp_path: Path, enabled: bool) -> None:
    store = Store(tmp_path)
    store.save(outcome(1))
    store.consolidate()
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        store.records()
        assert gc.isenabled() is enabled
    finally:
        gc.enable() if before else gc.disable()


@settings(max_examples=30, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_table_costs_at_most_the_rows_it_touches(
    tmp_path_factory: pytest.TempPathFactory, position: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    store = Store(folder)
    for i in range(4):
        store.save(outcome(i))
    store.consolidate()
    sound = {r.id: r for r in store.records()}
    path = folder / "records.jsonl"
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))
    damaged = Store(folder)
    rows = {r.id: r for r in damaged.records()}
    assert all(sound[key] == row for key, row in rows.items())
    assert len(rows) >= 2
    if len(rows) < 4:
        assert any("damaged row" in p and str(path) in p for p in damaged.problems)


@settings(max_examples=15, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_trial_file_is_set_aside_and_named(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    store = Store(folder)
    store.save(outcome(7))
    path = next((folder / "trials").iterdir())
    text = path.read_bytes().rstrip(b"\n")
    path.write_bytes(text[: int(cut * len(text))])
    store.consolidate()
    assert store.records() == []
    assert any(str(path) in problem for problem in store.problems)
    assert path.with_suffix(".damaged").exists()


def test_a_record_under_another_trials_name_is_not_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(outcome(1))
    path = next((tmp_path / "trials").iterdir())
    path.rename(path.with_name("00000000000000ff.json"))
    assert store.records() == []


def test_a_read_only_folder_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("qlmbench.store.tempfile.TemporaryDirectory", refuse)
    with pytest.raises(UserError, match="cannot write results here"):
        Store(tmp_path).check_writable()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_store import outcome
from qlmbench.store import Store
store = Store(Path({folder!r}))
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    store.save(outcome(i))
    print(i, flush=True)
    if i % 5 == 4:
        store.consolidate()
store.consolidate()
"""


def start_writer(folder: Path, first: int, last: int) -> "subprocess.Popen[str]":
    code = textwrap.dedent(WRITER).format(tests=str(Path(__file__).parent), folder=str(folder))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(first), str(last)], stdout=subprocess.PIPE, text=True
    )


def test_kill_9_loses_no_trial_that_was_reported_finished(tmp_path: Path) -> None:
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        process = start_writer(folder, 0, 400)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.03 + 0.05 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        reported = {0, *(int(line) for line in process.stdout.read().split())}
        process.wait()
        store = Store(folder)
        store.consolidate()
        assert reported <= {r.repetition for r in store.records()}
        assert store.problems == []
        assert len(store.predictions()) == len(store.records())


def test_two_writers_on_one_store_do_no_harm(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, 0, 40), start_writer(tmp_path, 20, 60)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    store = Store(tmp_path)
    assert sorted(r.repetition for r in store.records()) == list(range(60))
    assert store.problems == []


@given(st.text(max_size=50))
def test_sealed_text_is_unsealed_unchanged(text: str) -> None:
    body = json.dumps({"text": text})
    assert unseal(seal(body)) == body
