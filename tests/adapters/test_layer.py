"""One adapted linear layer: the base at first, any shape, any precision, then it learns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.adapters import QuantumLoRALayer

ANSATZES = ["simple", "universal", "hardware_efficient"]
READOUTS = ["mode_expectations", "grouped", "probabilities"]


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def linear(n_in: int = 8, n_out: int = 6, dtype: torch.dtype = torch.float32) -> nn.Linear:
    layer = nn.Linear(n_in, n_out, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(normal(n_out, n_in, seed=1))
        layer.bias.copy_(normal(n_out, seed=2))
    return layer


def awake(layer: QuantumLoRALayer) -> QuantumLoRALayer:
    """Give Up values, as after training."""
    with torch.no_grad():
        up = layer.adapter().up.weight
        up.copy_(normal(*up.shape, seed=3))
    return layer


@given(
    ansatz=st.sampled_from(ANSATZES),
    readout=st.sampled_from(READOUTS),
    n_photons=st.integers(1, 2),
    leading=st.lists(st.integers(0, 3), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@settings(max_examples=30, deadline=None)
def test_the_layer_first_equals_its_base_bit_for_bit(
    ansatz: str, readout: str, n_photons: int, leading: list[int], dtype: torch.dtype
) -> None:
    base = linear(dtype=dtype)
    layer = QuantumLoRALayer(base, 4, n_photons, ansatz=ansatz, readout=readout)
    x = normal(*leading, 8, dtype=dtype)
    out = layer(x)
    assert out.dtype == dtype
    assert torch.equal(out, base(x))


def test_leading_dimensions_do_not_matter() -> None:
    layer = awake(QuantumLoRALayer(linear(), 4, 2))
    x = normal(2, 3, 5, 8)
    flat = layer(x.view(30, 8))
    torch.testing.assert_close(layer(x), flat.view(2, 3, 5, 6))
    torch.testing.assert_close(layer(x[1, 2, 3]), flat[28])
    assert layer(x[:0]).shape == (0, 3, 5, 6)


def test_the_update_is_up_of_the_circuit_of_down_times_alpha_over_r() -> None:
    layer = awake(QuantumLoRALayer(linear(), r=4, n_photons=2, alpha=6.0))
    adapter, x = layer.adapter(), normal(5, 8)
    outputs = adapter.bottleneck(x @ adapter.down.weight.T)
    expected = layer.base_layer(x) + 6 / 4 * outputs @ adapter.up.weight.T
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("n_photons", [1, 2])
def test_gradients_reach_everything_after_one_step(ansatz: str, n_photons: int) -> None:
    layer = QuantumLoRALayer(linear(), 4, n_photons, ansatz=ansatz)
    trained = [p for p in layer.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    x, y = normal(16, 8), normal(16, 6, seed=4)
    adapter = layer.adapter()
    sizes = []
    for _ in range(2):
        optimiser.zero_grad()
        (layer(x) - y).square().mean().backward()
        sizes.append({k: p.grad.norm().item() for k, p in adapter.named_parameters()})
        optimiser.step()
    assert sizes[0]["up.weight"] > 0
    assert sizes[0]["down.weight"] == sizes[0]["bottleneck.circuit.angles"] == 0
    assert min(sizes[1].values()) > 1e-6
    assert layer.base_layer.weight.grad is None


def test_equal_seeds_start_equally_and_the_name_of_a_layer_matters() -> None:
    from qlmbench.adapters import QuantumLoRAAdapter, QuantumLoRAConfig

    def down(name: str, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
        config = QuantumLoRAConfig(seed=seed)
        return QuantumLoRAAdapter(8, 6, config, name=name, dtype=dtype).down.weight

    assert torch.equal(down("a", 0), down("a", 0))
    assert not torch.equal(down("a", 0), down("b", 0))
    assert not torch.equal(down("a", 0), down("a", 1))
    assert torch.equal(down("a", 0), down("a", 0, torch.float64).float())


def test_an_adapter_draws_nothing_from_the_global_generator() -> None:
    base, before = linear(), torch.get_rng_state()
    layer = QuantumLoRALayer(base, r=4, n_photons=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert layer(normal(2, 8)).isfinite().all()


def test_dropout_is_on_in_training_alone() -> None:
    layer = awake(QuantumLoRALayer(linear(), 4, 2, dropout=0.5))
    x = normal(50, 8)
    assert not QuantumLoRALayer(linear().eval(), 4, 2).adapter().training
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_base_in_half_precision_keeps_its_type_and_the_circuit_its_precision(
    dtype: torch.dtype,
) -> None:
    layer, x = awake(QuantumLoRALayer(linear(), 4, 2)), normal(20, 8)
    expected = layer(x)
    layer = layer.to(dtype)
    circuit = layer.adapter().bottleneck.circuit
    assert circuit.angles.dtype == torch.float32
    assert layer.adapter().down.weight.dtype == dtype
    out = layer(x.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.05)
    out.float().square().mean().backward()
    assert circuit.angles.grad.abs().max() > 0


def test_autocast_leaves_the_circuit_in_full_precision() -> None:
    layer, x = awake(QuantumLoRALayer(linear(), 4, 2)), normal(20, 8)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x)
        values = layer.adapter().bottleneck(x[:, :4])
    assert out.dtype == torch.bfloat16
    assert values.dtype == torch.float32
    assert torch.equal(values, layer.adapter().bottleneck(x[:, :4]))
    torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.05)
    out.float().square().mean().backward()
    assert layer.adapter().down.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 7), r"input has shape \(2, 7\); expected \(\.\.\., 8\)"),
        (torch.tensor(1.0), r"input has shape \(\); expected"),
        (torch.zeros(2, 8, dtype=torch.float64), "input is torch.float64, the layer is torch.floa"),
        (torch.zeros(2, 8, dtype=torch.long), "input is torch.int64"),
        (torch.zeros(2, 8, device="meta"), "input is on meta, the layer on cpu"),
    ],
)
def test_an_input_that_does_not_fit_is_one_line(x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        QuantumLoRALayer(linear(), 4, 2)(x)
    assert "\n" not in str(caught.value)


def test_an_adapter_left_on_another_device_is_said() -> None:
    layer = QuantumLoRALayer(linear(), 4, 2)
    layer.adapters.to("meta")
    with pytest.raises(ValueError, match="the adapter is on meta, its layer on cpu"):
        layer(normal(2, 8))


def test_a_base_without_its_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="on the meta device; load its weights first"):
        QuantumLoRALayer(nn.Linear(8, 6, device="meta"), 4, 2)


def test_merging_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="not linear in x, so no weight matrix equals it"):
        QuantumLoRALayer(linear(), 4, 2).merge()


def test_a_linear_bottleneck_is_not_merged_for_another_reason() -> None:
    with pytest.raises(ValueError, match="a linear bottleneck is a control"):
        QuantumLoRALayer(linear(), 4, bottleneck="linear").merge()


def test_settings_without_a_width_are_refused() -> None:
    with pytest.raises(ValueError, match="without r; give r"):
        QuantumLoRALayer(linear(), n_photons=2)


def test_a_layer_says_what_it_is() -> None:
    assert "8 to 6, active: default" in repr(QuantumLoRALayer(linear(), 4, 2))


def test_a_layer_that_is_not_linear_is_refused() -> None:
    with pytest.raises(ValueError, match="Embedding is not linear"):
        QuantumLoRALayer(nn.Embedding(3, 4), 4, 2)


def test_the_adapter_is_smaller_than_the_published_readout() -> None:
    sizes = {
        readout: QuantumLoRALayer(nn.Linear(128, 512), 8, 2, readout=readout)
        .adapter()
        .n_parameters("up")
        for readout in READOUTS
    }
    assert sizes["mode_expectations"] == sizes["grouped"] == 8 * 512  # LoRA's
    assert sizes["probabilities"] == 28 * 512
