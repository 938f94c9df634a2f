"""Model folders with random weights, small enough for a test, and sentences that they can learn."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

WORDS = ["a", "fine", "film", "poor", "plot", "the", "is", "and", "very", "dull"]
GOOD = ["a fine film", "the plot is fine", "fine", "a very fine and fine plot"]
BAD = ["a dull film", "the plot is poor", "poor", "dull and very poor and dull film"]
SENTENCES, LABELS = [*GOOD, *BAD], [1] * 4 + [0] * 4
NEW = ["the film is fine", "very dull", "a poor film", "very fine"]


def write_model(
    folder: Path,
    kind: str = "bert",
    *,
    layers: int = 3,
    dropout: float = 0.02,
    mode: str = "mean_tokens",
    seed: int = 0,
) -> Path:
    """Make a tiny model with random weights: BERT as MiniLM is, or MPNet."""
    import transformers as hf

    folder.mkdir(parents=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    names = special if kind == "mpnet" else ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
    (folder / "words.txt").write_text("\n".join([*names, *WORDS]))
    tokenizer = hf.MPNetTokenizerFast if kind == "mpnet" else hf.BertTokenizerFast
    tokenizer(str(folder / "words.txt")).save_pretrained(folder)
    (folder / "words.txt").unlink()
    configs = {"mpnet": hf.MPNetConfig, "bert": hf.BertConfig, "roberta": hf.RobertaConfig}
    models = {"mpnet": hf.MPNetModel, "bert": hf.BertModel, "roberta": hf.RobertaModel}
    config = configs[kind](
        vocab_size=len(names) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        models[kind](config).save_pretrained(folder)
    path = "sentence_transformers.models."
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": i, "name": str(i), "path": p, "type": path + k} for i, (p, k) in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(
        '{"max_seq_length": 16, "do_lower_case": false}'
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, f"pooling_mode_{mode}": True})
    )
    return folder


def gap(X: NDArray[np.float32], labels: list[int]) -> float:
    """Mean cosine within classes minus mean cosine between them."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    y, others = np.array(labels), ~np.eye(len(labels), dtype=bool)
    same = y[:, None] == y[None, :]
    cosine = unit @ unit.T
    return float(cosine[same & others].mean() - cosine[~same].mean())
