"""Every row of the decision tables, and how often a verdict is wrong."""

import numpy as np
import pytest

from qlmbench.stats import (
    DifferenceCase,
    LevelCase,
    Published,
    Verdict,
    Wording,
    judge,
    judge_family,
    judge_level,
    paired_difference,
)

NAN = float("nan")
SHAPE = np.linspace(-1.5, 1.5, 20)


def difference(mean, sd=0.01, n=20):
    """Differences with exactly this mean and standard deviation."""
    z = np.linspace(-1.5, 1.5, n)
    return paired_difference(mean + sd * z / z.std(ddof=1), np.zeros(n))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("mean", "sd", "published", "verdict", "words"),
    [
        (0.004, 0.002, 0.004, Verdict.REPRODUCED, "in line"),  # row 3
        (0.004, 0.002, None, Verdict.EQUIVALENT, "a real difference, but within"),  # row 4
        (0.004, 0.002, 0.04, Verdict.EQUIVALENT, "within the margin"),
        (0.000, 0.005, 0.04, Verdict.EQUIVALENT, "within the margin"),
        (-0.004, 0.002, 0.04, Verdict.EQUIVALENT, "within the margin"),
        (0.040, 0.020, 0.04, Verdict.REPRODUCED, "in line"),  # row 5
        (0.040, 0.020, 0.02, Verdict.REPRODUCED, "even more"),
        (0.040, 0.020, None, Verdict.REPRODUCED, "no published size"),
        (0.020, 0.010, 0.04, Verdict.PARTLY_REPRODUCED, "real, but smaller"),  # row 6
        (-0.030, 0.020, 0.04, Verdict.NOT_REPRODUCED, "opposite"),  # row 7
        (-0.030, 0.020, None, Verdict.NOT_REPRODUCED, "opposite"),
        (0.005, 0.030, 0.04, Verdict.NOT_REPRODUCED, "more than the data allow"),  # row 8
        (0.005, 0.100, 0.04, Verdict.INCONCLUSIVE, "80 % power"),  # row 9
        (0.005, 0.100, None, Verdict.INCONCLUSIVE, "80 % power"),
    ],
)
def test_decision_table_of_a_directed_claim(sign, mean, sd, published, verdict, words):
    found = judge(
        difference(sign * mean, sd),
        direction="greater" if sign > 0 else "less",
        published=None if published is None else Published(sign * published),
    )
    assert found.verdict == verdict, found.reason
    assert words in found.reason
    assert found.effect == pytest.approx(sign * mean)
    assert (found.n, found.test) == (20, "sign-flip permutation")


@pytest.mark.parametrize(
    ("mean", "sd", "verdict", "words"),
    [
        (0.000, 0.005, Verdict.REPRODUCED, "within the margin"),  # row 3
        (0.040, 0.010, Verdict.NOT_REPRODUCED, "more than the margin"),  # row 4
        (-0.040, 0.010, Verdict.NOT_REPRODUCED, "more than the margin"),
        (0.012, 0.010, Verdict.INCONCLUSIVE, "neither within nor beyond"),  # row 5
        (0.000, 0.100, Verdict.INCONCLUSIVE, "neither within nor beyond"),
    ],
)
def test_decision_table_of_equality(mean, sd, verdict, words):
    found = judge(difference(mean, sd), direction="equal")
    assert found.verdict == verdict, found.reason
    assert words in found.reason


@pytest.mark.parametrize("direction", ["greater", "less", "equal"])
def test_no_data_is_not_run(direction):
    assert judge(None, direction=direction).verdict == Verdict.NOT_RUN
    assert judge(paired_difference([], []), direction=direction).verdict == Verdict.NOT_RUN


@pytest.mark.parametrize("direction", ["greater", "less", "equal"])
@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([0.9], [0.8], "n = 1"),
        ([0.9] * 20, [0.8] * 20, "zero variance"),
        ([0.9] * 20, [0.9] * 20, "both are 0.9 in each of 20 repetitions: nothing varies"),
        ([0.9] * 19 + [NAN], [0.8] * 20, "not finite"),
        ([0.9, 0.8, 0.85], [0.7, 0.7, 0.7], "n = 3 repetitions, and a verdict needs 10"),
    ],
)
def test_degenerate_data_are_inconclusive_with_the_reason(direction, a, b, words):
    found = judge(paired_difference(a, b), direction=direction)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert words in found.reason
    assert "significant" not in found.reason


@pytest.mark.parametrize("published", [None, Published(0.04)])
@pytest.mark.parametrize(
    ("direction", "verdict"),
    [("greater", Verdict.EQUIVALENT), ("equal", Verdict.REPRODUCED)],
)
def test_arms_that_never_differ_are_equivalent_without_a_test(direction, verdict, published):
    values = 0.8 + 0.01 * SHAPE
    found = judge(paired_difference(values, values), direction=direction, published=published)
    assert found.verdict == verdict
    assert (found.effect, found.interval, found.test, found.n) == (0.0, None, "none", 20)
    assert np.isnan([found.p, found.p_holm, found.equivalence_p, found.detectable_effect]).all()
    assert found.reason == (
        "the arm and the baseline score exactly the same in each of 20 repetitions: no difference "
        "to test, and none beyond the margin of 1.00 points (with 95 % confidence, at most 14 % of "
        "repetitions would differ at all)"
    )


@pytest.mark.parametrize("direction", ["greater", "less", "equal"])
def test_a_few_repetitions_without_a_difference_are_inconclusive(direction):
    found = judge(paired_difference([0.9, 0.8, 0.7], [0.9, 0.8, 0.7]), direction=direction)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.reason.endswith("n = 3 repetitions, and a verdict needs 10")


def test_arms_that_never_differ_do_not_count_in_a_family():
    d, values = difference(0.04, 0.06), 0.8 + 0.01 * SHAPE
    same = DifferenceCase(paired_difference(values, values), "less")
    first, second = judge_family([DifferenceCase(d, "greater"), same])
    assert first.p_holm == pytest.approx(d.p_value)
    assert second.verdict == Verdict.EQUIVALENT
    assert np.isnan(second.p_holm)


def test_a_test_that_cannot_reach_alpha_says_so():
    d = paired_difference([0.95, 0.99, 0.97, 0.96, 0.93], [0.9] * 5)
    found = judge(d, direction="greater", least_repetitions=2)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert "cannot go below p = 0.062" in found.reason


def test_the_corrected_p_value_decides():
    d = difference(0.04, 0.05)
    assert d.p_value <= 0.05
    assert judge(d, direction="greater").verdict == Verdict.REPRODUCED
    corrected = judge(d, direction="greater", p_holm=0.2)
    assert corrected.verdict == Verdict.INCONCLUSIVE
    assert corrected.p == d.p_value
    assert "Holm-corrected p = 0.2" in corrected.reason


def test_spread_of_the_published_effect_counts():
    d = difference(0.02, 0.01)
    sharp, blurred = Published(0.03), Published(0.03, spread=0.02, n=5)
    assert judge(d, direction="greater", published=sharp).verdict == Verdict.PARTLY_REPRODUCED
    assert judge(d, direction="greater", published=blurred).verdict == Verdict.REPRODUCED
    assert Published(0.03, spread=0.02, n=5).half_width(0.95) == pytest.approx(
        2.7764 * 0.02 / np.sqrt(5), rel=1e-4
    )
    assert Published(0.03, spread=0.02).half_width(0.95) == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "better"}, "direction"),
        ({"direction": "greater", "margin": 0.0}, "margin"),
        ({"direction": "greater", "alpha": 5}, "alpha"),
        ({"direction": "greater", "p_holm": NAN}, "p values"),
        ({"direction": "greater", "equivalence_p": NAN}, "p values"),
        ({"direction": "greater", "published": Published(-0.1)}, "swap the arms"),
        ({"direction": "less", "published": Published(0.1)}, "swap the arms"),
    ],
)
def test_contradictory_claims_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        judge(difference(0.1), **options)


@pytest.mark.parametrize("bad", [(NAN,), (0.1, -1.0), (0.1, NAN), (0.1, 0.1, 0)])
def test_impossible_published_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="published"):
        Published(*bad)


def test_reason_is_one_sentence_with_names_and_numbers():
    words = Wording(arm="the photonic head", versus="logistic regression")
    found = judge(
        difference(0.031, 0.02), direction="greater", published=Published(0.04), wording=words
    )
    assert found.reason.startswith("the photonic head is 3.10 points above logistic regression (")
    assert "95 % interval 2." in found.reason
    assert "n = 20, p < 0.0001" in found.reason
    assert found.reason.endswith(": in line with the published 4.00 points")
    raw = judge(difference(-0.3, 0.1), direction="less", wording=Wording(points=False))
    assert raw.reason.startswith("the arm is 0.3 below the baseline")


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high", "verdict"),
    [
        (0.825, 0.01, 0.80, 0.85, Verdict.REPRODUCED),
        (0.825, 0.01, 0.82, 0.82, Verdict.REPRODUCED),  # within the margin of a single number
        (0.825, 0.01, 0.80, np.inf, Verdict.REPRODUCED),
        (0.700, 0.01, 0.80, 0.85, Verdict.NOT_REPRODUCED),
        (0.950, 0.01, 0.80, 0.85, Verdict.NOT_REPRODUCED),
        (0.825, 0.01, -np.inf, 0.75, Verdict.NOT_REPRODUCED),
        (0.825, 0.20, 0.80, 0.85, Verdict.INCONCLUSIVE),
        (0.780, 0.10, 0.80, 0.85, Verdict.INCONCLUSIVE),
    ],
)
def test_decision_table_of_a_level(mean, sd, low, high, verdict):
    values = mean + sd * SHAPE / SHAPE.std(ddof=1)
    found = judge_level(values, low, high)
    assert found.verdict == verdict, found.reason
    assert f"{100 * mean:.2f} %" in found.reason


@pytest.mark.parametrize(
    ("values", "verdict", "words"),
    [
        ([], Verdict.NOT_RUN, "not run"),
        ([0.8], Verdict.INCONCLUSIVE, "n = 1"),
        ([0.8] * 20, Verdict.INCONCLUSIVE, "zero variance"),
        ([0.8] * 19 + [NAN], Verdict.INCONCLUSIVE, "not finite"),
        ([0.8, 0.81, 0.82], Verdict.INCONCLUSIVE, "needs 10"),
    ],
)
def test_degenerate_levels(values, verdict, words):
    found = judge_level(values, 0.8, 0.85)
    assert found.verdict == verdict
    assert words in found.reason


@pytest.mark.parametrize(
    ("low", "high", "margin"),
    [(0.9, 0.8, 0.01), (-np.inf, np.inf, 0.01), (0.8, 0.8, 0.0), (0.8, 0.9, -1.0), (NAN, 1, 0.1)],
)
def test_impossible_bands_are_refused(low, high, margin):
    with pytest.raises(ValueError, match=r"level"):
        judge_level([0.8, 0.9], low, high, margin=margin)


def test_a_family_is_corrected_and_skips_what_cannot_be_tested():
    d = difference(0.04, 0.06)
    level = tuple(0.70 + 0.01 * SHAPE)
    cases = [
        DifferenceCase(d, "greater", published=Published(0.04)),
        DifferenceCase(None, "greater"),
        DifferenceCase(paired_difference([0.9] * 20, [0.8] * 20), "greater"),
        LevelCase(level, 0.8, 0.85),
    ]
    found = judge_family(cases)
    assert [v.verdict for v in found] == [
        Verdict.REPRODUCED,
        Verdict.NOT_RUN,
        Verdict.INCONCLUSIVE,
        Verdict.NOT_REPRODUCED,
    ]
    # Two testable claims: the larger p stays, the smaller doubles.
    assert found[0].p_holm == pytest.approx(d.p_value)
    assert found[3].p_holm == pytest.approx(2 * found[3].p)
    assert np.isnan(found[2].p_holm)
    assert judge_family([]) == []


def verdicts(repeats, n, truth, published=None, seed=0, sd=0.03):
    rng = np.random.default_rng(seed)
    found = []
    for i in range(repeats):
        # Accuracies on 200 rows: ties happen.
        values = np.round(rng.normal([[0.8 + truth], [0.8]], sd, (2, n)) * 200) / 200
        d = paired_difference(*values, seed=i)
        found.append(judge(d, direction="greater", published=published))
    return found


def share(found, *kinds):
    return np.mean([v.verdict in kinds for v in found])


POSITIVE = (Verdict.REPRODUCED, Verdict.PARTLY_REPRODUCED)


def check_false_positives(repeats, n):
    found = verdicts(repeats, n, 0.0)
    # Two standard errors of the simulation on top of the level.
    slack = 2 * np.sqrt(0.05 * 0.95 / repeats)
    assert np.mean([v.p_holm <= 0.05 for v in found]) <= 0.05 + slack
    # Only half of the false alarms point in the claimed direction.
    assert share(found, *POSITIVE) <= 0.025 + slack


def test_false_positive_rate_under_the_null():
    check_false_positives(200, 12)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 20])
def test_false_positive_rate_under_the_null_at_length(n):
    check_false_positives(1200, n)


def test_a_true_published_effect_is_seldom_denied():
    found = verdicts(150, 20, 0.04, Published(0.04), seed=1)
    assert share(found, Verdict.NOT_REPRODUCED, Verdict.PARTLY_REPRODUCED) <= 0.06
    assert share(found, Verdict.REPRODUCED) >= 0.85


def test_an_absent_effect_is_denied_rather_than_confirmed():
    found = verdicts(100, 20, 0.0, Published(0.04), seed=2)
    assert share(found, Verdict.NOT_REPRODUCED, Verdict.EQUIVALENT) >= 0.8


def test_a_difference_as_large_as_the_margin_is_seldom_called_equivalent():
    found = verdicts(500, 20, 0.01, seed=4, sd=0.01)
    assert share(found, Verdict.EQUIVALENT) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


def test_a_family_of_null_claims_keeps_its_error_rate():
    rng = np.random.default_rng(3)
    alarms = []
    for _ in range(30):
        x = rng.normal(0.8, 0.03, (2, 5, 12))
        cases = [
            DifferenceCase(paired_difference(a, b), "greater") for a, b in zip(*x, strict=True)
        ]
        alarms.append(any(v.p_holm <= 0.05 for v in judge_family(cases)))
    assert np.mean(alarms) <= 0.125


def test_claims_with_too_few_repetitions_leave_the_others_their_p_values():
    enough = [DifferenceCase(difference(mean, 0.06, 12), "greater") for mean in (0.03, 0.05, 0.09)]
    few = DifferenceCase(difference(0.05, 0.06, 4), "greater")
    alone, beside = judge_family(enough), judge_family([*enough, few])
    assert [v.p_holm for v in beside[:3]] == [v.p_holm for v in alone]
    assert beside[3].verdict is Verdict.INCONCLUSIVE
    assert np.isnan(beside[3].p_holm)
