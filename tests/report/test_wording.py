from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.report import wording as w

shares = st.floats(-1, 1, allow_nan=False)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.0123, "0.012"), (0.34, "0.34"), (1.0, "1.00"), (math.nan, "–")],
)
def test_a_p_value_keeps_sensible_digits_and_none_is_never_called_significant(p, text):
    assert w.p_value(p) == text


@given(shares)
@settings(max_examples=50, deadline=None)
def test_a_difference_shows_the_sign_of_what_it_shows(number):
    text = w.difference("test_accuracy", number)
    shown = float(text.replace(w.MINUS, "-"))
    assert shown == pytest.approx(100 * number, abs=0.0501)
    assert text[0] in "+" + w.MINUS or shown == 0


def test_shares_read_as_percent_and_other_metrics_as_they_are():
    assert w.with_unit("test_accuracy", 0.8376) == "83.8 %"
    assert w.with_unit("test_macro_f1", 0.5) == "50.0 %"
    assert w.with_unit("perplexity", 12.3456) == "12.3"
    assert w.difference_with_unit("test_accuracy", -0.004) == f"{w.MINUS}0.4 points"
    assert w.difference_with_unit("cosine", 0.25) == "+0.250"


def test_losses_are_in_nats_and_times_carry_their_own_unit():
    assert w.with_unit("test_log_loss", 0.08586) == "0.0859 nats"
    assert w.difference_with_unit("train_cross_entropy", -0.5) == f"{w.MINUS}0.500 nats"
    assert w.column_title("test_log_loss") == "test log loss, nats"
    assert w.column_title("seconds_per_epoch") == "time per epoch"
    assert w.with_unit("seconds_per_epoch", 0.01234) == "12.3 ms"
    assert w.difference_with_unit("seconds_per_epoch", -1.5) == f"{w.MINUS}1.50 s"
    assert w.difference("seconds_per_epoch", 0.0) == "0.00 ms"


def test_an_interval_of_times_names_a_shared_unit_once():
    assert w.interval("seconds_per_epoch", 0.01, 0.02) == "[10.0, 20.0] ms"
    assert w.interval("seconds_per_epoch", 0.05, 2) == "[50.0 ms, 2.00 s]"
    assert w.interval("test_log_loss", 0.1, 0.2) == "[0.100, 0.200]"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.01234, "0.0123"),
        (173.6, "174"),
        (12_345.6, "12,300"),
        (999.7, "1,000"),
    ],
)
def test_perplexities_keep_three_digits_and_are_never_written_with_an_exponent(number, text):
    assert w.value("test_perplexity", number) == text


@pytest.mark.parametrize(
    ("metric", "size", "text"),
    [
        ("test_accuracy", 0.01, "one point"),
        ("test_accuracy", 0.03, "3.0 points"),
        ("test_log_loss", 0.01, "0.01 nats"),
        ("seconds_per_epoch", 0.05, "50 ms"),
        ("test_perplexity", 2.0, "2"),
    ],
)
def test_the_size_of_a_margin_reads_in_its_unit(metric, size, text):
    assert w.amount(metric, size) == text


@pytest.mark.parametrize(
    ("metric", "up"),
    [
        ("test_accuracy", True),
        ("validation_token_accuracy", True),
        ("test_macro_f1", True),
        ("train_log_loss", False),
        ("validation_cross_entropy", False),
        ("test_perplexity", False),
        ("seconds_per_epoch", False),
    ],
)
def test_which_way_each_metric_of_a_record_goes(metric, up):
    assert w.higher_is_better(metric) is up


def test_what_a_paper_states_gets_no_digits_that_it_does_not_have():
    assert w.stated_difference("test_log_loss", -0.5) == f"{w.MINUS}0.5 nats"
    assert w.stated_difference("test_accuracy", 0.0314) == "+3.1 points"
    assert w.stated("test_perplexity", 9.3) == "9.3"


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    assert w.difference("test_accuracy", -0.0001) == "0.0"


def test_missing_numbers_are_dashes_and_missing_intervals_empty():
    assert w.value("test_accuracy", math.nan) == w.NOTHING
    assert w.interval("test_accuracy", math.nan, 0.1) == ""
    assert w.count(None) == w.NOTHING


def test_counts_have_thousands_separators_and_large_ones_words():
    assert w.count(77086.0) == "77,086"
    assert w.large(1_240_000) == "1.24 million"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (0.84, "0.8 s"), (12.3, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert w.seconds(seconds) == text
