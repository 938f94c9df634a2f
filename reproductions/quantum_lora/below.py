"""The frozen layers below the last one of an encoder, run once for each distinct text."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from qlmbench.data.pretrained import read_pretrained
from qlmbench.models.distilbert import make_classifier, real_tokens, tiny_config
from qlmbench.models.fine_tuning import TINY

MAX_TEXTS = 20_000
"""Texts whose hidden states are kept, about 40 kB each for MiniLM."""


class LayersBelow:
    """An encoder in DistilBERT form without its last layer, in evaluation mode.

    A text is run by itself, not in a batch: its hidden states then are the same numbers whichever
    texts came before.

    Parameters
    ----------
    encoder : transformers.DistilBertModel
        The whole encoder; its last layer is taken out.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder.eval().requires_grad_(False)
        layers = encoder.transformer.layer
        self._last = layers[-1]
        encoder.transformer.layer = layers[:-1]
        self._known: dict[bytes, Tensor] = {}

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return int(self._encoder.config.vocab_size)

    @property
    def max_length(self) -> int:
        """Number of positions."""
        return int(self._encoder.config.max_position_embeddings)

    @property
    def width(self) -> int:
        """Width of a hidden state."""
        return int(self._encoder.config.dim)

    def last_layer(self) -> nn.Module:
        """Return a copy of the last layer, without dropout: what is frozen stays as it is."""
        layer = copy.deepcopy(self._last)
        for module in layer.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return cast(nn.Module, layer)

    def states(self, ids: Tensor) -> list[Tensor]:
        """Return what the last layer reads of each text, ``[its tokens, d]``.

        Parameters
        ----------
        ids : Tensor of int64, ``[B, T]``
            Token ids; 0 is padding.
        """
        return [self._state(row) for row in ids]

    @torch.no_grad()
    def _state(self, row: Tensor) -> Tensor:
        ids = row[: int(real_tokens(row[None])[0].nonzero().max()) + 1]
        key = ids.numpy().tobytes()
        if key not in self._known:
            if len(self._known) >= MAX_TEXTS:
                self._known.clear()
            real = real_tokens(ids[None])
            found = self._encoder(input_ids=ids[None], attention_mask=real.long())
            self._known[key] = found.last_hidden_state[0]
        return self._known[key]


@lru_cache(maxsize=1)  # one encoder is in use at a time
def layers_below(weights: str) -> LayersBelow:
    """Return the layers below the last one; equal calls share them and their hidden states.

    Parameters
    ----------
    weights : str
        A pretrained model: a name or a folder that `qlmbench.data.pretrained` knows, or "tiny" for
        a small model with random weights.

    Raises
    ------
    UserError
        If there is no such model.
    """
    if weights == TINY:
        config: Any = tiny_config()
        tensors = None
    else:
        found = read_pretrained(weights)
        config, tensors = found.config, found.tensors
    return LayersBelow(make_classifier(config, tensors, 2).distilbert)
