"""Ranks over arms and the probability of improvement."""

import numpy as np
import pytest
from scipy import stats

from qlmbench.stats import critical_difference, probability_of_improvement, rank_arms

# Four learners on fourteen data sets: Demsar 2006, table 6 (AUC). The table prints 0.975 twice in
# the last row but one, but ranks the third learner above the fourth there.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.97501, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_mean_ranks_of_demsars_example():
    found = rank_arms(DEMSAR)
    assert found.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).pvalue)
    assert found.friedman_p < 0.05


def test_nemenyi_quantiles_are_demsars_table_5():
    q = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for arms, expected in enumerate(q, start=2):
        scale = np.sqrt(arms * (arms + 1) / (6 * 14))
        assert critical_difference(arms, 14) / scale == pytest.approx(expected, abs=1.5e-3)


def test_lower_is_better_turns_the_ranks_round():
    x = np.random.default_rng(0).normal(size=(8, 4))
    up, down = rank_arms(x).mean_ranks, rank_arms(x, higher_is_better=False).mean_ranks
    assert up + down == pytest.approx(np.full(4, 5.0))


def test_pairwise_tests_find_the_one_better_arm():
    x = np.random.default_rng(1).normal(size=(20, 3))
    x[:, 0] += 3
    p = rank_arms(x).pairwise_p
    assert (p == p.T).all()
    assert p[0, 1] < 0.01
    assert p[0, 2] < 0.01
    assert p[1, 2] > 0.05


def test_arms_that_tie_everywhere_have_no_friedman_p():
    assert np.isnan(rank_arms(np.ones((5, 3))).friedman_p)
    assert np.isnan(rank_arms(np.random.default_rng(0).normal(size=(5, 2))).friedman_p)


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((1, 3)), np.array([[1.0, np.nan]] * 3)])
def test_ranking_refuses_missing_scores(bad):
    with pytest.raises(ValueError, match=r"repetitions"):
        rank_arms(bad)


def test_probability_of_improvement_counts_ties_half():
    found = probability_of_improvement([3, 2, 1, 5], [1, 2, 3, 4])
    assert found.probability == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    back = probability_of_improvement([3, 2, 1, 5], [1, 2, 3, 4], higher_is_better=False)
    assert back.probability == pytest.approx(1 - found.probability)


def test_probability_interval_is_wilsons():
    found = probability_of_improvement([1] * 15 + [0] * 5, [0] * 15 + [1] * 5)
    peer = stats.binomtest(15, 20).proportion_ci(0.95, method="wilson")
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(peer))


def test_an_arm_that_always_wins_is_not_certain_to():
    found = probability_of_improvement(np.ones(20), np.zeros(20))
    assert found.probability == 1.0
    assert found.interval.low == pytest.approx(0.839, abs=1e-3)
    assert found.interval.high == 1.0


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 2]), ([np.nan], [1.0])])
def test_probability_needs_finite_pairs(a, b):
    with pytest.raises(ValueError, match="pair"):
        probability_of_improvement(a, b)
