"""Tasks: each scores what it says, and padding is no token."""

import math

import numpy as np

from qlmbench.packing import unpack_classes, unpack_numbers
from qlmbench.tasks import score


class Certain:
    """Gives every token half of the probability and predicts the token 1 everywhere."""

    def log_likelihoods(self, X: np.ndarray) -> np.ndarray:
        return np.where(X != 0, math.log(0.5), 0.0)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.where(X != 0, 1, -1)


class Constant:
    classes_ = np.array([0, 1])

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.ones(len(X), dtype=int)


class Captioner:
    """Says what it was asked for; every caption has half a nat a word."""

    def caption_scores(
        self, X: np.ndarray, written: bool
    ) -> tuple[dict[str, float], np.ndarray, list[str]]:
        words = {"token_accuracy": 0.25, "cross_entropy": 0.5, "perplexity": math.exp(0.5)}
        metrics = words | ({"exact_match": 1.0} if written else {})
        return metrics, np.full(len(X), -0.5), ["a star"] * len(X) if written else []


TOKENS = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]])


def test_perplexity_counts_tokens_and_no_padding() -> None:
    scored = score("language-model", "test", Certain(), (TOKENS, np.array([0, 1])), 2)
    assert math.isclose(scored.metrics["test_perplexity"], 2.0)
    assert math.isclose(scored.metrics["test_cross_entropy"], math.log(2))
    assert math.isclose(scored.metrics["test_token_accuracy"], 2 / 3)
    assert scored.loss == scored.metrics["test_cross_entropy"]
    assert np.allclose(unpack_numbers(scored.predictions), math.log(0.5), rtol=1e-3)


def test_captions_are_written_for_test_rows_alone() -> None:
    train, test = (
        score("captioning", role, Captioner(), (TOKENS, np.zeros(2, int)), 5)
        for role in ("train", "test")
    )
    assert set(test.metrics) - {"test_exact_match"} == {
        name.replace("train", "test") for name in train.metrics
    }
    assert "test_exact_match" in test.metrics
    assert (train.texts, test.texts) == ((), ("a star", "a star"))
    assert (train.loss, train.accuracy) == (0.5, 0.25)
    assert np.allclose(unpack_numbers(test.predictions), -0.5)


def test_a_classifier_without_probabilities_has_accuracy_and_no_loss() -> None:
    scored = score(None, "test", Constant(), (TOKENS, np.array([0, 1])), 2)
    assert scored.accuracy == 0.5
    assert math.isnan(scored.loss)
    assert "test_log_loss" not in scored.metrics
    assert unpack_classes(scored.predictions).tolist() == [1, 1]
