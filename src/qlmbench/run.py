"""Executes a plan: what is missing, the features it needs, the jobs, their records."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qlmbench.plan import Plan, Trial
from qlmbench.records import Outcome, SplitLabels, pack_classes
from qlmbench.seeding import seed_for
from qlmbench.spec import OverwritePolicy
from qlmbench.store import Store

if TYPE_CHECKING:
    from qlmbench.data.datasets import Dataset
    from qlmbench.data.splits import Rows
    from qlmbench.experiment import RepetitionData

Say = Callable[[str], None]


@dataclass
class Summary:
    """What a run did."""

    finished: int = 0
    failed: int = 0
    already_done: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def missing_trials(plan: Plan, store: Store, overwrite: OverwritePolicy) -> list[Trial]:
    """List the trials of a plan that a run has to do.

    Parameters
    ----------
    plan : Plan
        What should be there.
    store : Store
        What is there.
    overwrite : str
        ``always``: every trial. ``only-missing``: trials without a finished record; failed ones
        are tried again. ``never``: trials that were never tried. ``only-cache``: none.
    """
    if overwrite == "always":
        return list(plan.trials)
    if overwrite == "only-cache":
        return []
    known = store.finished()
    if overwrite == "never":
        known |= {record.id for record in store.failures()}
    return [trial for trial in plan.trials if trial.id not in known]


def run_plan(
    plan: Plan, store: Store, *, jobs: int, overwrite: OverwritePolicy, say: Say
) -> Summary:
    """Run what is missing of a plan.

    Parameters
    ----------
    plan : Plan
        The trials.
    store : Store
        Where records go; each trial is written when it ends, so a stop loses no finished trial.
    jobs : int
        Processes.
    overwrite : str
        See `missing_trials`.
    say : callable
        Receives a line of progress.

    Returns
    -------
    Summary
    """
    started = time.perf_counter()
    store.claim_for(plan.info)
    todo = missing_trials(plan, store, overwrite)
    summary = Summary(already_done=len(plan.trials) - len(todo))
    if todo:
        store.check_writable()
        data = prepare(plan, sorted({t.repetition for t in todo}), say)
        try:
            store.save_info(plan.info)
            try:
                for outcome in _outcomes(todo, data, store, jobs, say):
                    summary.finished += outcome.record.status == "ok"
                    summary.failed += outcome.record.status == "failed"
            finally:
                store.consolidate()
        except OSError as error:
            raise store.unwritable(error) from None
    elif store.info() is None and store.folder.exists():
        store.save_info(plan.info)
    summary.seconds = time.perf_counter() - started
    summary.problems = store.problems
    return summary


def _outcomes(
    todo: list[Trial], data: dict[int, RepetitionData], store: Store, jobs: int, say: Say
) -> Iterator[Outcome]:
    """Run the jobs, in this process or in several, and yield outcomes that are already saved."""
    work = _jobs(todo)
    progress = _Progress(len(todo), say)
    if jobs == 1 or len(work) == 1:
        results: Iterator[list[Outcome]] = (_work(trials, data, store) for trials in work)
    else:
        from joblib import Parallel, delayed

        pool = Parallel(n_jobs=min(jobs, len(work)), return_as="generator_unordered")
        results = pool(delayed(_work)(trials, data, store) for trials in work)
    for outcomes in results:
        progress.done(outcomes)
        yield from outcomes


def _work(trials: Sequence[Trial], data: dict[int, RepetitionData], store: Store) -> list[Outcome]:
    from qlmbench.experiment import run_job

    outcomes = run_job(trials, data)
    for outcome in outcomes:
        store.save(outcome)
    return outcomes


def _jobs(todo: Sequence[Trial]) -> list[list[Trial]]:
    """Group trials that differ in their repetition alone."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in todo:
        groups[trial.job].append(trial)
    return list(groups.values())


def prepare(plan: Plan, repetitions: Sequence[int], say: Say) -> dict[int, RepetitionData]:
    """Draw the rows of repetitions and encode the texts they hold.

    Parameters
    ----------
    plan : Plan
        Names the dataset, the encoder and the split.
    repetitions : sequence of int
        Which repetitions.
    say : callable
        Receives lines of progress.

    Returns
    -------
    dict of int to RepetitionData
    """
    import numpy as np

    from qlmbench.data.datasets import load_dataset
    from qlmbench.data.encoders import encode
    from qlmbench.data.splits import draw, select
    from qlmbench.experiment import RepetitionData

    progress = _throttled(say)
    dataset = load_dataset(plan.dataset, progress=progress)
    split = plan.trials[0].split
    drawn = {
        r: draw(dataset, split, seed_for("data", dataset=dataset.sha256, repetition=r))
        for r in repetitions
    }
    texts = sorted({text for rows in drawn.values() for text in _texts(dataset, rows)})
    features = encode(plan.encoder, texts, progress=progress, jobs=os.cpu_count() or 1)
    index = {text: i for i, text in enumerate(texts)}

    def role(keys: Sequence[tuple[str, int]]) -> tuple[Any, Any]:
        chosen, y = select(dataset, keys)
        return features[[index[text] for text in chosen]].astype(np.float64), y

    result = {}
    for r, rows in drawn.items():
        train, validation, test = role(rows.train), role(rows.validation), role(rows.test)
        labels = SplitLabels(
            repetition=r,
            digest=rows.digest,
            test_digest=rows.test_digest,
            n_train=len(train[1]),
            validation=pack_classes(validation[1].tolist()),
            test=pack_classes(test[1].tolist()),
        )
        result[r] = RepetitionData(train, validation, test, labels, len(dataset.classes))
    return result


def _texts(dataset: Dataset, rows: Rows) -> Iterator[str]:
    for keys in (rows.train, rows.validation, rows.test):
        for part, i in keys:
            yield dataset.parts[part].texts[i]


def _throttled(say: Say) -> Callable[[str, int, int], None]:
    """Turn progress of fetching and encoding into a line every few seconds."""
    last: dict[str, float] = {}

    def progress(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - last.get(what, -math.inf) > 5 or done == total:
            last[what] = now
            say(f"{what} {done}/{total}" if total else what)

    return progress


class _Progress:
    """Says how far a run is, one line a finished job."""

    def __init__(self, total: int, say: Say) -> None:
        self.total = total
        self.say = say
        self.finished = 0
        self.started = time.perf_counter()

    def done(self, outcomes: Sequence[Outcome]) -> None:
        self.finished += len(outcomes)
        elapsed = time.perf_counter() - self.started
        left = elapsed / self.finished * (self.total - self.finished)
        failed = sum(outcome.record.status == "failed" for outcome in outcomes)
        note = f", {failed} failed" if failed else ""
        arm = outcomes[0].record.arm
        self.say(
            f"[{self.finished}/{self.total}] {arm}: {len(outcomes)} trials{note}; "
            f"about {left:.0f} s left"
        )
