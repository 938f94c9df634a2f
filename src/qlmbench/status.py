"""What is done and what is left, in lines for the terminal; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.plan import Plan
from qlmbench.records import Record
from qlmbench.store import Store
from qlmbench.timing import seconds_by_arm


def plan_lines(plans: Sequence[tuple[Plan, Store]]) -> list[str]:
    """Describe a run: trials by setting and arm, what is done, the time the rest should take.

    A setting with nothing left to do is one line. The time is that of finished trials of the same
    arm and setting, of this run or of the committed one; for arms without any it is not known, and
    the line says so.
    """
    lines: list[str] = []
    total, left, unknown = 0.0, 0, 0
    for plan, store in plans:
        more, seconds, to_run, without = _setting_lines(plan, store)
        lines += [*more, ""]
        total += seconds
        left += to_run
        unknown += without
    if not left:
        return [*lines, "nothing is left to run"]
    new = f", and {unknown} trials of arms that have never run" if unknown else ""
    of = sum(len(plan.trials) for plan, _ in plans)
    time = f"on one core about {about(total)}{new}; fetching and encoding come on top"
    return [*lines, f"{left} of {of} trials left: {time}"]


def about(seconds: float) -> str:
    """Write a duration as one would say it: ``45 s``, ``12 min``, ``5 h 25 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _setting_lines(plan: Plan, store: Store) -> tuple[list[str], float, int, int]:
    """Describe one setting: lines, expected seconds, trials left, those of unknown time."""
    done = store.finished()
    to_run = sum(trial.id not in done for trial in plan.trials)
    seconds = seconds_by_arm(plan, store)
    tuned = ", tuned" if plan.protocol.encoder_tuning else ""
    head = (
        f"{plan.study.name}, profile {plan.info.profile}, setting {plan.info.setting}: "
        f"{plan.dataset}, {plan.encoder}{tuned}"
    )
    if not to_run:
        return [head, f"all {len(plan.trials)} trials of {len(plan.arms)} arms are done"], 0.0, 0, 0
    lines = [head, f"{'arm':<34} {'trials':>7} {'done':>6} {'left about':>12}"]
    total, unknown = 0.0, 0
    for arm in plan.arms:
        trials = [trial for trial in plan.trials if trial.arm == arm.name]
        left = sum(trial.id not in done for trial in trials)
        if arm.name in seconds or not left:
            expected = left * seconds.get(arm.name, 0.0)
            total += expected
            time = about(expected)
        else:
            unknown += left
            time = "not known"
        lines.append(f"{arm.name:<34} {len(trials):>7} {len(trials) - left:>6} {time:>12}")
    return lines, total, to_run, unknown


def status_lines(results: Path, study: str | None) -> tuple[list[str], list[str]]:
    """Describe the runs below a folder.

    Parameters
    ----------
    results : Path
        The folder.
    study : str, optional
        Only runs of this study.

    Returns
    -------
    lines, problems : list of str
        One line a setting of a run; one line a damaged row or file.

    Raises
    ------
    UserError
        If there is no such folder, or no run of the study.
    """
    pattern = f"{study or '*'}/*/*/"
    stores = [Store(folder) for folder in sorted(results.glob(pattern)) if _is_run(folder)]
    if not stores:
        raise UserError(
            f"{results}: no run{f' of study {study!r}' if study else ''}",
            do="run one with 'qlmbench run', or name another folder with --results",
        )
    lines, problems = [], []
    for store in stores:
        records = store.records()
        failures = store.failures(records)
        lines.append(f"{store.folder}: {_counted(records)}, {len(failures)} failed")
        lines += [f"  failed: {r.arm}, repetition {r.repetition}: {r.error}" for r in failures[:10]]
        problems += store.problems
    return lines, problems


def _is_run(folder: Path) -> bool:
    names = ("records.jsonl", "failures.jsonl", "trials")
    return any((folder / name).exists() for name in names)


def _counted(records: list[Record]) -> str:
    arms = {record.arm for record in records}
    repetitions = {record.repetition for record in records}
    latest = max((record.finished for record in records), default="never")
    return (
        f"{len(records)} trials of {len(arms)} arms and {len(repetitions)} repetitions, "
        f"latest {latest}"
    )
