"""Fine-tuning trains all of a network, pairs arms by their seed, and pads without effect."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from sklearn.utils.estimator_checks import parametrize_with_checks

from qlmbench.models.distilbert import make_classifier, tiny_config
from qlmbench.models.fine_tuning import FineTunedClassifier
from qlmbench.models.parameters import count_parameters
from qlmbench.models.stacked import TrainingDivergedError
from qlmbench.seeding import seed_for

NOT_FOR_TOKENS = {
    "check_class_weight_classifiers": "feeds numbers that are no token ids, whatever the tags say",
}


def rows(seed: int, n: int = 40, length: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Half of the tokens of a row tell its class; rows have 4 to 8 tokens."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.integers(1, 20, (n, length)) + 20 * y[:, None] * (rng.random((n, length)) < 0.6)
    X[np.arange(length) >= rng.integers(4, length + 1, n)[:, None]] = 0
    return X.astype(float), np.array(["bad", "good"])[y]


def test_it_learns_and_says_how() -> None:
    X, y = rows(0, 200)
    model = FineTunedClassifier(epochs=5, learning_rate=3e-3, random_state=1)
    model.fit(X, y, *rows(1, 60))
    assert model.score(*rows(2, 200)) > 0.8
    assert model.predict_proba(X).sum(1) == pytest.approx(np.ones(200))
    history = model.history_
    assert history.epochs == [1, 2, 3, 4, 5]
    assert (history.steps, history.stopped_at, history.n_copies) == (5 * 25, 5, 1)
    curves = [history.train_loss, history.train_accuracy, history.validation_loss]
    assert [len(curve) for curve in (*curves, history.validation_accuracy)] == [5] * 4
    assert history.seconds > 0
    assert history.train_loss[-1] < history.train_loss[0]
    assert history.validation_accuracy[-1] == model.score(*rows(1, 60))


def test_the_seed_decides_everything_and_the_global_state_nothing() -> None:
    def probabilities(random_state: int) -> Any:
        torch.rand(random_state + 1)
        model = FineTunedClassifier(epochs=1, random_state=random_state)
        return model.fit(*rows(0)).predict_proba(rows(1)[0])

    torch.manual_seed(3)
    first = probabilities(0)
    before = torch.get_rng_state()
    FineTunedClassifier(epochs=1).fit(*rows(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first, probabilities(0))
    assert not np.allclose(first, probabilities(1), atol=1e-4)


class WithoutDropout(FineTunedClassifier):
    def pretrained(self):
        return tiny_config() | {"dropout": 0.0, "attention_dropout": 0.0}, None


def test_a_training_is_the_usual_loop_of_transformers() -> None:
    X, y = rows(0)
    ids, labels = torch.from_numpy(X).long(), torch.from_numpy((y == "good").astype(int))
    model = WithoutDropout(
        epochs=4, batch_size=None, learning_rate=1e-3, head_dropout=0.0, gradient_clip=0.5
    ).fit(X, y)
    config, _ = model.pretrained()
    seed = seed_for("initialisation", seed=0)
    network = make_classifier(config, None, 2, head_dropout=0.0, seed=seed).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, eps=1e-6, weight_decay=0.0)
    schedule = hf.get_linear_schedule_with_warmup(optimizer, 0, 4)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        found = network(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels)
        found.loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        losses.append(found.loss.item())
    assert model.history_.train_loss == pytest.approx(losses, abs=1e-5)
    with torch.no_grad():
        logits = network.eval()(input_ids=ids, attention_mask=(ids != 0).long()).logits
    assert model.logits(X) == pytest.approx(logits.double().numpy(), abs=1e-4)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_padding_and_the_order_of_rows_change_no_logit(pooling: Any) -> None:
    X, y = rows(0)
    model = FineTunedClassifier(epochs=1, learning_rate=1e-3, pooling=pooling).fit(X, y)
    expected = model.logits(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert model.logits(X[order]) == pytest.approx(expected[order], abs=1e-5)
    short = X[(X[:, 6:] == 0).all(1)]
    assert len(short) > 3
    again = model.logits(np.where(np.arange(8) < 6, short, 0.0))
    assert again == pytest.approx(expected[(X[:, 6:] == 0).all(1)], abs=1e-5)
    assert [model.logits(row[None])[0] for row in X[:5]] == pytest.approx(expected[:5], abs=1e-5)


def test_a_frozen_encoder_stays_and_the_head_learns() -> None:
    X, y = rows(0, 200)
    model = FineTunedClassifier(
        frozen_encoder=True, epochs=30, learning_rate=1e-2, pooling="mean"
    ).fit(X, y, *rows(1))
    start = make_classifier(tiny_config(), None, 2, seed=seed_for("initialisation", seed=0))
    for own, before in zip(
        model.network_.distilbert.parameters(), start.distilbert.parameters(), strict=True
    ):
        assert torch.equal(own, before)
    assert model.score(X, y) > 0.7
    assert model.score(*rows(1)) == model.history_.validation_accuracy[-1]
    head = 32 * 32 + 32 + 32 * 2 + 2
    assert count_parameters(model).total == head
    whole = FineTunedClassifier(epochs=1).fit(X, y)
    assert count_parameters(whole).total == sum(p.numel() for p in whole.network_.parameters())


def test_attention_weights_are_shares_of_the_tokens() -> None:
    X, y = rows(0, 80)
    weights = FineTunedClassifier(epochs=1).fit(X, y).attention_weights(X)
    assert weights.shape == (80, 4, 8, 8)
    assert weights.sum(-1) == pytest.approx(np.ones((80, 4, 8)), abs=1e-6)
    assert not weights[np.broadcast_to((X == 0)[:, None, None, :], weights.shape)].any()


@pytest.mark.parametrize("batch_size", [8, None])
def test_a_training_that_diverges_says_so(batch_size: int | None) -> None:
    # With one step only, no loss sees where it led.
    model = FineTunedClassifier(learning_rate=1e39, epochs=1, batch_size=batch_size)
    with pytest.raises(TrainingDivergedError, match="smaller learning rate"):
        model.fit(*rows(0))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weights": "distilbert"}, "weights='distilbert'"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"gradient_clip": -1.0}, "gradient_clip"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"head_dropout": 1.0}, "head_dropout"),
        ({"pooling": "max"}, "first, mean"),
    ],
)
def test_options_out_of_range_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(**params).fit(*rows(0))


def test_rows_that_are_no_sentences_are_refused() -> None:
    X, y = rows(0)
    with pytest.raises(ValueError, match="token id 1000"):
        FineTunedClassifier().fit(np.where(X == 0, 0, 1000.0), y)
    with pytest.raises(ValueError, match="at most 64"):
        FineTunedClassifier().fit(np.ones((4, 65)), y[:4])


@parametrize_with_checks(
    [FineTunedClassifier(epochs=1)], expected_failed_checks=lambda _: NOT_FOR_TOKENS
)
def test_the_classifier_passes_the_checks_of_scikit_learn(estimator: object, check: Any) -> None:
    check(estimator)
