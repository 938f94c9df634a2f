"""DistilBERT with a classification head, from its own weights or from those of a BERT model.

A BERT model without its pooler is a DistilBERT model but for one thing: it adds the embedding of a
token type to each token. Where all tokens are of type 0, that is a constant, which the position
embeddings can take over. The converted model gives the same hidden states in evaluation mode; in
training it differs, for DistilBERT has no dropout after the attention's output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

Pooling = Literal["first", "mean"]
"""What the head reads: the first token, or the mean over all."""

LAYER_NORM_EPS = 1e-12
"""DistilBERT's; it is not configurable there."""

_BERT_PARTS = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
# Parts of published files that are no part of the encoder.
_HEADS = ("pooler.", "cls.", "vocab_", "embeddings.position_ids", "pre_classifier.", "classifier.")


def distilbert_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the configuration of a BERT or DistilBERT model as DistilBERT's.

    Parameters
    ----------
    config : mapping
        As in ``config.json``.

    Returns
    -------
    dict
        Arguments of ``transformers.DistilBertConfig``.

    Raises
    ------
    ValueError
        If the model is of another kind, or has something that DistilBERT cannot do.
    """
    kind = config.get("model_type")
    if kind == "distilbert":
        keys = ("vocab_size", "max_position_embeddings", "n_layers", "n_heads", "dim", "hidden_dim")
        defaults = {"dropout": 0.1, "attention_dropout": 0.1, "activation": "gelu"}
        return {key: config[key] for key in keys} | {
            key: config.get(key, value) for key, value in defaults.items()
        }
    if kind != "bert":
        raise ValueError(f"got a model of type {kind!r}; expected 'bert' or 'distilbert'")
    for key, expected in (
        ("layer_norm_eps", LAYER_NORM_EPS),
        ("position_embedding_type", "absolute"),
    ):
        if config.get(key, expected) != expected:
            raise ValueError(
                f"got a BERT model with {key}={config[key]!r}; expected {expected!r}, the only one "
                "that DistilBERT has"
            )
    return {
        "vocab_size": config["vocab_size"],
        "max_position_embeddings": config["max_position_embeddings"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "dim": config["hidden_size"],
        "hidden_dim": config["intermediate_size"],
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "attention_dropout": config.get("attention_probs_dropout_prob", 0.1),
        "activation": config.get("hidden_act", "gelu"),
    }


def distilbert_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the encoder weights of a BERT or DistilBERT model the names that DistilBERT has.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights by name, with or without the prefix ``bert.`` or ``distilbert.``. Heads are left
        out.

    Returns
    -------
    dict of str to Tensor
        The same tensors, but for the position embeddings of a BERT model: the embedding of token
        type 0 is added to them.
    """
    plain = {
        name.removeprefix("distilbert.").removeprefix("bert."): t for name, t in tensors.items()
    }
    renamed = {_renamed(name): t for name, t in plain.items() if not name.startswith(_HEADS)}
    types = renamed.pop(_TOKEN_TYPES, None)
    if types is not None:
        renamed[_POSITIONS] = renamed[_POSITIONS] + types[0]
    return renamed


def _renamed(name: str) -> str:
    head, *rest = name.split(".")
    if head != "encoder":
        return name
    _, number, *part, last = rest
    return f"transformer.layer.{number}.{_BERT_PARTS.get('.'.join(part), '.'.join(part))}.{last}"


def tiny_config() -> dict[str, Any]:
    """Describe a model that is trained from random weights in seconds, for tests."""
    return {
        "model_type": "distilbert",
        "vocab_size": 1000,
        "max_position_embeddings": 64,
        "n_layers": 2,
        "n_heads": 4,
        "dim": 32,
        "hidden_dim": 64,
    }


def make_classifier(
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None,
    n_classes: int,
    *,
    pooling: Pooling = "first",
    head_dropout: float = 0.2,
    seed: int = 0,
) -> Any:
    """Make a DistilBERT classifier: the encoder, and a head with random weights.

    The head is a linear layer, ReLU, dropout, and a linear layer.

    Parameters
    ----------
    config : mapping
        Of a BERT or DistilBERT model, as in ``config.json``.
    tensors : mapping of str to Tensor, optional
        Its weights; random ones if left out.
    n_classes : int
        Number of classes.
    pooling : {"first", "mean"}
        What the head reads: the hidden state of the first token, as in transformers' own model, or
        the mean over all tokens. Kept in the network's configuration.
    head_dropout : float
        Dropout in the head.
    seed : int
        Of the random weights. The global random state is left as it was.

    Returns
    -------
    transformers.DistilBertForSequenceClassification
        In evaluation mode.

    Raises
    ------
    ValueError
        If the model is of another kind, or weights are missing or left over.
    """
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    described = DistilBertConfig(
        **distilbert_config(config),
        seq_classif_dropout=head_dropout,
        num_labels=n_classes,
        pad_token_id=0,
        pooling=pooling,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DistilBertForSequenceClassification(described)
    if tensors is not None:
        _load(network.distilbert, distilbert_weights(tensors))
    return network.eval()


def _load(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    own = encoder.state_dict()
    shapes = {name: tuple(t.shape) for name, t in own.items()}
    given = {name: tuple(t.shape) for name, t in weights.items()}
    if shapes != given:
        differing = sorted(dict(shapes.items() ^ given.items()))
        raise ValueError(
            f"got weights that do not fit the configuration: {', '.join(differing[:5])}; expected "
            f"{len(shapes)} tensors of a BERT or DistilBERT encoder"
        )
    encoder.load_state_dict(weights)


def real_tokens(ids: Tensor) -> Tensor:
    """Say which ids, ``[B, T]``, are no padding, which is 0; the first one of a row never is."""
    real = ids != 0
    real[:, 0] = True
    return real


def sentence_features(network: Any, ids: Tensor) -> Tensor:
    """Compute what the head reads of texts, ``[B, T]`` to ``[B, d]``; id 0 is padding."""
    real = real_tokens(ids)
    hidden: Tensor = network.distilbert(input_ids=ids, attention_mask=real.long()).last_hidden_state
    if network.config.pooling == "first":
        return hidden[:, 0]
    weights = real.to(hidden.dtype)[:, :, None]
    return (hidden * weights).sum(1) / weights.sum(1)


def head_logits(network: Any, features: Tensor) -> Tensor:
    """Logits of the head, ``[B, d]`` to ``[B, n_classes]``."""
    hidden = network.dropout(torch.relu(network.pre_classifier(features)))
    logits: Tensor = network.classifier(hidden)
    return logits


@torch.no_grad()
def layer_attention(network: Any, ids: Tensor, layer: int) -> Tensor:
    """Attention weights of one layer, ``[B, T]`` to ``[B, heads, T, T]``, a query a row.

    Padding gets no weight as a key; as a query it has weights like any other, which mean nothing.

    Parameters
    ----------
    network : DistilBertForSequenceClassification
        In evaluation mode.
    ids : Tensor of int, ``[B, T]``
        Token ids; 0 is padding.
    layer : int
        Number of the layer, from 0.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    layers = network.distilbert.transformer.layer
    if not 0 <= layer < len(layers):
        raise ValueError(f"got layer {layer}; expected 0 to {len(layers) - 1}")
    attention = layers[layer].attention
    seen: list[Tensor] = []
    hook = attention.q_lin.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        sentence_features(network, ids)
    finally:
        hook.remove()
    shape = (*ids.shape, attention.n_heads, -1)
    queries = attention.q_lin(seen[0]).view(shape).transpose(1, 2)
    keys = attention.k_lin(seen[0]).view(shape).transpose(1, 2)
    scores = queries @ keys.mT / math.sqrt(keys.shape[-1])
    weights: Tensor = scores.masked_fill(~real_tokens(ids)[:, None, None, :], -torch.inf).softmax(
        -1
    )
    return weights
