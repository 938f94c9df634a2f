"""The adapted encoder is the whole encoder, run with less work."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

from qlmbench.models.distilbert import make_classifier, sentence_features, tiny_config
from qlmbench.registry import model_class

Classifier = model_class("quantum_lora", "sentiment:SentimentClassifier")
MODULE = sys.modules[Classifier.__module__]
layers_below = MODULE.layers_below
METHODS = ["quantum", "as-published", "lora", "none", "full"]


def rows(n: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ids of which some are typical of a class; texts of unequal length."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.integers(1, 20, (n, 9)) + 20 * y[:, None]
    lengths = rng.integers(3, 10, n)
    return np.where(np.arange(9) < lengths[:, None], X, 0).astype(float), y


def fitted(**params: Any) -> Any:
    return Classifier(**({"epochs": 3} | params)).fit(*rows())


def test_features_are_those_of_the_whole_encoder() -> None:
    X, y = rows()
    model = Classifier(method="none", epochs=1).fit(X, y)
    whole = make_classifier(tiny_config(), None, 2, pooling="mean")
    features = sentence_features(whole, torch.tensor(X).long())
    expected = model.network_.head(features).detach().numpy()
    assert np.allclose(model.logits(X), expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_start_is_the_frozen_encoder(method: str) -> None:
    assert fitted(method=method).diagnostics(rows()[0]) == {"start_difference": 0.0}


@pytest.mark.parametrize("method", METHODS)
def test_the_head_and_the_update_are_trained_and_nothing_else(method: str) -> None:
    model = fitted(method=method)
    start = dict(model._evaluation_network().named_parameters())
    moved = {n for n, p in model.network_.named_parameters() if not torch.equal(p, start[n])}
    trained = {n for n, p in model.network_.named_parameters() if p.requires_grad}
    assert moved <= trained
    assert {"head.weight", "head.bias"} <= moved
    head = 2 * 32 + 2
    assert (model.count_parameters().total > head) == (method != "none")


def test_only_queries_and_values_are_adapted() -> None:
    names = [name for name, p in fitted().network_.named_parameters() if p.requires_grad]
    assert {name.split(".")[2] for name in names if "attention" in name} == {"q_lin", "v_lin"}


@pytest.mark.parametrize("method", ["quantum", "lora"])
def test_training_learns_and_repeats_itself(method: str) -> None:
    X, y = rows(40)
    params: dict[str, Any] = {"method": method, "epochs": 20, "learning_rate": 3e-2}
    one, two = (Classifier(**params).fit(X, y) for _ in "ab")
    assert one.score(X, y) > 0.9
    assert np.array_equal(one.logits(X), two.logits(X))


def test_hidden_states_do_not_depend_on_the_other_texts() -> None:
    """Run alone, cached: the order in which texts come is of no consequence."""
    ids = torch.tensor(rows()[0]).long()
    first = layers_below("tiny").states(ids)
    layers_below.cache_clear()
    second = layers_below("tiny").states(ids.flip(0))[::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_hidden_states_of_equal_texts_are_computed_once() -> None:
    layers_below.cache_clear()
    below = layers_below("tiny")
    ids = torch.tensor(rows()[0]).long()
    padded = torch.nn.functional.pad(ids, (0, 5))
    first, second = below.states(ids), below.states(padded)
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_arms_of_a_repetition_share_their_head() -> None:
    lora, photonic = (fitted(method=m)._evaluation_network().head for m in ("lora", "quantum"))
    assert torch.equal(lora.weight, photonic.weight)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for method in METHODS:
        fitted(method=method, epochs=1).diagnostics(rows()[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_long_rows_unknown_ids_and_other_precisions_are_refused() -> None:
    X, y = rows()
    with pytest.raises(ValueError, match="expected at most 64"):
        Classifier().fit(np.pad(X, ((0, 0), (0, 60))), y)
    with pytest.raises(ValueError, match="expected 0 to 999"):
        Classifier().fit(X + 1000, y)
    with pytest.raises(ValueError, match="expected 'single'"):
        Classifier(precision="double").fit(X, y)
