"""Uncertainty of an accuracy difference over repetitions and test rows together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from qlmbench.stats.intervals import Interval, check_level, small_sample_level
from qlmbench.stats.paired import CORRECTED_TEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from qlmbench.stats.paired import PairedDifference

    Rows = Literal["shared", "redrawn"] | Sequence[ArrayLike]

# Row weights of one chunk of resamples stay below this many numbers (64 MB).
CHUNK = 8_000_000


@dataclass(frozen=True)
class RowsAndRepetitions:
    """Mean difference in accuracy with both sources of noise.

    Parameters
    ----------
    n_repetitions, n_rows : int
        Repetitions; distinct test rows over all of them.
    mean : float
        Mean over repetitions of accuracy(a) - accuracy(b).
    interval : Interval or None
        None where there is a ``reason``.
    se, se_repetitions, se_rows : float
        Standard error, and its parts: what an interval over repetitions alone sees, and what
        the rows that repetitions share add. The squares of the parts sum to the square of the
        whole. More repetitions shrink the first and never the second.
    reason : str
        Why there is no interval; empty where there is one.
    """

    n_repetitions: int
    n_rows: int
    mean: float
    interval: Interval | None
    se: float
    se_repetitions: float
    se_rows: float
    reason: str


@dataclass(frozen=True)
class _Table:
    """Row differences in {-1, 0, 1} and which repetition saw which row, both (R, rows)."""

    difference: NDArray[np.float64]
    seen: NDArray[np.float64]


def bootstrap_rows_and_repetitions(
    correct_a: Sequence[ArrayLike],
    correct_b: Sequence[ArrayLike],
    *,
    rows: Rows = "shared",
    level: float = 0.95,
    resamples: int = 4_000,
    seed: int = 0,
) -> RowsAndRepetitions:
    """Two-level bootstrap of a difference in accuracy, over repetitions and over test rows.

    ``rows="shared"``: every repetition is scored on the same rows (crossed design). Repetitions
    and rows are resampled independently, the rows once for all repetitions (Owen 2007,
    doi:10.1214/07-AOAS122). That distribution counts the noise of single predictions three
    times, so it is shrunk around the mean to the unbiased variance: the variance between
    repetitions over R, plus the mean covariance that shared rows put between two repetitions.

    ``rows="redrawn"``: every repetition has rows that no other one has (nested design). Whole
    repetitions are resampled: their means already carry the noise of their rows, and resampling
    rows within them would count it twice (Davison and Hinkley 1997, section 3.8).

    A list of row identifiers, one array a repetition: rows may be shared by some repetitions.

    Parameters
    ----------
    correct_a, correct_b : sequence of R arrays of shape (n_r,)
        Per repetition, whether each row was predicted correctly (bool, or 0 and 1), the rows in
        the same order for both arms.
    rows : "shared", "redrawn" or sequence of R arrays of shape (n_r,)
        Which rows the repetitions have in common; the identifiers of a repetition are distinct.
    level : float
        Confidence level, widened for few repetitions as in
        :func:`~qlmbench.stats.small_sample_level`.
    resamples, seed : int
        Bootstrap resamples and their seed.

    Returns
    -------
    RowsAndRepetitions
        Without an interval, and with the reason, for no repetition, one repetition, and two
        arms whose accuracies differ by the same amount in every repetition and share no
        row noise.

    Raises
    ------
    ValueError
        If the shapes do not match, a value is neither 0 nor 1, a repetition has fewer than two
        rows, shared rows differ in number, or identifiers repeat within a repetition.
    """
    check_level(level)
    differences = _differences(correct_a, correct_b)
    count = len(differences)
    nan = float("nan")
    if not count:
        return RowsAndRepetitions(0, 0, nan, None, nan, nan, nan, "there are no repetitions")
    means = np.array([d.mean() for d in differences])
    mean = float(means.mean())
    table = _table(differences, rows)
    n_rows = sum(d.size for d in differences) if table is None else table.difference.shape[1]
    if count == 1:
        reason = "n = 1: one repetition says nothing about the spread between repetitions"
        return RowsAndRepetitions(1, n_rows, mean, None, nan, nan, nan, reason)
    between = float(means.var(ddof=1)) / count
    shared = 0.0 if table is None else max(0.0, _shared_covariance(table, means))
    se = float(np.sqrt(between + shared))
    parts = (se, float(np.sqrt(between)), float(np.sqrt(shared)))
    drawn = _resample(means, table, resamples, seed)
    spread = float(drawn.std())
    # A millionth of a row is rounding, not spread.
    if se * n_rows < 1e-6 or spread * n_rows < 1e-6:
        reason = f"the difference is {mean:.6g} in all {count} repetitions: zero variance"
        return RowsAndRepetitions(count, n_rows, mean, None, *parts, reason)
    # Bring the resampled spread to that of a bootstrap of R values with this standard error;
    # the widened level below makes up for the factor.
    target = se * np.sqrt((count - 1) / count)
    tail = (1.0 - small_sample_level(level, count)) / 2.0
    low, high = mean + (np.quantile(drawn, [tail, 1.0 - tail]) - drawn.mean()) * target / spread
    interval = Interval(float(low), float(high), level, "two-level bootstrap")
    return RowsAndRepetitions(count, n_rows, mean, interval, *parts, "")


def with_test_rows(difference: PairedDifference, both: RowsAndRepetitions) -> PairedDifference:
    """Let a paired difference answer for new test rows as well as for new repetitions.

    A test over repetitions alone asks whether the arms differ on these very rows. Where the
    repetitions share their rows, the answer for new rows needs the larger standard error: the
    result carries it into the equivalence test and the detectable effect, has the two-level
    interval, and its p value is the larger of the test over repetitions and a t test with that
    standard error, so both must agree that there is a difference.

    Parameters
    ----------
    difference : PairedDifference
        From the accuracies of independent repetitions.
    both : RowsAndRepetitions
        From the predictions of the same repetitions.

    Returns
    -------
    PairedDifference
        ``difference`` itself where it has a ``reason``; but arms of equal accuracies are no longer
        ``identical`` where they are right on different rows, which new rows would show.

    Raises
    ------
    ValueError
        If the two do not come from the same repetitions, ``both`` has no interval, or the
        difference is already corrected for overlapping samples.
    """
    if difference.identical and both.se_rows > 0.0:
        reason = f"{difference.reason}, but they are right on different rows"
        return replace(difference, identical=False, reason=reason)
    if difference.reason:
        return difference
    # Accuracies may have been rounded when stored, by no more than this.
    if difference.n != both.n_repetitions or abs(difference.mean - both.mean) > 1e-6:
        msg = (
            f"accuracies and predictions disagree: n = {difference.n} and {both.n_repetitions}, "
            f"mean difference {difference.mean:.6g} and {both.mean:.6g}"
        )
        raise ValueError(msg)
    if both.interval is None:
        msg = f"the predictions give no interval: {both.reason}"
        raise ValueError(msg)
    if difference.test == CORRECTED_TEST:
        msg = "a difference corrected for overlapping samples already covers shared test rows"
        raise ValueError(msg)
    p = float(2.0 * stats.t.sf(abs(difference.mean) / both.se, difference.df))
    alone = difference.sd / np.sqrt(difference.n)
    return replace(
        difference,
        se=both.se,
        interval=both.interval,
        p_value=max(difference.p_value, p),
        test=f"{difference.test} and t over rows and repetitions",
        detectable_effect=float(difference.detectable_effect * both.se / alone),
    )


def _differences(
    correct_a: Sequence[ArrayLike], correct_b: Sequence[ArrayLike]
) -> list[NDArray[np.float64]]:
    if len(correct_a) != len(correct_b):
        msg = f"both arms need the same repetitions; got {len(correct_a)} and {len(correct_b)}"
        raise ValueError(msg)
    return [
        _one_repetition(np.asarray(a), np.asarray(b), r)
        for r, (a, b) in enumerate(zip(correct_a, correct_b, strict=True))
    ]


def _one_repetition(a: NDArray[np.generic], b: NDArray[np.generic], r: int) -> NDArray[np.float64]:
    if a.ndim != 1 or a.shape != b.shape or a.size < 2:
        msg = (
            f"repetition {r}: correctness must be two vectors over the same two or more rows; "
            f"got shapes {a.shape} and {b.shape}"
        )
        raise ValueError(msg)
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not (np.isin(x, (0.0, 1.0)).all() and np.isin(y, (0.0, 1.0)).all()):
        msg = f"repetition {r}: correctness must be True or False (1 or 0) for every row"
        raise ValueError(msg)
    return x - y


def _table(differences: list[NDArray[np.float64]], rows: Rows) -> _Table | None:
    """Lay the repetitions out over the distinct rows; None if no two share a row."""
    sizes = [d.size for d in differences]
    if isinstance(rows, str):
        if rows == "redrawn":
            return None
        if rows != "shared":
            msg = f'rows must be "shared", "redrawn" or row identifiers; got {rows!r}'
            raise ValueError(msg)
        if len(set(sizes)) > 1:
            msg = f"shared rows must be equally many in every repetition; got {sizes}"
            raise ValueError(msg)
        stacked = np.stack(differences)
        return _Table(stacked, np.ones_like(stacked))
    identifiers = [np.asarray(i) for i in rows]
    if [i.shape for i in identifiers] != [(n,) for n in sizes]:
        msg = f"one identifier a row: need {sizes}, got shapes {[i.shape for i in identifiers]}"
        raise ValueError(msg)
    if any(np.unique(i).size < i.size for i in identifiers):
        msg = "row identifiers must be distinct within a repetition"
        raise ValueError(msg)
    known, place = np.unique(np.concatenate(identifiers), return_inverse=True)
    if known.size == sum(sizes):
        return None
    repetition = np.repeat(np.arange(len(sizes)), sizes)
    table = _Table(np.zeros((len(sizes), known.size)), np.zeros((len(sizes), known.size)))
    table.difference[repetition, place] = np.concatenate(differences)
    table.seen[repetition, place] = 1.0
    return table


def _shared_covariance(table: _Table, means: NDArray[np.float64]) -> float:
    """Mean covariance between the means of two repetitions, from the rows they share."""
    sizes = table.seen.sum(axis=1)
    # Centring by the repetition's own mean takes 1/n of the covariance away; give it back.
    residual = (table.difference - means[:, None]) * table.seen
    residual *= np.sqrt(sizes / (sizes - 1.0))[:, None]
    overlap = table.seen @ table.seen.T
    np.fill_diagonal(overlap, 0.0)
    products = float((residual.sum(axis=0) ** 2).sum() - (residual**2).sum())
    per_row = products / float(overlap.sum())
    weight = (overlap / np.outer(sizes, sizes)).sum() / (sizes.size * (sizes.size - 1))
    return per_row * float(weight)


def _resample(
    means: NDArray[np.float64], table: _Table | None, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Resampled mean differences, shape (resamples,)."""
    if table is None:
        drawn: NDArray[np.float64] = _repetition_weights(means.size, resamples, seed)[0] @ means
        return drawn
    n_rows = table.difference.shape[1]
    weights, row_counts = _repetition_and_row_weights(means.size, n_rows, resamples, seed)
    step = max(1, CHUNK // n_rows)
    pieces = [slice(i, i + step) for i in range(0, resamples, step)]
    return np.concatenate([_reweighted(weights[i], row_counts[i], table) for i in pieces])


def _repetition_weights(
    count: int, resamples: int, seed: int
) -> tuple[NDArray[np.float64], np.random.Generator]:
    """Share of each repetition in each resample, (resamples, R), and what is left of the seed."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1.0 / count), resamples) / count, rng


# Claims of one setting have equally many repetitions and rows: drawing is most of the work.
@lru_cache(maxsize=2)
def _repetition_and_row_weights(
    count: int, n_rows: int, resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """How often each repetition, and each row, is drawn: (resamples, R) and (resamples, rows)."""
    weights, rng = _repetition_weights(count, resamples, seed)
    row_counts = np.empty((resamples, n_rows), np.uint16)
    step = max(1, CHUNK // n_rows)
    for start in range(0, resamples, step):
        some = row_counts[start : start + step]
        some[:] = rng.multinomial(n_rows, np.full(n_rows, 1.0 / n_rows), len(some))
    return weights, row_counts


def _reweighted(
    weights: NDArray[np.float64], row_counts: NDArray[np.uint16], table: _Table
) -> NDArray[np.float64]:
    row_weights = row_counts.astype(np.float64)
    total = row_weights @ table.seen.T
    # A repetition of few rows can lose them all in a resample: it then keeps no difference.
    accuracy = row_weights @ table.difference.T / np.maximum(total, 1.0)
    drawn: NDArray[np.float64] = (weights * accuracy).sum(axis=1)
    return drawn
