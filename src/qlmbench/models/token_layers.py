"""Layers of a stack of small transformers, after the embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.token_attention import (
    Temperature,
    check_heads,
    fidelity,
    log_temperature,
    masked_softmax,
)

AttentionKind = Literal["classical", "quantum"]


class StackedAttention(nn.Module):
    """R self-attentions side by side, by scaled dot products or by overlaps of states.

    Parameters
    ----------
    kind : {"classical", "quantum"}
        ``q k / sqrt(w)``, or ``<q|k>^2 / temperature`` as in `QuantumAttention`.
    width, n_heads : int
        Width, and the heads that share it.
    temperature : "trainable" or float
        Of the quantum scores; one a head and copy.
    seeds : sequence of int
        One a copy.
    scales : sequence of float
        Factor on the initial values, one a copy.
    dtype : torch.dtype
        Type of the parameters.
    """

    def __init__(
        self,
        kind: AttentionKind,
        width: int,
        n_heads: int,
        temperature: Temperature,
        *,
        seeds: Sequence[int],
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        check_heads(width, n_heads)
        self.kind, self.n_heads, self.head_dim = kind, n_heads, width // n_heads
        self.query, self.key, self.value, self.out = (
            StackedLinear(width, width, seeds=seeds, name=name, scales=scales, dtype=dtype)
            for name in ("query", "key", "value", "out")
        )
        self.log_temperature = (
            log_temperature(temperature, (len(seeds), n_heads), dtype)
            if kind == "quantum"
            else None
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within ``[R, B, T, d]``.

        Parameters
        ----------
        x : Tensor, ``[R, B, T, d]``
        mask : Tensor, ``[R, B, T]``, optional
            Added to the scores of a key, minus infinity where it is masked.

        Returns
        -------
        Tensor, ``[R, B, T, d]``
        """
        weights = self.weights(x, mask)
        context = weights @ self._heads(self.value, x)
        joined = context.transpose(2, 3).flatten(3)
        return _along_rows(self.out, joined)

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention weights, ``[R, B, n_heads, T, T]``."""
        query, key = self._heads(self.query, x), self._heads(self.key, x)
        if self.log_temperature is None:
            scores = query @ key.mT / math.sqrt(self.head_dim)
        else:
            cold = torch.exp(-self.log_temperature)
            scores = fidelity(query, key) * cold[:, None, :, None, None]
        return masked_softmax(scores, None if mask is None else mask[:, :, None, None])

    def _heads(self, projection: StackedLinear, x: Tensor) -> Tensor:
        split = _along_rows(projection, x).reshape(*x.shape[:3], self.n_heads, self.head_dim)
        return split.transpose(2, 3)


class TokenNetwork(nn.Module):
    """Embedding, attention, two linear maps with ReLU between, mean over positions, linear readout.

    No residual, no normalisation, no positions: the order of the tokens does not matter.

    Parameters
    ----------
    embedding : torch.nn.Module
        From ids ``[R, N]`` to vectors ``[R, N, d]``.
    attention : StackedAttention or None
        None leaves it out.
    feedforward : pair of StackedLinear
        The two maps.
    out : StackedLinear
        To the classes.
    padding_id : int or None
        Token that is no key of the attention and not in the mean.
    """

    def __init__(
        self,
        embedding: nn.Module,
        attention: StackedAttention | None,
        feedforward: tuple[StackedLinear, StackedLinear],
        out: StackedLinear,
        padding_id: int | None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.attention = attention
        self.first, self.second = feedforward
        self.out = out
        self.padding_id = padding_id

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, B, C]`` of ids ``[R, B, T]``; they may be given as numbers.

        A row of nothing but padding has the mean zero, so that its logits are the last bias.
        """
        ids = x.long()
        vectors = self.embed(ids)
        if self.attention is not None:
            vectors = self.attention(vectors, self.mask(ids, vectors.dtype))
        hidden = self.second(self.first(vectors.flatten(1, 2)).relu()).reshape(vectors.shape)
        logits: Tensor = self.out(self._mean(hidden, ids))
        return logits

    def embed(self, ids: Tensor) -> Tensor:
        """Return vectors ``[R, B, T, d]``."""
        vectors: Tensor = self.embedding(ids.flatten(1))
        return vectors.reshape(*ids.shape, -1)

    def mask(self, ids: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Return what is added to the scores of each key, ``[R, B, T]``; None without padding."""
        if self.padding_id is None:
            return None
        mask = torch.zeros(ids.shape, dtype=dtype, device=ids.device)
        return mask.masked_fill(ids == self.padding_id, -math.inf)

    def _mean(self, hidden: Tensor, ids: Tensor) -> Tensor:
        if self.padding_id is None:
            return hidden.mean(2)
        kept = (ids != self.padding_id).to(hidden.dtype).unsqueeze(-1)
        return (hidden * kept).sum(2) / kept.sum(2).clamp(min=1)


def _along_rows(linear: StackedLinear, x: Tensor) -> Tensor:
    """Map the last axis of ``[R, B, T, d]``."""
    mapped: Tensor = linear(x.flatten(1, 2))
    return mapped.reshape(*x.shape[:3], -1)
