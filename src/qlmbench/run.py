"""Executes a plan: what is missing, the features it needs, the jobs, their records."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from qlmbench.packing import pack_classes, pack_rows
from qlmbench.plan import Plan, Trial
from qlmbench.records import Outcome, SplitLabels
from qlmbench.seeding import seed_for
from qlmbench.spec import OverwritePolicy
from qlmbench.store import Store
from qlmbench.timing import seconds_by_arm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qlmbench.data.cache import Progress
    from qlmbench.data.datasets import Dataset
    from qlmbench.data.splits import Rows
    from qlmbench.data.tokens import TokenEncoder, Vocabulary
    from qlmbench.experiment import RepetitionData
    from qlmbench.spec import EncoderTuning

Say = Callable[[str], None]
Data = dict[int, "RepetitionData"]
"""Data by repetition."""


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


def run_plans(
    plans: Sequence[tuple[Plan, Store]], *, jobs: int, overwrite: OverwritePolicy, say: Say
) -> Summary:
    """Run what is missing of several settings, one after the other; see `run_plan`."""
    total = Summary()
    for plan, store in plans:
        setting = plan.info.setting

        def tell(line: str, setting: str = setting) -> None:
            say(f"{setting}: {line}" if len(plans) > 1 else line)

        done = run_plan(plan, store, jobs=jobs, overwrite=overwrite, say=tell)
        total.finished += done.finished
        total.failed += done.failed
        total.already_done += done.already_done
        total.seconds += done.seconds
        total.problems += done.problems
    return total


def run_plan(
    plan: Plan, store: Store, *, jobs: int, overwrite: OverwritePolicy, say: Say
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
        data = prepare(plan, sorted({t.repetition for t in todo}), say, jobs)
        try:
            store.save_info(plan.info)
            try:
                work = (
                    one_by_one(todo)
                    if plan.protocol.alone
                    else longest_first(jobs_of(todo), seconds_by_arm(plan, store))
                )
                at_once = 1 if plan.protocol.alone else jobs  # else they would slow each other
                for outcome in _outcomes(work, data, store, at_once, say):
                    summary.finished += outcome.record.status == "ok"
                    summary.failed += outcome.record.status == "failed"
            finally:
                store.consolidate()
        except OSError as error:
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


def _outcomes(
    work: list[list[Trial]], data: Data, store: Store, jobs: int, say: Say
) -> Iterator[Outcome]:
    """Run the jobs, in this process or in several, and yield outcomes that are already saved."""
    progress = _Progress(sum(len(trials) for trials in work), say)
    if jobs == 1 or len(work) == 1:
        results: Iterator[list[Outcome]] = (_work(trials, data, store) for trials in work)
    else:
        from joblib import Parallel, delayed

        pool = Parallel(n_jobs=min(jobs, len(work)), return_as="generator_unordered")
        results = pool(delayed(_work)(trials, _data_of(trials, data), store) for trials in work)
    for outcomes in results:
        progress.done(outcomes)
        yield from outcomes


def _work(trials: Sequence[Trial], data: Data, store: Store) -> list[Outcome]:
    from qlmbench.experiment import run_job

    outcomes = run_job(trials, data)
    for outcome in outcomes:
        store.save(outcome)
    return outcomes


def _data_of(trials: Sequence[Trial], data: Data) -> Data:
    """Pick the repetitions of a job: no more of the data goes to another process."""
    return {trial.repetition: data[trial.repetition] for trial in trials}


def jobs_of(todo: Sequence[Trial]) -> list[list[Trial]]:
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


def one_by_one(todo: Sequence[Trial]) -> list[list[Trial]]:
    """Give each trial a job of its own, arms in turn: what slows the machine slows them all."""
    return [[trial] for trial in sorted(todo, key=lambda trial: trial.repetition)]


def longest_first(work: list[list[Trial]], seconds: dict[str, float]) -> list[list[Trial]]:
    """Put the jobs first that took long when last run, and unknown ones before them.

    A long job that starts last leaves all processes but one without work. Of equal ones the first
    repetition comes first: arms of a run that is stopped can be compared. No record depends on the
    order.
    """

    def place(trials: list[Trial]) -> tuple[float, int]:
        return -seconds.get(trials[0].arm, math.inf) * len(trials), trials[0].repetition

    return sorted(work, key=place)


def prepare(plan: Plan, repetitions: Sequence[int], say: Say, jobs: int = 1) -> Data:
    """Draw the rows of repetitions and encode the texts they hold.

    Parameters
    ----------
    plan : Plan
        Names the dataset, the encoder and the split.
    repetitions : sequence of int
        Which repetitions.
    say : callable
        Receives lines of progress.
    jobs : int
        Processes for tuning encoders, where the setting asks for that.

    Returns
    -------
    dict of int to RepetitionData
    """
    from qlmbench.data.datasets import load_dataset
    from qlmbench.data.encoders import encode
    from qlmbench.data.splits import draw
    from qlmbench.data.tokens import token_encoder

    progress = _throttled(say)
    dataset = load_dataset(plan.dataset, progress=progress)
    split = plan.protocol.split
    drawn = {
        r: draw(dataset, split, seed_for("data", dataset=dataset.sha256, repetition=r))
        for r in repetitions
    }
    tuning = plan.protocol.encoder_tuning
    if tuning is not None:
        return _tuned(plan, tuning, dataset, drawn, say, jobs)
    tokens = token_encoder(plan.encoder)
    if tokens is not None:
        return {r: _tokenised(tokens, dataset, r, rows, progress) for r, rows in drawn.items()}
    texts = sorted({text for rows in drawn.values() for text in _texts(dataset, rows)})
    features = encode(plan.encoder, texts, progress=progress, jobs=os.cpu_count() or 1)
    index = {text: i for i, text in enumerate(texts)}
    return {r: _repetition(r, dataset, rows, index, features) for r, rows in drawn.items()}


def _tuned(
    plan: Plan,
    tuning: EncoderTuning,
    dataset: Dataset,
    drawn: dict[int, Rows],
    say: Say,
    jobs: int,
) -> Data:
    """Tune an encoder in each repetition, on its training rows, and encode its rows with that."""
    from joblib import Parallel, delayed

    work = (
        delayed(_tuned_repetition)(plan.encoder, tuning, dataset, r, rows)
        for r, rows in drawn.items()
    )
    results: Data = {}
    for result in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        results |= result
        say(f"encoders tuned: {len(results)} of {len(drawn)} repetitions")
    return results


def _tuned_repetition(
    encoder: str, tuning: EncoderTuning, dataset: Dataset, repetition: int, rows: Rows
) -> Data:
    from qlmbench.data.splits import select
    from qlmbench.data.tuning import encode_tuned

    sentences, labels = select(dataset, rows.train)
    texts = sorted(set(_texts(dataset, rows)))
    seed = seed_for("encoder", repetition=repetition)
    features = encode_tuned(encoder, tuning, sentences, labels.tolist(), texts, seed)
    index = {text: i for i, text in enumerate(texts)}
    return {repetition: _repetition(repetition, dataset, rows, index, features)}


def _tokenised(
    encoder: TokenEncoder, dataset: Dataset, repetition: int, rows: Rows, progress: Progress
) -> RepetitionData:
    """Make the vocabulary of the training texts, and turn all texts into ids with it."""
    from qlmbench.data.splits import select

    vocabulary = encoder.fit(select(dataset, rows.train)[0])
    texts = sorted(set(_texts(dataset, rows)))
    index = {text: i for i, text in enumerate(texts)}
    ids = vocabulary.encode(texts, progress)
    return _repetition(repetition, dataset, rows, index, ids, vocabulary)


def _repetition(
    repetition: int,
    dataset: Dataset,
    rows: Rows,
    index: dict[str, int],
    features: NDArray[np.float32 | np.int32],
    vocabulary: Vocabulary | None = None,
) -> RepetitionData:
    """Collect where the features of each role stand, and its labels."""
    import numpy as np

    from qlmbench.data.splits import positions, select
    from qlmbench.experiment import RepetitionData

    places, labels = {}, {}
    for role in ("train", "validation", "test"):
        texts, labels[role] = select(dataset, getattr(rows, role))
        places[role] = np.array([index[text] for text in texts])
    split = SplitLabels(
        repetition=repetition,
        digest=rows.digest,
        test_digest=rows.test_digest,
        n_train=len(rows.train),
        validation=pack_classes(labels["validation"].tolist()),
        test=pack_classes(labels["test"].tolist()),
        test_rows=pack_rows(*positions(dataset, rows.test)),
    )
    return RepetitionData(features, places, labels, split, len(dataset.classes), vocabulary)


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
