"""Claims about a level, such as "80 to 85 % accuracy"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from qlmbench.stats.intervals import MeanEstimate, as_vector, check_level, mean_interval
from qlmbench.stats.paired import tost_p
from qlmbench.stats.verdicts import (
    ALPHA,
    LEAST_REPETITIONS,
    MARGIN,
    PLAIN,
    ClaimVerdict,
    Verdict,
    check_p_values,
    not_run,
    why_too_little,
)
from qlmbench.stats.wording import Wording, p_words

if TYPE_CHECKING:
    from qlmbench.stats.intervals import Floats


def judge_level(
    values: Floats,
    low: float,
    high: float,
    *,
    margin: float = MARGIN,
    p_holm: float | None = None,
    equivalence_p: float | None = None,
    alpha: float = ALPHA,
    least_repetitions: int = LEAST_REPETITIONS,
    wording: Wording = PLAIN,
    seed: int = 0,
) -> ClaimVerdict:
    """Judge a claim that an arm's mean lies between ``low`` and ``high``.

    The band is widened by ``margin`` on both sides, so that a single published number
    (``low == high``) can be confirmed. The first row that holds decides.

    ==== ==================================================================== ==================
    row  the arm's mean over repetitions                                      verdict
    ==== ==================================================================== ==================
    1    no values                                                            not run
    2    one value, NaN, zero variance, or fewer than ``least_repetitions``   inconclusive
    3    within the widened band (two one-sided t tests)                      reproduced
    4    outside it (two-sided t test against the nearer end)                 not reproduced
    5    anything else                                                        inconclusive
    ==== ==================================================================== ==================

    Parameters
    ----------
    values : array of shape (n,)
        The metric, one value a repetition.
    low, high : float
        The published band; infinite for "at least" and "at most".
    margin : float
        How far outside the band does not matter; may be zero.
    p_holm, equivalence_p : float, optional
        Corrected p values of rows 4 and 3 (:func:`judge_family`); by default uncorrected.
    alpha, least_repetitions, wording, seed
        As in :func:`~qlmbench.stats.judge`.

    Raises
    ------
    ValueError
        If ``low > high``, both are infinite, the margin is negative, the widened band has no
        width, or alpha or a p value does not lie between 0 and 1.
    """
    check_level(alpha, "alpha")
    bottom, top = _band(low, high, margin)
    estimate = mean_interval(values, 1.0 - alpha, seed)
    if estimate.n == 0:
        return not_run("not run: no repetition of the arm is in the store")
    p, inside = _level_p_values(estimate, bottom, top)
    outside_p = p if p_holm is None else p_holm
    inside_p = inside if equivalence_p is None else equivalence_p

    def verdict(verdict: Verdict, reason: str) -> ClaimVerdict:
        return ClaimVerdict(
            verdict, estimate.mean, estimate.interval, estimate.n, "t against the band",
            p, outside_p, inside_p, math.nan, reason,
        )  # fmt: skip

    too_little = why_too_little(estimate.n, estimate.reason, least_repetitions)
    if too_little or estimate.interval is None:
        return verdict(Verdict.INCONCLUSIVE, too_little)
    check_p_values(outside_p, inside_p)
    band = _band_words(low, high, margin, wording)
    measured = (
        f"{wording.arm} has a mean of {wording.level(estimate.mean)} "
        f"({wording.interval(estimate.interval)}, n = {estimate.n})"
    )
    if inside_p <= alpha:
        words = p_words(inside_p, corrected=equivalence_p is not None)
        return verdict(Verdict.REPRODUCED, f"{measured}: within {band} ({words})")
    if outside_p <= alpha:
        side = "below" if estimate.mean < bottom else "above"
        words = p_words(outside_p, corrected=p_holm is not None)
        return verdict(Verdict.NOT_REPRODUCED, f"{measured}: {side} {band} ({words})")
    return verdict(Verdict.INCONCLUSIVE, f"{measured}: neither within nor outside {band} for sure")


def _band(low: float, high: float, margin: float) -> tuple[float, float]:
    if not (margin >= 0.0 and math.isfinite(margin)):
        msg = f"the margin of a level must be zero or more; got {margin}"
        raise ValueError(msg)
    bottom, top = low - margin, high + margin
    if not low <= high or not bottom < top or (math.isinf(low) and math.isinf(high)):
        msg = f"a level needs low <= high, one finite end, and some width; got {low} to {high}"
        raise ValueError(msg)
    return bottom, top


def _level_p_values(estimate: MeanEstimate, bottom: float, top: float) -> tuple[float, float]:
    """P values that the mean lies outside the band (two-sided), and inside it (TOST)."""
    if estimate.reason:
        return math.nan, math.nan
    se, df = estimate.sd / math.sqrt(estimate.n), estimate.n - 1
    distance = max(bottom - estimate.mean, estimate.mean - top)
    outside = 1.0 if distance <= 0.0 else float(2.0 * stats.t.sf(distance / se, df))
    return outside, tost_p(estimate.mean, se, df, bottom, top)


def _band_words(low: float, high: float, margin: float, wording: Wording) -> str:
    if math.isinf(low):
        band = f"at most {wording.level(high)}"
    elif math.isinf(high):
        band = f"at least {wording.level(low)}"
    elif low == high:
        band = wording.level(low)
    else:
        band = f"{wording.number(low)} to {wording.level(high)}"
    slack = f", give or take {wording.amount(margin)}" if margin else ""
    return f"the published level of {band}{slack}"


@dataclass(frozen=True)
class LevelCase:
    """A claim about one arm's level; the fields are those of :func:`judge_level`."""

    values: tuple[float, ...]
    low: float
    high: float
    margin: float = MARGIN
    wording: Wording = PLAIN
    seed: int = 0

    @property
    def n(self) -> int:
        """Number of repetitions with a value."""
        return int(np.isfinite(as_vector(self.values)).sum())

    def p_values(self) -> tuple[float, float]:
        """Return the p values of lying outside and inside the band."""
        estimate = mean_interval(as_vector(self.values), seed=self.seed)
        return _level_p_values(estimate, *_band(self.low, self.high, self.margin))

    def judge(
        self, p_holm: float, equivalence_p: float, alpha: float, least_repetitions: int
    ) -> ClaimVerdict:
        """Return the verdict, given the corrected p values."""
        return judge_level(
            np.array(self.values),
            self.low,
            self.high,
            margin=self.margin,
            p_holm=p_holm,
            equivalence_p=equivalence_p,
            alpha=alpha,
            least_repetitions=least_repetitions,
            wording=self.wording,
            seed=self.seed,
        )
