"""Where an axis ends, so that a few arms far below do not press all others together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlmbench.report import wording as w
from qlmbench.spec import ArmKind

FEW = 0.25
"""Largest share of the arms that may lie beyond the end of an axis."""
MAY_LEAVE = (ArmKind.BASELINE.value, ArmKind.CONTROL.value)
"""Kinds that may: what the study is about is always drawn to scale."""


def lowest_shown(means: pd.Series[float], kinds: pd.Series[str]) -> float:
    """Return the mean from which on arms are drawn to scale.

    Parameters
    ----------
    means : Series
        Means of all arms, in which higher is better.
    kinds : Series
        Their kinds.

    Returns
    -------
    float
        The smallest mean above the widest gap between neighbours, where that gap is more than half
        of the whole range and only a few baselines or controls lie below it; else minus infinity.
    """
    ordered = means.dropna().sort_values()
    if len(ordered) < 4:
        return -np.inf
    gaps = np.diff(ordered.to_numpy())
    widest = int(gaps.argmax())
    below = kinds[ordered.index[: widest + 1]]
    few = len(below) <= FEW * len(ordered) and below.isin(MAY_LEAVE).all()
    wide = gaps[widest] > 0.5 * (ordered.iloc[-1] - ordered.iloc[0])
    return float(ordered.iloc[widest + 1]) if few and wide else -np.inf


def end_at_shares(metric: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Cut limits to what a share can be, in percent: intervals of two repetitions reach beyond."""
    low, high = limits
    return (max(low, -2.0), min(high, 102.0)) if w.is_share(metric) else (low, high)
