"""Intervals for a mean, with an honest answer where there is none."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = Sequence[float] | NDArray[np.floating]

RESAMPLES = 9_999
# Below this many values the bootstrap has too few distinct resamples: its 95 % interval covers
# 91 % of normal means at n = 5, a t interval 94 to 95 %.
LEAST_FOR_BOOTSTRAP = 10
# Values closer than this, relative to their size, are equal up to floating-point rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A two-sided interval.

    Parameters
    ----------
    low, high : float
        The ends, in the units of the values.
    level : float
        The confidence level, for example 0.95.
    method : str
        How it was computed.
    """

    low: float
    high: float
    level: float
    method: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class MeanEstimate:
    """A mean with its interval, or the reason why there is none.

    Parameters
    ----------
    n : int
        How many values.
    mean, sd : float
        Sample mean and sample standard deviation (n - 1); NaN where undefined.
    interval : Interval or None
        None where the values do not allow one.
    reason : str
        Why there is no interval; empty where there is one.
    """

    n: int
    mean: float
    sd: float
    interval: Interval | None
    reason: str


def as_vector(values: Floats, name: str = "values") -> NDArray[np.float64]:
    """Turn ``values`` into a one-dimensional float array.

    Raises
    ------
    ValueError
        If they are not one-dimensional.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        msg = f"{name} must be one-dimensional, one value a repetition; got shape {array.shape}"
        raise ValueError(msg)
    return array


def check_level(level: float, name: str = "level") -> None:
    """Refuse a probability that is not strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        msg = f"{name} must lie strictly between 0 and 1; got {level}"
        raise ValueError(msg)


def why_degenerate(
    values: NDArray[np.float64], what: str = "values", scale: float | None = None
) -> str:
    """Say why no inference can rest on these values; empty if it can.

    ``scale`` is the size of the numbers that the values were computed from, and so of their
    rounding error; by default their own.
    """
    n = values.size
    if n == 0:
        return f"there are no {what}"
    wrong = int(n - np.isfinite(values).sum())
    if wrong:
        return f"{wrong} of {n} {what} are not finite"
    if n == 1:
        return f"n = 1 among the {what} says nothing about their spread"
    if np.ptp(values) <= ROUNDING * (np.abs(values).max() if scale is None else scale):
        return f"all {n} {what} are equal ({values[0]:.6g}): zero variance allows no test"
    return ""


def mean_and_sd(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation (n - 1), NaN where they are undefined."""
    if not values.size or not np.isfinite(values).all():
        return float("nan"), float("nan")
    return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else float("nan")


def small_sample_level(level: float, n: int) -> float:
    """Widen a bootstrap's nominal level so that it covers at ``level`` for small ``n``.

    A bootstrap of a mean is too narrow by sqrt((n - 1) / n) and uses normal instead of t
    quantiles. Raising the nominal level undoes both (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789, "expanded percentile").
    """
    t = stats.t.ppf((1.0 + level) / 2.0, n - 1)
    return float(1.0 - 2.0 * stats.norm.sf(np.sqrt(n / (n - 1)) * t))


def t_interval(mean: float, se: float, df: float, level: float, method: str = "t") -> Interval:
    """Student's interval around ``mean`` with standard error ``se``."""
    half = float(stats.t.ppf((1.0 + level) / 2.0, df)) * se
    return Interval(mean - half, mean + half, level, method)


def _bca(values: NDArray[np.float64], level: float, seed: int) -> Interval:
    with warnings.catch_warnings():
        # scipy warns and returns NaN where the resampled means hardly vary: checked below.
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=small_sample_level(level, values.size),
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(float(found.low), float(found.high), level, "expanded BCa bootstrap")


def mean_interval(
    values: Floats, level: float = 0.95, seed: int = 0, *, what: str = "values"
) -> MeanEstimate:
    """Interval for the mean of independent values.

    From ten values on this is the BCa bootstrap at a nominal level widened for small samples
    (see :func:`small_sample_level`); a plain BCa covers 93 % of normal means at n = 20 and
    90 % at n = 10, where the widened one covers 95 and 94 %. Below ten values, and where BCa is
    undefined, it is Student's t; ``interval.method`` says which.

    Parameters
    ----------
    values : array of shape (n,)
        One value a repetition.
    level : float
        Confidence level.
    seed : int
        Seed of the resampling.
    what : str
        What the values are, in the plural, for the reason.

    Returns
    -------
    MeanEstimate
        ``interval`` is None, with a reason, for no values, one value, values that are not
        finite, and values that are all equal.

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional or ``level`` not between 0 and 1.
    """
    x = as_vector(values)
    check_level(level)
    reason = why_degenerate(x, what)
    mean, sd = mean_and_sd(x)
    if reason:
        return MeanEstimate(x.size, mean, sd, None, reason)
    fallback = t_interval(mean, sd / np.sqrt(x.size), x.size - 1, level)
    if x.size < LEAST_FOR_BOOTSTRAP:
        return MeanEstimate(x.size, mean, sd, fallback, "")
    interval = _bca(x, level, seed)
    if not np.isfinite([interval.low, interval.high]).all():
        interval = fallback
    return MeanEstimate(x.size, mean, sd, interval, "")
