"""Quantum attention is called as nn.MultiheadAttention is; its scores are overlaps of states."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.models.token_attention import QuantumAttention, fidelity, masked_softmax

DOUBLE = {"dtype": torch.float64}


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def heads(width: int, n: int = 2, count: int = 1) -> tuple[Tensor, Tensor]:
    return normal(n, count, 3, width), normal(n, count, 4, width, seed=1)


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_the_swap_test_reads_half_of_one_plus_the_fidelity(width: int) -> None:
    query, key = heads(width)
    swap = QuantumAttention(width, 1, score="swap-test", **DOUBLE)
    assert swap.swap_circuit is not None
    assert swap.swap_circuit.description.n_qubits == 2 * swap.n_qubits + 1
    torch.testing.assert_close(swap.scores(query, key), (1 + fidelity(query, key)) / 2)


def test_more_qubits_pad_with_zeros_and_change_no_score() -> None:
    query, key = heads(3)
    wide = QuantumAttention(3, 1, n_qubits=3, score="swap-test", **DOUBLE)
    torch.testing.assert_close(wide.scores(query, key), (1 + fidelity(query, key)) / 2)


def test_the_swap_test_has_the_gradient_of_the_fidelity() -> None:
    query, key = (x.requires_grad_() for x in heads(4))
    upstream = normal(2, 1, 3, 4, seed=2)
    swap = QuantumAttention(4, 1, score="swap-test", **DOUBLE)
    ours = torch.autograd.grad((swap.scores(query, key) * upstream).sum(), [query, key])
    exact = torch.autograd.grad((fidelity(query, key) * upstream / 2).sum(), [query, key])
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("score", ["fidelity", "swap-test"])
def test_scores_from_shots_spread_as_a_binomial(score: Any) -> None:
    query, key = heads(4)
    exact = QuantumAttention(4, 1, score=score, **DOUBLE).scores(query, key)
    for shots in (100, 2_500):
        module = QuantumAttention(4, 1, score=score, shots=shots, **DOUBLE)
        draws = torch.stack([module.scores(query, key) for _ in range(300)])
        error = (draws - exact) / (exact * (1 - exact) / shots).sqrt()
        assert abs(float(error.mean())) < 0.06
        assert abs(float(error.square().mean()) - 1) < 0.12


@pytest.mark.parametrize("score", ["fidelity", "swap-test"])
def test_the_gradient_of_a_sampled_score_is_the_exact_one(score: Any) -> None:
    query, key = (x.requires_grad_() for x in heads(4))

    def gradient(shots: int | None) -> Tensor:
        module = QuantumAttention(4, 1, score=score, shots=shots, **DOUBLE)
        return torch.autograd.grad(module.scores(query, key).sum(), query)[0]

    torch.testing.assert_close(gradient(10), gradient(None))


def test_the_swap_test_is_the_fidelity_at_twice_the_temperature() -> None:
    x = normal(2, 5, 8)
    swap = QuantumAttention(8, 2, score="swap-test", temperature=0.5, **DOUBLE)
    overlap = QuantumAttention(8, 2, temperature=1.0, **DOUBLE)
    torch.testing.assert_close(swap(x, x, x)[1], overlap(x, x, x)[1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]))
def test_as_published_no_weight_is_more_than_e_times_another(seed: int, n_heads: int) -> None:
    x = 10 * normal(2, 6, 8, seed=seed)
    _, weights = QuantumAttention(8, n_heads, temperature=1.0, seed=seed, **DOUBLE)(
        x, x, x, average_attn_weights=False
    )
    assert weights.amax(-1).div(weights.amin(-1)).max() <= math.e + 1e-12
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))


def test_a_cold_temperature_attends_to_the_closest_key() -> None:
    query, key = normal(1, 3, 8), normal(1, 5, 8, seed=1)
    module = QuantumAttention(8, 1, temperature=1e-5, **DOUBLE)
    _, weights = module(query, key, key)
    q, k = module.query_proj(query), module.key_proj(key)
    assert torch.equal(weights.argmax(-1), fidelity(q, k).argmax(-1))
    assert weights.amax(-1).min() > 0.99


def shapes_of(module: nn.Module, *x: Tensor, **options: Any) -> list[Any]:
    out, weights = module(*x, **options)
    return [out.shape, None if weights is None else weights.shape]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"need_weights": False}, {"average_attn_weights": False}])
def test_shapes_are_those_of_torch(batch_first: bool, options: dict[str, Any]) -> None:
    ours = QuantumAttention(8, 2, batch_first=batch_first, **DOUBLE)
    torchs = nn.MultiheadAttention(8, 2, batch_first=batch_first, dtype=torch.float64)
    query, key = (
        (normal(3, 5, 8), normal(3, 4, 8))
        if batch_first
        else (
            normal(5, 3, 8),
            normal(4, 3, 8),
        )
    )
    assert shapes_of(ours, query, key, key, **options) == shapes_of(
        torchs, query, key, key, **options
    )
    flat = normal(5, 8)
    assert shapes_of(ours, flat, flat, flat, **options) == shapes_of(
        torchs, flat, flat, flat, **options
    )


def test_position_first_is_the_same_attention() -> None:
    x = normal(3, 5, 8)
    first = QuantumAttention(8, 2, **DOUBLE)
    second = QuantumAttention(8, 2, batch_first=False, **DOUBLE)
    y = x.transpose(0, 1)
    torch.testing.assert_close(second(y, y, y)[0].transpose(0, 1), first(x, x, x)[0])
    torch.testing.assert_close(first(x[0], x[0], x[0])[0], first(x, x, x)[0][0])


def float_of(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(mask, -math.inf)


@pytest.mark.parametrize("per_head", [False, True])
def test_masked_keys_get_no_weight_and_masks_may_be_numbers(per_head: bool) -> None:
    module = QuantumAttention(8, 2, **DOUBLE)
    x = normal(3, 5, 8)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    causal = torch.ones(5, 5).triu(1).bool()
    if per_head:
        causal = causal.repeat(6, 1, 1)
    out, weights = module(x, x, x, padding, attn_mask=causal, average_attn_weights=False)
    blocked = torch.ones(5, 5).triu(1).bool() | padding[:, None, None, :]
    assert (weights[blocked.expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 5, dtype=torch.float64))
    numbers, _ = module(x, x, x, float_of(padding), attn_mask=float_of(causal))
    torch.testing.assert_close(numbers, out)
    # What is masked does not matter.
    other = x.clone()
    other[1, 3:] = 7
    torch.testing.assert_close(
        module(other, other, other, padding, attn_mask=causal)[0][1, :3], out[1, :3]
    )


def test_a_mask_of_numbers_is_added_to_the_scores_over_temperature() -> None:
    module = QuantumAttention(4, 1, temperature=0.2, **DOUBLE)
    x, mask = normal(1, 3, 4), normal(3, 3, seed=5)
    _, weights = module(x, x, x, attn_mask=mask)
    q, k = module.query_proj(x), module.key_proj(x)
    torch.testing.assert_close(weights, (fidelity(q, k) / 0.2 + mask).softmax(-1))


@pytest.mark.parametrize("score", ["fidelity", "swap-test"])
def test_a_query_that_may_look_nowhere_gets_zeros_and_a_finite_gradient(score: Any) -> None:
    module = QuantumAttention(4, 2, score=score, **DOUBLE)
    x = normal(2, 3, 4).requires_grad_()
    padding = torch.tensor([[True] * 3, [False, False, True]])
    out, weights = module(x, x, x, key_padding_mask=padding)
    assert (weights[0] == 0).all()
    torch.testing.assert_close(out[0], module.out_proj.bias.expand(3, 4))
    out.sum().backward()
    grads = [x.grad, *(p.grad for p in module.parameters() if p.requires_grad)]
    assert all(g is not None and g.isfinite().all() for g in grads)


@pytest.mark.parametrize("score", ["fidelity", "swap-test"])
def test_zero_vectors_overlap_with_nothing(score: Any) -> None:
    module = QuantumAttention(4, 1, score=score, bias=False, temperature=1.0, **DOUBLE)
    x = normal(1, 3, 4)
    x[0, 1] = 0
    x.requires_grad_()
    out, weights = module(x, x, x)
    torch.testing.assert_close(weights[0, 1], torch.full((3,), 1 / 3, dtype=torch.float64))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_gradients_reach_every_projection_and_the_temperature() -> None:
    module = QuantumAttention(8, 2, **DOUBLE)
    x = normal(2, 5, 8)
    module(x, x, x)[0].square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name
    fixed = QuantumAttention(8, 2, temperature=1.0)
    assert not fixed.log_temperature.requires_grad


def test_the_gradient_is_the_slope() -> None:
    module = QuantumAttention(4, 2, **DOUBLE)
    x = normal(1, 3, 4).requires_grad_()
    mask = torch.ones(3, 3).triu(1).bool()
    assert torch.autograd.gradcheck(lambda x: module(x, x, x, attn_mask=mask)[0], (x,))


def test_it_stands_in_a_transformer_of_torch() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, **DOUBLE)
    layer.self_attn = QuantumAttention(8, 2, **DOUBLE)
    x, padding = normal(3, 5, 8), torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 4] = True
    mask = torch.ones(5, 5).triu(1).bool()
    trained = layer.train()(x, mask, padding)
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x, mask, padding), trained)
    expected = layer.norm1(x + layer.self_attn(x, x, x, padding, attn_mask=mask)[0])
    expected = layer.norm2(expected + layer.linear2(layer.linear1(expected).relu()))
    torch.testing.assert_close(trained, expected)


@pytest.mark.parametrize("score", ["fidelity", "swap-test"])
def test_no_positions_and_no_batch_are_fine(score: Any) -> None:
    module = QuantumAttention(8, 2, score=score, **DOUBLE)
    empty = normal(0, 5, 8)
    assert module(empty, empty, empty)[0].shape == (0, 5, 8)
    out, weights = module(normal(2, 3, 8), normal(2, 0, 8), normal(2, 0, 8))
    assert weights.shape == (2, 3, 0)
    torch.testing.assert_close(out, module.out_proj.bias.expand(2, 3, 8))


def test_the_same_seed_is_the_same_module_and_the_global_generator_is_left_alone() -> None:
    x = normal(2, 3, 8).float()
    before = torch.get_rng_state()
    first, second = (QuantumAttention(8, 2, seed=3, shots=7)(x, x, x)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(QuantumAttention(8, 2, seed=4, shots=7)(x, x, x)[0], first)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_heads": 3}, "3 heads for a width of 8"),
        ({"num_heads": 0}, "0 heads"),
        ({"embed_dim": 0}, "width of 0"),
        ({"n_qubits": 1}, "at least 2"),
        ({"score": "cosine"}, "cosine"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"temperature": math.inf}, "temperature=inf"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": "learned"}, "learned"),
        ({"shots": 0}, "shots=0"),
        ({"score": "swap-test", "n_qubits": 30}, "GiB"),
    ],
)
def test_arguments_out_of_range_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuantumAttention(**({"embed_dim": 8, "num_heads": 2} | options))


@pytest.mark.parametrize(
    ("shapes", "options", "said"),
    [
        (((2, 3, 7),) * 3, {}, r"\(2, 3, 7\)"),
        (((2, 3, 8), (3, 3, 8), (3, 3, 8)), {}, r"\(3, 3, 8\)"),
        (((2, 3, 8), (2, 4, 8), (2, 5, 8)), {}, "key and value alike"),
        (((2, 3, 8), (3, 8), (3, 8)), {}, r"\(3, 8\)"),
        (((2, 3, 8),) * 3, {"is_causal": True}, "causal mask"),
        (((2, 3, 8),) * 3, {"attn_mask": torch.zeros(2, 2)}, "attn_mask of shape"),
        (((2, 3, 8),) * 3, {"key_padding_mask": torch.zeros(3, 3)}, "key_padding_mask of shape"),
        (((2, 3, 8),) * 3, {"attn_mask": torch.zeros(3, 3).long()}, "int64"),
    ],
)
def test_inputs_that_do_not_fit_are_named(shapes: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuantumAttention(8, 2)(*(torch.ones(s) for s in shapes), **options)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_a_masked_softmax_is_a_softmax_over_what_is_left(seed: int) -> None:
    scores, mask = normal(4, 6, seed=seed), normal(4, 6, seed=seed + 1) > 0
    weights = masked_softmax(scores, float_of(mask)).numpy()
    for row, kept, got in zip(scores.numpy(), ~mask.numpy(), weights, strict=True):
        expected = np.where(kept, np.exp(row), 0)
        np.testing.assert_allclose(got, expected / expected.sum() if kept.any() else expected)
