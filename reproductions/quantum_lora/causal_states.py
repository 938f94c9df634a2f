"""Texts as hidden states of a frozen model, computed once and shared by all that train on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qlmbench.data.digests import sha256_of_file
from qlmbench.data.pretrained import pretrained_folder, read_pretrained
from qlmbench.models.llama import START, SplitLlama, random_weights, tiny_config
from qlmbench.models.token_rows import PADDING
from qlmbench.models.training import IntArray

TINY = "tiny"
"""Name that stands for a small model with random weights."""

STATES_KEPT = 2_000_000_000
"""Bytes of hidden states that are kept in memory; the oldest ones go first."""

BLOCK = 16
"""Texts that are scored together, of about the same length."""


@dataclass(frozen=True)
class Text:
    """Ids of a text, ``[L]``, and the hidden states that they are predicted from, ``[L, d]``."""

    ids: Tensor
    states: Tensor


@dataclass(frozen=True)
class Batch:
    """Hidden states, ``[B, L, d]``; which of them are no padding; the tokens to predict there."""

    states: Tensor
    real: Tensor
    targets: Tensor


def batch_of(texts: Sequence[Text]) -> Batch:
    """Fill texts up behind their ends, where nothing that is causal can see it."""
    lengths = torch.tensor([len(text.ids) for text in texts])
    states = nn.utils.rnn.pad_sequence([text.states for text in texts], batch_first=True)
    real = torch.arange(states.shape[1]) < lengths[:, None]
    return Batch(states, real, torch.cat([text.ids for text in texts]))


def logits_of(network: Any, batch: Batch) -> Tensor:
    """Logits at the places that are no padding, row by row, ``[N, V]``."""
    hidden = network.model(inputs_embeds=batch.states, use_cache=False).last_hidden_state
    logits: Tensor = network.lm_head(hidden[batch.real])
    return logits


def blocks(lengths: Sequence[int]) -> Iterator[IntArray]:
    """Places of texts of about the same length."""
    order = np.argsort(lengths, kind="stable")
    yield from np.split(order, range(BLOCK, len(order), BLOCK))


@dataclass(eq=False)
class SharedStates:
    """A model in two parts, and the hidden states between them of the texts that were seen.

    Parameters
    ----------
    model : SplitLlama
        The model.
    """

    model: SplitLlama
    _known: OrderedDict[bytes, Tensor] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def texts(self, ids: IntArray) -> list[Text]:
        """Return rows of ids, ``(n, T)``, with their hidden states; each is computed once.

        A text is run by itself, so that its states do not depend on which others there are.
        """
        return [self._text(torch.from_numpy(row[row != PADDING])) for row in ids]

    def _text(self, ids: Tensor) -> Text:
        key = ids.numpy().tobytes()
        if key not in self._known:
            inputs = torch.cat([torch.tensor([START]), ids[:-1]])
            self._keep(key, self.model.states(inputs[None])[0])
        return Text(ids, self._known[key])

    def _keep(self, key: bytes, states: Tensor) -> None:
        self._known[key] = states
        self._bytes += states.nbytes
        while self._bytes > STATES_KEPT and len(self._known) > 1:
            self._bytes -= self._known.popitem(last=False)[1].nbytes


def split_of(weights: str, n_adapted: int) -> SharedStates:
    """Return the model of some weights, cut below its last layers; the last one is kept.

    Raises
    ------
    ValueError
        If it has fewer layers.
    UserError
        If there are no such weights, or they cannot be fetched.
    """
    if weights == TINY:
        return _split(TINY, "", n_adapted)
    path = pretrained_folder(weights) / "model.safetensors"
    return _split(weights, sha256_of_file(path), n_adapted)


@lru_cache(maxsize=1)  # hundreds of MB: the model in use, and no other
def _split(weights: str, sha256: str, n_adapted: int) -> SharedStates:
    if weights == TINY:
        config = tiny_config()
        return SharedStates(SplitLlama(config, random_weights(config, 0), n_adapted))
    found = read_pretrained(weights)
    return SharedStates(SplitLlama(found.config, found.tensors, n_adapted))
