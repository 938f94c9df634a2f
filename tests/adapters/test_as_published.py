"""The published layer with its faults, each with a number, beside the corrected one."""

import math
from collections.abc import Callable

import pytest
import torch
from merlin import CircuitBuilder, MeasurementStrategy, QuantumLayer
from torch import Tensor, nn

from qlmbench.adapters import QuantumLoRALayer, convert_to_quantum_lora
from qlmbench.adapters.as_published import (
    AsPublishedCircuit,
    AsPublishedQuantumLoRALayer,
    convert_as_published,
)
from qlmbench.models.parameters import angle_rank
from qlmbench.quantum.photonic import PhotonicCircuit

ANSATZES = ["simple", "universal", "hardware_efficient"]


def phases(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * math.pi * torch.rand(n, 4, generator=generator, dtype=torch.float64)


def in_merlin(ansatz: str) -> QuantumLayer:
    """Build the published circuit with merlin."""
    before, after = {"simple": (1, 1), "universal": (1, 3), "hardware_efficient": (0, 3)}[ansatz]
    builder = CircuitBuilder(n_modes=4)
    names = iter(["a", "b", "c", "d"])
    for _ in range(before):
        builder.add_entangling_layer(trainable=True, name=next(names))
    builder.add_angle_encoding(name="input", subset_combinations=False)
    for _ in range(after):
        builder.add_entangling_layer(trainable=True, name=next(names))
    return QuantumLayer(
        input_size=4,
        builder=builder,
        n_photons=2,
        measurement_strategy=MeasurementStrategy.probs(),
        dtype=torch.float64,
    )


@pytest.mark.parametrize("ansatz", ANSATZES)
def test_the_circuits_are_those_that_were_published(ansatz: str) -> None:
    theirs, ours = in_merlin(ansatz), AsPublishedCircuit(4, 2, ansatz, dtype=torch.float64)
    with torch.no_grad():
        for parameter, angles in zip(theirs.parameters(), ours.angles[0], strict=True):
            parameter.copy_(angles)
        torch.testing.assert_close(ours(phases(5)[None])[0], theirs(phases(5)), atol=1e-10, rtol=0)


def test_published_hardware_efficient_ignores_its_input_and_ours_does_not() -> None:
    with torch.no_grad():
        published = AsPublishedCircuit(4, 2, "hardware_efficient", dtype=torch.float64)
        assert published(phases(100)[None])[0].std(0).max() < 1e-14
        for n_photons in (1, 2):
            layer = QuantumLoRALayer(nn.Linear(4, 4), 4, n_photons, ansatz="hardware_efficient")
            assert layer.adapter().bottleneck(phases(100)).std(0).max() > 0.05


def test_published_universal_has_twice_the_angles_and_the_rank_of_simple() -> None:
    ranks = {
        ansatz: angle_rank(AsPublishedCircuit(4, 2, ansatz, dtype=torch.float64))
        for ansatz in ("simple", "universal")
    }
    corrected = PhotonicCircuit(4, 2, n_blocks=3, dtype=torch.float64)
    assert AsPublishedCircuit(4, 2, "universal").angles.numel() == 48
    assert AsPublishedCircuit(4, 2, "simple").angles.numel() == 24
    assert corrected.angles.numel() == 48
    assert ranks["universal"] == ranks["simple"] < angle_rank(corrected)


def fitted(target: AsPublishedCircuit, start: int) -> float:
    """Fit a simple circuit to another's outputs; return the largest error at new inputs."""
    simple = AsPublishedCircuit(4, 2, "simple", seed=start, dtype=torch.float64)
    with torch.no_grad():
        simple.angles[0, 0] = target.angles[0, 0]
    x, new = phases(60)[None], phases(20, seed=1)[None]
    expected = target(x).detach()
    optimiser = torch.optim.LBFGS(
        simple.parameters(), max_iter=400, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (simple(x) - expected).square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return (simple(new) - target(new)).abs().max().item()


def test_a_published_universal_circuit_is_a_simple_one() -> None:
    """Its last three meshes are one, whose angles a fit finds: from most starts, not from all."""
    universal = AsPublishedCircuit(4, 2, "universal", dtype=torch.float64)
    assert any(fitted(universal, start) < 1e-6 for start in range(6))


def test_published_layers_take_two_dimensions_and_ours_any() -> None:
    x = torch.zeros(2, 3, 8)
    with pytest.raises(ValueError, match="phases have shape"):
        AsPublishedQuantumLoRALayer(nn.Linear(8, 6), 4, 2)(x)
    assert QuantumLoRALayer(nn.Linear(8, 6), 4, 2)(x).shape == (2, 3, 6)


def test_the_published_layer_is_an_arm_that_learns() -> None:
    base = nn.Linear(8, 6)
    layer = AsPublishedQuantumLoRALayer(base, 4, 2, alpha=4.0)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 8, generator=generator), torch.randn(40, 6, generator=generator)
    assert torch.equal(layer(x), base(x))
    optimiser = torch.optim.Adam([p for p in layer.parameters() if p.requires_grad], lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("n_photons", [1, 2])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_a_published_circuit_is_an_arm_in_models_of_any_shape(ansatz: str, n_photons: int) -> None:
    """Only the circuit is as published then; the conversion and the layer are the corrected."""
    base = nn.Linear(8, 6)
    published = AsPublishedQuantumLoRALayer(base, 4, n_photons, ansatz=ansatz)
    layer = QuantumLoRALayer(base, 4, n_photons, ansatz=published.circuit)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 8, generator=generator)
    with torch.no_grad():
        published.lora_up.weight.normal_(generator=generator)
        layer.adapter().up.weight.copy_(published.lora_up.weight)
        layer.adapter().down.weight.copy_(published.lora_down.weight)
        torch.testing.assert_close(layer(x), published(x.view(10, 8)).view(2, 5, 6))


# ---- the conversion -------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.output_proj = nn.Linear(4, 4), nn.Linear(4, 4)


def model() -> nn.ModuleDict:
    return nn.ModuleDict({"attn": Attention(), "head": nn.Linear(4, 2)})


def converted(net: nn.Module) -> list[str]:
    kinds = (AsPublishedQuantumLoRALayer, QuantumLoRALayer)
    return [name for name, m in net.named_modules() if isinstance(m, kinds)]


def both(**patterns: list[str]) -> tuple[list[str], list[str]]:
    """Convert as published and as corrected; return what was adapted."""
    published, corrected = model(), model()
    convert_as_published(published, 4, 2, **patterns)
    convert_to_quantum_lora(corrected, 4, 2, **patterns)
    return converted(published), converted(corrected)


def test_the_documented_pattern_matched_nothing() -> None:
    published, corrected = both(target_modules=[r".*attn\..*_proj"])
    assert published == []
    assert corrected == ["attn.q_proj", "attn.output_proj"]


def test_exclusions_did_nothing() -> None:
    published, corrected = both(target_modules=[r".*_proj"], exclude_modules=["output_proj"])
    assert published == ["attn.q_proj", "attn.output_proj"]
    assert corrected == ["attn.q_proj"]


def test_a_second_call_wrapped_the_adapter_itself() -> None:
    published, corrected = model(), model()
    for _ in range(2):
        convert_as_published(published, 4, 2)
        convert_to_quantum_lora(corrected, 4, 2)
    assert len(converted(published)) == 3 + 3 * 3  # the base, Down and Up of each
    assert len(converted(corrected)) == 3


def test_the_rest_of_the_model_stayed_trainable() -> None:
    def trained_rest(net: nn.Module) -> int:
        return sum(p.numel() for n, p in net.named_parameters() if "head" in n and p.requires_grad)

    published, corrected = model(), model()
    convert_as_published(published, 4, 2, target_modules=["q_proj"])
    convert_to_quantum_lora(corrected, 4, 2, target_modules=["q_proj"])
    assert trained_rest(published) == 10
    assert trained_rest(corrected) == 0


def test_torchs_attention_broke() -> None:
    x = torch.zeros(2, 3, 8)
    published, corrected = (nn.ModuleDict({"a": nn.MultiheadAttention(8, 2)}) for _ in range(2))
    convert_as_published(published, 4, 2, target_modules=["out_proj"])
    convert_to_quantum_lora(corrected, 4, 2, target_modules=["out_proj"])
    with pytest.raises(AttributeError, match="has no attribute 'weight'"):
        published["a"](x, x, x)
    assert corrected["a"](x, x, x)[0].shape == x.shape


def test_the_published_benchmark_had_a_reduction_of_minus_390_percent() -> None:
    """Of trainable parameters, against LoRA at the same r: all probabilities widen Up."""

    def n_added(convert: Callable[..., object]) -> int:
        net = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 128))
        net.requires_grad_(False)
        convert(net, 8, 4)
        return sum(p.numel() for p in net.parameters() if p.requires_grad)

    lora = 2 * 8 * (128 + 512)
    circuits = 2 * 112
    published, corrected = n_added(convert_as_published), n_added(convert_to_quantum_lora)
    assert published == 8 * (128 + 512) + 70 * (512 + 128) + circuits
    assert 100 * (1 - published / lora) == pytest.approx(-389.7, abs=0.1)
    assert corrected == lora + circuits


def test_an_unknown_ansatz_was_an_error_about_something_else() -> None:
    with pytest.raises(ValueError, match="number of input parameters") as caught:
        QuantumLayer(input_size=4, builder=CircuitBuilder(n_modes=4), n_photons=2)
    assert "ansatz" not in str(caught.value)
    with pytest.raises(ValueError, match=r"ansatz='univrsal' \(did you mean 'universal'"):
        QuantumLoRALayer(nn.Linear(4, 4), 4, 2, ansatz="univrsal")
