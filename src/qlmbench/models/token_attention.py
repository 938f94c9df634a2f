"""Quantum attention in `torch.nn.MultiheadAttention`'s place: scores are overlaps of states.

Query and key of a head are loaded as amplitudes, and their score is the fidelity
``F = <q|k>^2``, or what a SWAP test reads, ``(1 + F) / 2``. A softmax does not see what is added
to all scores: the SWAP test is the fidelity at twice the temperature. Scores lie in [0, 1], so
that at temperature 1 the largest weight is at most e times the smallest, and attention is nearly
uniform.
"""

from __future__ import annotations

import math
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from qlmbench.models.layers import seeded_linear
from qlmbench.models.measurement import check_shots
from qlmbench.models.token_embedding import default_qubits
from qlmbench.quantum.qubit_patterns import swap_test
from qlmbench.quantum.qubit_sampling import draw_counts, shot_generators
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_choice
from qlmbench.seeding import seed_for

Score = Literal["fidelity", "swap-test"]
Temperature = float | Literal["trainable"]


def fidelity(query: Tensor, key: Tensor) -> Tensor:
    """Overlap of amplitude-encoded vectors, ``<q|k>^2``.

    Zero-padding to a power of two does not change it. A zero vector is no state; its overlap with
    everything is taken as 0, and so is its gradient.

    Parameters
    ----------
    query, key : Tensor, ``[..., T, w]`` and ``[..., S, w]``

    Returns
    -------
    Tensor, ``[..., T, S]``
        In [0, 1].
    """
    tiny = torch.finfo(query.dtype).tiny
    unit_query = nn.functional.normalize(query, dim=-1, eps=tiny)
    unit_key = nn.functional.normalize(key, dim=-1, eps=tiny)
    return (unit_query @ unit_key.mT).square()


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis; a row in which everything is masked becomes zero.

    Parameters
    ----------
    scores : Tensor, ``[..., S]``
    mask : Tensor or None
        Added to the scores, minus infinity where masked; broadcasts against them.
    """
    if mask is None:
        return scores.softmax(-1)
    blocked = mask.isneginf()
    # A row of minus infinities has neither a softmax nor a gradient: it goes through open.
    empty = blocked.all(-1, keepdim=True)
    weights = (scores + mask.masked_fill(empty, 0.0)).softmax(-1)
    return weights.masked_fill(empty, 0.0)


class QuantumAttention(nn.Module):
    """Multi-head attention by overlaps; called as `torch.nn.MultiheadAttention` is.

    Parameters
    ----------
    embed_dim : int
        Width of query, key, value and output.
    num_heads : int
        Heads; each has ``embed_dim / num_heads`` of the width.
    n_qubits : int, optional
        Qubits of a query or a key; ``ceil(log2(embed_dim / num_heads))`` by default. More change
        nothing but the size of the SWAP test.
    score : {"fidelity", "swap-test"}
        ``F``, computed as an inner product; or ``(1 + F) / 2``, from the circuit on
        ``2 * n_qubits + 1`` wires.
    temperature : "trainable" or float
        Divides the scores. Trainable: one a head, through its logarithm, from 1. As published: 1.0.
    shots : int, optional
        Measurements of each score; exact if left out. A fidelity is then the share of shots that
        find all zeros after encoding one vector and decoding the other. The gradient is that of
        the exact score: amplitudes have no parameter-shift rule.
    bias : bool
        Whether the projections have one.
    batch_first : bool
        Whether tensors are ``[batch, position, width]``, or ``[position, batch, width]``.
    seed : int
        Of initial values and shots; torch's global generator is not touched.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``.

    Raises
    ------
    ValueError
        If the heads do not divide the width, the qubits do not hold it, an option is unknown or
        out of its range, or the SWAP test's state does not fit into memory.

    Examples
    --------
    >>> attention = QuantumAttention(embed_dim=8, num_heads=2)
    >>> x = torch.ones(4, 6, 8)
    >>> out, weights = attention(x, x, x)
    >>> out.shape, weights.shape
    (torch.Size([4, 6, 8]), torch.Size([4, 6, 6]))
    """

    # `torch.nn.TransformerEncoderLayer` hands classical weights to a fused kernel of its own unless
    # it finds no bias here; with None it calls this module.
    in_proj_bias = None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        n_qubits: int | None = None,
        *,
        score: Score = "fidelity",
        temperature: Temperature = "trainable",
        shots: int | None = None,
        bias: bool = True,
        batch_first: bool = True,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_heads(embed_dim, num_heads)
        check_shots(shots)
        check_choice("score", score, get_args(Score))
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads
        self.n_qubits = default_qubits(self.head_dim) if n_qubits is None else n_qubits
        if self.n_qubits < 1 or 2**self.n_qubits < self.head_dim:
            raise ValueError(
                f"got n_qubits={n_qubits}; expected at least {default_qubits(self.head_dim)}, for "
                f"a head is {self.head_dim} wide"
            )
        self.score, self.shots, self.batch_first = score, shots, batch_first
        for name in ("query", "key", "value", "out"):
            linear = seeded_linear(
                embed_dim, embed_dim, seed=seed, name=name, bias=bias, dtype=dtype
            )
            self.add_module(f"{name}_proj", linear)
        self.log_temperature = log_temperature(temperature, (num_heads,), dtype)
        shot_seed = seed_for("sampling", seed=seed, layer="attention")
        self._generators = shot_generators([shot_seed])
        self.swap_circuit = (
            QubitCircuit(
                swap_test(self.n_qubits, self.head_dim),
                readout="probabilities",
                measured=[0],
                diff_method="adjoint",
                seeds=[shot_seed],
                trainable=False,
                dtype=dtype,
            )
            if score == "swap-test"
            else None
        )

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor
            ``[N, T, E]``, ``[N, S, E]`` and ``[N, S, E]`` (or position first), or without N.
        key_padding_mask : Tensor, ``[N, S]``, optional
            True where a key is to be ignored; or numbers that are added to the scores.
        need_weights : bool
            Whether to return the weights too.
        attn_mask : Tensor, ``[T, S]`` or ``[N * num_heads, T, S]``, optional
            True where a query may not look; or numbers that are added to the scores.
        average_attn_weights : bool
            Whether the weights returned are the mean over heads.
        is_causal : bool
            A hint, as in torch: it wants the mask beside it, and changes nothing.

        Returns
        -------
        out : Tensor, like the query
        weights : Tensor, ``[N, T, S]`` or ``[N, num_heads, T, S]``, or None
            A query that may look nowhere has weights of zero (torch: not a number), so that its
            output is the bias of the last projection.

        Raises
        ------
        ValueError
            If shapes or types do not fit, or a causal mask is announced and not given.
        """
        batched = self._check_inputs(query, key, value)
        if is_causal and attn_mask is None:
            raise ValueError("got is_causal=True without attn_mask; expected the causal mask too")
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (
            self._heads(cast(nn.Linear, getattr(self, f"{name}_proj"))(x))
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        scores = self.scores(q, k) / self.log_temperature.exp().view(-1, 1, 1)
        weights = masked_softmax(scores, mask)
        joined = (weights @ v).transpose(1, 2).flatten(2)
        out: Tensor = cast(nn.Linear, self.out_proj)(joined)
        shown = weights.mean(1) if average_attn_weights else weights
        if not batched:
            out, shown = out.squeeze(0), shown.squeeze(0)
        elif not self.batch_first:
            out = out.transpose(0, 1)
        return out, shown if need_weights else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores before temperature and softmax.

        Parameters
        ----------
        query, key : Tensor, ``[N, num_heads, T, w]`` and ``[N, num_heads, S, w]``
            Projected vectors of the heads.

        Returns
        -------
        Tensor, ``[N, num_heads, T, S]``
            In [0, 1].
        """
        if self.swap_circuit is None:
            exact = fidelity(query, key)
            return exact if self.shots is None else self._sampled(exact)
        return self._swap_scores(self.swap_circuit, query, key)

    def _sampled(self, exact: Tensor) -> Tensor:
        """Share of shots that find all zeros; the gradient is that of the exact score."""
        assert self.shots is not None
        ones = exact.detach().flatten().clamp(0, 1)
        counts = draw_counts(torch.stack([ones, 1 - ones], -1)[None], self.shots, self._generators)
        drawn = counts[0, :, 0].to(exact.dtype) / self.shots
        return exact + (drawn.view_as(exact) - exact).detach()

    def _swap_scores(self, circuit: QubitCircuit, query: Tensor, key: Tensor) -> Tensor:
        shape = (*query.shape[:3], key.shape[2])
        pairs = [x.expand(*shape, -1).flatten(0, 3) for x in (query.unsqueeze(3), key.unsqueeze(2))]
        states = [_with_state(x) for x in pairs]
        inputs = torch.cat([x for x, _ in states], -1)[None]
        if not inputs.numel():
            return query.new_zeros(shape)
        exact = circuit(inputs)[0, :, 0]
        if self.shots is not None:
            drawn = circuit.counts(inputs, self.shots)[0, :, 0].to(exact.dtype) / self.shots
            exact = exact + (drawn - exact).detach()
        empty = states[0][1] | states[1][1]
        scores: Tensor = exact.masked_fill(empty, 0.5).view(shape)
        return scores

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Raise ValueError if shapes do not fit; return whether there is a batch axis."""
        shapes = [tuple(x.shape) for x in (query, key, value)]
        dim = query.dim()
        fits = dim in (2, 3) and all(len(s) == dim and s[-1] == self.embed_dim for s in shapes)
        if fits and dim == 3:
            batch = 0 if self.batch_first else 1
            fits = len({s[batch] for s in shapes}) == 1
        if not fits or shapes[1] != shapes[2]:
            axes = "batch, position" if self.batch_first else "position, batch"
            raise ValueError(
                f"got query, key and value of shapes {', '.join(map(str, shapes))}; expected "
                f"[{axes}, {self.embed_dim}], or without the batch, and key and value alike"
            )
        return dim == 3

    def _mask(
        self, q: Tensor, k: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None
    ) -> Tensor | None:
        """Join both masks to numbers that are added, ``[N or 1, heads or 1, T or 1, S]``."""
        n, heads, n_queries, n_keys = *q.shape[:3], k.shape[2]
        total: Tensor | None = None
        if key_padding_mask is not None:
            _check_mask("key_padding_mask", key_padding_mask, [(n, n_keys)])
            total = _additive(key_padding_mask, q.dtype)[:, None, None]
        if attn_mask is not None:
            one = (n_queries, n_keys)
            _check_mask("attn_mask", attn_mask, [one, (n * heads, *one)])
            added = _additive(attn_mask, q.dtype)
            added = added.view(n, heads, *one) if added.dim() == 3 else added[None, None]
            total = added if total is None else total + added
        return total


def check_heads(width: int, num_heads: int) -> None:
    """Raise ValueError unless the heads divide the width."""
    if width < 1 or num_heads < 1 or width % num_heads:
        raise ValueError(
            f"got {num_heads} heads for a width of {width}; expected a number that divides it"
        )


def log_temperature(
    temperature: Temperature, shape: tuple[int, ...], dtype: torch.dtype
) -> nn.Parameter:
    """Make the logarithm of a temperature, a parameter that is trained if asked.

    Raises
    ------
    ValueError
        If it is neither "trainable" nor a positive finite number.
    """
    trainable = temperature == "trainable"
    value = 1.0 if trainable else temperature
    if isinstance(value, str) or not 0 < value < math.inf:
        raise ValueError(
            f"got temperature={temperature!r}; expected 'trainable' or a positive number"
        )
    return nn.Parameter(torch.full(shape, math.log(value), dtype=dtype), requires_grad=trainable)


def _with_state(x: Tensor) -> tuple[Tensor, Tensor]:
    """Put the first basis state in the place of zero vectors; say where they were."""
    empty = (x == 0).all(-1)
    basis = torch.zeros_like(x)
    basis[..., 0] = 1
    return torch.where(empty.unsqueeze(-1), basis, x), empty


def _check_mask(name: str, mask: Tensor, shapes: list[tuple[int, ...]]) -> None:
    if tuple(mask.shape) not in shapes:
        expected = " or ".join(map(str, map(list, shapes)))
        raise ValueError(f"got {name} of shape {list(mask.shape)}; expected {expected}")
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise ValueError(f"got {name} of type {mask.dtype}; expected bool or floating point")


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -math.inf)
