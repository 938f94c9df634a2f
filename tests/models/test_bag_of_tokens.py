"""Bags of tokens: only how often a token stands in a row matters."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.bag_of_tokens import BagOfTokensClassifier, BagOfTokensMLP
from qlmbench.models.parameters import count_parameters

NOT_FOR_TOKENS = {
    "check_class_weight_classifiers": "its rows differ by the column that a value stands in",
}
FAST = {"vocab_size": 64, "epochs": 30, "learning_rate": 0.02, "hidden": (8,)}


@parametrize_with_checks(
    [
        BagOfTokensClassifier(vocab_size=64),
        BagOfTokensClassifier("svc", vocab_size=64),
        BagOfTokensMLP(**FAST),
    ],
    expected_failed_checks=lambda _: NOT_FOR_TOKENS,
)
def test_bags_pass_the_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(seed).integers(1, 20, (300, 6))
    return X, (X > 9).sum(1) > 3


@pytest.mark.parametrize(
    "model",
    [
        BagOfTokensClassifier(),
        BagOfTokensClassifier("svc"),
        BagOfTokensMLP(hidden=(8,), epochs=40, learning_rate=0.02),
    ],
    ids=["logistic", "svc", "mlp"],
)
def test_the_order_of_tokens_does_not_matter_and_counts_are_learned(model: object) -> None:
    X, y = rows()
    model.fit(X, y)  # type: ignore[attr-defined]
    other, truth = rows(1)
    assert model.score(other, truth) > 0.95  # type: ignore[attr-defined]
    shuffled = other[:, ::-1]
    assert (model.predict(other) == model.predict(shuffled)).all()  # type: ignore[attr-defined]


def test_padding_does_not_count() -> None:
    X, y = rows()
    longer = np.hstack([X, np.zeros((len(X), 3), dtype=int)])
    alone = BagOfTokensClassifier(padding_id=0).fit(X, y)
    padded = BagOfTokensClassifier(padding_id=0).fit(longer, y)
    assert np.allclose(alone.predict_proba(X), padded.predict_proba(longer))


def test_logistic_regression_equals_scikit_learns_on_counts() -> None:
    X, y = rows()
    counts = np.stack([np.bincount(row, minlength=20) for row in X]).astype(float)
    spread = counts.std(0)
    spread[spread == 0] = 1
    scaled = (counts - counts.mean(0)) / spread
    peer = LogisticRegression(max_iter=5000).fit(scaled, y)
    assert np.allclose(
        BagOfTokensClassifier().fit(X, y).predict_proba(X), peer.predict_proba(scaled)
    )


def test_a_kernel_machine_claims_no_probabilities() -> None:
    assert not hasattr(BagOfTokensClassifier("svc"), "predict_proba")


def test_ids_beyond_the_vocabulary_and_unknown_classifiers_are_refused() -> None:
    X, y = rows()
    with pytest.raises(ValueError, match="token id 19"):
        BagOfTokensClassifier(vocab_size=10).fit(X, y)
    with pytest.raises(ValueError, match="token id 19"):
        BagOfTokensMLP(vocab_size=10).fit(X, y)
    with pytest.raises(ValueError, match="logistic or svc"):
        BagOfTokensClassifier("tree").fit(X, y)


def test_parameters_are_those_of_the_classifier_of_counts() -> None:
    X, y = rows()
    counted = count_parameters(BagOfTokensMLP(hidden=(8,), epochs=1).fit(X, y))
    assert counted is not None
    assert counted.classical == 20 * 8 + 8 + 8 * 2 + 2
    counted = count_parameters(BagOfTokensClassifier().fit(X, y))
    assert counted is not None
    assert counted.classical == 21
