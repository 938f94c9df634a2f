"""Llama models in two parts: frozen layers below, whose outputs never change, and layers above.

Where only the last layers of a model are adapted, what the others make of a text is the same in
every step of every training. It is computed once; a training works on the part above alone. Both
parts are transformers' own modules, so positions, masks and norms are those of the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from qlmbench.seeding import seed_for

START = 0
"""The symbol between two texts, which stands before the first token."""

_LAYER = "model.layers."
_EMBEDDING, _NORM, _HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


def tiny_config() -> dict[str, Any]:
    """Describe a model of 2 layers and 32 dimensions that random weights do for, for tests."""
    return {
        "model_type": "llama",
        "vocab_size": 1000,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
    }


def random_weights(config: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    """Draw the weights of a model; the global random state is left as it was."""
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("initialisation", model="llama", seed=seed))
        model = LlamaForCausalLM(_config(config))
    return {name: value for name, value in model.state_dict().items() if name != _HEAD}


class SplitLlama:
    """A causal Llama model whose last layers stand apart from the others.

    Parameters
    ----------
    config : mapping
        As in ``config.json``; the output layer has to be tied to the embeddings.
    tensors : mapping of str to Tensor
        Weights by transformers' names. They are shared, never changed.
    n_upper : int
        Layers of the upper part, from 1 to all.

    Attributes
    ----------
    lower : transformers.LlamaModel
        Embeddings and the layers below, frozen, without the final norm.
    n_layers : int
        Layers of the whole model.

    Raises
    ------
    ValueError
        If the model is of another kind, n_upper is out of range, or weights are missing or left
        over.
    """

    def __init__(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], n_upper: int
    ) -> None:
        _check(config, n_upper)
        self.n_layers, self.n_upper = int(config["num_hidden_layers"]), n_upper
        self.config = _config(config)
        single = {name: value.float() for name, value in tensors.items() if name != _HEAD}
        _check_fit(self.config, single)
        below = self.n_layers - n_upper
        self._embedding = single[_EMBEDDING]
        self._above = {_NORM: single[_NORM], **_layers(single, below, self.n_layers)}
        self.lower = self._make_lower(_layers(single, 0, below), below)

    @property
    def vocab_size(self) -> int:
        """Number of tokens that can be predicted."""
        return int(self.config.vocab_size)

    def states(self, ids: Tensor) -> Tensor:
        """Return what the upper part reads of tokens, ``[B, T]`` to ``[B, T, d]``."""
        with torch.no_grad():
            found: Tensor = self.lower(input_ids=ids, use_cache=False).last_hidden_state
        return found

    def upper(self) -> Any:
        """Make the upper part: a causal model that takes the states as ``inputs_embeds``.

        Returns
        -------
        transformers.LlamaForCausalLM
            In evaluation mode. Its layers, numbered from 0, are copies; its embeddings, which are
            its output layer as well, are shared by all and frozen.
        """
        from transformers import LlamaForCausalLM

        model = _on_meta(LlamaForCausalLM, self._config_of(self.n_upper))
        _rotate(model.model)
        own = {name: value.clone() for name, value in self._above.items()}
        embedding = {_EMBEDDING: self._embedding, _HEAD: self._embedding}
        model.load_state_dict({**own, **embedding}, assign=True)
        model.tie_weights()
        model.model.embed_tokens.requires_grad_(False)
        return model.eval()

    def _make_lower(self, layers: Mapping[str, Tensor], n_layers: int) -> Any:
        from transformers import LlamaModel

        model = _on_meta(LlamaModel, self._config_of(n_layers))
        _rotate(model)
        model.norm = nn.Identity()
        named = {_EMBEDDING: self._embedding, **layers}
        kept = {name.removeprefix("model."): value for name, value in named.items()}
        model.load_state_dict(kept, assign=True)
        return model.requires_grad_(False).eval()

    def _config_of(self, n_layers: int) -> Any:
        return _config({**self.config.to_dict(), "num_hidden_layers": n_layers})


def _config(config: Mapping[str, Any]) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**config)


def _check(config: Mapping[str, Any], n_upper: int) -> None:
    if config.get("model_type") != "llama":
        raise ValueError(f"got a model of type {config.get('model_type')!r}; expected 'llama'")
    if not config.get("tie_word_embeddings"):
        raise ValueError(
            "got a Llama model with an output layer of its own; expected tie_word_embeddings"
        )
    n_layers = config["num_hidden_layers"]
    if isinstance(n_upper, bool) or not isinstance(n_upper, int) or not 1 <= n_upper <= n_layers:
        raise ValueError(f"got n_upper={n_upper!r}; expected a whole number from 1 to {n_layers}")


def _layers(tensors: Mapping[str, Tensor], first: int, end: int) -> dict[str, Tensor]:
    """Take the weights of layers from one number up to another, and count them from 0."""
    found = {}
    for name, value in tensors.items():
        if name.startswith(_LAYER):
            number, rest = name.removeprefix(_LAYER).split(".", 1)
            if first <= int(number) < end:
                found[f"{_LAYER}{int(number) - first}.{rest}"] = value
    return found


def _on_meta(kind: Any, config: Any) -> Any:
    """Make a model without weights: drawing those of the embeddings would take a second."""
    with torch.device("meta"):
        return kind(config)


def _rotate(model: Any) -> None:
    """Compute the frequencies of the rotary positions, which no file holds."""
    model.rotary_emb = type(model.rotary_emb)(model.config)


def _check_fit(config: Any, tensors: Mapping[str, Tensor]) -> None:
    from transformers import LlamaForCausalLM

    own = _on_meta(LlamaForCausalLM, config).state_dict()
    expected = {name: tuple(value.shape) for name, value in own.items() if name != _HEAD}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != given:
        differing = sorted(dict(expected.items() ^ given.items()))
        raise ValueError(
            f"got weights that do not fit the configuration: {', '.join(differing[:5])}; expected "
            f"{len(expected)} tensors of a Llama model"
        )
