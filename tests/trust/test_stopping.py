"""A run stopped at any moment loses nothing, repeats nothing, and ends as if undisturbed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.studies import arm
from tests.trust.faults import (
    REPETITIONS,
    RUN,
    SETTING,
    STUDY,
    TRIALS,
    call,
    contents,
    stamps,
    start,
    write_study,
)

from qlmbench.store import Store

ROOT = Path(__file__).parents[2]


def kill_at_moments(work: Path, seeds: range) -> None:
    assert call(*RUN, "--jobs", "1").exit_code == 0
    undisturbed = contents(work / SETTING)
    assert len(undisturbed["records.jsonl"]) == TRIALS
    (work / "r").rename(work / "undisturbed")
    given = [str(seeds.start), str(seeds.stop), str(seeds.step)]
    command = [sys.executable, "-m", "tests.trust.killed_runs", *given]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=work, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(seeds)
    assert sum(outcome["lost"] + outcome["repeated"] for outcome in outcomes) == 0
    assert all(outcome["records"] == undisturbed for outcome in outcomes)
    assert sum(outcome["kills"] for outcome in outcomes) >= len(seeds) // 2, (
        "most moments come before the end"
    )


def test_kill_9_at_three_moments_loses_and_repeats_no_trial(work: Path) -> None:
    kill_at_moments(work, range(1001, 1007, 2))


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
def test_kill_9_at_a_hundred_moments_loses_and_repeats_no_trial(work: Path, tenth: int) -> None:
    kill_at_moments(work, range(10 * tenth, 10 * tenth + 10))


SLOWER = STUDY + arm("slow", "slow:SlowClassifier")
MODEL = '''
import time
from sklearn.dummy import DummyClassifier
class SlowClassifier(DummyClassifier):
    """Takes long enough that a signal meets it; a job of its own for each repetition."""
    max_stack = 1
    def fit(self, X, y):
        time.sleep(1.0)
        return super().fit(X, y)
'''


def stopped(work: Path, number: int, jobs: str) -> tuple[int, str]:
    """Start a run, stop it while it trains, and return its exit code and what it said."""
    write_study(work, SLOWER)
    (work / "reproductions" / "cheap" / "slow.py").write_text(MODEL, encoding="utf-8")
    process = start(work, *RUN, "--jobs", jobs)
    while finished_quickly(work) < 3 * REPETITIONS:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    time.sleep(0.2)
    os.killpg(process.pid, number)  # a terminal's Ctrl-C goes to every process of the group
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def finished_quickly(work: Path) -> int:
    """Count the finished trials of three arms that do not wait."""
    records = Store(work / SETTING).records()
    return sum(record.arm in ("logreg", "neighbours", "mean") for record in records)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_said_in_one_line_with_its_exit_code_and_keeps_what_is_finished(
    work: Path, number: int, code: int
) -> None:
    ended, said = stopped(work, number, "1")
    assert ended == code, said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "qlmbench: stopped; finished trials are kept, run again to go on"
    )
    store = Store(work / SETTING)
    assert 3 * REPETITIONS <= len(store.records()) < TRIALS + REPETITIONS
    assert not list((work / SETTING / "trials").glob("*.json")), "what was finished is in its table"
    assert store.problems == []
    before = stamps(work / SETTING)
    again = call(*RUN, "--jobs", "1", "--arm", "mean", "--arm", "logreg", "--arm", "neighbours")
    assert f"{3 * REPETITIONS} trials were there, 0 finished" in again.stderr
    assert before.items() <= stamps(work / SETTING).items()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_of_several_processes_leaves_no_process_and_no_traceback(
    work: Path, number: int, code: int
) -> None:
    ended, said = stopped(work, number, "2")
    assert ended == code, said
    assert "Traceback" not in said
    assert Store(work / SETTING).problems == []
    assert len(Store(work / SETTING).records()) >= 3 * REPETITIONS


CLOCKS = {
    "back": lambda n: -n,
    "forward": lambda n: 4000 * n,
    "still": lambda _: 0,
    "to and fro": lambda n: 9000 * n * (-1) ** n,
}
"""Days that a clock is off when it is asked for the n-th time."""


@pytest.mark.parametrize("way", CLOCKS)
def test_a_clock_that_jumps_or_stands_still_changes_no_record_no_order_and_no_time(
    work: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from datetime import UTC, datetime, timedelta

    assert call(*RUN, "--jobs", "1").exit_code == 0
    steady = contents(work / SETTING)
    (work / "r").rename(work / "steady")
    told = {"stamps": 0, "seconds": 0}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            told["stamps"] += 1
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=CLOCKS[way](told["stamps"]))

    def seconds() -> float:
        told["seconds"] += 1
        return 1.8e9 + 86400 * CLOCKS[way](told["seconds"])

    monkeypatch.setattr("qlmbench.experiment.datetime", Clock)
    monkeypatch.setattr("time.time", seconds)
    said = [
        call(*RUN, "--jobs", "1", "--arm", arm)
        for arm in ("shuffled", "mean", "neighbours", "logreg")
    ]
    assert [result.exit_code for result in said] == [0] * 4
    assert told["stamps"] >= 4, "the clock was asked"
    assert contents(work / SETTING) == steady
    assert all(0 <= taken < 60 for _, taken in stamps(work / SETTING).values())
    left = [float(n) for r in said for n in re.findall(r"about (\S+) s left", r.stderr)]
    assert left, "the time that is left was told"
    assert all(0 <= n < 600 for n in left)
    latest = max(finished for finished, _ in stamps(work / SETTING).values())
    assert f"{TRIALS} trials of 4 arms" in (status := call("status", "--results", "r").stdout)
    assert f"latest {latest}" in status
    assert f"{TRIALS} trials were there, 0 finished" in call(*RUN).stderr


@pytest.mark.slow
def test_two_runs_and_a_reader_at_once_do_no_harm(work: Path) -> None:
    assert call(*RUN, "--jobs", "1").exit_code == 0
    alone = contents(work / SETTING)
    (work / "r").rename(work / "alone")
    both = [start(work, *RUN, "--jobs", jobs) for jobs in ("1", "2")]
    while any(process.poll() is None for process in both):
        store = Store(work / SETTING)
        assert store.finished() <= {record.id for record in store.records()}
        assert store.problems == []
        time.sleep(0.01)
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert contents(work / SETTING) == alone


def test_what_a_stop_at_the_very_end_left_is_read_whole_and_put_in_its_place_by_the_next_run(
    work: Path,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "consolidate", lambda _: None)
        assert call(*RUN, "--jobs", "1").exit_code == 0
    left = Store(work / SETTING)
    assert {record.id for record in left.records()} == left.predictions().keys()
    assert len(left.splits()) == REPETITIONS
    assert len(left.tuning()) == REPETITIONS
    assert f"{TRIALS} trials were there, 0 finished" in call(*RUN, "--jobs", "1").stderr
    assert not list((work / SETTING / "trials").glob("*.json"))
    assert len(contents(work / SETTING)["predictions.jsonl"]) == TRIALS
