"""torch's attention: the same results, its adapters take part, its fast path too."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlmbench.adapters import (
    adapters_disabled,
    convert_to_quantum_lora,
    disable_adapters,
    unload,
)
from qlmbench.adapters.attention import (
    AdaptedMultiheadAttention,
    adapt_attention,
    restore_fast_paths,
)

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "out_proj"]
LINEARS = ["linear1", "linear2"]
ROUNDING = {"atol": 4e-6, "rtol": 0}
"""Of outputs of up to 4, after two layers of large weights."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fill(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter values, biases too, which torch starts at zero."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "norm" not in name:
                p.copy_(0.4 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return module


@st.composite
def attentions(draw: st.DrawFn) -> tuple[nn.MultiheadAttention, list[Tensor], dict[str, Any]]:
    """Draw an attention, its query, key and value, and the arguments of a call."""
    other = draw(st.booleans())
    n_keys = draw(st.integers(1, 4))
    attention = nn.MultiheadAttention(
        8,
        draw(st.sampled_from([1, 2, 4])),
        dropout=draw(st.sampled_from([0.0, 0.5])),
        bias=draw(st.booleans()),
        add_bias_kv=draw(st.booleans()),
        add_zero_attn=draw(st.booleans()),
        kdim=6 if other else None,
        vdim=5 if other else None,
        batch_first=draw(st.booleans()),
        dtype=torch.float64,
    )
    batch = draw(st.sampled_from([None, 1, 3]))
    inputs = []
    for length, width in ((2, 8), (n_keys, attention.kdim), (n_keys, attention.vdim)):
        shape = (length, width)
        if batch is not None:
            shape = (batch, length, width) if attention.batch_first else (length, batch, width)
        inputs.append(torch.randn(shape, generator=seeded(len(inputs)), dtype=torch.float64))
    as_float = draw(st.booleans())
    options: dict[str, Any] = {
        "need_weights": draw(st.booleans()),
        "average_attn_weights": draw(st.booleans()),
        "key_padding_mask": None,
        "attn_mask": None,
    }
    if draw(st.booleans()):
        padding = torch.rand(batch or 1, n_keys, generator=seeded(3)) < 0.5
        padding[:, 0] = False
        options["key_padding_mask"] = masked(padding if batch else padding[0], as_float)
    if draw(st.booleans()):
        many = draw(st.booleans())
        shape = ((batch or 1) * attention.num_heads, 2, n_keys) if many else (2, n_keys)
        hidden = torch.rand(shape, generator=seeded(4)) < 0.3
        hidden[..., 0] = False
        options["attn_mask"] = masked(hidden, as_float)
    return attention, inputs, options


def masked(mask: Tensor, as_float: bool) -> Tensor:
    return torch.where(mask, -1.5, 0.0).double() if as_float else mask


@given(case=attentions(), training=st.booleans())
@settings(max_examples=80, deadline=None)
def test_an_adapted_attention_computes_what_torch_computes(
    case: tuple[nn.MultiheadAttention, list[Tensor], dict[str, Any]], training: bool
) -> None:
    attention, inputs, options = case
    theirs = fill(attention).train(training)
    ours = adapt_attention(copy.deepcopy(theirs))
    results = []
    for module in (theirs, ours):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)  # the same values are dropped
            results.append(module(*inputs, **options))
    assert type(ours) is AdaptedMultiheadAttention
    for expected, got in zip(*results, strict=True):
        assert (expected is None) == (got is None)
        if got is not None:
            torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)


def test_a_causal_hint_gives_what_its_mask_gives() -> None:
    theirs = fill(nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64))
    ours = adapt_attention(copy.deepcopy(theirs))
    x = torch.randn(2, 4, 8, generator=seeded(), dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    expected = theirs(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
    got = ours(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)
    with pytest.raises(ValueError, match="is_causal is a hint about attn_mask"):
        ours(x, x, x, is_causal=True)


def test_a_nested_tensor_is_refused() -> None:
    ours = adapt_attention(nn.MultiheadAttention(8, 2, batch_first=True))
    x = torch.nested.nested_tensor([torch.zeros(2, 8), torch.zeros(3, 8)])
    with pytest.raises(ValueError, match="takes no nested tensors"):
        ours(x, x, x)


def test_inputs_of_unequal_dimensions_are_refused() -> None:
    ours = adapt_attention(nn.MultiheadAttention(8, 2))
    with pytest.raises(ValueError, match="expected 2 or 3 dimensions"):
        ours(torch.zeros(2, 8), torch.zeros(2, 1, 8), torch.zeros(2, 1, 8))


def test_a_subclass_with_a_forward_of_its_own_is_refused() -> None:
    class Mine(nn.MultiheadAttention):
        pass

    with pytest.raises(ValueError, match=r"attn.q_proj is in a Mine, whose forward may read"):
        convert_to_quantum_lora(nn.ModuleDict({"attn": Mine(8, 2)}), r=4, target_modules=["q_proj"])


# ---- encoder layers and their fast path -----------------------------------------------


def encoder(**options: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True, **options)
    model = nn.TransformerEncoder(layer, 2)
    fill(model)
    return model


def wake(host: nn.Module, name: str = "default") -> None:
    """Change one adapter's weights."""
    up = host.adapter(name).up.weight
    with torch.no_grad():
        up.copy_(torch.randn(up.shape, generator=seeded(9)))


PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("target", PROJECTIONS + LINEARS)
@pytest.mark.parametrize("padding", [None, PADDING], ids=["whole", "padded"])
def test_each_adapter_takes_part_in_training_and_evaluation(
    layer: int, target: str, padding: Tensor | None
) -> None:
    model = encoder()
    x = torch.randn(2, 5, 16, generator=seeded())
    with torch.no_grad():
        expected = model(x, src_key_padding_mask=padding)
    hosts = convert_to_quantum_lora(
        model, r=4, n_photons=2, target_modules=[rf"layers\.{layer}\..*{target}"]
    )
    (host,) = hosts.values()
    real = slice(None) if padding is None else ~padding
    with torch.no_grad():
        unchanged = model(x, src_key_padding_mask=padding)
    # Torch's own results differ as much between trained and frozen weights, and on its fast path.
    torch.testing.assert_close(unchanged[real], expected[real], **ROUNDING)
    wake(host)
    training = model.train()(x, src_key_padding_mask=padding)
    with torch.no_grad():
        evaluated = model.eval()(x, src_key_padding_mask=padding)
    assert (training - expected)[real].abs().max() > 1e-3
    torch.testing.assert_close(evaluated[real], training[real], **ROUNDING)
    training[real].square().mean().backward()
    assert host.adapter().bottleneck.circuit.angles.grad.abs().max() > 0


def test_without_the_guard_the_fast_path_would_bypass_every_adapter() -> None:
    model = encoder().eval()
    x = torch.randn(2, 5, 16, generator=seeded())
    hosts = convert_to_quantum_lora(model, r=4, n_photons=2)
    assert len(hosts) == 2 * len(PROJECTIONS + LINEARS)
    for host in hosts.values():
        wake(host)
    with torch.no_grad():
        guarded = model(x)
        with adapters_disabled(model):
            base = model(x)
        restore_fast_paths(model)
        bypassed = model(x)
    assert (guarded - base).abs().max() > 0.1
    torch.testing.assert_close(bypassed, base, **ROUNDING)


def test_unloading_gives_torchs_own_attention_and_fast_path_back() -> None:
    model = encoder().eval()
    x = torch.randn(2, 5, 16, generator=seeded())
    keys, switch = list(model.state_dict()), model.layers[0].activation_relu_or_gelu
    with torch.no_grad():
        expected = model(x, src_key_padding_mask=PADDING)
        for host in convert_to_quantum_lora(model, r=4, n_photons=2).values():
            wake(host)
        assert model.layers[0].activation_relu_or_gelu != switch
        assert unload(model) is model
        assert torch.equal(model(x, src_key_padding_mask=PADDING), expected)
    assert list(model.state_dict()) == keys
    assert type(model.layers[0].self_attn) is nn.MultiheadAttention
    assert model.layers[0].activation_relu_or_gelu == switch


# ---- the documented call --------------------------------------------------------------


def test_a_model_as_torch_initialises_it_is_unchanged_within_a_millionth() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Transformer(32, 4, 2, 2, 64, dropout=0.0, batch_first=True)
    inputs = [torch.randn(3, n, 32, generator=seeded(n)) for n in (5, 4)]
    with torch.no_grad():
        expected = model(*inputs)
        convert_to_quantum_lora(model, r=4, n_photons=2, target_modules=[r".*attn\..*_proj"])
        torch.testing.assert_close(model(*inputs), expected, atol=1e-6, rtol=0)


def documented() -> tuple[nn.Transformer, list[Tensor], dict[str, nn.Module]]:
    model = nn.Transformer(
        d_model=16,
        nhead=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dim_feedforward=24,
        dropout=0.0,
        batch_first=True,
    )
    fill(model)
    inputs = [torch.randn(3, n, 16, generator=seeded(n)) for n in (5, 4)]
    expected = model(*inputs)
    hosts = convert_to_quantum_lora(
        model,
        r=4,
        n_photons=2,
        target_modules=[r".*attn\..*_proj"],
        exclude_modules=["output_proj"],
        ansatz="universal",
    )
    assert torch.equal(model(*inputs), expected)
    return model, inputs, hosts


def test_the_documented_call_adapts_every_projection_of_every_attention() -> None:
    model, _, hosts = documented()
    attentions = [f"encoder.layers.{i}.self_attn" for i in range(2)]
    attentions += [f"decoder.layers.{i}.{n}_attn" for i in range(2) for n in ("self", "multihead")]
    assert set(hosts) == {f"{a}.{p}" for a in attentions for p in PROJECTIONS}
    modules = dict(model.named_modules())
    assert all(modules[name] is host for name, host in hosts.items())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".adapters." in name}


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize(
    "attention",
    ["encoder.layers.1.self_attn", "decoder.layers.0.self_attn", "decoder.layers.1.multihead_attn"],
)
def test_each_adapter_of_the_documented_model_takes_part(attention: str, projection: str) -> None:
    model, inputs, hosts = documented()
    host = hosts[f"{attention}.{projection}"]
    before = model(*inputs)
    wake(host)
    training = model(*inputs)
    with torch.no_grad():
        evaluated = model.eval()(*inputs)
    assert (training - before).abs().max() > 1e-3
    assert torch.equal(evaluated, training)
    training.square().mean().backward()
    assert host.adapter().bottleneck.circuit.angles.grad.abs().max() > 0
    disable_adapters(model)
    with torch.no_grad():
        assert torch.equal(model(*inputs), before)
