"""Uncertainty over repetitions and test rows together."""

import numpy as np
import pytest

from qlmbench.stats import (
    bootstrap_rows_and_repetitions,
    detectable_sds,
    paired_difference,
    with_test_rows,
)


def predictions(seed, *, repetitions=20, rows=200, shared=True, effect=0.0, arm=0.1, row=0.6):
    """Correctness of two arms whose true difference is symmetric around ``effect``."""
    rng = np.random.default_rng(seed)
    width = (1 if shared else repetitions, rows)
    base, own = rng.normal(1.2, 1, width), rng.normal(effect, row, width)
    run = rng.normal(0, arm, (repetitions, 1))
    noise = rng.normal(0, 0.3, (2, repetitions, rows))
    both = base + rng.normal(0, 0.5, (repetitions, rows))
    return both + (own + run) / 2 + noise[0] > 0, both - (own + run) / 2 + noise[1] > 0


def accuracies(a, b):
    return a.mean(axis=1), b.mean(axis=1)


@pytest.mark.parametrize("rows", ["shared", "redrawn"])
def test_mean_is_the_difference_in_accuracy(rows):
    a, b = predictions(0, effect=0.3)
    found = bootstrap_rows_and_repetitions(a, b, rows=rows)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.mean in found.interval
    assert found.se**2 == pytest.approx(found.se_repetitions**2 + found.se_rows**2)


def test_standard_error_of_a_crossed_design_is_the_two_way_analysis_of_variance():
    a, b = predictions(1)
    d = a.astype(float) - b
    n, m = d.shape
    residual = d - d.mean(1, keepdims=True) - d.mean(0) + d.mean()
    noise = (residual**2).sum() / ((n - 1) * (m - 1))
    expected = d.mean(1).var(ddof=1) / n + d.mean(0).var(ddof=1) / m - noise / (n * m)
    found = bootstrap_rows_and_repetitions(a, b)
    assert found.se**2 == pytest.approx(expected)


def test_identifiers_say_the_same_as_shared_and_redrawn():
    a, b = predictions(2, rows=50)
    same = [np.arange(50)] * 20
    apart = [np.arange(50) + 50 * r for r in range(20)]
    shared = bootstrap_rows_and_repetitions(a, b, rows="shared")
    redrawn = bootstrap_rows_and_repetitions(a, b, rows="redrawn")
    assert bootstrap_rows_and_repetitions(a, b, rows=same) == shared
    assert bootstrap_rows_and_repetitions(a, b, rows=apart) == redrawn


def test_rows_shared_by_some_repetitions_lie_between_the_designs():
    a, b = predictions(3, row=1.0)
    half = np.where(np.arange(20) < 10, 0, 1000)
    ids = [np.arange(200) + shift for shift in half]
    found = [
        bootstrap_rows_and_repetitions(a, b, rows=rows).se for rows in ("redrawn", ids, "shared")
    ]
    assert found[0] < found[1] < found[2]


def test_order_of_identified_rows_does_not_matter():
    a, b = predictions(4, rows=40)
    rng = np.random.default_rng(0)
    order = [rng.permutation(40) for _ in range(20)]
    mixed = bootstrap_rows_and_repetitions(
        [x[o] for x, o in zip(a, order, strict=True)],
        [x[o] for x, o in zip(b, order, strict=True)],
        rows=order,
    )
    assert mixed.interval.low == pytest.approx(bootstrap_rows_and_repetitions(a, b).interval.low)


def test_redrawn_rows_may_differ_in_number():
    rng = np.random.default_rng(0)
    a = [rng.random(n) < 0.9 for n in (50, 60, 70, 80)]
    b = [rng.random(x.size) < 0.8 for x in a]
    found = bootstrap_rows_and_repetitions(a, b, rows="redrawn")
    assert found.n_rows == 260
    assert found.mean == pytest.approx(
        np.mean([x.mean() - y.mean() for x, y in zip(a, b, strict=True)])
    )


def test_same_seed_same_interval():
    a, b = predictions(5)
    assert bootstrap_rows_and_repetitions(a, b, seed=1) == bootstrap_rows_and_repetitions(
        a, b, seed=1
    )


def test_one_and_no_repetition_give_a_reason():
    a, b = predictions(6, repetitions=1)
    one = bootstrap_rows_and_repetitions(a, b)
    assert one.interval is None
    assert "one repetition" in one.reason
    assert "no repetitions" in bootstrap_rows_and_repetitions([], []).reason


def test_identical_arms_give_a_reason():
    a, _ = predictions(7)
    found = bootstrap_rows_and_repetitions(a, a)
    assert found.interval is None
    assert "zero variance" in found.reason


@pytest.mark.parametrize(
    ("a", "b", "rows", "words"),
    [
        ([[1, 0]], [[1, 0], [1, 1]], "shared", "same repetitions"),
        ([[1, 0, 1]], [[1, 0]], "shared", "shapes"),
        ([[1]], [[0]], "shared", "two or more rows"),
        ([[0.5, 1]], [[1, 0]], "shared", "True or False"),
        ([[1, 0], [1, 0, 1]], [[1, 1], [1, 0, 0]], "shared", "equally many"),
        ([[1, 0], [1, 0]], [[1, 1], [1, 0]], "nested", "redrawn"),
        ([[1, 0], [1, 0]], [[1, 1], [1, 0]], [[1, 1], [1, 2]], "distinct"),
        ([[1, 0], [1, 0]], [[1, 1], [1, 0]], [[1, 2]], "identifier"),
    ],
)
def test_mismatched_predictions_are_refused(a, b, rows, words):
    with pytest.raises(ValueError, match=words):
        bootstrap_rows_and_repetitions(a, b, rows=rows)


def test_test_rows_widen_a_paired_difference():
    a, b = predictions(8, effect=0.2, row=1.0)
    plain = paired_difference(*accuracies(a, b))
    both = bootstrap_rows_and_repetitions(a, b)
    found = with_test_rows(plain, both)
    assert found.se == both.se > plain.se
    assert found.interval == both.interval
    assert found.p_value >= plain.p_value
    assert found.equivalence_p(0.2) > plain.equivalence_p(0.2)
    seen = detectable_sds(plain.n) * np.sqrt(plain.n) * both.se
    assert found.detectable_effect == pytest.approx(seen)


def test_test_rows_must_come_from_the_same_repetitions():
    a, b = predictions(9)
    both = bootstrap_rows_and_repetitions(a, b)
    with pytest.raises(ValueError, match="disagree"):
        with_test_rows(paired_difference(*accuracies(b, a)), both)
    corrected = paired_difference(*accuracies(a, b), train_size=9, test_size=1)
    with pytest.raises(ValueError, match="already"):
        with_test_rows(corrected, both)


def test_a_degenerate_difference_stays_degenerate():
    a, b = predictions(10)
    nothing = paired_difference([0.9] * 20, [0.8] * 20)
    assert with_test_rows(nothing, bootstrap_rows_and_repetitions(a, b)) is nothing


def test_arms_right_on_different_rows_are_not_identical_however_equal_their_accuracies():
    right = np.random.default_rng(11).random((12, 100)) < 0.2
    right[:, 50:] = False  # one arm is right on half of the rows, the other on the other half
    other = right[:, ::-1]
    plain = paired_difference(*accuracies(right, other))
    assert plain.identical
    found = with_test_rows(plain, bootstrap_rows_and_repetitions(right, other))
    assert not found.identical
    assert found.reason.endswith("but they are right on different rows")
    alike = bootstrap_rows_and_repetitions(right, right)
    assert with_test_rows(plain, alike) is plain


def rates(repeats, **options):
    """Coverage of zero by the two-level interval; false positives without and with rows."""
    held, alone, together = [], [], []
    for i in range(repeats):
        a, b = predictions(1000 + i, **options)
        rows = "shared" if options.get("shared", True) else "redrawn"
        both = bootstrap_rows_and_repetitions(a, b, rows=rows, resamples=1000, seed=i)
        plain = paired_difference(*accuracies(a, b))
        held.append(0.0 in both.interval)
        alone.append(plain.p_value <= 0.05)
        together.append(with_test_rows(plain, both).p_value <= 0.05)
    return np.mean(held), np.mean(alone), np.mean(together)


def test_two_level_interval_covers_where_repetitions_alone_do_not():
    held, alone, together = rates(60, rows=100)
    assert held >= 0.9
    assert alone > 0.15 > together


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("row", [0.1, 0.6])
def test_two_level_coverage_and_false_positives(shared, row):
    held, _, together = rates(400, rows=100, shared=shared, row=row)
    assert 0.92 <= held <= 0.995
    assert together <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
