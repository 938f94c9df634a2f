"""Tiny Llama models in the GGUF format, with a tokenizer of bytes, digits and a few pairs."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PAIRS = ["f i", "l m", "fi lm", "Ġ film", "Ġ Ġ", "1 9"]
CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0,
    "tie_word_embeddings": True,
    "initializer_range": 0.3,
}
_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def words() -> list[str]:
    """Tokens by id: special ones, all bytes as GPT-2 writes them, and the pairs."""
    from tokenizers.pre_tokenizers import ByteLevel

    return [*CONTROL, *sorted(ByteLevel.alphabet()), *(pair.replace(" ", "") for pair in PAIRS)]


def random_llama(seed: int = 0) -> Any:
    """Make a model with random weights; the output layer is tied to the embeddings."""
    import transformers as hf

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=len(words()), **CONFIG)).eval()


def interleaved(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Order rows of queries or keys as llama.cpp keeps them: row i beside row i + half a head."""
    half = len(weight) // num_heads // 2
    order = [
        head * 2 * half + part * half + i
        for head in range(num_heads)
        for i in range(half)
        for part in (0, 1)
    ]
    return np.ascontiguousarray(weight[order])


def write_gguf(
    path: Path,
    model: Any,
    *,
    quantised: bool = False,
    architecture: str = "llama",
    pre: str = "smollm",
) -> Path:
    """Write a model as llama.cpp's converter does."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(CONFIG["num_hidden_layers"])
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(CONFIG["hidden_size"])
    writer.add_feed_forward_length(CONFIG["intermediate_size"])
    writer.add_head_count(CONFIG["num_attention_heads"])
    writer.add_head_count_kv(CONFIG["num_key_value_heads"])
    writer.add_rope_freq_base(CONFIG["rope_theta"])
    writer.add_layer_norm_rms_eps(CONFIG["rms_norm_eps"])
    writer.add_vocab_size(len(words()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(words())
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(words()) - len(CONTROL)))
    writer.add_token_merges(PAIRS)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, value in model.state_dict().items():
        if name != "lm_head.weight":
            _add(writer, name, value.numpy(), quantised=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, name: str, value: NDArray[np.float32], *, quantised: bool) -> None:
    stem = name.removesuffix(".weight")
    if stem in _OUTSIDE:
        written = f"{_OUTSIDE[stem]}.weight"
    else:
        _, _, number, part = stem.split(".", 3)
        written = f"blk.{number}.{_PARTS[part]}.weight"
    if ".attn_q." in written:
        value = interleaved(value, CONFIG["num_attention_heads"])
    if ".attn_k." in written:
        value = interleaved(value, CONFIG["num_key_value_heads"])
    if not quantised or value.ndim == 1:
        writer.add_tensor(written, value)
        return
    kind = gguf.GGMLQuantizationType.Q8_0 if "embd" in written else gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor(written, gguf.quants.quantize(value, kind), raw_dtype=kind)
