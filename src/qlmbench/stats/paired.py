"""Two arms compared over the same repetitions: tests, power, equivalence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

from qlmbench.stats.intervals import (
    ROUNDING,
    Interval,
    as_vector,
    check_level,
    mean_and_sd,
    mean_interval,
    t_interval,
    why_degenerate,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlmbench.stats.intervals import Floats

# Two halves of 2^20 sums each: exact in under a second and 50 MB.
EXACT_UP_TO = 40
FLIPS = 19_999
NAN = float("nan")
FLIP_TEST = "sign-flip permutation"
CORRECTED_TEST = "corrected resampled t"


def sign_flip_p(differences: Floats, seed: int = 0) -> float:
    """Two-sided p value of the paired sign-flip permutation test of a mean of zero.

    Under the null the two arms are exchangeable within a repetition, so every one of the 2^n
    sign patterns is equally likely. Up to n = 40 all of them are counted: the sums of each half
    of the repetitions are enumerated, one half is sorted, and the extreme pairs counted by
    bisection. Beyond, 19,999 random patterns are drawn, the observed one counted among them.

    Parameters
    ----------
    differences : array of shape (n,)
        Finite paired differences.
    seed : int
        Seed of the random patterns; unused up to n = 40.
    """
    d = as_vector(differences, "differences")
    if not d.size or not np.isfinite(d).all():
        msg = f"differences must be finite, and one at least; got {d.tolist()}"
        raise ValueError(msg)
    if d.size > EXACT_UP_TO:
        found = stats.permutation_test(
            (d,),
            lambda x, axis: np.mean(x, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
            batch=1_000,
            rng=np.random.default_rng(seed),
        )
        return float(found.pvalue)
    # Accuracies are multiples of one row: equal sums must stay equal after rounding.
    threshold = abs(d.sum()) - ROUNDING * np.abs(d).sum()
    if threshold <= 0.0:
        return 1.0
    left = _signed_sums(d[: d.size // 2])
    right = np.sort(_signed_sums(d[d.size // 2 :]))
    # The sums are symmetric around zero: count one tail, double it.
    upper = right.size - np.searchsorted(right, threshold - left, side="left")
    return min(1.0, 2.0 * float(upper.sum()) / 2.0**d.size)


def _signed_sums(d: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def detectable_sds(
    n: int, *, alpha: float = 0.05, power: float = 0.8, test_to_train: float = 0.0
) -> float:
    """Smallest true mean difference that a paired test sees, in standard deviations.

    Solves the power of the two-sided paired t test for the noncentrality; infinite for n < 2.

    Parameters
    ----------
    n : int
        Repetitions.
    alpha, power : float
        Level of the test; probability of seeing the effect.
    test_to_train : float
        Nadeau and Bengio's n_test / n_train, zero for independent samples.
    """
    check_level(alpha, "alpha")
    check_level(power, "power")
    if n < 2:
        return float("inf")
    df = n - 1
    critical = stats.t.isf(alpha / 2.0, df)

    def shortfall(nc: float) -> float:
        # scipy gives NaN where the wrong tail is too small for it.
        wrong_tail = np.nan_to_num(stats.nct.cdf(-critical, df, nc), nan=0.0)
        return float(stats.nct.sf(critical, df, nc) + wrong_tail) - power

    # Power grows from alpha at zero; a noncentrality of a few critical values is always enough.
    if shortfall(0.0) >= 0.0:
        return 0.0
    top = critical
    while shortfall(top) < 0.0:
        top *= 2.0
    noncentrality = float(optimize.brentq(shortfall, 0.0, top))
    return noncentrality * float(np.sqrt(1.0 / n + test_to_train))


def tost_p(mean: float, se: float, df: float, low: float, high: float) -> float:
    """P value of two one-sided t tests that the true mean lies between ``low`` and ``high``.

    Schuirmann 1987, doi:10.1007/BF01068419. An infinite end asks nothing on its side.
    """
    above_low = stats.t.sf((mean - low) / se, df)
    below_high = stats.t.cdf((mean - high) / se, df)
    return float(max(above_low, below_high))


@dataclass(frozen=True)
class PairedDifference:
    """The difference ``a - b`` of two arms over the same repetitions.

    Parameters
    ----------
    n : int
        Pairs.
    mean, sd : float
        Mean and standard deviation (n - 1) of the differences, in the units of the metric.
    se, df : float
        Standard error of the mean, corrected where the samples overlap; degrees of freedom.
    interval : Interval or None
        Interval of the mean; None where there is a ``reason``.
    p_value : float
        Two-sided p value of ``test``; NaN where there is a ``reason``.
    test : str
        Name of the test.
    wilcoxon_p : float
        Two-sided Wilcoxon signed-rank p value, a second opinion that no verdict rests on; NaN
        with overlapping samples, which it knows nothing of.
    smallest_p : float
        The smallest p value that the test can give at this n.
    detectable_effect : float
        Smallest true effect seen with ``power`` at level ``alpha``, in the units of the metric.
    alpha, power : float
        What the detectable effect was computed for.
    reason : str
        Why there is no test; empty where there is one.
    identical : bool
        Whether the two are equal in each of two or more repetitions, though not one number
        throughout. There is then no test, and a ``reason``.
    """

    n: int
    mean: float
    sd: float
    se: float
    df: int
    interval: Interval | None
    p_value: float
    test: str
    wilcoxon_p: float
    smallest_p: float
    detectable_effect: float
    alpha: float
    power: float
    reason: str
    identical: bool = False

    def equivalence_p(self, margin: float) -> float:
        """P value that the true difference lies within plus or minus ``margin`` (TOST).

        NaN where the differences allow no test.
        """
        if not margin > 0.0:
            msg = f"the equivalence margin must be positive; got {margin}"
            raise ValueError(msg)
        return NAN if self.reason else tost_p(self.mean, self.se, self.df, -margin, margin)


def paired_difference(
    a: Floats,
    b: Floats,
    *,
    level: float = 0.95,
    alpha: float = 0.05,
    power: float = 0.8,
    train_size: int | None = None,
    test_size: int | None = None,
    seed: int = 0,
) -> PairedDifference:
    """Compare two arms repetition by repetition.

    Independent samples get the sign-flip test and the interval of :func:`mean_interval`. Where
    the repetitions resample one data set, give ``train_size`` and ``test_size``: their results
    are correlated, so the variance of the mean is (1/n + test/train) sd^2 and test and interval
    are Student's t (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).

    Parameters
    ----------
    a, b : array of shape (n,)
        One value of the metric a repetition; ``a[r]`` and ``b[r]`` share sample and split.
    level : float
        Confidence level of the interval.
    alpha, power : float
        Level and power of the detectable effect.
    train_size, test_size : int, optional
        Rows of each overlapping training and test sample; both or neither.
    seed : int
        Seed of the resampling.

    Returns
    -------
    PairedDifference
        With a ``reason``, no interval and NaN p values for no pairs, one pair, values that are
        not finite, and differences that are all equal; ``identical`` where these are zero and
        the repetitions are not copies of one. Pairs with NaN are not dropped.

    Raises
    ------
    ValueError
        If the lengths differ, or only one of the sizes is given.
    """
    x, y = as_vector(a, "a"), as_vector(b, "b")
    if x.shape != y.shape:
        msg = f"a and b must pair repetition by repetition; got {x.size} and {y.size} values"
        raise ValueError(msg)
    check_level(level)
    ratio = _test_to_train(train_size, test_size)
    finite = np.isfinite(x) & np.isfinite(y)
    d = np.subtract(x, y, out=np.full(x.shape, NAN), where=finite)
    n = d.size
    scale = float(np.abs([x, y]).max(initial=0.0))
    reason = why_degenerate(d, "paired differences", scale)
    if reason:
        return _untested(x, d, scale, alpha, power, reason)
    estimate = mean_interval(d, level, seed)
    mean, sd, interval = estimate.mean, estimate.sd, estimate.interval
    se = sd * float(np.sqrt(1.0 / n + ratio))
    if ratio:
        test, p, smallest, wilcoxon = CORRECTED_TEST, _t_p(mean / se, n - 1), 0.0, NAN
        interval = t_interval(mean, se, n - 1, level, test)
    else:
        test, p, smallest = FLIP_TEST, sign_flip_p(d, seed), smallest_sign_flip_p(n)
        wilcoxon = _wilcoxon_p(d, scale)
    seen = sd * detectable_sds(n, alpha=alpha, power=power, test_to_train=ratio)
    return PairedDifference(
        n, mean, sd, se, n - 1, interval, p, test, wilcoxon, smallest, seen, alpha, power, ""
    )


def _untested(
    x: NDArray[np.float64],
    d: NDArray[np.float64],
    scale: float,
    alpha: float,
    power: float,
    reason: str,
) -> PairedDifference:
    """Return a difference without a test, and say whether the two are the same throughout."""
    n, (mean, sd) = d.size, mean_and_sd(d)
    same = n > 1 and bool((np.abs(d) <= ROUNDING * scale).all())
    # Repetitions in which nothing varies may be copies of one, and n would count for nothing.
    varied = same and float(np.ptp(x)) > ROUNDING * scale
    if varied:
        reason = f"the two are equal in each of {n} repetitions: no difference to test"
    elif same:
        reason = f"both are {x[0]:.6g} in each of {n} repetitions: nothing varies"
    return PairedDifference(
        n, mean, sd, NAN, n - 1, None, NAN, "none", NAN, NAN, NAN, alpha, power, reason, varied
    )


def may_differ(n: int, level: float = 0.95) -> float:
    """Largest share of repetitions that may differ where none of ``n`` did.

    The upper end of the exact one-sided interval of Clopper and Pearson (1934,
    doi:10.1093/biomet/26.4.404): about three over n at a level of 0.95.

    Parameters
    ----------
    n : int
        Repetitions, all without a difference.
    level : float
        Confidence level.

    Raises
    ------
    ValueError
        If ``n`` is below 1 or ``level`` not between 0 and 1.
    """
    check_level(level)
    if n < 1:
        msg = f"n must be one repetition at least; got {n}"
        raise ValueError(msg)
    return float(1.0 - (1.0 - level) ** (1.0 / n))


def smallest_sign_flip_p(n: int) -> float:
    """Return the smallest two-sided p value that :func:`sign_flip_p` can give for ``n`` pairs."""
    return 2.0 ** (1 - n) if n <= EXACT_UP_TO else 2.0 / (FLIPS + 1)


def _test_to_train(train_size: int | None, test_size: int | None) -> float:
    if train_size is None and test_size is None:
        return 0.0
    if train_size is None or test_size is None or train_size < 1 or test_size < 1:
        msg = (
            "give both train_size and test_size, each at least 1, or neither; "
            f"got {train_size} and {test_size}"
        )
        raise ValueError(msg)
    return test_size / train_size


def _t_p(t: float, df: int) -> float:
    return float(2.0 * stats.t.sf(abs(t), df))


def _wilcoxon_p(d: NDArray[np.float64], scale: float) -> float:
    """Exact Wilcoxon signed-rank p value, ties included: the sign-flip test of signed ranks."""
    # Rounding lets equal differences tie, as 0.95 - 0.90 and 0.85 - 0.80 should.
    rounded = np.round(d / scale, 12)
    moved = rounded[rounded != 0.0]
    return sign_flip_p(stats.rankdata(np.abs(moved)) * np.sign(moved))
