"""What an arm puts into a model: which parameters train, from where, and how many do anything."""

import importlib
import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.adapters import count_parameters
from qlmbench.errors import UserError
from qlmbench.registry import model_class

Update = model_class("quantum_lora", "update:Update")
MODULE = sys.modules[Update.__module__]
put_into = MODULE.put_into
parameters_of = importlib.import_module(
    ".counts", Update.__module__.rpartition(".")[0]
).parameters_of
ANSATZES = ("simple", "universal", "hardware_efficient")


def model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))


def rows(n: int = 7) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(1))


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def adapted(*targets: str, **settings: Any) -> nn.Module:
    return put_into(model(), Update(**settings), targets or ("2",))


@pytest.mark.parametrize("method", ["quantum", "as-published", "lora", "none", "full"])
def test_a_model_computes_as_before_until_it_is_trained(method: str) -> None:
    assert torch.equal(adapted(method=method)(rows()), model()(rows()))


@pytest.mark.parametrize(
    ("method", "count"),
    [("quantum", 8 * 4 + 24 + 4 * 5), ("lora", 8 * 4 + 4 * 5), ("none", 0), ("full", 8 * 5 + 5)],
)
def test_only_the_update_is_trained(method: str, count: int) -> None:
    network = adapted(method=method)
    assert sum(p.numel() for p in trained(network).values()) == count
    assert parameters_of(network).total == count


def test_only_layers_that_a_pattern_matches_are_adapted() -> None:
    network = adapted("0", "2", method="lora", r=2)
    assert {name.partition(".")[0] for name in trained(network)} == {"0", "2"}
    assert {name.partition(".")[0] for name in trained(adapted("2", method="lora"))} == {"2"}


def test_a_pattern_without_a_layer_is_an_error_for_every_method() -> None:
    for method in MODULE.METHODS:
        with pytest.raises(ValueError, match="matches no linear layer"):
            adapted("nowhere", method=method)


def test_lora_is_the_linear_bottleneck() -> None:
    """Equal weights, equal function: peft and our control are one model."""
    ours = adapted(method="quantum", bottleneck="linear", r=3, alpha=2.0)
    pefts = adapted(method="lora", r=3, alpha=2.0)
    draw = torch.Generator().manual_seed(5)
    pairs = zip(trained(ours).values(), trained(pefts).values(), strict=True)
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.copy_(torch.randn(mine.shape, generator=draw))
            theirs.copy_(mine)
    assert torch.allclose(ours(rows()), pefts(rows()), atol=1e-6)
    assert not torch.allclose(ours(rows()), model()(rows()), atol=1e-2)


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for method in MODULE.METHODS:
        parameters_of(adapted(method=method))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", ["quantum", "as-published", "lora"])
def test_the_seed_decides_the_start(method: str) -> None:
    def start(seed: int) -> Tensor:
        return torch.cat(
            [p.detach().flatten() for p in trained(adapted(method=method, seed=seed)).values()]
        )

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


@given(r=st.integers(3, 5), n_photons=st.integers(1, 2), ansatz=st.sampled_from(ANSATZES))
@settings(max_examples=6, deadline=None)
def test_counts_agree_with_those_of_the_adapter(r: int, n_photons: int, ansatz: str) -> None:
    network = adapted(r=r, n_photons=n_photons, ansatz=ansatz)
    counted, library = parameters_of(network), count_parameters(network)
    assert counted.total == library.trainable
    assert counted.quantum == library.bottleneck
    assert counted.effective is not None
    assert library.down + library.up < counted.effective <= counted.total - counted.dead


def test_as_published_hardware_efficient_trains_a_down_projection_that_does_nothing() -> None:
    fault = parameters_of(adapted(method="as-published", ansatz="hardware_efficient"))
    assert fault.dead_in["down"] == 4 * 8
    mended = parameters_of(adapted(method="quantum", ansatz="hardware_efficient"))
    assert "down" not in mended.dead_in


def test_as_published_universal_has_more_angles_than_simple_and_no_more_effect() -> None:
    simple, universal = (
        parameters_of(adapted(method="as-published", ansatz=ansatz)) for ansatz in ANSATZES[:2]
    )
    assert universal.quantum == 2 * simple.quantum
    assert universal.effective == simple.effective


def test_as_published_needs_a_larger_up_projection_with_two_photons() -> None:
    published, ours = (
        parameters_of(adapted(method=method, n_photons=2)) for method in ("as-published", "quantum")
    )
    assert published.total - ours.total == (6 - 4) * 5


def test_a_frozen_circuit_has_no_trained_angles() -> None:
    counted = parameters_of(adapted(train_circuit=False))
    assert (counted.quantum, counted.classical, counted.effective) == (0, 52, 52)


def test_the_published_layer_takes_part_where_inputs_have_more_dimensions() -> None:
    network = adapted(method="as-published")
    x = rows(6)
    assert torch.allclose(network(x.view(2, 3, 6)).view(6, 5), network(x), atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "lorra"},
        {"method": "lora", "n_photons": 2},
        {"method": "none", "r": 8},
        {"method": "as-published", "readout": "grouped"},
        {"method": "as-published", "dropout": 0.1},
        {"ansatz": "custom"},
        {"ansatz": "simpel"},
        {"r": 1},
        {"method": "lora", "r": 0},
        {"bottleneck": "tanh", "n_photons": 2},
        {"n_photons": 5},
    ],
)
def test_settings_that_are_wrong_or_without_effect_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Update(**settings)


def test_missing_peft_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="needs peft"):
        adapted(method="lora")


def test_more_rank_is_more_parameters() -> None:
    counts = [parameters_of(adapted(method="lora", r=r)).total for r in (1, 2, 4)]
    assert all(small < large for small, large in pairwise(counts))
