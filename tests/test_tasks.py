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


TOKENS = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]])


def test_perplexity_counts_tokens_and_no_padding() -> None:
    scored = score("language-model", "test", Certain(), (TOKENS, np.array([0, 1])), 2)
    assert math.isclose(scored.metrics["test_perplexity"], 2.0)
    assert math.isclose(scored.metrics["test_cross_entropy"], math.log(2))
    assert math.isclose(scored.metrics["test_token_accuracy"], 2 / 3)
    assert scored.loss == scored.metrics["test_cross_entropy"]
    assert np.allclose(unpack_numbers(scored.predictions), math.log(0.5), rtol=1e-3)


def test_a_classifier_without_probabilities_has_accuracy_and_no_loss() -> None:
    scored = score(None, "test", Constant(), (TOKENS, np.array([0, 1])), 2)
    assert scored.accuracy == 0.5
    assert math.isnan(scored.loss)
    assert "test_log_loss" not in scored.metrics
    assert unpack_classes(scored.predictions).tolist() == [1, 1]
