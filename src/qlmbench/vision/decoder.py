"""A small decoder trained from scratch: a stack of R, and one of them as a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.token_layers import AttentionKind, StackedAttention, causal_mask, many_outputs
from qlmbench.models.token_tables import StackedTable, normal_values
from qlmbench.seeding import seed_for

# Standard deviation of the initial vectors of words and positions.
_SCALE = 0.1


class StackedDecoder(nn.Module):
    """R causal decoders side by side: what comes before a place says which word comes there.

    Layers of attention and feed-forward (GELU), each behind a layer normalisation and added to what
    it reads; learned positions; a normalisation and a linear map to the words at the end.

    Parameters
    ----------
    vocab_size : int
        V, ids, padding 0 among them.
    n_places : int
        S, longest sequence of vectors.
    width, n_blocks, n_heads, feedforward : int
        d, layers, heads of each, hidden width of each.
    attention : {"classical", "quantum"}
        Scores by scaled dot products, or by overlaps of states; see `StackedAttention`.
    seeds : sequence of int
        One a copy.
    scales : sequence of float
        Factor on the initial values, one a copy.
    dtype : torch.dtype
        Type of the parameters.
    """

    def __init__(
        self,
        vocab_size: int,
        n_places: int,
        *,
        width: int,
        n_blocks: int,
        n_heads: int,
        feedforward: int,
        attention: AttentionKind,
        seeds: Sequence[int],
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        small = [_SCALE * scale for scale in scales]
        self.words = StackedTable(normal_values((vocab_size, width), seeds, small).to(dtype))
        drawn = [seed_for("initialisation", seed=seed, layer="positions") for seed in seeds]
        self.positions = nn.Parameter(normal_values((n_places, width), drawn, small).to(dtype))
        self.blocks = nn.ModuleList(
            _Block(
                width,
                n_heads,
                feedforward,
                attention,
                # Layers of one network differ; the same layer of two networks does not.
                seeds=[seed_for("initialisation", seed=s, block=number) for s in seeds],
                scales=scales,
                dtype=dtype,
            )
            for number in range(n_blocks)
        )
        self.norm = _Norm(len(seeds), width, dtype)
        self.out = StackedLinear(
            width, vocab_size - 1, seeds=seeds, name="words", scales=scales, dtype=dtype
        )

    def embed(self, ids: Tensor) -> Tensor:
        """Look up ids ``[R, B, T]``, get vectors ``[R, B, T, d]``."""
        vectors: Tensor = self.words(ids.flatten(1))
        return vectors.reshape(*ids.shape, vectors.shape[-1])

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits ``[R, B, S', V - 1]`` of vectors ``[R, B, S', d]``, at most S of them.

        Those at a place are of the id that follows it, less 1: padding is never predicted.

        Raises
        ------
        ValueError
            If there are more vectors than places.
        """
        length = vectors.shape[2]
        if length > self.positions.shape[1]:
            raise ValueError(
                f"got a sequence of {length} vectors; expected at most {self.positions.shape[1]}, "
                "the places that this decoder has"
            )
        x = vectors + self.positions[:, None, :length]
        mask = causal_mask(length, x.dtype).to(x.device)
        for block in self.blocks:
            x = block(x, mask)
        flat = self.norm(x).flatten(1, 2)
        return many_outputs(self.out, flat).reshape(*x.shape[:3], -1)


class _Block(nn.Module):
    def __init__(
        self,
        width: int,
        n_heads: int,
        feedforward: int,
        attention: AttentionKind,
        *,
        seeds: Sequence[int],
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()

        def linear(name: str, n_in: int, n_out: int) -> StackedLinear:
            return StackedLinear(n_in, n_out, seeds=seeds, name=name, scales=scales, dtype=dtype)

        self.attention_norm = _Norm(len(seeds), width, dtype)
        self.attention = StackedAttention(
            attention, width, n_heads, "trainable", seeds=seeds, scales=scales, dtype=dtype
        )
        self.feedforward_norm = _Norm(len(seeds), width, dtype)
        self.first = linear("feedforward0", width, feedforward)
        self.second = linear("feedforward1", feedforward, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask)
        hidden = nn.functional.gelu(
            many_outputs(self.first, self.feedforward_norm(x).flatten(1, 2))
        )
        return x + many_outputs(self.second, hidden).reshape(x.shape)


class _Norm(nn.Module):
    """R layer normalisations."""

    def __init__(self, n_copies: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_copies, 1, 1, width, dtype=dtype))
        self.shift = nn.Parameter(torch.zeros(n_copies, 1, 1, width, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of ``[R, B, T, d]``."""
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.shift


class Logits(NamedTuple):
    """What a language model returns."""

    logits: Tensor
    """``[B, S, V]``."""


class SmallDecoder(nn.Module):
    """One small decoder with the interface of a Hugging Face causal language model.

    Parameters
    ----------
    vocab_size : int
        V, ids.
    n_places : int
        Longest sequence, image token and prompt among it.
    width, n_blocks, n_heads, feedforward : int
        See `StackedDecoder`.
    attention : {"classical", "quantum"}
        See `StackedDecoder`.
    seed : int
        Of the initial values.
    """

    def __init__(
        self,
        vocab_size: int,
        n_places: int,
        width: int = 64,
        n_blocks: int = 2,
        n_heads: int = 4,
        feedforward: int = 256,
        attention: AttentionKind = "classical",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.n_places = width, n_places
        self.decoder = StackedDecoder(
            vocab_size,
            n_places,
            width=width,
            n_blocks=n_blocks,
            n_heads=n_heads,
            feedforward=feedforward,
            attention=attention,
            seeds=[seed],
            scales=[1.0],
            dtype=torch.get_default_dtype(),
        )

    def get_input_embeddings(self) -> Callable[[Tensor], Tensor]:
        """Return what makes vectors ``[B, T, d]`` of ids ``[B, T]``."""
        return lambda ids: self.decoder.embed(ids[None])[0]

    def forward(self, inputs_embeds: Tensor, **options: Any) -> Logits:
        """Return logits of vectors ``[B, S, d]``; that of padding is minus infinity.

        Options of other language models, such as the use of a cache, change nothing here.
        """
        logits = self.decoder(inputs_embeds[None])[0]
        return Logits(nn.functional.pad(logits, (1, 0), value=-torch.inf))
