"""Executes a plan: what is missing, the features it needs, the jobs, their records."""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.handover import HandedOver, hand_over, take
from qlmbench.plan import Plan, Trial
from qlmbench.prepare import Data, prepare
from qlmbench.progress import JobProgress, Say
from qlmbench.records import Outcome
from qlmbench.spec import OverwritePolicy
from qlmbench.store import Store
from qlmbench.timing import seconds_by_arm

Work = list[list[Trial]]
"""The trials of each job."""
Result = list[Outcome] | Exception
"""What a job gives: outcomes, or why it was given up."""


@dataclass
class Summary:
    """What a run did."""

    finished: int = 0
    failed: int = 0
    already_done: int = 0
    given_up: int = 0
    """Trials whose workers died, again and again; they have no record."""
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


def run_plans(
    plans: Sequence[tuple[Plan, Store]],
    *,
    jobs: int,
    overwrite: OverwritePolicy,
    say: Say,
    dask: bool = False,
) -> Summary:
    """Run what is missing of several settings, one after the other; see `run_plan`."""
    total = Summary()
    for plan, store in plans:
        setting = plan.info.setting

        def tell(line: str, setting: str = setting) -> None:
            say(f"{setting}: {line}" if len(plans) > 1 else line)

        done = run_plan(plan, store, jobs=jobs, overwrite=overwrite, say=tell, dask=dask)
        total.finished += done.finished
        total.failed += done.failed
        total.already_done += done.already_done
        total.given_up += done.given_up
        total.seconds += done.seconds
        total.problems += done.problems
    return total


def run_plan(
    plan: Plan,
    store: Store,
    *,
    jobs: int,
    overwrite: OverwritePolicy,
    say: Say,
    dask: bool = False,
) -> Summary:
    """Run what is missing of one setting.

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
    dask : bool
        Whether jobs go to the workers of `qlmbench.cluster.dask_workers`, in whose context this
        is called. Trials that must run alone stay in this process.

    Returns
    -------
    Summary

    Raises
    ------
    UserError
        If the folder belongs to another run, it cannot be written, or the system killed a process.
    """
    started = time.perf_counter()
    store.claim_for(plan.info)
    todo = missing_trials(plan, store, overwrite)
    summary = Summary(already_done=len(plan.trials) - len(todo))
    if todo:
        store.check_writable()
        data = prepare(plan, sorted({t.repetition for t in todo}), say, jobs)
        try:
            store.save_info(plan.info)
            try:
                work = (
                    one_by_one(todo)
                    if plan.protocol.alone
                    else longest_first(jobs_of(todo), seconds_by_arm(plan, store))
                )
                results = _results(work, data, store, jobs, dask, plan.protocol.alone)
                for outcome in _counted(results, len(todo), say):
                    summary.finished += outcome.record.status == "ok"
                    summary.failed += outcome.record.status == "failed"
                summary.given_up = len(todo) - summary.finished - summary.failed
            finally:
                store.consolidate()
        except OSError as error:
            if error.errno is None:  # a connection, not a file
                raise
            raise store.unwritable(error) from None
    else:
        _tidy(plan, store)
    summary.seconds = time.perf_counter() - started
    summary.problems = store.problems
    return summary


def _tidy(plan: Plan, store: Store) -> None:
    """Put in its place what a run that was stopped at its very end left behind."""
    try:
        store.consolidate()
        if store.info() is None and store.folder.exists():
            store.save_info(plan.info)
    except OSError as error:
        raise store.unwritable(error) from None


def _counted(results: Iterator[Result], total: int, say: Say) -> Iterator[Outcome]:
    """Yield the outcomes of jobs, and say how far they are."""
    progress = JobProgress(total, say)
    for outcomes in results:
        if isinstance(outcomes, Exception):
            say(f"a job was given up: {outcomes}")
            continue
        progress.done(outcomes)
        yield from outcomes


def _results(
    work: Work, data: Data, store: Store, jobs: int, dask: bool, alone: bool
) -> Iterator[Result]:
    """Run the jobs, and yield outcomes that are already saved."""
    if alone:  # else they would slow each other
        return (_work(trials, data, store) for trials in work)
    if dask:
        return _from_dask(work, data, store, jobs)
    if jobs == 1 or len(work) == 1:
        return (_work(trials, data, store) for trials in work)
    return _from_processes(work, data, store, min(jobs, len(work)))


def _from_processes(work: Work, data: Data, store: Store, jobs: int) -> Iterator[list[Outcome]]:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
    try:
        yield from pool(delayed(_work)(trials, _data_of(trials, data), store) for trials in work)
    except BrokenProcessPool:
        raise UserError(
            "the system killed a process of this run, most often because memory ran out",
            do="finished trials are kept; run again, with fewer --jobs",
        ) from None


def _from_dask(work: Work, data: Data, store: Store, jobs: int) -> Iterator[Result]:
    from joblib import Parallel, delayed

    away = Store(store.folder.resolve())
    # All jobs are known to the scheduler at once: a worker that comes late finds something to do.
    pool = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="all")
    with tempfile.TemporaryDirectory(
        prefix=".data-", dir=away.folder, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)
        handed = hand_over(data, folder)
        yield from pool(delayed(_work)(trials, handed, away) for trials in work)


def _work(trials: Sequence[Trial], data: Data | HandedOver, store: Store) -> list[Outcome]:
    """Run one job and save it; data is in memory, or in a folder that it was handed over in."""
    from joblib import parallel_config

    from qlmbench.experiment import run_job

    if isinstance(data, HandedOver):
        data = take(data, sorted({trial.repetition for trial in trials}))
    with parallel_config(backend="sequential"):  # what a model does in parallel stays in its job
        outcomes = run_job(trials, data)
    for outcome in outcomes:
        store.save(outcome)
    return outcomes


def _data_of(trials: Sequence[Trial], data: Data) -> Data:
    """Pick the repetitions of a job: no more of the data goes to another process."""
    return {trial.repetition: data[trial.repetition] for trial in trials}


def jobs_of(todo: Sequence[Trial]) -> Work:
    """Group trials that differ in their repetition alone.

    A model that trains one copy at a time gains nothing by it: its trials are jobs of their own, so
    that each is written when it ends.
    """
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in todo:
        together = _copies_at_once(trial.study, trial.model) > 1
        groups[trial.job, "" if together else trial.id].append(trial)
    return list(groups.values())


@cache
def _copies_at_once(study: str, model: str) -> float:
    """Return how many copies of a model train together; those that do not say share a job."""
    from qlmbench.registry import model_class

    return float(getattr(model_class(study, model), "max_stack", math.inf))


def one_by_one(todo: Sequence[Trial]) -> Work:
    """Give each trial a job of its own, arms in turn: what slows the machine slows them all."""
    return [[trial] for trial in sorted(todo, key=lambda trial: trial.repetition)]


def longest_first(work: Work, seconds: dict[str, float]) -> Work:
    """Put the jobs first that took long when last run, and unknown ones before them.

    A long job that starts last leaves all processes but one without work. Of equal ones the first
    repetition comes first: arms of a run that is stopped can be compared. No record depends on the
    order.
    """

    def place(trials: list[Trial]) -> tuple[float, int]:
        return -seconds.get(trials[0].arm, math.inf) * len(trials), trials[0].repetition

    return sorted(work, key=place)
