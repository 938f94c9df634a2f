"""Where an axis ends, so that a few arms far worse do not press all others together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from qlmbench.report import wording as w
from qlmbench.spec import ArmKind

FEW = 0.25
"""Largest share of the arms that may lie beyond the end of an axis."""
WIDE = 20
"""Ratio of the largest to the smallest mean time from which on an axis is logarithmic."""
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


def far_worse(means: pd.Series[float], kinds: pd.Series[str], metric: str) -> pd.Series[bool]:
    """Say of each arm whether it is so much worse than all others that it is not drawn to scale.

    It takes what `lowest_shown` takes, whichever way the metric goes.
    """
    sign = 1.0 if w.higher_is_better(metric) else -1.0
    return sign * means < lowest_shown(sign * means, kinds)


def end_at_possible(metric: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Cut limits to what a metric can be: intervals of two repetitions reach beyond.

    Shares are in percent; losses, perplexities and times are at least zero.
    """
    low, high = limits
    if w.is_share(metric):
        return max(low, -2.0), min(high, 102.0)
    if not w.higher_is_better(metric):
        return max(low, -0.02 * high), high
    return low, high


def write_values(axis: Any, metric: str) -> None:
    """Write the marks of an axis as values of a metric where they have units of their own."""
    if w.is_time(metric):
        axis.set_major_formatter(FuncFormatter(lambda value, _: w.mark(round(value, 9))))


def spans_much(means: pd.Series[float], metric: str) -> bool:
    """Whether means are times so different that their axis is better logarithmic."""
    return w.is_time(metric) and bool(means.max() > WIDE * means.min() > 0)
