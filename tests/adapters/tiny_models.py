"""Tiny transformers with random weights, one for each family of names."""

from collections.abc import Callable

import torch
import transformers as hf
from torch import Tensor, nn

IDS = torch.tensor([[3, 9, 5, 7, 2, 4], [8, 6, 3, 2, 9, 5]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])

SIZES = {
    "vocab_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    # Large, so that attention is far from uniform and every projection matters.
    "initializer_range": 0.4,
}


def distilbert() -> nn.Module:
    config = hf.DistilBertConfig(
        vocab_size=12,
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=24,
        max_position_embeddings=32,
        initializer_range=0.4,
    )
    return hf.DistilBertForSequenceClassification(config)


def bert() -> nn.Module:
    return hf.BertForSequenceClassification(hf.BertConfig(**SIZES))


def mpnet() -> nn.Module:
    return hf.MPNetModel(hf.MPNetConfig(**SIZES))


def llama() -> nn.Module:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, num_key_value_heads=1))


def gpt2() -> nn.Module:
    return hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=12, n_embd=16, n_layer=2, n_head=2, initializer_range=0.4)
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], list[str], int]] = {
    "distilbert": (distilbert, ["q_lin", "v_lin"], 4),
    "bert": (bert, ["query", "value", "attention.output.dense"], 6),
    "mpnet": (mpnet, [r"attn\.[qkvo]"], 8),
    "llama": (llama, ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"], 10),
    "gpt2": (gpt2, ["c_attn", "mlp.c_fc"], 4),
}
"""What makes a model, which layers are adapted, and how many those are."""


def make(kind: str, seed: int = 0) -> nn.Module:
    """Make a model with the same weights each time, in evaluation, so without dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[kind][0]()
    return model.eval()


def run(model: nn.Module) -> Tensor:
    """Return the model's first output."""
    return model(input_ids=IDS, attention_mask=MASK)[0]
