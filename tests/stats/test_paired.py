"""Paired tests, power, equivalence."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from qlmbench.stats import (
    detectable_sds,
    may_differ,
    paired_difference,
    sign_flip_p,
    smallest_sign_flip_p,
)

NAN = float("nan")
counts = st.lists(st.integers(-6, 6), min_size=1, max_size=9)


def pair(n, shift=0.0, sd=1.0, seed=0):
    rng = np.random.default_rng(seed)
    b = rng.normal(size=n)
    return b + rng.normal(shift, sd, n), b


@given(counts)
@settings(max_examples=60, deadline=None)
def test_sign_flip_counts_every_sign_pattern(d):
    sums = [abs(np.dot(s, d)) for s in itertools.product([-1, 1], repeat=len(d))]
    expected = np.mean(np.array(sums) >= abs(sum(d)))
    assert sign_flip_p(np.array(d) / 622) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 5, 11])
def test_sign_flip_equals_scipy(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    peer = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=2**n, vectorized=False
    )
    assert sign_flip_p(d) == pytest.approx(peer.pvalue)


def test_sign_flip_is_exact_for_forty_pairs():
    # All the same sign: only the two all-equal patterns are as extreme.
    assert sign_flip_p(np.arange(1.0, 41.0)) == pytest.approx(2.0**-39)


def test_sign_flip_beyond_forty_pairs_is_seeded_and_close_to_t():
    d = np.random.default_rng(5).normal(0.3, 1, 60)
    p = sign_flip_p(d, seed=1)
    assert p == sign_flip_p(d, seed=1)
    assert p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.02)
    assert sign_flip_p(np.ones(60)) == pytest.approx(smallest_sign_flip_p(60))


@given(counts, st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_sign_flip_ignores_order_sign_and_scale(d, scale):
    x = np.array(d, dtype=float)
    p = sign_flip_p(x)
    assert sign_flip_p(x[::-1]) == pytest.approx(p)
    assert sign_flip_p(-x) == pytest.approx(p)
    assert sign_flip_p(scale * x) == pytest.approx(p)


@pytest.mark.parametrize("bad", [[], [NAN, 1.0]])
def test_sign_flip_refuses_what_it_cannot_test(bad):
    with pytest.raises(ValueError, match="finite"):
        sign_flip_p(bad)


@pytest.mark.parametrize(
    ("n", "sds"), [(2, 11.55), (3, 3.26), (5, 1.68), (10, 1.00), (20, 0.66), (30, 0.53)]
)
def test_detectable_effect_known_values(n, sds):
    assert detectable_sds(n) == pytest.approx(sds, abs=0.005)


@pytest.mark.parametrize("n", [3, 4, 20, 200])
def test_detectable_effect_equals_statsmodels(n):
    peer = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert detectable_sds(n) == pytest.approx(float(peer), rel=1e-4)


def test_one_repetition_detects_nothing():
    assert detectable_sds(1) == np.inf


# At the first two, statsmodels 0.15 stops at the end of its search without an answer.
@pytest.mark.parametrize(("n", "alpha", "power"), [(2, 0.01, 0.9), (4, 0.01, 0.9), (10, 0.05, 0.8)])
def test_detectable_effect_is_seen_at_its_power(n, alpha, power):
    effect = detectable_sds(n, alpha=alpha, power=power)
    d = np.random.default_rng(4).normal(effect, 1, (20_000, n))
    seen = np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue <= alpha)
    assert seen == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.3])
def test_equivalence_equals_statsmodels(shift):
    a, b = pair(20, shift)
    peer = ttost_paired(a, b, -0.7, 0.7)[0]
    assert paired_difference(a, b).equivalence_p(0.7) == pytest.approx(peer)


def test_equivalence_needs_a_positive_margin():
    with pytest.raises(ValueError, match="margin"):
        paired_difference(*pair(20)).equivalence_p(0.0)


def test_paired_difference_known_numbers():
    a, b = pair(20, 0.4)
    found, d = paired_difference(a, b), a - b
    assert (found.n, found.df, found.reason) == (20, 19, "")
    assert found.mean == pytest.approx(d.mean())
    assert found.sd == pytest.approx(d.std(ddof=1))
    assert found.se == pytest.approx(stats.sem(d))
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(d).pvalue)
    assert found.detectable_effect == pytest.approx(found.sd * detectable_sds(20))
    assert found.mean in found.interval


def test_swapping_the_arms_mirrors_the_difference():
    a, b = pair(15, 0.5)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert back.mean == pytest.approx(-there.mean)
    assert back.p_value == pytest.approx(there.p_value)
    assert back.equivalence_p(0.6) == pytest.approx(there.equivalence_p(0.6))


def test_five_pairs_cannot_be_significant():
    found = paired_difference([0.5, 0.6, 0.7, 0.8, 0.95], [0.1] * 5)
    assert found.p_value == found.smallest_p == 0.0625


def test_ties_and_zeros_give_a_valid_p_value():
    rows = np.array([0, 0, 0, 1, 1, 2, -1, 3, 1, 0, 2, 1]) / 200
    found = paired_difference(0.9 + rows, np.full(12, 0.9))
    assert 0.0 < found.p_value < 1.0
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(rows * 200).pvalue)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([], [], "no paired differences"),
        ([0.9], [0.8], "n = 1"),
        ([0.9, 0.8, 0.7], [0.9, 0.8, 0.7], "the two are equal in each of 3 repetitions"),
        ([0.9, 0.9, 0.9], [0.9, 0.9, 0.9], "nothing varies"),
        ([0.95, 0.85, 0.75], [0.90, 0.80, 0.70], "zero variance"),
        ([0.9, NAN, 0.7], [0.8, 0.8, 0.8], "1 of 3"),
        ([0.9, 0.8], [0.7, NAN], "not finite"),
    ],
)
def test_degenerate_pairs_give_a_reason_and_no_p_value(a, b, words):
    found = paired_difference(a, b)
    assert words in found.reason
    assert found.interval is None
    assert found.test == "none"
    assert np.isnan([found.p_value, found.wilcoxon_p, found.equivalence_p(0.01)]).all()


@pytest.mark.parametrize(
    ("a", "b", "identical"),
    [
        ([0.9, 0.8, 0.7], [0.9, 0.8, 0.7], True),
        ([0.1 + 0.2, 0.8], [0.3, 0.8], True),  # equal up to rounding
        ([0.9, 0.9, 0.9], [0.9, 0.9, 0.9], False),  # these may be copies of one repetition
        ([0.0, 0.0], [0.0, 0.0], False),
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], False),
        ([0.9, 0.8, 0.7], [0.9, 0.8, 0.71], False),
        ([0.9], [0.9], False),
        ([0.9, NAN], [0.9, NAN], False),
        ([], [], False),
    ],
)
def test_identical_are_values_equal_in_every_repetition_that_vary_between_them(a, b, identical):
    assert paired_difference(a, b).identical is identical


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0.01, 100))
@example([0.0, 5e-324], 0.5)
@settings(max_examples=40, deadline=None)
def test_an_arm_is_identical_to_itself_and_has_no_p_value(values, scale):
    scores = scale * np.array(values)  # the smallest numbers may become zero
    found = paired_difference(scores, scores)
    assert found.identical == (np.ptp(scores) > 1e-12 * max(scores))
    assert (found.mean, found.sd, found.interval) == (0.0, 0.0, None)
    assert np.isnan([found.p_value, found.equivalence_p(0.01)]).all()


@pytest.mark.parametrize(("n", "share"), [(1, 0.95), (10, 0.2589), (20, 0.1391), (300, 0.00994)])
def test_the_share_that_may_differ_where_none_did_is_that_of_clopper_and_pearson(n, share):
    assert may_differ(n) == pytest.approx(share, abs=5e-5)
    peer = stats.binomtest(0, n, alternative="less").proportion_ci(0.95, method="exact").high
    assert may_differ(n) == pytest.approx(peer)


def test_no_repetition_says_nothing_of_the_share_that_may_differ():
    with pytest.raises(ValueError, match="got 0"):
        may_differ(0)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="3 and 2"):
        paired_difference([1, 2, 3], [1, 2])


def test_overlapping_samples_get_the_nadeau_bengio_correction():
    a, b = pair(10, 0.5)
    d = a - b
    found = paired_difference(a, b, train_size=90, test_size=10)
    se = d.std(ddof=1) * np.sqrt(1 / 10 + 10 / 90)
    assert found.test == "corrected resampled t"
    assert found.se == pytest.approx(se)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(d.mean()) / se, 9))
    assert found.interval.high - found.mean == pytest.approx(stats.t.ppf(0.975, 9) * se)
    plain = paired_difference(a, b)
    assert found.equivalence_p(2.0) > plain.equivalence_p(2.0)
    assert found.detectable_effect == pytest.approx(plain.detectable_effect * se / plain.se)


@pytest.mark.parametrize("sizes", [{"train_size": 10}, {"train_size": 0, "test_size": 5}])
def test_correction_needs_both_sizes(sizes):
    with pytest.raises(ValueError, match="train_size"):
        paired_difference([1, 2], [2, 1], **sizes)


def test_same_seed_same_result():
    a, b = pair(50, 0.2)
    assert paired_difference(a, b, seed=2) == paired_difference(a, b, seed=2)


def test_importing_the_package_imports_neither_torch_nor_statsmodels():
    code = (
        "import sys, qlmbench.stats;"
        "print([m for m in ('torch', 'statsmodels') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
