"""A Llama model in two parts gives the logits of the whole, and its frozen part stays as it is."""

from typing import Any

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.models.llama import SplitLlama, random_weights, tiny_config

CONFIG = tiny_config()
WEIGHTS = random_weights(CONFIG, 0)
IDS = torch.tensor([[0, 5, 999, 17, 80, 3], [0, 8, 8, 1, 700, 2]])


def whole() -> Any:
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**CONFIG)).eval()
    model.load_state_dict(WEIGHTS, strict=False)
    model.tie_weights()
    return model


def logits_of(split: SplitLlama, upper: Any, ids: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = upper(inputs_embeds=split.states(ids), use_cache=False).logits
    return found


@pytest.mark.parametrize("n_upper", [1, 2])
@torch.no_grad()
def test_both_parts_together_give_the_logits_of_the_whole(n_upper: int) -> None:
    split = SplitLlama(CONFIG, WEIGHTS, n_upper)
    found = logits_of(split, split.upper(), IDS)
    assert torch.allclose(found, whole()(IDS).logits, rtol=0, atol=1e-5)


@settings(max_examples=10)
@given(length=st.integers(1, 5), fill=st.integers(0, 999))
@torch.no_grad()
def test_what_stands_behind_a_text_changes_nothing_of_it(length: int, fill: int) -> None:
    split = SplitLlama(CONFIG, WEIGHTS, 1)
    filled = IDS.clone()
    filled[:, length:] = fill
    found = logits_of(split, split.upper(), filled)[:, :length]
    assert torch.allclose(found, whole()(IDS[:, :length]).logits, rtol=0, atol=1e-5)


def test_training_an_upper_part_leaves_all_others_alone() -> None:
    split = SplitLlama(CONFIG, WEIGHTS, 1)
    first, second = split.upper(), split.upper()
    before = {name: value.clone() for name, value in second.state_dict().items()}
    logits_of(split, first, IDS).square().mean().backward()
    assert first.model.embed_tokens.weight.grad is None
    assert all(p.grad is None for p in split.lower.parameters())
    with torch.no_grad():
        for parameter in first.model.layers.parameters():
            parameter -= parameter.grad
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in before.items())
    assert torch.equal(
        WEIGHTS["model.layers.1.mlp.up_proj.weight"], before["model.layers.0.mlp.up_proj.weight"]
    )


def test_random_weights_follow_the_seed_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    again, other = random_weights(CONFIG, 0), random_weights(CONFIG, 1)
    assert torch.equal(torch.get_rng_state(), state)
    name = "model.embed_tokens.weight"
    assert torch.equal(again[name], WEIGHTS[name])
    assert not torch.equal(other[name], WEIGHTS[name])


@pytest.mark.parametrize(
    ("config", "n_upper", "message"),
    [
        ({"model_type": "bert"}, 1, "expected 'llama'"),
        ({"tie_word_embeddings": False}, 1, "tie_word_embeddings"),
        ({}, 0, "from 1 to 2"),
        ({}, 3, "from 1 to 2"),
        ({"vocab_size": 999}, 1, r"embed_tokens\.weight"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, Any], n_upper: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitLlama({**CONFIG, **config}, WEIGHTS, n_upper)


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_weights_that_are_missing_or_left_over_are_named(change: str) -> None:
    weights = dict(WEIGHTS)
    value = weights.pop("model.layers.0.mlp.up_proj.weight")
    if change == "left over":
        weights = {**WEIGHTS, "model.layers.2.mlp.up_proj.weight": value}
    with pytest.raises(ValueError, match=r"mlp\.up_proj\.weight; expected 20 tensors"):
        SplitLlama(CONFIG, weights, 1)


@pytest.mark.slow
@pytest.mark.network
@torch.no_grad()
def test_smollm2_has_the_logits_and_tokens_of_transformers_own_reading() -> None:
    from qlmbench.data.pretrained import read_pretrained
    from qlmbench.data.pretrained_tokens import PretrainedTokens
    from qlmbench.data.sources import fetch
    from qlmbench.data.weights import SMOLLM2

    (file,) = fetch(SMOLLM2.source).values()
    given = {"gguf_file": file.name}
    peer = hf.AutoModelForCausalLM.from_pretrained(file.parent, dtype="float32", **given).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(file.parent, **given)
    read = read_pretrained(SMOLLM2.name)
    split = SplitLlama(read.config, read.tensors, 4)
    texts = ["It's a joy; nothing else.", "born in 1984, 21st century \n\n é 漢"]
    for text, row in zip(texts, PretrainedTokens(SMOLLM2.name, 32).encode(texts), strict=True):
        ids = torch.from_numpy(row[row != 0])[None].long()
        assert ids[0].tolist() == tokenizer(text)["input_ids"]
        found = logits_of(split, split.upper(), ids)
        assert torch.allclose(found, peer(ids).logits, rtol=0, atol=1e-4)
