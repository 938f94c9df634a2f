"""Which few arms a figure shows that has no room for all: never chosen on test."""

from __future__ import annotations

from qlmbench.report.details import paper_arm
from qlmbench.report.load import Results
from qlmbench.report.tables import by_validation, reference_arm
from qlmbench.spec import Arm, ArmKind

MOST = 5


def telling_arms(results: Results, metric: str, having: set[str], most: int = MOST) -> list[Arm]:
    """Choose a few arms: those of the main claims, the reference, the best of other kinds.

    Parameters
    ----------
    results : Results
        The setting whose validation scores decide.
    metric : str
        The metric that is shown.
    having : set of str
        Names of the arms that have what the figure shows.
    most : int
        Largest number of arms.

    Returns
    -------
    list of Arm
        The paper's arm first.
    """
    first, reference = paper_arm(results, metric), reference_arm(results, metric)
    main = [results.study.arm(claim.arm) for claim in results.study.claims if claim.headline]
    candidates = [arm for arm in (first, *main, reference) if arm is not None]
    for kind in ArmKind:
        members = [a for a in results.arms if a.kind is kind and not a.shuffle_labels]
        shown = [a for a in by_validation(results, members, metric) if a.name in having]
        # The paper's arm with something else inside says more than any other of its kind.
        candidates += [a for a in shown if first is not None and a.params == first.params] or shown
    chosen: dict[str, Arm] = {}
    for arm in candidates:
        same = sum(other.kind is arm.kind for other in chosen.values())
        if arm.name in having and same < (2 if arm.kind in (ArmKind.CONTROL, ArmKind.PAPER) else 1):
            chosen.setdefault(arm.name, arm)
    return list(chosen.values())[:most]
