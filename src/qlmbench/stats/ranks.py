"""Many arms at once: ranks, and how often one arm beats another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from qlmbench.stats.intervals import Interval, as_vector, check_level
from qlmbench.stats.multiple import holm
from qlmbench.stats.paired import sign_flip_p

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from qlmbench.stats.intervals import Floats


@dataclass(frozen=True)
class RankSummary:
    """What a rank plot shows (Demsar 2006, JMLR 7:1-30).

    Parameters
    ----------
    n : int
        Repetitions.
    mean_ranks : array of shape (arms,)
        Mean rank over repetitions, 1 is best, ties share their mean rank.
    friedman_p : float
        P value that all arms rank alike (tie-corrected); NaN for fewer than three arms or arms
        that tie everywhere.
    critical_difference : float
        Nemenyi's: mean ranks further apart differ significantly at ``alpha``.
    pairwise_p : array of shape (arms, arms)
        Holm-corrected p values of the sign-flip test on the scores of every pair; 1 on the
        diagonal. It does not depend on which other arms take part in the ranking, other than
        through the correction (Benavoli, Corani and Mangili 2016, JMLR 17:1-10).
    alpha : float
        Level of the critical difference.
    """

    n: int
    mean_ranks: NDArray[np.float64]
    friedman_p: float
    critical_difference: float
    pairwise_p: NDArray[np.float64]
    alpha: float


def rank_arms(
    scores: ArrayLike, *, higher_is_better: bool = True, alpha: float = 0.05, seed: int = 0
) -> RankSummary:
    """Rank arms within each repetition and compare the mean ranks.

    Parameters
    ----------
    scores : array of shape (n, arms)
        One row a repetition, one column an arm.
    higher_is_better : bool
        Whether rank 1 is the largest score.
    alpha : float
        Level of the critical difference.
    seed : int
        Seed of the pairwise tests, used above 40 repetitions.

    Raises
    ------
    ValueError
        If there are fewer than two repetitions or arms, or a score is not finite.
    """
    x = np.asarray(scores, dtype=np.float64)
    check_level(alpha, "alpha")
    if x.ndim != 2 or min(x.shape) < 2:
        msg = f"scores must have shape (repetitions, arms), each at least 2; got {x.shape}"
        raise ValueError(msg)
    if not np.isfinite(x).all():
        msg = (
            f"{int((~np.isfinite(x)).sum())} scores are not finite; leave out the repetitions "
            "or arms that have them"
        )
        raise ValueError(msg)
    n, arms = x.shape
    ranks = stats.rankdata(-x if higher_is_better else x, axis=1)
    return RankSummary(
        n,
        ranks.mean(axis=0),
        _friedman_p(x, ranks),
        critical_difference(arms, n, alpha),
        _pairwise_p(x, seed),
        alpha,
    )


def critical_difference(arms: int, n: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks, for ``arms`` arms over ``n`` repetitions."""
    q = float(stats.studentized_range.isf(alpha, arms, np.inf)) / np.sqrt(2.0)
    return float(q * np.sqrt(arms * (arms + 1) / (6.0 * n)))


def _friedman_p(scores: NDArray[np.float64], ranks: NDArray[np.float64]) -> float:
    if ranks.shape[1] < 3 or not np.ptp(ranks, axis=1).any():
        return float("nan")
    return float(stats.friedmanchisquare(*scores.T).pvalue)


def _pairwise_p(x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    arms = x.shape[1]
    pairs = list(combinations(range(arms), 2))
    corrected = holm(np.array([sign_flip_p(x[:, i] - x[:, j], seed) for i, j in pairs]))
    table = np.ones((arms, arms))
    for (i, j), p in zip(pairs, corrected, strict=True):
        table[i, j] = table[j, i] = p
    return table


@dataclass(frozen=True)
class Improvement:
    """How often one arm beats another.

    Parameters
    ----------
    n : int
        Pairs.
    probability : float
        Share of repetitions in which ``a`` is better, ties counting half.
    interval : Interval
        Wilson's interval.
    """

    n: int
    probability: float
    interval: Interval


def probability_of_improvement(
    a: Floats, b: Floats, *, higher_is_better: bool = True, level: float = 0.95
) -> Improvement:
    """Probability that ``a`` beats ``b`` on the same sample and split.

    The paired form of Agarwal et al. 2021 (arXiv:2108.13264, section 4.3), with Wilson's
    interval, which stays honest where one arm always wins; ties make it conservative.

    Parameters
    ----------
    a, b : array of shape (n,)
        One value of the metric a repetition.
    higher_is_better : bool
        Whether the larger value wins.
    level : float
        Confidence level.

    Raises
    ------
    ValueError
        If there are no pairs, the lengths differ, or a value is not finite.
    """
    x, y = as_vector(a, "a"), as_vector(b, "b")
    check_level(level)
    if x.shape != y.shape or not x.size or not np.isfinite([x, y]).all():
        msg = f"a and b must be finite and pair up, one pair at least; got {x.size} and {y.size}"
        raise ValueError(msg)
    n = x.size
    better = np.sign(x - y if higher_is_better else y - x)
    share = float((better + 1.0).mean() / 2.0)
    z = float(stats.norm.ppf((1.0 + level) / 2.0))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2))
    # Rounding must not push the certain end outside 0 to 1.
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Improvement(n, share, Interval(low, high, level, "Wilson"))
