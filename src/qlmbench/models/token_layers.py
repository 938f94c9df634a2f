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
    width, num_heads : int
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
        num_heads: int,
        temperature: Temperature,
        *,
        seeds: Sequence[int],
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        check_heads(width, num_heads)
        self.kind, self.num_heads, self.head_dim = kind, num_heads, width // num_heads
        self.query, self.key, self.value, self.out = (
            StackedLinear(width, width, seeds=seeds, name=name, scales=scales, dtype=dtype)
            for name in ("query", "key", "value", "out")
        )
        self.log_temperature = (
            log_temperature(temperature, (len(seeds), num_heads), dtype)
            if kind == "quantum"
            else None
        )
        if kind == "classical":
            self._start_as_torch_does()

    @torch.no_grad()
    def _start_as_torch_does(self) -> None:
        """Take the initial scale of `torch.nn.MultiheadAttention`, whose biases begin at zero.

        It draws queries, keys and values as one map from w to 3 w, by Glorot's rule.
        """
        for linear in (self.query, self.key, self.value):
            linear.weight.mul_(math.sqrt(6 / 4))
        for linear in (self.query, self.key, self.value, self.out):
            linear.bias.zero_()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within ``[R, B, T, d]``.

        Parameters
        ----------
        x : Tensor, ``[R, B, T, d]``
        mask : Tensor, ``[R, B, T]`` or ``[R, B, T, T]``, optional
            Added to the scores, minus infinity where masked: a key for all queries, or each query
            with each key. Axes of length 1 stand for all.

        Returns
        -------
        Tensor, ``[R, B, T, d]``
        """
        weights = self.weights(x, mask)
        context = weights @ self._heads(self.value, x)
        joined = context.transpose(2, 3).flatten(3)
        return _along_rows(self.out, joined)

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention weights, ``[R, B, num_heads, T, T]``."""
        query, key = self._heads(self.query, x), self._heads(self.key, x)
        if self.log_temperature is None:
            scores = query @ key.mT / math.sqrt(self.head_dim)
        else:
            cold = torch.exp(-self.log_temperature)
            scores = fidelity(query, key) * cold[:, None, :, None, None]
        if mask is not None:
            mask = mask[:, :, None, None] if mask.ndim == 3 else mask[:, :, None]
        return masked_softmax(scores, mask)

    def _heads(self, projection: StackedLinear, x: Tensor) -> Tensor:
        split = _along_rows(projection, x).reshape(*x.shape[:3], self.num_heads, self.head_dim)
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
        vectors = embed(self.embedding, ids)
        if self.attention is not None:
            vectors = self.attention(vectors, self.mask(ids, vectors.dtype))
        hidden = self.second(self.first(vectors.flatten(1, 2)).relu()).reshape(vectors.shape)
        logits: Tensor = self.out(self._mean(hidden, ids))
        return logits

    def attention_weights(self, ids: Tensor) -> Tensor | None:
        """Return the weights of the attention, ``[R, B, num_heads, T, T]``; None without one."""
        if self.attention is None:
            return None
        vectors = embed(self.embedding, ids)
        return self.attention.weights(vectors, self.mask(ids, vectors.dtype))

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


class CausalNetwork(nn.Module):
    """Embedding and positions, causal attention, feed-forward, linear readout at every position.

    Attention and feed-forward are added to what they read; there is no normalisation.

    Parameters
    ----------
    embedding : torch.nn.Module
        From ids ``[R, N]`` to vectors ``[R, N, d]``.
    positions : Tensor, ``[R, T, d]``
        Initial vectors of the positions.
    attention : StackedAttention or None
        None leaves it out: each token is then predicted from the one before it and its position.
    feedforward : pair of StackedLinear
        The two maps.
    out : StackedLinear
        To the tokens 1 to V - 1. Padding has no logit: nothing can predict it.
    """

    def __init__(
        self,
        embedding: nn.Module,
        positions: Tensor,
        attention: StackedAttention | None,
        feedforward: tuple[StackedLinear, StackedLinear],
        out: StackedLinear,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = nn.Parameter(positions)
        self.attention = attention
        self.first, self.second = feedforward
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, B, T, V - 1]`` of ids ``[R, B, T]``; they may be given as numbers.

        Those at a position tell the token there from the ones before it. There may be fewer
        positions than T.
        """
        vectors = self._embed(x.long())
        if self.attention is not None:
            mask = causal_mask(x.shape[2], vectors.dtype)
            vectors = vectors + self.attention(vectors, mask)
        flat = vectors.flatten(1, 2)
        flat = flat + self.second(self.first(flat).relu())
        return many_outputs(self.out, flat).reshape(*x.shape, -1)

    def attention_weights(self, ids: Tensor) -> Tensor | None:
        """Return the weights of the attention, ``[R, B, num_heads, T, T]``; None without one."""
        if self.attention is None:
            return None
        vectors = self._embed(ids)
        return self.attention.weights(vectors, causal_mask(ids.shape[2], vectors.dtype))

    def _embed(self, ids: Tensor) -> Tensor:
        """Return vectors ``[R, B, T, d]`` of the tokens before each position."""
        before = nn.functional.pad(ids[:, :, :-1], (1, 0))  # padding is the start symbol
        return embed(self.embedding, before) + self.positions[:, None, : ids.shape[2]]


def embed(embedding: nn.Module, ids: Tensor) -> Tensor:
    """Look up ids ``[R, B, T]``, get vectors ``[R, B, T, d]``."""
    vectors: Tensor = embedding(ids.flatten(1))
    return vectors.reshape(*ids.shape, -1)


def causal_mask(length: int, dtype: torch.dtype) -> Tensor:
    """Return what keeps a query from later keys, ``[1, 1, T, T]``, to be added to scores."""
    return torch.full((1, 1, length, length), -math.inf, dtype=dtype).triu(1)


def many_outputs(linear: StackedLinear, x: Tensor) -> Tensor:
    """Map (R, n, n_in) to (R, n, n_out), where outputs are many and inputs few.

    The outputs of a row lie side by side in memory, as the softmax over them wants it.
    """
    return torch.baddbmm(linear.bias.mT, x, linear.weight.mT)


def _along_rows(linear: StackedLinear, x: Tensor) -> Tensor:
    """Map the last axis of ``[R, B, T, d]``."""
    mapped: Tensor = linear(x.flatten(1, 2))
    return mapped.reshape(*x.shape[:3], -1)
