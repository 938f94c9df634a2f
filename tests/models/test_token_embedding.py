"""Quantum embeddings go where nn.Embedding goes, and are tables of low rank."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.models.token_embedding import (
    OptimizedQuantumEmbedding,
    QuantumEmbedding,
    default_qubits,
)

DOUBLE = {"dtype": torch.float64}


def ids(*shape: int, vocab: int = 11, seed: int = 0) -> Tensor:
    return torch.randint(vocab, shape, generator=torch.Generator().manual_seed(seed))


def tokens(module: QuantumEmbedding) -> Tensor:
    return torch.arange(module.num_embeddings)


@settings(max_examples=10, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    dim=st.integers(1, 9),
    padding=st.sampled_from([None, 0, 4, -1]),
    cls=st.sampled_from([QuantumEmbedding, OptimizedQuantumEmbedding]),
)
def test_any_shape_of_ids_gives_a_row_of_the_table_each(
    shape: list[int], dim: int, padding: int | None, cls: type[QuantumEmbedding]
) -> None:
    module = cls(11, dim, n_layers=2, padding_idx=padding, **DOUBLE)
    x = ids(*shape)
    torch.testing.assert_close(module(x), nn.Embedding.from_pretrained(module.table())(x))
    torch.testing.assert_close(module(x.int()), module(x))


@pytest.mark.parametrize(("dim", "qubits"), [(1, 1), (2, 1), (3, 2), (8, 3), (9, 4), (16, 4)])
def test_qubits_are_enough_for_the_vector_by_default(dim: int, qubits: int) -> None:
    assert default_qubits(dim) == qubits
    assert QuantumEmbedding(3, dim).angles.shape == (3, 3, qubits, 2)


def reference(angles: np.ndarray, entangler: str) -> Any:
    layers, n, _ = angles.shape

    @qml.qnode(qml.device("default.qubit", wires=n))
    def circuit() -> Any:
        for layer in range(layers):
            for q in range(n):
                qml.RY(angles[layer, q, 0], wires=q)
                qml.RZ(angles[layer, q, 1], wires=q)
            if layer < layers - 1 and entangler != "none":
                for q in range(n - 1):
                    qml.CNOT(wires=[q, q + 1])
                if entangler == "ring" and n > 2:
                    qml.CNOT(wires=[n - 1, 0])
        return [qml.expval(qml.PauliZ(q)) for q in range(n)]

    return circuit()


@pytest.mark.parametrize("entangler", ["ring", "chain", "none"])
@pytest.mark.parametrize("qubits", [1, 2, 4])
def test_a_tokens_circuit_is_pennylanes(entangler: Any, qubits: int) -> None:
    module = QuantumEmbedding(3, 5, qubits, entangler=entangler, init_scale=2.0, **DOUBLE)
    ours = module.expectations(tokens(module)).detach().numpy()
    theirs = [reference(a, entangler) for a in module.angles.detach().numpy()]
    np.testing.assert_allclose(ours, np.array(theirs), atol=1e-12)


def test_the_optimised_form_has_an_open_chain_and_tanh() -> None:
    options: dict[str, Any] = {"n_qubits": 4, "init_scale": 1.0, **DOUBLE}
    plain = QuantumEmbedding(9, 8, entangler="chain", **options)
    optimised = OptimizedQuantumEmbedding(9, 8, **options)
    torch.testing.assert_close(optimised.table(), plain.table().tanh())
    assert not torch.allclose(QuantumEmbedding(9, 8, **options).table(), plain.table())


def bloch(angles: Tensor) -> Tensor:
    """Z of a qubit turned by RY and RZ layer by layer, as a vector in space."""
    vector = angles.new_tensor([0.0, 0.0, 1.0])
    for y, z in angles:
        x_, y_, z_ = vector
        x_, z_ = x_ * y.cos() + z_ * y.sin(), z_ * y.cos() - x_ * y.sin()
        vector = torch.stack([x_ * z.cos() - y_ * z.sin(), x_ * z.sin() + y_ * z.cos(), z_])
    return vector[2]


def test_without_cnot_every_qubit_is_a_rotating_vector() -> None:
    module = QuantumEmbedding(4, 8, 3, entangler="none", init_scale=2.0, **DOUBLE)
    expected = torch.stack([torch.stack([bloch(a[:, q]) for q in range(3)]) for a in module.angles])
    torch.testing.assert_close(module.expectations(tokens(module)), expected)


def test_two_layers_without_cnot_have_a_closed_form() -> None:
    module = QuantumEmbedding(4, 8, 3, 2, entangler="none", init_scale=2.0, **DOUBLE)
    (a, b), (c, _) = module.angles.permute(1, 3, 0, 2)
    expected = a.cos() * c.cos() - a.sin() * b.cos() * c.sin()
    torch.testing.assert_close(module.expectations(tokens(module)), expected)


@pytest.mark.parametrize("entangler", ["ring", "chain", "none"])
def test_the_table_has_the_rank_of_the_qubits_before_the_bias(entangler: Any) -> None:
    module = QuantumEmbedding(40, 16, 3, entangler=entangler, init_scale=2.0, **DOUBLE)
    table = module.table() - module.output.bias
    assert torch.linalg.matrix_rank(table) == 3


@pytest.mark.parametrize("entangler", ["ring", "chain", "none"])
@pytest.mark.parametrize("method", ["backprop", "adjoint", "parameter-shift"])
def test_the_last_turn_about_z_is_dead_and_the_others_are_not(entangler: Any, method: Any) -> None:
    module = QuantumEmbedding(
        5, 8, 3, 2, diff_method=method, entangler=entangler, init_scale=1.0, **DOUBLE
    )
    module(tokens(module)).square().sum().backward()
    assert module.angles.grad is not None
    grad = module.angles.grad.abs()
    assert grad[:, -1, :, 1].max() < 1e-14
    assert grad[..., 0].min() > 1e-6
    assert grad[:, 0, :, 1].amax(0).min() > 1e-6


@pytest.mark.parametrize("method", ["adjoint", "parameter-shift"])
def test_all_ways_to_the_gradient_agree(method: Any) -> None:
    def gradients(method: Any) -> list[Tensor]:
        module = QuantumEmbedding(5, 8, diff_method=method, init_scale=1.0, **DOUBLE)
        loss = module(ids(3, 4, vocab=5)).tanh().sum()
        return list(torch.autograd.grad(loss, [module.angles, module.output.weight]))

    for ours, exact in zip(gradients(method), gradients("backprop"), strict=True):
        torch.testing.assert_close(ours, exact)


def test_only_tokens_of_the_batch_get_a_gradient_and_padding_never() -> None:
    module = QuantumEmbedding(6, 8, padding_idx=2, init_scale=1.0)
    out = module(torch.tensor([[1, 2, 4]]))
    assert (out[0, 1] == 0).all()
    out.sum().backward()
    assert module.angles.grad is not None
    touched = (module.angles.grad != 0).flatten(1).any(1)
    assert touched.tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("method", ["backprop", "adjoint"])
def test_a_batch_of_one_token_trains(method: Any) -> None:
    module = QuantumEmbedding(6, 8, diff_method=method)
    module(torch.tensor([[3, 3]])).sum().backward()


def test_only_padding_is_fine() -> None:
    module = QuantumEmbedding(6, 8, padding_idx=0)
    assert (module(torch.zeros(2, 3, dtype=torch.long)) == 0).all()


def with_shots(shots: int, seed: int = 0) -> QuantumEmbedding:
    return QuantumEmbedding(4, 6, 3, 2, shots=shots, init_scale=1.0, seed=seed, **DOUBLE)


def test_shots_are_really_drawn_and_their_error_falls_as_the_root() -> None:
    exact = QuantumEmbedding(4, 6, 3, 2, init_scale=1.0, **DOUBLE).expectations(torch.arange(4))
    errors = {}
    for shots in (100, 1_600, 25_600):
        module = with_shots(shots)
        draws = torch.stack([module.expectations(torch.arange(4)) for _ in range(100)])
        # Shot noise of one Z: (1 - z^2) / shots.
        error = (draws - exact) / ((1 - exact**2) / shots).sqrt()
        assert abs(float(error.detach().mean())) < 0.15
        errors[shots] = float(error.detach().square().mean())
    np.testing.assert_allclose(list(errors.values()), 1, atol=0.2)


def test_the_shift_rule_from_shots_is_unbiased() -> None:
    upstream = torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def gradient(module: QuantumEmbedding) -> Tensor:
        return torch.autograd.grad((module(tokens(module)) * upstream).sum(), module.angles)[0]

    exact = gradient(QuantumEmbedding(4, 6, 3, 2, init_scale=1.0, **DOUBLE))
    spread = {}
    for shots in (1_000, 4_000):
        module = with_shots(shots)
        draws = torch.stack([gradient(module) for _ in range(60)])
        deviation = draws.std(0)
        alive = deviation > 0
        z = ((draws.mean(0) - exact) / (deviation / 60**0.5))[alive]
        assert abs(float(z.mean())) < 4 / len(z) ** 0.5 + 0.1
        assert float(z.abs().max()) < 5
        spread[shots] = float(deviation.square().mean())
    assert 3 < spread[1_000] / spread[4_000] < 5.3


def test_a_token_is_measured_once_a_call_and_anew_at_the_next() -> None:
    module = with_shots(50)
    first, second = (module(torch.tensor([1, 1])) for _ in range(2))
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    torch.testing.assert_close(with_shots(50)(torch.tensor([1, 1])), first, rtol=0, atol=0)
    assert not torch.equal(with_shots(50, seed=1)(torch.tensor([1, 1])), first)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vocab_size": 0}, "at least one token"),
        ({"embedding_dim": 0}, "one dimension"),
        ({"n_qubits": 0}, "n_qubits=0"),
        ({"n_layers": 0}, "n_layers=0"),
        ({"n_qubits": 60, "n_layers": 1}, "GiB"),
        ({"shots": 0}, "shots=0"),
        ({"shots": -5}, "shots=-5"),
        ({"shots": 5, "diff_method": "backprop"}, "parameter-shift"),
        ({"diff_method": "magic"}, "magic"),
        ({"entangler": "star"}, "star"),
        ({"padding_idx": 7}, "padding_idx=7"),
        ({"padding_idx": -8}, "padding_idx=-8"),
        ({"dtype": torch.float16}, "float16"),
    ],
)
def test_arguments_out_of_range_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuantumEmbedding(**({"vocab_size": 7, "embedding_dim": 4} | options))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.tensor([0.0]), "float32"),
        (torch.tensor([True]), "bool"),
        (torch.tensor([3, 7]), "expected 0 to 6"),
        (torch.tensor([-1]), "expected 0 to 6"),
    ],
)
def test_ids_that_do_not_exist_are_refused(wrong: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuantumEmbedding(7, 4)(wrong)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    one, same = (QuantumEmbedding(7, 4, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.table(), same.table())
    assert not torch.equal(one.table(), QuantumEmbedding(7, 4, seed=4).table())


# ---- the cache ------------------------------------------------------------------------------


def cached(**options: Any) -> OptimizedQuantumEmbedding:
    return OptimizedQuantumEmbedding(7, 4, init_scale=1.0, **options)


@torch.no_grad()
def look(module: nn.Module, *tokens: int) -> Tensor:
    out: Tensor = module(torch.tensor(tokens))
    return out


def counters(module: OptimizedQuantumEmbedding) -> tuple[int, int]:
    return module.cache_hits, module.cache_misses


def test_the_cache_serves_tokens_of_earlier_batches() -> None:
    module = cached()
    first = look(module, 1, 2, 1)
    assert counters(module) == (0, 2)
    second = look(module, 2, 3, 1)
    assert counters(module) == (2, 3)
    assert torch.equal(second[[2, 0]], first[:2])
    module.clear_cache()
    look(module, 1)
    assert counters(module) == (2, 4)


def step(module: OptimizedQuantumEmbedding) -> None:
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    module(torch.arange(7)).square().sum().backward()
    optimiser.step()


def load(module: OptimizedQuantumEmbedding) -> None:
    module.load_state_dict(cached(seed=5).state_dict())


def edit(module: OptimizedQuantumEmbedding) -> None:
    with torch.no_grad():
        module.angles.add_(0.3)


def edit_behind_the_version_counter(module: OptimizedQuantumEmbedding) -> None:
    module.angles.data.mul_(1.1)


def replace(module: OptimizedQuantumEmbedding) -> None:
    module.angles = nn.Parameter(module.angles.detach() + 0.2)


def convert(module: OptimizedQuantumEmbedding) -> None:
    module.to(torch.float64)


@pytest.mark.parametrize(
    "change", [step, load, edit, edit_behind_the_version_counter, replace, convert]
)
def test_no_change_of_the_angles_leaves_a_stale_value(
    change: Callable[[OptimizedQuantumEmbedding], None],
) -> None:
    module = cached()
    look(module, *range(7))
    change(module)
    fresh = copy.deepcopy(module)
    fresh.clear_cache()
    hits = module.cache_hits
    assert torch.equal(look(module, *range(7)), look(fresh, *range(7)))
    assert module.cache_hits == hits


def test_a_changed_token_alone_is_run_again() -> None:
    module = cached()
    look(module, *range(7))
    with torch.no_grad():
        module.angles[3, 0, 0, 0] += 0.5
    look(module, *range(7))
    assert counters(module) == (6, 8)


def test_in_training_no_value_comes_from_the_cache() -> None:
    module = cached(**DOUBLE)
    look(module, *range(7))
    plain = copy.deepcopy(module)
    plain.clear_cache()
    for net in (module, plain):
        for _ in range(3):
            step(net)
    assert torch.equal(module.angles, plain.angles)
    assert module.cache_hits == 0


def test_frozen_angles_are_served_while_the_linear_map_learns() -> None:
    module = cached()
    module.angles.requires_grad_(False)
    with torch.inference_mode():
        module(torch.tensor([0, 1]))
    module(torch.tensor([0, 1, 2])).sum().backward()
    assert counters(module) == (2, 3)
    assert module.output.weight.grad is not None
    assert (module.output.weight.grad != 0).any()


def test_changing_the_linear_map_needs_no_circuit() -> None:
    module = cached()
    before = look(module, 0, 1)
    with torch.no_grad():
        module.output.weight.mul_(2)
    assert not torch.equal(look(module, 0, 1), before)
    assert counters(module) == (2, 2)


def test_with_shots_the_cache_keeps_one_draw() -> None:
    module = cached(shots=20)
    first = look(module, 0, 1)
    assert torch.equal(look(module, 0, 1), first)
    module.clear_cache()
    assert not torch.equal(look(module, 0, 1), first)


def test_the_embedding_survives_pickling_and_copying() -> None:
    module = cached()
    before = look(module, 0, 1)
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):  # noqa: S301
        assert torch.equal(look(twin, 0, 1), before)
