"""The language model tells each token from those before it, and nothing else."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from qlmbench.models.ngrams import NGramLanguageModel
from qlmbench.models.parameters import count_parameters
from qlmbench.models.token_language_model import TokenLanguageModel
from qlmbench.models.token_layers import StackedAttention, causal_mask
from qlmbench.models.training import FloatArray, IntArray

Model = TokenLanguageModel
EMBEDDINGS = ["table", "factored", "quantum", "quantum-unentangled", "quantum-frozen"]
V, T = 9, 6


def texts(seed: int, n: int = 24, length: int = T) -> IntArray:
    """Tokens that mostly count on from the one before, of all lengths."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, length), dtype=np.int64)
    X[:, 0] = rng.integers(1, V, n)
    for t in range(1, length):
        X[:, t] = np.where(rng.random(n) < 0.8, X[:, t - 1] % (V - 1) + 1, rng.integers(1, V, n))
    X[np.arange(length) >= rng.integers(1, length + 1, (n, 1))] = 0
    return X


def model(**params: Any) -> Model:
    fast = {"embedding_dim": 8, "feedforward": 8, "epochs": 3, "learning_rate": 0.02}
    return Model(**{"vocab_size": V, **fast, **params})


ARMS = [{"embedding": e, "attention": "classical"} for e in EMBEDDINGS] + [
    {"embedding": "table", "attention": "quantum", "temperature": "trainable", "num_heads": 2},
    {"embedding": "quantum", "attention": "quantum", "n_qubits": 4, "optimized": True},
    {"embedding": "factored", "attention": "none", "table_start": "matched"},
]


@pytest.mark.parametrize("params", ARMS, ids=str)
def test_a_later_token_never_changes_an_earlier_likelihood(params: dict[str, Any]) -> None:
    fitted = model(**params).fit(texts(0))
    X = np.random.default_rng(1).integers(1, V, (8, T))
    before, guessed = fitted.log_likelihoods(X), fitted.predict(X)
    for t in range(1, T):
        other = X.copy()
        other[:, t:] = X[:, t:] % (V - 1) + 1
        changed = fitted.log_likelihoods(other)
        np.testing.assert_allclose(changed[:, :t], before[:, :t], atol=1e-12)
        np.testing.assert_array_equal(fitted.predict(other)[:, : t + 1], guessed[:, : t + 1])
        shorter = X.copy()
        shorter[:, t:] = 0
        cut = fitted.log_likelihoods(shorter)
        np.testing.assert_allclose(cut[:, :t], before[:, :t], atol=1e-12)
        np.testing.assert_array_equal(cut[:, t:], 0)


@pytest.mark.parametrize("attention", ["classical", "quantum"])
def test_with_attention_every_earlier_token_is_seen(attention: Any) -> None:
    fitted = model(embedding="table", attention=attention).fit(texts(0))
    X = np.full((1, T), 3)
    other = X.copy()
    other[0, 0] = 5
    change = np.abs(fitted.log_likelihoods(other) - fitted.log_likelihoods(X))[0]
    assert (change[1:] > 1e-6).all()


def test_without_attention_only_the_last_token_is_seen() -> None:
    fitted = model(embedding="table", attention="none").fit(texts(0))
    X = np.full((1, T), 3)
    other = X.copy()
    other[0, 0] = 5
    change = np.abs(fitted.log_likelihoods(other) - fitted.log_likelihoods(X))[0]
    assert (change[:2] > 1e-6).all()
    np.testing.assert_allclose(change[2:], 0, atol=1e-12)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("params", ARMS, ids=str)
def test_probabilities_of_the_next_token_sum_to_one_without_padding(
    params: dict[str, Any], precision: str
) -> None:
    fitted = model(**params, precision=precision).fit(texts(0))
    start = np.array([2, 4, 1, 8])
    rows = np.zeros((V - 1, T), dtype=int)
    rows[:, :4], rows[:, 4] = start, np.arange(1, V)
    probabilities = np.exp(fitted.log_likelihoods(rows)[:, 4])
    assert probabilities.sum() == pytest.approx(1)
    best = fitted.predict(rows)[:, 4]
    np.testing.assert_array_equal(best, 1 + probabilities.argmax())


def test_padding_counts_in_no_loss() -> None:
    X, X_val = texts(0), texts(1)
    fitted = model(embedding="table", epochs=1, learning_rate=0.0, batch_size=5)
    history = fitted.fit(X, X_val=X_val).history_
    for loss, accuracy, rows in (
        (history.train_loss, history.train_accuracy, X),
        (history.validation_loss, history.validation_accuracy, X_val),
    ):
        counted = rows != 0
        assert loss[0] == pytest.approx(-fitted.log_likelihoods(rows).sum() / counted.sum())
        right = (fitted.predict(rows) == rows)[counted]
        assert accuracy[0] == pytest.approx(right.mean())


def test_columns_of_padding_alone_teach_nothing() -> None:
    X = texts(0)
    params = {"embedding": "table", "attention": "classical", "batch_size": 7}
    short = model(**params).fit(X)
    long = model(**params).fit(np.hstack([X, np.zeros((len(X), 3), dtype=int)]))
    start = model(**params, learning_rate=0.0).fit(np.pad(X, ((0, 0), (0, 3))))
    positions = [m.network_.positions.detach().numpy()[0] for m in (long, start)]
    np.testing.assert_array_equal(positions[0][T:], positions[1][T:])
    assert not np.allclose(positions[0][:T], positions[1][:T])
    np.testing.assert_array_equal(start.log_likelihoods(np.pad(X, ((0, 0), (0, 3))))[:, T:], 0)
    assert short.history_.steps == long.history_.steps


@pytest.mark.parametrize("params", [*ARMS, {"shots": 50}, {"gradient_clip": 0.05}], ids=str)
def test_a_stack_equals_training_each_copy_alone(params: dict[str, Any]) -> None:
    def one(r: int) -> Model:
        return model(
            **params,
            random_state=r,
            batch_size=9,
            init_scale=1 / (r + 1),
            **{"learning_rate": [1e-1, 3e-2, 1e-2][r]},
        )

    data = [(texts(r), None, texts(r + 10), None) for r in range(3)]
    together = Model.fit_many([one(r) for r in range(3)], data)
    for r in (2, 0):
        alone, stacked = one(r).fit(data[r][0], X_val=data[r][2]), together[r]
        assert isinstance(stacked, Model)
        assert (stacked.history_.n_copies, alone.history_.n_copies) == (3, 1)
        np.testing.assert_allclose(
            stacked.history_.train_loss, alone.history_.train_loss, atol=1e-9
        )
        assert stacked.history_.train_accuracy == alone.history_.train_accuracy
        np.testing.assert_allclose(
            stacked.log_likelihoods(texts(99)), alone.log_likelihoods(texts(99)), atol=1e-9
        )


def test_what_stands_for_labels_is_ignored() -> None:
    X, X_val = texts(0), texts(1)
    plain = model().fit(X, X_val=X_val)
    given = model().fit(X, np.arange(len(X)), X_val, np.arange(len(X_val)))
    np.testing.assert_array_equal(plain.log_likelihoods(X), given.log_likelihoods(X))


@pytest.mark.parametrize("embedding", ["table", "quantum"])
def test_a_tiny_corpus_is_learned_by_heart(embedding: Any) -> None:
    # The second token after 1 depends on what stood before it: pairs cannot tell.
    X = np.array([[2, 1, 3, 4], [5, 1, 6, 7], [8, 1, 4, 0]])
    params: dict[str, Any] = {"n_qubits": 4, "angle_scale": 1.0, "embedding_dim": 16}
    fitted = model(embedding=embedding, **params, epochs=600, learning_rate=0.01).fit(X)
    likelihoods = fitted.log_likelihoods(X)
    np.testing.assert_allclose(likelihoods[:, 0], np.log(1 / 3), atol=0.05)
    assert likelihoods[:, 1:].min() > np.log(0.95)
    np.testing.assert_array_equal(fitted.predict(X)[:, 1:], np.where(X == 0, -1, X)[:, 1:])
    pairs = NGramLanguageModel(V).fit(X)
    assert pairs.log_likelihoods(X)[:, 2].max() < np.log(0.5)


def test_the_state_of_the_lowest_validation_loss_is_restored() -> None:
    X, X_val = texts(0, n=6), texts(1, n=40)
    fitted = model(embedding="table", epochs=80, learning_rate=0.1).fit(X, X_val=X_val)
    history = fitted.history_
    lowest = min(history.validation_loss)
    assert lowest < history.validation_loss[-1], "the case must tell best from last"
    by_accuracy = history.epochs[int(np.argmax(history.validation_accuracy))]
    assert history.best_epoch != by_accuracy, "the case must tell loss from accuracy"
    loss = -fitted.log_likelihoods(X_val).sum() / (X_val != 0).sum()
    assert loss == pytest.approx(lowest)


def test_samples_are_drawn_from_what_the_model_says() -> None:
    fitted = model(embedding="table", epochs=20).fit(texts(0))
    drawn = fitted.sample(3000, 3, random_state=1)
    assert drawn.shape == (3000, 3)
    assert drawn.dtype == np.int64
    assert drawn.min() >= 1
    rows = np.zeros((V - 1, T), dtype=int)
    rows[:, 0] = np.arange(1, V)
    first = np.exp(fitted.log_likelihoods(rows)[:, 0])
    shares = np.bincount(drawn[:, 0], minlength=V)[1:] / len(drawn)
    np.testing.assert_allclose(shares, first, atol=5 * np.sqrt(0.25 / len(drawn)))
    # After a token, too.
    token = 1 + int(first.argmax())
    rows[:, 0], rows[:, 1] = token, np.arange(1, V)
    second = np.exp(fitted.log_likelihoods(rows)[:, 1])
    follow = drawn[drawn[:, 0] == token, 1]
    shares = np.bincount(follow, minlength=V)[1:] / len(follow)
    np.testing.assert_allclose(shares, second, atol=5 * np.sqrt(0.25 / len(follow)))
    np.testing.assert_array_equal(fitted.sample(7, 3, random_state=1), drawn[:7])
    assert not np.array_equal(fitted.sample(3000, 3, random_state=2), drawn)
    for n, length in ((1, T + 1), (0, 2), (2, 0)):
        with pytest.raises(ValueError, match="expected n at least 1 and length 1 to 6"):
            fitted.sample(n, length, random_state=0)


def test_the_attention_looks_back_only() -> None:
    X = texts(0)
    for attention in ("classical", "quantum"):
        weights = model(embedding="table", attention=attention).fit(X).attention_weights(X)
        assert weights.shape == (len(X), 1, T, T)
        np.testing.assert_allclose(weights.sum(-1), 1)
        np.testing.assert_array_equal(np.triu(weights, 1), 0)
    with pytest.raises(ValueError, match="attention='none'"):
        model(attention="none").fit(X).attention_weights(X)


def test_even_attention_has_the_entropy_one() -> None:
    X = texts(0)
    even = model(embedding="table", init_scale=0.0, learning_rate=0.0).fit(X)
    assert even.diagnostics(X)["attention_entropy"] == pytest.approx(1)
    learned = model(embedding="table", epochs=40).fit(X)
    weights = learned.attention_weights(X)[:, 0]
    each = [
        -sum(w * np.log(w) for w in weights[i, t, : t + 1]) / np.log(t + 1)
        for i in range(len(X))
        for t in range(1, T)
        if X[i, t]
    ]
    assert learned.diagnostics(X)["attention_entropy"] == pytest.approx(np.mean(each))
    assert np.mean(each) < 0.999
    assert model(attention="none").fit(X).diagnostics(X) == {}
    assert learned.diagnostics(np.eye(1, T, dtype=int)) == {}, "one key a query"


def test_a_mask_of_queries_is_that_of_torch() -> None:
    stack = {"seeds": [1, 2], "scales": [1.0, 1.0], "dtype": torch.float64}
    attention = StackedAttention("classical", 8, 2, 1.0, **stack)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    query, key, value = (
        attention._heads(p, x) for p in (attention.query, attention.key, attention.value)
    )
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    weights = attention.weights(x, causal_mask(5, torch.float64))
    torch.testing.assert_close(weights @ value, expected)
    # A key masked for all is one masked for each query.
    keys = torch.zeros(2, 3, 5, dtype=torch.float64)
    keys[0, 1, 2:] = -torch.inf
    each = keys[:, :, None].expand(-1, -1, 5, -1)
    torch.testing.assert_close(attention(x, each), attention(x, keys))


def test_counts_say_what_a_circuit_can_do() -> None:
    def counts(**params: Any) -> Any:
        return count_parameters(model(attention="none", n_qubits=3, **params).fit(texts(0)))

    quantum, factored = counts(n_layers=3), counts(embedding="factored")
    assert quantum.quantum == V * 3 * 3 * 2
    # The last turn about Z does nothing; every token is in use, padding as the start symbol.
    assert quantum.dead_in == {"embedding.angles": V * 3}
    assert factored.dead_in == {}
    assert quantum.effective == factored.effective == factored.total
    d, hidden = 8, 8
    layers = (3 + 1) * d + T * d + (d + 1) * hidden + (hidden + 1) * d + (d + 1) * (V - 1)
    assert factored.total == V * 3 + layers


def test_the_cost_counts_tokens_angles_and_pairs() -> None:
    X = texts(0)
    cost = model(n_qubits=3, batch_size=12, epochs=1).fit(X).hardware_cost(24)
    assert cost is not None
    assert cost.circuits == 2 * V * (1 + 2 * 12)
    pairs = model(embedding="table", attention="quantum", num_heads=2, epochs=2).fit(X)
    assert (cost := pairs.hardware_cost(24)) is not None
    assert cost.circuits == 2 * 24 * 2 * T * (T + 1) // 2
    assert model(embedding="table").fit(X).hardware_cost(24) is None


def test_under_shots_a_token_draws_the_same_wherever_it_stands() -> None:
    fitted = model(epochs=5).fit(texts(0))
    X = texts(1)
    noisy = fitted.under(shots=100)
    found = noisy.log_likelihoods(X)
    np.testing.assert_allclose(noisy.log_likelihoods(X[3:5]), found[3:5], atol=1e-12)
    assert not np.allclose(found, fitted.log_likelihoods(X))


def test_scores_come_in_blocks_that_change_nothing() -> None:
    fitted, X = model(embedding="table").fit(texts(0)), texts(1, n=150)
    parts = np.vstack([fitted.log_likelihoods(X[:70]), fitted.log_likelihoods(X[70:])])
    np.testing.assert_allclose(fitted.log_likelihoods(X), parts, atol=1e-12)


def test_single_precision_comes_close_to_double() -> None:
    X = texts(0)
    double, single = (model(precision=p).fit(X).log_likelihoods(X) for p in ("double", "single"))
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, double, atol=1e-3)
    assert not np.array_equal(single, double)


def test_it_is_an_estimator_that_can_be_cloned() -> None:
    options = model(n_qubits=3, patience=4, precision="single")
    assert clone(options).get_params() == options.get_params()
    assert "class_weight" not in options.get_params()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1, 0, 2]], "padding .* before a token in row 0"),
        ([[1, 2], [0, 0]], "nothing but padding .* in row 1"),
        ([1, 2], "shape"),
        ([[1, V]], "token id 9; expected 0 to 8"),
        ([[1, 1.5]], "got 1.5"),
        ([[1, -1]], "Negative values"),
        ([[1, np.nan]], "nan"),
    ],
)
def test_what_is_no_text_is_refused_in_training_validation_and_use(rows: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model().fit(rows)
    width = np.shape(rows)[-1]
    good = texts(0, length=width)
    with pytest.raises(ValueError, match=said):
        model(epochs=1).fit(good, X_val=rows)
    fitted = model(epochs=1).fit(good)
    uses: list[Any] = [fitted.log_likelihoods, fitted.predict, fitted.attention_weights]
    for use in uses:
        with pytest.raises(ValueError, match=said):
            use(rows)


def test_rows_of_another_length_are_refused() -> None:
    fitted = model(epochs=1).fit(texts(0))
    with pytest.raises(ValueError, match=r"expected token ids, shape \(n, 6\)"):
        fitted.log_likelihoods(texts(0, length=T + 1))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"vocab_size": 1}, "vocab_size=1; expected at least 2"),
        ({"embedding": "qubits"}, "embedding='qubits'"),
        ({"attention": "flash"}, "attention='flash'"),
        ({"num_heads": 3}, "3 heads"),
        ({"shots": 10, "embedding": "table"}, "no circuit"),
        ({"precision": "half"}, "precision='half'"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_arguments_out_of_range_are_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model(**params).fit(texts(0))


def test_texts_that_cannot_be_fitted_fail_alone() -> None:
    bad: FloatArray = np.zeros((24, T))
    first, second = Model.fit_many(
        [model(), model()], [(bad, *[None] * 3), (texts(0), *[None] * 3)]
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, Model)
