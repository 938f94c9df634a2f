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

    The time is that of finished trials of the same arm and setting, of this run or of the
    committed one; for arms without any it is not known, and the line says so.
    """
    lines: list[str] = []
    total, unknown = 0.0, 0
    for plan, store in plans:
        more, seconds, without = _setting_lines(plan, store)
        lines += more
        total += seconds
        unknown += without
    new = f", and {unknown} trials of arms that have never run" if unknown else ""
    lines.append(f"on one core about {total:.0f} s{new}; fetching and encoding come on top")
    return lines


def _setting_lines(plan: Plan, store: Store) -> tuple[list[str], float, int]:
    """Describe one setting: lines, expected seconds, trials whose time is not known."""
    done = store.finished()
    seconds = seconds_by_arm(plan, store)
    tuned = ", tuned" if plan.protocol.encoder_tuning else ""
    lines = [
        f"{plan.study.name}, profile {plan.info.profile}, setting {plan.info.setting}: "
        f"{plan.dataset}, {plan.encoder}{tuned}",
        f"{'arm':<34} {'trials':>7} {'done':>6} {'left about':>12}",
    ]
    total, unknown = 0.0, 0
    for arm in plan.arms:
        trials = [trial for trial in plan.trials if trial.arm == arm.name]
        left = sum(trial.id not in done for trial in trials)
        if arm.name in seconds or not left:
            expected = left * seconds.get(arm.name, 0.0)
            total += expected
            time = f"{expected:.0f} s"
        else:
            unknown += left
            time = "not known"
        lines.append(f"{arm.name:<34} {len(trials):>7} {len(trials) - left:>6} {time:>12}")
    return lines, total, unknown


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
