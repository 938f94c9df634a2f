"""The small transformer trains many copies as if alone, and its embeddings are what they say."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from qlmbench.models.parameters import count_parameters
from qlmbench.models.token_attention import QuantumAttention
from qlmbench.models.token_embedding import OptimizedQuantumEmbedding, QuantumEmbedding
from qlmbench.models.token_layers import StackedAttention
from qlmbench.models.token_tables import distinct
from qlmbench.models.token_transformer import TokenTransformerClassifier
from qlmbench.models.training import clip_gradients

Classifier = TokenTransformerClassifier
EMBEDDINGS = ["table", "factored", "quantum", "quantum-unentangled", "quantum-frozen"]
FAST: dict[str, Any] = {"epochs": 20, "learning_rate": 0.02}


NOT_FOR_TOKENS = {
    "check_class_weight_classifiers": "feeds numbers that are no token ids, whatever the tags say",
}


@parametrize_with_checks(
    [
        Classifier(vocab_size=64, embedding_dim=4, n_qubits=2, epochs=3),
        Classifier(
            vocab_size=64, embedding_dim=4, embedding="table", attention="quantum", epochs=3
        ),
    ],
    expected_failed_checks=lambda _: NOT_FOR_TOKENS,
)
def test_the_classifier_passes_the_checks_of_scikit_learn(estimator: object, check: Any) -> None:
    check(estimator)


def rows(seed: int, n: int = 40, length: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Half of the tokens of a row tell its class; the others are anything but padding."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    telling = np.where(y[:, None] == 1, rng.integers(10, 20, (n, 3)), rng.integers(1, 10, (n, 3)))
    X = np.hstack([telling, rng.integers(1, 20, (n, length - 3))])
    return rng.permuted(X, axis=1), y


@pytest.mark.parametrize(
    "params",
    [{"embedding": e} for e in EMBEDDINGS]
    + [
        {"embedding": "quantum", "attention": "quantum", "temperature": "trainable"},
        {"embedding": "factored", "attention": "none", "optimized": True, "table_start": "matched"},
        {"embedding": "table", "table_start": "circuit", "padding_id": 3},
        {"vocab_size": 500, "optimized": True},
        {"shots": 50},
    ],
    ids=str,
)
def test_a_stack_equals_training_each_copy_alone(params: dict[str, Any]) -> None:
    def head(r: int) -> Classifier:
        options: dict[str, Any] = {
            "random_state": r,
            "epochs": 4,
            "batch_size": 9,
            "learning_rate": [1e-1, 3e-2, 1e-2][r],
            "gradient_clip": 0.05,
            "init_scale": 1 / (r + 1),
        }
        return Classifier(**params, **options)

    data = [(*rows(r), *rows(r + 10)) for r in range(3)]
    together = Classifier.fit_many([head(r) for r in range(3)], data)
    X_test = rows(99)[0]
    for r in (2, 0):
        alone, stacked = head(r).fit(*data[r]), together[r]
        assert isinstance(stacked, Classifier)
        losses = [m.history_.train_loss for m in (stacked, alone)]
        np.testing.assert_allclose(losses[0], losses[1], atol=1e-9, rtol=0)
        np.testing.assert_allclose(
            stacked.predict_proba(X_test), alone.predict_proba(X_test), atol=1e-9
        )


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("attention", ["classical", "quantum", "none"])
def test_every_combination_learns_to_count_tokens(embedding: Any, attention: Any) -> None:
    params: dict[str, Any] = {"embedding": embedding, "attention": attention}
    # Under seed 0 all units of the feed-forward layer die, with a circuit and without one.
    head = Classifier(**params, angle_scale=1.0, n_qubits=4, random_state=1, **FAST)
    assert head.fit(*rows(0, 200)).score(*rows(1, 200)) > 0.7


@pytest.mark.parametrize("optimized", [False, True])
def test_the_stacked_embedding_is_the_single_one(optimized: bool) -> None:
    head = Classifier(optimized=optimized, n_layers=3, epochs=1, learning_rate=0.0, random_state=4)
    head.fit(*rows(0))
    cls = OptimizedQuantumEmbedding if optimized else QuantumEmbedding
    single = cls(20, 8, n_layers=3, seed=4, dtype=torch.float64)
    np.testing.assert_allclose(head.embedding_table(), single.table().numpy(), atol=1e-12)


@pytest.mark.parametrize("n_ids", [5, 200])
@pytest.mark.parametrize("n_tokens", [3, 20])
def test_a_quantum_embedding_is_its_table_however_few_tokens_there_are(
    n_ids: int, n_tokens: int
) -> None:
    head = Classifier(angle_scale=1.0, **FAST).fit(*rows(0))
    ids = torch.randint(n_tokens, (1, n_ids), generator=torch.Generator().manual_seed(0))
    vectors = head.network_.embedding(ids)[0].detach().numpy()
    np.testing.assert_allclose(vectors, head.embedding_table()[ids[0].numpy()], atol=1e-12)


@pytest.mark.parametrize("kind", ["classical", "quantum"])
def test_the_stacked_attention_is_the_single_one(kind: Any) -> None:
    stack = {"seeds": [1, 2], "scales": [1.0, 1.0], "dtype": torch.float64}
    stacked = StackedAttention(kind, 8, 2, "trainable", **stack)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padding = torch.zeros(2, 3, 5, dtype=torch.bool)
    padding[0, 1, 2:] = padding[1, 2] = True
    mask = torch.zeros(2, 3, 5, dtype=torch.float64).masked_fill(padding, -torch.inf)
    ours = stacked(x, mask)
    for r, seed in enumerate(stack["seeds"]):  # type: ignore[arg-type, var-annotated]
        quantum = QuantumAttention(8, 2, seed=seed, dtype=torch.float64)
        rows = slice(None) if kind == "quantum" else slice(0, 2)  # torch gives NaN where all is
        single = quantum if kind == "quantum" else _classical(stacked, r)
        expected = single(x[r, rows], x[r, rows], x[r, rows], padding[r, rows])[0]
        torch.testing.assert_close(ours[r, rows], expected)


def _classical(stacked: StackedAttention, r: int) -> nn.MultiheadAttention:
    """Make torch's attention with the projections of one copy."""
    module = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    projections = [stacked.query, stacked.key, stacked.value]
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.cat([p.weight[r] for p in projections]))
        assert module.in_proj_bias is not None
        module.in_proj_bias.copy_(torch.cat([p.bias[r].flatten() for p in projections]))
        module.out_proj.weight.copy_(stacked.out.weight[r])
        module.out_proj.bias.copy_(stacked.out.bias[r].flatten())
    return module


def test_classical_attention_starts_at_the_scale_of_torchs() -> None:
    stack: Any = {"seeds": list(range(40)), "scales": [1.0] * 40, "dtype": torch.float64}
    ours = StackedAttention("classical", 8, 1, 1.0, **stack)
    peer = nn.MultiheadAttention(8, 1)
    bounds = {"query": 6 / 32, "key": 6 / 32, "value": 6 / 32, "out": 1 / 8}
    for name, squared in bounds.items():
        linear = getattr(ours, name)
        assert float(linear.weight.detach().abs().max()) == pytest.approx(squared**0.5, rel=0.01)
        assert not linear.bias.any()
    assert float(peer.in_proj_weight.detach().abs().max()) <= bounds["query"] ** 0.5
    assert not peer.in_proj_bias.any()
    assert not peer.out_proj.bias.any()


@pytest.mark.parametrize("embedding", ["table", "quantum"])
@pytest.mark.parametrize("attention", ["classical", "quantum", "none"])
def test_padding_changes_nothing_wherever_it_stands(embedding: Any, attention: Any) -> None:
    X, y = rows(0)
    padded = np.hstack([np.zeros((len(X), 2), dtype=int), X])
    head = Classifier(embedding=embedding, attention=attention, padding_id=0, epochs=3)
    head.fit(padded, y)
    tail = np.hstack([X, np.zeros((len(X), 2), dtype=int)])
    np.testing.assert_allclose(head.logits(tail), head.logits(padded), atol=1e-12)


def test_a_row_of_padding_alone_has_finite_logits() -> None:
    X, y = rows(0)
    X[0] = 0
    head = Classifier(padding_id=0, attention="quantum", epochs=3).fit(X, y)
    assert np.isfinite(head.logits(X)).all()
    np.testing.assert_allclose(head.logits(X)[0], head.network_.out.bias.detach().numpy()[0, :, 0])


def test_the_order_of_tokens_does_not_matter() -> None:
    head = Classifier(attention="quantum", **FAST).fit(*rows(0))
    X = rows(1)[0]
    np.testing.assert_allclose(head.logits(X[:, ::-1].copy()), head.logits(X), atol=1e-12)


def test_a_quantum_embedding_ends_as_a_table_of_the_rank_of_its_qubits() -> None:
    head = Classifier(n_qubits=2, angle_scale=1.0, **FAST).fit(*rows(0))
    bias = head.network_.embedding.output.bias.detach().numpy()[0, :, 0]
    assert np.linalg.matrix_rank(head.embedding_table() - bias, tol=1e-9) == 2


def fitted_at_start(**params: Any) -> TokenTransformerClassifier:
    return Classifier(epochs=1, learning_rate=0.0, **params).fit(*rows(0))


@pytest.mark.parametrize("embedding", ["table", "factored"])
@pytest.mark.parametrize("optimized", [False, True])
def test_a_table_may_start_as_the_circuit_does(embedding: Any, optimized: bool) -> None:
    quantum = fitted_at_start(optimized=optimized)
    table = fitted_at_start(embedding=embedding, table_start="circuit", optimized=optimized)
    np.testing.assert_allclose(table.embedding_table(), quantum.embedding_table(), atol=1e-12)
    X = rows(1)[0]
    np.testing.assert_allclose(table.logits(X), quantum.logits(X), atol=1e-12)


def test_a_matched_table_has_the_mean_and_spread_of_the_circuits() -> None:
    params = {"vocab_size": 4000, "angle_scale": 1.0}
    circuit = fitted_at_start(**params).embedding_table()
    table = fitted_at_start(embedding="table", table_start="matched", **params).embedding_table()
    np.testing.assert_allclose(table.mean(0), circuit.mean(0), atol=0.02)
    np.testing.assert_allclose(table.std(0), circuit.std(0), rtol=0.05)
    assert not np.allclose(table, circuit)


def test_a_published_table_starts_normal() -> None:
    table = fitted_at_start(embedding="table", vocab_size=4000).embedding_table()
    assert abs(table.mean()) < 0.02
    assert abs(table.std() - 1) < 0.02


def test_frozen_angles_stay_as_drawn() -> None:
    params = {"embedding": "quantum-frozen", "random_state": 2}
    trained = Classifier(**params, **FAST).fit(*rows(0))  # type: ignore[arg-type]
    start = fitted_at_start(**params)
    angles = [h.network_.embedding.angles.detach().numpy() for h in (trained, start)]
    np.testing.assert_array_equal(*angles)
    assert not np.allclose(trained.embedding_table(), start.embedding_table())


def test_without_temperature_the_attention_is_nearly_uniform() -> None:
    X = rows(1)[0]
    weights = Classifier(attention="quantum", **FAST).fit(*rows(0)).attention_weights(X)
    assert weights.shape == (40, 1, 6, 6)
    assert (weights.max(-1) / weights.min(-1)).max() <= np.e
    np.testing.assert_allclose(weights.sum(-1), 1)


@pytest.mark.parametrize("padding_id", [None, 0])
def test_the_entropy_of_the_attention_is_that_of_its_weights(padding_id: int | None) -> None:
    X, y = rows(0)
    X[::2, 4:] = 0
    X[0, 1:] = 0
    head = Classifier(padding_id=padding_id, embedding="table", num_heads=2, **FAST).fit(X, y)
    kept = np.ones(X.shape, dtype=bool) if padding_id is None else padding_id != X
    each = []
    for weights, real in zip(head.attention_weights(X), kept, strict=True):
        if real.sum() > 1:
            known = weights[:, real][:, :, real]
            each += list((-(known * np.log(known)).sum(-1) / np.log(real.sum())).mean(0))
    entropy = head.diagnostics(X)["attention_entropy"]
    assert entropy == pytest.approx(np.mean(each))
    assert 0 < entropy < 0.99


def test_uniform_attention_has_the_entropy_one_and_no_attention_has_none() -> None:
    X = rows(1)[0]
    uniform = fitted_at_start(embedding="table", init_scale=0.0)
    assert uniform.diagnostics(X)["attention_entropy"] == pytest.approx(1)
    assert fitted_at_start(attention="none").diagnostics(X) == {}


def test_the_classifier_lists_every_argument_once() -> None:
    names = list(inspect.signature(Classifier.__init__).parameters)
    assert names[:3] == ["self", "vocab_size", "embedding_dim"]
    assert {"padding_id", "shots", "class_weight", "epochs"} < set(names)
    assert set(names) - {"self"} == set(Classifier().get_params())


def test_counts_say_what_a_circuit_can_do() -> None:
    def counts(**params: Any) -> Any:
        return count_parameters(fitted_at_start(padding_id=0, attention="none", **params))

    quantum, factored = counts(n_qubits=4, n_layers=3), counts(n_qubits=4, embedding="factored")
    assert quantum.quantum == 20 * 3 * 4 * 2
    # Padding is never used, and the last turn about Z does nothing.
    assert quantum.dead_in == {"embedding.angles": 24 + 19 * 4}
    # What is left of the angles of a token has as many directions as its factored counterpart.
    assert quantum.effective == factored.effective
    assert counts(embedding="quantum-frozen").quantum == 0


def test_the_cost_counts_tokens_angles_and_pairs() -> None:
    cost = fitted_at_start(n_qubits=3, n_layers=2, batch_size=20).hardware_cost(40)
    assert cost is not None
    assert cost.circuits == 2 * 20 * (1 + 2 * 12)
    pairs = fitted_at_start(embedding="table", attention="quantum", num_heads=2).hardware_cost(40)
    assert pairs is not None
    assert pairs.circuits == 40 * 2 * 36
    assert fitted_at_start(embedding="table").hardware_cost(40) is None


def test_shots_in_evaluation_belong_to_the_token_and_the_seed() -> None:
    head = Classifier(**FAST).fit(*rows(0))
    X = rows(1)[0]
    noisy = head.under(shots=100)
    logits = noisy.logits(X)
    np.testing.assert_array_equal(noisy.logits(X[::-1].copy())[::-1], logits)
    np.testing.assert_allclose(noisy.logits(X[3:5]), logits[3:5], atol=1e-12)
    assert not np.allclose(noisy.under(random_state=7).logits(X), logits)
    errors = [
        np.abs(head.under(shots=s).embedding_table() - head.embedding_table()).mean()
        for s in (100, 10_000)
    ]
    assert 5 < errors[0] / errors[1] < 20


@pytest.mark.parametrize("shape", [(1, 6), (3, 9), (4, 1), (2, 200)])
def test_distinct_tokens_and_their_places_give_the_ids_back(shape: tuple[int, int]) -> None:
    ids = torch.randint(7, shape, generator=torch.Generator().manual_seed(0))
    tokens, places = distinct(ids)
    assert torch.equal(tokens.gather(1, places), ids)
    assert tokens.shape[1] == max(len(row.unique()) for row in ids)


def test_clipping_is_torchs_copy_by_copy() -> None:
    g = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 2), (3, 5)]
    grads = [
        torch.randn(*s, generator=g)
        * torch.tensor([0.01, 1.0, 100.0]).view(-1, *[1] * (len(s) - 1))
        for s in shapes
    ]
    stacked = [nn.Parameter(torch.zeros(s)) for s in shapes]
    for p, grad in zip(stacked, grads, strict=True):
        p.grad = grad.clone()
    clip_gradients(stacked, 1.0)
    for r in range(3):
        alone = [nn.Parameter(torch.zeros(s[1:])) for s in shapes]
        for p, grad in zip(alone, grads, strict=True):
            p.grad = grad[r].clone()
        nn.utils.clip_grad_norm_(alone, 1.0)
        for p, q in zip(stacked, alone, strict=True):
            assert p.grad is not None
            torch.testing.assert_close(p.grad[r], q.grad)


@pytest.mark.parametrize("copies", [2, 3, 4, 5, 9, 20])
def test_a_clipped_gradient_is_the_same_to_the_bit_however_many_copies_stand_beside_it(
    copies: int,
) -> None:
    def clipped(n: int, seed: int) -> list[nn.Parameter]:
        g = torch.Generator().manual_seed(seed)
        params = [nn.Parameter(torch.zeros(n, 3)) for _ in range(8)]
        for p in params:
            p.grad = (torch.randn(20, 3, generator=g) * 10 ** torch.randn(1, generator=g))[:n]
        clip_gradients(params, 0.1)
        return params

    for seed in range(20):
        for p, alone in zip(clipped(copies, seed), clipped(1, seed), strict=True):
            assert p.grad is not None
            assert alone.grad is not None
            assert torch.equal(p.grad[:1], alone.grad)


def test_a_tight_clip_changes_the_path_and_a_wide_one_does_not() -> None:
    def losses(clip: float | None) -> list[float]:
        head = Classifier(gradient_clip=clip, epochs=5, learning_rate=0.05, embedding="table")
        return list(head.fit(*rows(0)).history_.train_loss)

    assert losses(1e9) == losses(None)
    assert losses(1e-9) != losses(None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (0.5, "got 0.5 in X"),
        (20, "token id 20; expected 0 to 19"),
        (-1, "Negative values"),
        (np.nan, "NaN"),
    ],
)
def test_what_is_no_token_is_refused_in_training_validation_and_use(wrong: Any, said: str) -> None:
    X, y = rows(0)
    bad = X.astype(float)
    bad[3, 2] = wrong
    with pytest.raises(ValueError, match=said):
        Classifier().fit(bad, y)
    with pytest.raises(ValueError, match=said):
        Classifier().fit(X, y, bad, y)
    with pytest.raises(ValueError, match=said):
        fitted_at_start().predict(bad)


def test_ids_may_be_given_as_numbers() -> None:
    X, y = rows(0)
    heads = [clone(Classifier(**FAST)).fit(x, y) for x in (X, X.astype(np.float32))]
    np.testing.assert_array_equal(heads[0].logits(X), heads[1].logits(X.astype(float)))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"embedding": "qubits"}, "embedding='qubits'"),
        ({"attention": "flash"}, "attention='flash'"),
        ({"table_start": "zeros"}, "table_start='zeros'"),
        ({"num_heads": 3}, "3 heads"),
        ({"temperature": 0}, "temperature=0"),
        ({"padding_id": 20}, "padding_id=20"),
        ({"gradient_clip": 0.0}, "gradient_clip=0.0"),
        ({"shots": 0}, "shots=0"),
        ({"shots": 10, "embedding": "table"}, "no circuit"),
        ({"n_layers": 0}, "n_layers=0"),
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"feedforward": 0}, "feedforward=0"),
        ({"angle_scale": -1.0}, "angle_scale=-1.0"),
        ({"n_qubits": 50}, "GiB"),
    ],
)
def test_arguments_out_of_range_are_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Classifier(**params).fit(*rows(0))


def test_no_attention_has_no_weights() -> None:
    with pytest.raises(ValueError, match="attention='none'"):
        fitted_at_start(attention="none").attention_weights(rows(0)[0])


def test_the_best_state_is_that_of_the_lowest_loss_where_asked() -> None:
    X, y = rows(0, n=60)
    X_val, y_val = rows(1, n=60)
    params: dict[str, Any] = {"embedding": "table", "epochs": 40, "learning_rate": 0.05}
    fitted = Classifier(best_by="loss", **params).fit(X, y, X_val, y_val)
    history = fitted.history_
    best = history.epochs[int(np.argmin(history.validation_loss))]
    assert history.best_epoch == best
    with pytest.raises(ValueError, match="best_by"):
        Classifier(best_by="luck").fit(X, y)  # type: ignore[arg-type]
