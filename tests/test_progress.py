"""Lines of progress: few, and never without a failure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.progress import JobProgress
from qlmbench.records import Outcome, Record

JOBS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30)


def outcome(arm: str, failed: bool) -> Outcome:
    status = "failed" if failed else "ok"
    return Outcome(record=Record(id="i", study="s", arm=arm, repetition=0, status=status))


def lines(jobs: list[tuple[str, bool]], every: float) -> list[str]:
    said: list[str] = []
    progress = JobProgress(len(jobs), said.append, every)
    for arm, failed in jobs:
        progress.done([outcome(arm, failed)])
    return said


@given(JOBS)
@settings(max_examples=30)
def test_first_and_last_jobs_and_each_arm_that_begins_to_fail_are_told_and_no_other(
    jobs: list[tuple[str, bool]],
) -> None:
    n = len(jobs)
    failing = [arm for arm, failed in jobs if failed]
    first_failures = {jobs.index((arm, True)) + 1 for arm in failing}
    expected = sorted({1, n} | first_failures)
    said = lines(jobs, every=3600)
    assert [line.split("/")[0] for line in said] == [f"[{k}" for k in expected]


@given(JOBS)
@settings(max_examples=30)
def test_the_last_line_counts_every_failure(jobs: list[tuple[str, bool]]) -> None:
    failed = sum(fails for _, fails in jobs)
    last = lines(jobs, every=3600)[-1]
    assert (f"{failed} failed so far" in last) == (failed > 0)


def test_without_a_pause_every_job_is_told() -> None:
    assert len(lines([("a", False)] * 20, every=0)) == 20


@given(JOBS, st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
@settings(max_examples=30)
def test_the_time_that_is_left_is_never_negative_and_is_none_at_the_end(
    jobs: list[tuple[str, bool]], steps: list[float]
) -> None:
    now = 0.0

    def clock() -> float:  # may stand still, and wait long
        nonlocal now
        now += steps[int(now) % len(steps)]
        return now

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qlmbench.progress.time.monotonic", clock)
        left = [line.partition("about ")[2].removesuffix(" s left") for line in lines(jobs, 10)]
    assert all(text.isdecimal() for text in left), left
    assert left[-1] == "0"


def test_the_time_that_is_left_does_not_ask_a_clock_that_may_be_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jumps = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr("qlmbench.progress.time.time", lambda: float(next(jumps)))
    said = lines([("a", False)] * 5, every=0)
    assert len(said) == 5
    assert all(line.endswith("about 0 s left") for line in said), "no job took any time"
