"""Intervals for a mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qlmbench.stats import holm, mean_interval, small_sample_level
from qlmbench.stats.intervals import LEAST_FOR_BOOTSTRAP

finite = st.floats(-10, 10, allow_nan=False)


def covered(draw, truth, repeats):
    """Share of intervals that hold the truth."""
    return np.mean([truth in mean_interval(draw(), seed=i).interval for i in range(repeats)])


@given(st.lists(st.integers(-50, 50), min_size=12, max_size=25).filter(lambda v: len(set(v)) > 1))
@settings(max_examples=10, deadline=None)
def test_interval_is_ordered_and_lies_within_the_values(values):
    found = mean_interval(np.array(values) / 100)
    assert found.interval.low <= found.interval.high
    assert min(values) / 100 <= found.interval.low
    assert found.interval.high <= max(values) / 100


def test_interval_moves_and_scales_with_the_values():
    x = np.random.default_rng(0).normal(size=20)
    plain, moved = mean_interval(x).interval, mean_interval(3 + 2 * x).interval
    assert moved.low == pytest.approx(3 + 2 * plain.low)
    assert moved.high == pytest.approx(3 + 2 * plain.high)


def test_same_seed_same_interval():
    x = np.random.default_rng(1).normal(size=20)
    assert mean_interval(x, seed=3) == mean_interval(x, seed=3)
    assert mean_interval(x, seed=3) != mean_interval(x, seed=4)


def test_few_values_get_students_interval():
    x = np.array([0.1, 0.4, 0.2, 0.9])
    found = mean_interval(x)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert found.interval.method == "t"
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected))


def test_ten_values_get_the_bootstrap():
    x = np.random.default_rng(2).normal(size=LEAST_FOR_BOOTSTRAP)
    assert mean_interval(x).interval.method == "expanded BCa bootstrap"


def test_bootstrap_agrees_with_students_interval_for_many_normal_values():
    x = np.random.default_rng(3).normal(size=400)
    found = mean_interval(x).interval
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)


def test_widened_level_is_the_t_level_and_vanishes_for_many_values():
    # Hesterberg 2015: at n = 20 a nominal 95 % becomes Phi(-sqrt(20/19) 2.093) a side.
    assert small_sample_level(0.95, 20) == pytest.approx(1 - 2 * stats.norm.cdf(-2.14739), abs=1e-5)
    assert small_sample_level(0.95, 100_000) == pytest.approx(0.95, abs=1e-4)


def test_one_outlier_among_equal_values_still_gives_finite_ends():
    found = mean_interval([0.0] * 11 + [1.0])
    assert np.isfinite([found.interval.low, found.interval.high]).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "no values"),
        ([0.5], "n = 1"),
        ([0.5] * 8, "zero variance"),
        ([0.1 + 0.2, 0.3, 0.3], "zero variance"),
        ([0.0, 0.0], "zero variance"),
        ([0.5, float("nan"), 0.6], "1 of 3 values are not finite"),
        ([0.5, float("inf")], "not finite"),
    ],
)
def test_no_interval_without_spread_or_with_nan(values, words):
    found = mean_interval(values)
    assert found.interval is None
    assert words in found.reason


def test_tiny_metrics_are_not_taken_for_equal():
    assert mean_interval([1e-20, 2e-20, 3e-20]).interval is not None


def test_wrong_shape_and_level_are_refused():
    with pytest.raises(ValueError, match="one-dimensional"):
        mean_interval(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level=95)


def test_coverage_is_close_to_its_level():
    rng = np.random.default_rng(10)
    assert covered(lambda: rng.normal(size=20), 0.0, 300) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20])
def test_coverage_of_normal_means(n):
    rng = np.random.default_rng(n)
    # Standard error of the share at 1,500 repeats: 0.6 points.
    assert 0.925 <= covered(lambda: rng.normal(size=n), 0.0, 1500) <= 0.97


@pytest.mark.slow
def test_coverage_of_skewed_means_beats_students():
    draws = np.random.default_rng(7).exponential(size=(1000, 20))
    rows = iter(draws)
    ours = covered(lambda: next(rows), 1.0, len(draws))
    low, high = stats.ttest_1samp(draws, 0, axis=1).confidence_interval(0.95)
    assert ours > np.mean((low <= 1.0) & (high >= 1.0))
    assert ours >= 0.91


def test_holm_known_answer():
    # 3 x 0.01; 2 x 0.03; max(0.06, 0.04).
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_keeps_nan_and_leaves_it_out_of_the_family():
    found = holm([0.01, float("nan"), 0.04])
    assert np.isnan(found[1])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(holm([float("nan")])).all()
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_holm_lies_between_the_plain_p_and_bonferroni(p):
    corrected, plain = holm(p), np.array(p)
    assert (corrected >= plain - 1e-12).all()
    assert (corrected <= np.minimum(1, plain * len(p)) + 1e-12).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(corrected[order]) >= -1e-12).all()


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])
