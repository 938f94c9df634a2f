"""Embeddings of a stack: R vocabularies of vectors side by side, as plain, factored or quantum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement
from qlmbench.models.token_embedding import Entangler, embedding_circuit
from qlmbench.quantum.qubits import QubitCircuit, initial_weights
from qlmbench.seeding import seed_for

TableStart = Literal["normal", "matched", "circuit"]


def distinct(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Find the different tokens of each copy.

    Parameters
    ----------
    ids : Tensor of int64, ``[R, N]``

    Returns
    -------
    tokens : Tensor, ``[R, K]``
        In order; a copy with fewer than K repeats its first.
    places : Tensor, ``[R, N]``
        Where each id stands among the tokens.
    """
    ordered, order = ids.sort(dim=1)
    steps = (ordered[:, 1:] != ordered[:, :-1]).long().cumsum(1)
    rank = nn.functional.pad(steps, (1, 0))
    width = int(rank[:, -1].max()) + 1
    tokens = ordered[:, :1].repeat(1, width).scatter(1, rank, ordered)
    return tokens, torch.empty_like(rank).scatter(1, order, rank)


def take(rows: Tensor, places: Tensor) -> Tensor:
    """Pick rows of each copy: ``[R, K, d]`` at ``[R, N]`` gives ``[R, N, d]``."""
    first = rows.shape[1] * torch.arange(len(rows), device=rows.device)
    return nn.functional.embedding(places + first[:, None], rows.flatten(0, 1))


class StackedTable(nn.Module):
    """R tables of vectors, as `torch.nn.Embedding` has one.

    Parameters
    ----------
    values : Tensor, ``[R, V, d]``
        Initial vectors.
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ``[R, N]``, get ``[R, N, d]``."""
        return take(self.values, ids)


class StackedFactored(nn.Module):
    """R tables that are products: few values a token, then one affine map for all tokens.

    It has what a quantum embedding has, but for the circuit between angles and values.

    Parameters
    ----------
    values : Tensor, ``[R, V, n]``
        Initial values.
    output : StackedLinear
        From n to d.
    activation : callable
        What follows.
    """

    def __init__(
        self, values: Tensor, output: StackedLinear, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.values = nn.Parameter(values)
        self.output = output
        self.activation = activation

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ``[R, N]``, get ``[R, N, d]``."""
        if ids.shape[1] < self.values.shape[1]:
            return self.activation(self.output(take(self.values, ids)))
        return take(self.activation(self.output(self.values)), ids)


class StackedQuantum(nn.Module):
    """R quantum embeddings; each different token of a copy's batch runs its circuit once.

    Parameters
    ----------
    vocab_size, n_qubits, n_layers : int
        Size.
    entangler : {"ring", "chain", "none"}
        CNOTs between layers; see `embedding_circuit`.
    output : StackedLinear
        From Z of the qubits to vectors.
    activation : callable
        What follows.
    seeds : sequence of int
        One a copy.
    scales : sequence of float
        Standard deviation of the initial angles in radians, one a copy.
    shots : int, optional
        Measurements of each circuit in training, with gradients by parameter shift.
    trainable : bool
        Whether the angles are trained, or stay as drawn.
    dtype : torch.dtype
        Type of the parameters.

    Attributes
    ----------
    angles : Parameter, ``[R, V, n_layers * n_qubits * 2]``
    measurement : Measurement or None
        How the trained circuits are evaluated; as they say themselves without.
    """

    measurement: Measurement | None = None

    def __init__(
        self,
        vocab_size: int,
        n_qubits: int,
        n_layers: int,
        entangler: Entangler,
        output: StackedLinear,
        activation: Callable[[Tensor], Tensor],
        *,
        seeds: Sequence[int],
        scales: Sequence[float],
        shots: int | None,
        trainable: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.circuit = QubitCircuit(
            embedding_circuit(n_qubits, n_layers, entangler),
            repetitions=len(seeds),
            shots=shots,
            seeds=[seed_for("sampling", seed=s, layer="embedding") for s in seeds],
            trainable=False,
            dtype=dtype,
        )
        width = self.circuit.n_inputs
        angle_seeds = [seed_for("initialisation", seed=s, layer="angles") for s in seeds]
        drawn = initial_weights(vocab_size * width, angle_seeds, 1.0)
        drawn = drawn.view(len(seeds), vocab_size, width) * drawn.new_tensor(scales)[:, None, None]
        self.angles = nn.Parameter(drawn.to(dtype), requires_grad=trainable)
        self.output = output
        self.activation = activation

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ``[R, N]``, get ``[R, N, d]``."""
        copies, vocab_size, _ = self.angles.shape
        # From shots the whole vocabulary: how many are drawn must not depend on the other copies.
        if self.circuit.shots is None:
            tokens, places = distinct(ids)
            # Of many ids that are nearly all tokens, too, which spares picking their angles.
            if ids.shape[1] < vocab_size or 4 * tokens.shape[1] < 3 * vocab_size:
                return take(self._vectors(take(self.angles, tokens), tokens), places)
        tokens = torch.arange(vocab_size, device=ids.device).expand(copies, -1)
        return take(self._vectors(self.angles, tokens), ids)

    @torch.no_grad()
    def start(self, *, activated: bool) -> Tensor:
        """Values of all tokens for a table to begin with, without a graph.

        Parameters
        ----------
        activated : bool
            Whether these are the vectors, ``[R, V, d]``, or Z of the qubits, ``[R, V, n]``.
        """
        z: Tensor = self.circuit(self.angles)
        return self.activation(self.output(z)) if activated else z

    def _vectors(self, angles: Tensor, tokens: Tensor) -> Tensor:
        if self.measurement is None:
            z: Tensor = self.circuit(angles)
        else:
            # A token is the row: its draws depend on the seed and on itself alone.
            z = self.measurement.z(self.circuit, angles, tokens.unsqueeze(-1))
        return self.activation(self.output(z))


def normal_values(shape: Sequence[int], seeds: Sequence[int], scales: Sequence[float]) -> Tensor:
    """Draw normal values as `torch.nn.Embedding` does, times a scale: float64 ``[R, *shape]``."""
    rows = []
    for seed, scale in zip(seeds, scales, strict=True):
        g = torch.Generator().manual_seed(seed_for("initialisation", seed=seed, layer="table"))
        rows.append(scale * torch.randn(*shape, generator=g, dtype=torch.float64))
    return torch.stack(rows)


def matched_values(values: Tensor, seeds: Sequence[int]) -> Tensor:
    """Draw normal values with the mean and spread that others have over the vocabulary, by column.

    Parameters
    ----------
    values : Tensor, ``[R, V, w]``
        Those of a circuit, say.
    seeds : sequence of int
        One a copy.
    """
    normal = normal_values(values.shape[1:], seeds, [1.0] * len(seeds)).to(values.dtype)
    return values.mean(1, keepdim=True) + values.std(1, correction=0, keepdim=True) * normal
