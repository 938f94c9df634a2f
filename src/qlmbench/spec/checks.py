"""What a study says in one place has to fit what it says in others."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Sequence

from qlmbench.errors import nearest
from qlmbench.spec.arms import Arm
from qlmbench.spec.metrics import SECONDS_PER_EPOCH, TASKS, metrics_of
from qlmbench.spec.setting import Protocol, Setting


def must_differ(names: Sequence[str], what: str) -> None:
    """Refuse two of one name."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what} are called {name!r}")


def must_be_arm(name: str, arms: Sequence[Arm], where: str) -> None:
    """Refuse a name that no arm has."""
    names = [arm.name for arm in arms]
    if name not in names:
        raise ValueError(f"{where} {name!r} is not an arm of this study{nearest(name, names)}")


def must_be_setting(name: str, settings: Sequence[str], where: str) -> None:
    """Refuse a name that no setting has; no name is the first setting."""
    if name and name not in settings:
        raise ValueError(
            f"{where}: {name!r} is not a setting of this study{nearest(name, settings)}"
        )


def must_measure(
    metric: str, setting: Setting | Protocol, where: str, diagnostics: Iterable[str] = ()
) -> None:
    """Refuse a metric that no record of a setting would have: no score, no diagnostic."""
    known = (*metrics_of(setting.task), *diagnostics)
    if metric not in known:
        task = "" if setting.task == "classification" else f" of a {setting.task}"
        raise ValueError(f"{where}: unknown metric {metric!r}{task}{nearest(metric, list(known))}")
    if metric == SECONDS_PER_EPOCH and not setting.alone:
        raise ValueError(
            f"{where}: {metric!r} is measured where the setting has 'alone = true': trainings in a "
            "stack share their seconds"
        )


def must_be_diagnostics(diagnostics: dict[str, str]) -> None:
    """Refuse what is scored for every arm and has its tables already, and a name without words."""
    scored = {metric for task in TASKS for metric in metrics_of(task)}
    for name, meaning in diagnostics.items():
        if name in scored:
            raise ValueError(f"diagnostics: {name!r} is a score and stands in other tables")
        if not meaning.strip():
            raise ValueError(f"diagnostics: {name!r} needs one line that says what it means")


def must_have_an_effect(protocol: Protocol, every_arm: Sequence[Arm]) -> None:
    """Refuse what a setting asks for and no arm of it would follow."""
    where = f"profile {protocol.profile!r}, setting {protocol.setting!r}"
    if protocol.metric:
        must_measure(protocol.metric, protocol, where)
    if protocol.reference:
        must_be_arm(protocol.reference, every_arm, f"{where}: reference")
    for name in protocol.compare:
        must_be_arm(name, every_arm, f"{where}: compare")
    names = [arm.name for arm in every_arm]
    for pattern in protocol.arms:
        if not fnmatch.filter(names, pattern):
            raise ValueError(f"{where}: no arm is called {pattern!r}{nearest(pattern, names)}")
    arms = [arm for arm in every_arm if protocol.runs(arm.name)]
    _must_be_named(protocol, arms, where)
    if protocol.alone:
        _must_search_nothing(protocol, arms, where)


def _must_be_named(protocol: Protocol, arms: Iterable[Arm], where: str) -> None:
    """Refuse an argument to override or to tune that no arm has."""
    tuned = {key for arm in arms for key in arm.tune}
    named = {key for arm in arms for key in arm.params} | (tuned if not protocol.tune else set())
    for key in protocol.overrides:
        if key not in named:
            raise ValueError(
                f"{where}: none of its arms has the argument {key!r} to override"
                f"{nearest(key, sorted(named))}"
            )
    for key in protocol.grid:
        if key not in tuned:
            raise ValueError(
                f"{where}: none of its arms tunes the argument {key!r}{nearest(key, sorted(tuned))}"
            )


def _must_search_nothing(protocol: Protocol, arms: Iterable[Arm], where: str) -> None:
    """Refuse a search where seconds are measured: its trainings would share them."""
    for arm in arms:
        tried = math.prod(len(protocol.grid.get(k, v)) for k, v in arm.tune.items())
        if protocol.tune and tried > 1:
            raise ValueError(
                f"{where}: arm {arm.name!r} tries {tried} configurations, and 'alone = true' "
                "measures one training; set 'tune' to one value each"
            )
