"""The contract that every study must pass, shipped or third-party.

In a test file of your own::

    import pytest
    from qlmbench.testing import contract

    @pytest.mark.parametrize("check", contract("my-paper"), ids=str)
    def test_contract(check, tmp_path):
        check(tmp_path)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlmbench.plan import Plan, make_plans
from qlmbench.records import Record
from qlmbench.registry import get_study, model_class
from qlmbench.run import run_plan
from qlmbench.spec import ArmKind, Study
from qlmbench.store import Store

VARIES = {"seconds", "seconds_per_epoch", "peak_memory_mb", "finished", "stacked", "environment"}
"""Fields of a record that may differ between two runs of one trial."""


@dataclass(frozen=True)
class Check:
    """One demand on a study; called with an empty folder, it raises where it is not met."""

    name: str
    study: str
    demand: Callable[[Study, Path], None]

    def __call__(self, folder: Path) -> None:
        """Put the demand to the study."""
        self.demand(get_study(self.study), folder)

    def __str__(self) -> str:
        return f"{self.study}: {self.name}"


def contract(study: str) -> list[Check]:
    """List the demands on a study.

    Parameters
    ----------
    study : str
        Name of a study that qlmbench finds.

    Returns
    -------
    list of Check
    """
    demands = {
        "arguments match the signatures of the models": arguments_match,
        "the smoke profile runs every arm, and parameters without effect are as published": (
            every_arm_runs
        ),
        "order and processes do not change a record": records_do_not_depend_on_the_way,
        "a second run finds everything done": second_run_does_nothing,
    }
    return [Check(name, study, demand) for name, demand in demands.items()]


def arguments_match(study: Study, _folder: Path) -> None:
    """Every parameter of every arm, tuned or not, is an argument of its model."""
    for arm in study.arms:
        known = inspect.signature(model_class(study.name, arm.model)).parameters
        for name in (*arm.params, *arm.tune):
            assert name in known, f"arm {arm.name!r}: {arm.model} has no argument {name!r}"


def every_arm_runs(study: Study, folder: Path) -> None:
    """Every arm gives a sound record in the smoke profile.

    Outside as-published arms, every trainable number outside a circuit reaches an output, but for
    those that a model names as ``inert`` by design. Inside a circuit some angles never matter, such
    as phases just before photons are counted; the tables name them, and they are no fault of a
    study.
    """
    plans = make_plans(study, "smoke", repetitions=1)
    left_out = {arm.name for arm in study.arms} - {arm.name for p in plans for arm in p.arms}
    assert not left_out, f"the smoke profile does not run {', '.join(sorted(left_out))}"
    runs = [_run(plan, folder / plan.info.setting, jobs=2) for plan in plans]
    failures = [failure for _, failed in runs for failure in failed]
    assert not failures, f"{failures[0].arm}: {failures[0].error}"
    for record in (record for records, _ in runs for record in records):
        if record.parameters is None or study.arm(record.arm).kind is ArmKind.AS_PUBLISHED:
            continue
        dead = record.parameters.dead_in
        trial = next(t for plan in plans for t in plan.trials if t.id == record.id)
        inert = getattr(model_class(study.name, trial.model)(**trial.params), "inert", {})
        meant = sum(number for name, number in dead.items() if inert.get(name) == number)
        assert record.parameters.dead_classical == meant, (
            f"arm {record.arm!r}: parameters without effect: {dead}"
        )


def records_do_not_depend_on_the_way(study: Study, folder: Path) -> None:
    """Stacked or alone, in this order or another, in one process or two: equal records.

    And with them everything that stands beside a record: what was predicted and written,
    curves, what tuning tried, scores under other conditions, attention, labels, failures.
    """
    for plan in _smoke(study, repetitions=2):
        own = folder / plan.info.setting
        _run(plan, own / "together")
        # One repetition at a time, the last one and the last arm first: nothing is stacked.
        for repetition in (1, 0):
            trials = tuple(t for t in reversed(plan.trials) if t.repetition == repetition)
            _run(dataclasses.replace(plan, trials=trials), own / "alone")
        _run(plan, own / "processes", jobs=2)
        expected = comparable(Store(own / "together"))
        for way in ("alone", "processes"):
            _assert_equal(f"{plan.info.setting}, {way}", comparable(Store(own / way)), expected)


def second_run_does_nothing(study: Study, folder: Path) -> None:
    """Show that a finished trial is never run again, and that its record stays as it is."""
    for plan in _smoke(study, repetitions=1):
        own = folder / plan.info.setting
        first, _ = _run(plan, own)
        done = run_plan(plan, Store(own), jobs=1, overwrite="only-missing", say=_silent)
        assert (done.finished, done.already_done) == (0, len(plan.trials))
        assert Store(own).records() == first, "a finished record was changed"


def comparable(store: Store) -> dict[str, dict[Any, Any]]:
    """Return all that two runs of one plan must agree in, to the last digit.

    Parameters
    ----------
    store : Store
        Records of a setting.

    Returns
    -------
    dict of str to dict
        By table, then by trial (labels by repetition): what stands there, without `VARIES`.
    """
    return {
        "records": {r.id: r.model_dump(exclude=VARIES) for r in store.records()},
        "failures": {r.id: r.model_dump(exclude=VARIES) for r in store.failures()},
        "predictions": dict(store.predictions()),
        "curves": dict(store.curves()),
        "tuning": dict(store.tuning()),
        "conditions": dict(store.conditions()),
        "attention": dict(store.attention()),
        "splits": dict(store.splits()),
    }


def _assert_equal(
    way: str, found: dict[str, dict[Any, Any]], expected: dict[str, dict[Any, Any]]
) -> None:
    """Name the first row that differs: a third party's test does not show two dictionaries."""
    for table, rows in expected.items():
        for key in rows.keys() | found[table].keys():
            one, other = rows.get(key), found[table].get(key)
            assert one == other, f"{way}: {table} of {key} differ: {one} and {other}"


def _smoke(study: Study, repetitions: int) -> list[Plan]:
    """Plan the smoke profile for one arm of each model and group: siblings run the same code."""
    plans = []
    for plan in make_plans(study, "smoke", repetitions=repetitions):
        chosen = {(arm.model, arm.group): arm for arm in reversed(plan.arms)}
        arms = tuple(arm for arm in plan.arms if arm in chosen.values())
        names = {arm.name for arm in arms}
        trials = tuple(trial for trial in plan.trials if trial.arm in names)
        plans.append(dataclasses.replace(plan, arms=arms, trials=trials))
    return plans


def _run(plan: Plan, folder: Path, jobs: int = 1) -> tuple[list[Record], list[Record]]:
    store = Store(folder)
    run_plan(plan, store, jobs=jobs, overwrite="only-missing", say=_silent)
    return store.records(), store.failures()


def _silent(_: str) -> None:
    pass
