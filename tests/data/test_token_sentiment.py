"""The made-up task: drawn as described, and its best possible scores are right."""

import itertools
import math

import numpy as np

from qlmbench.data.datasets import best_possible, dataset_identity, load_dataset
from qlmbench.data.token_sentiment import NEGATIVE, POSITIVE, token_sentiment_rows


def test_best_possible_scores_equal_those_of_counting_every_sequence() -> None:
    """Two tokens of each range stand for all: within a range every token is equally likely."""
    share = len(POSITIVE) / 19
    accuracy = loss = 0.0
    for own in itertools.product((0, 1), repeat=6):  # which of six places hold a high token
        likelihood = []
        for label in (0, 1):
            total = 0.0
            for places in itertools.combinations(range(6), 3):
                free = [own[i] for i in range(6) if i not in places]
                if all(own[i] == label for i in places):
                    total += math.prod(share if high else 1 - share for high in free) / 20
            likelihood.append(0.5 * total)
        accuracy += max(likelihood)
        loss -= sum(p * math.log(p / sum(likelihood)) for p in likelihood if p)
    best = best_possible("token-sentiment")
    assert math.isclose(best["accuracy"], accuracy, rel_tol=1e-12)
    assert math.isclose(best["log_loss"], loss, rel_tol=1e-12)


def test_the_rows_are_as_good_to_predict_as_the_best_possible_says() -> None:
    rows = token_sentiment_rows()
    high = np.array([sum(int(t) in POSITIVE for t in text.split()) for text, _ in rows])
    labels = np.array([label == "positive" for _, label in rows])
    n, best = len(rows), best_possible("token-sentiment")["accuracy"]
    assert abs(((high > 3) == labels).mean() - best) < 4 * math.sqrt(best * (1 - best) / n)
    assert abs(labels.mean() - 0.5) < 4 * math.sqrt(0.25 / n)
    tokens = {int(t) for text, _ in rows for t in text.split()}
    assert tokens == {*NEGATIVE, *POSITIVE}


def test_it_is_a_dataset_like_any_other_and_real_ones_have_no_best() -> None:
    dataset = load_dataset("token-sentiment")
    assert dataset.classes == ("negative", "positive")
    assert dataset.sha256 == dataset_identity("token-sentiment")["sha256"]
    assert best_possible("rotten-tomatoes") == {}
    assert best_possible("a folder of mine") == {}
