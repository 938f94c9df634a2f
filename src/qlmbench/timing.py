"""How long a trial of an arm takes, as far as records tell."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean

from qlmbench.plan import Plan
from qlmbench.registry import study_folder
from qlmbench.store import Store


def seconds_by_arm(plan: Plan, store: Store) -> dict[str, float]:
    """Return the mean seconds of a trial by arm, from this run or the committed one.

    Parameters
    ----------
    plan : Plan
        A setting of a run.
    store : Store
        Where its records go.

    Returns
    -------
    dict of str to float
        Arms without a record are left out.
    """
    committed = study_folder(plan.study.name).parents[1] / "results" / plan.folder
    by_arm: dict[str, list[float]] = defaultdict(list)
    for records in (store.records(), Store(committed).records()):
        for record in records:
            by_arm[record.arm].append(record.seconds)
    return {arm: mean(values) for arm, values in by_arm.items()}
