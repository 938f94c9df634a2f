"""Controls in the circuit's place: LoRA equals peft's, the others are what they are called."""

import copy

import pytest
import torch
from tests.adapters.tiny_models import IDS, make
from torch import nn

from qlmbench.adapters import QuantumLoRAConfig, add_adapter, control_configs

TARGETS = ["q_proj", "v_proj"]


def test_the_linear_bottleneck_trains_as_pefts_lora_does() -> None:
    peft = pytest.importorskip("peft")
    base = make("llama")
    theirs = peft.get_peft_model(
        copy.deepcopy(base), peft.LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS)
    )
    ours = copy.deepcopy(base)
    config = QuantumLoRAConfig(r=4, alpha=6.0, target_modules=TARGETS, bottleneck="linear")
    with torch.no_grad():
        for name, host in add_adapter(ours, config).items():
            layer = theirs.base_model.model.get_submodule(name)
            layer.lora_A["default"].weight.copy_(host.adapter().down.weight)
    losses = []
    for model in (theirs, ours):
        trained = [p for p in model.parameters() if p.requires_grad]
        assert sum(p.numel() for p in trained) == 2 * 4 * (16 + 16 + 16 + 8)
        optimiser = torch.optim.AdamW(trained, lr=0.05)
        losses.append([])
        for _ in range(5):
            optimiser.zero_grad()
            loss = model(input_ids=IDS, labels=IDS).loss
            loss.backward()
            optimiser.step()
            losses[-1].append(loss.item())
    assert losses[1][0] - losses[1][-1] > 0.05
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("linear", lambda values: values),
        ("tanh", torch.tanh),
        ("cosine", torch.cos),
        ("sine", torch.sin),
        ("relu", torch.relu),
    ],
)
def test_a_classical_bottleneck_is_its_function(kind: str, function) -> None:
    model = nn.ModuleDict({"a": nn.Linear(6, 5)})
    config = QuantumLoRAConfig(r=3, alpha=2.0, bottleneck=kind)  # type: ignore[arg-type]
    host = add_adapter(model, config)["a"]
    adapter = host.adapter()
    nn.init.ones_(adapter.up.weight)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    expected = function(x @ adapter.down.weight.T) @ adapter.up.weight.T * 2 / 3
    torch.testing.assert_close(model["a"](x) - host.base_layer(x), expected, atol=1e-6, rtol=1e-5)
    assert adapter.n_parameters("bottleneck") == 0


def test_controls_change_the_circuit_and_nothing_else() -> None:
    config = QuantumLoRAConfig(
        r=4, n_photons=2, alpha=3.0, target_modules=["a"], ansatz="universal", dropout=0.1, seed=7
    )
    controls = control_configs(config)
    assert list(controls) == [
        *("linear", "tanh", "cosine", "sine", "relu"),
        *("frozen", "one-photon", "distinguishable"),
    ]
    starts = []
    for control in [config, *controls.values()]:
        model = nn.ModuleDict({"a": nn.Linear(6, 5), "b": nn.Linear(6, 5)})
        (host,) = add_adapter(model, control).values()
        starts.append(host.adapter().down.weight)
        assert (control.alpha, control.dropout, control.seed) == (3.0, 0.1, 7)
        assert host.adapter().up.in_features == 4
    assert all(torch.equal(start, starts[0]) for start in starts)
    assert controls["frozen"].ansatz == controls["one-photon"].ansatz == "universal"


def test_one_photon_has_no_partner_to_be_told_apart_from() -> None:
    assert "distinguishable" not in control_configs(QuantumLoRAConfig(n_photons=1))


@pytest.mark.parametrize("options", [{"bottleneck": "tanh"}, {"ansatz": "custom"}])
def test_only_circuits_of_this_package_have_controls(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected the settings of an adapter with one of"):
        control_configs(QuantumLoRAConfig(**options))  # type: ignore[arg-type]
