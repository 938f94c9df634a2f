"""Quantum embeddings in `torch.nn.Embedding`'s place: every token owns the angles of a circuit.

Whatever the circuit, what comes out is a table with one row a token: `QuantumEmbedding.table`.
Before bias and tanh its rank is at most the number of qubits, for the rows are Z expectations
times one matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn

from qlmbench.models.layers import seeded_linear
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import embedding_layers
from qlmbench.quantum.qubits import DiffMethod, QubitCircuit, initial_weights
from qlmbench.ranges import check_choice, check_whole
from qlmbench.seeding import seed_for

Entangler = Literal["ring", "chain", "none"]

# Tokens that the whole table is evaluated in at once: bounds the memory.
_TABLE_BLOCK = 4096


def default_qubits(embedding_dim: int) -> int:
    """Qubits whose basis states are enough for a vector: ``ceil(log2 d)``, at least one."""
    return max(1, (embedding_dim - 1).bit_length())


def embedding_circuit(
    n_qubits: int, n_layers: int, entangler: Entangler = "ring"
) -> CircuitDescription:
    """Describe a token's circuit; its inputs are the token's angles.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size; angles are an array ``[n_layers, n_qubits, 2]``, of RY and RZ.
    entangler : {"ring", "chain", "none"}
        CNOTs between layers: a chain closed to a ring for more than two qubits, a chain, or none.

    Raises
    ------
    ValueError
        If there is no qubit or layer, or the entangler is unknown.
    """
    check_whole("n_qubits", n_qubits)
    check_whole("n_layers", n_layers)
    check_choice("entangler", entangler, get_args(Entangler))
    circuit = embedding_layers(n_qubits, n_layers, closed=entangler == "ring", source="feature")
    if entangler != "none":
        return circuit
    return CircuitDescription(n_qubits, tuple(g for g in circuit.gates if g.name != "CNOT"))


class QuantumEmbedding(nn.Module):
    """An embedding whose vectors come from circuits; it goes where `torch.nn.Embedding` goes.

    Each layer turns every qubit by RY and RZ; CNOTs stand between layers and none after the last.
    The Z expectations of all qubits go through one linear map, which all tokens share.

    Parameters
    ----------
    vocab_size : int
        V, number of tokens.
    embedding_dim : int
        d, width of a vector.
    n_qubits : int, optional
        n; ``ceil(log2 d)`` by default.
    n_layers : int
        L, layers of rotations.
    shots : int, optional
        Measurements of each circuit, in training as in evaluation; exact if left out. A token is
        measured once a call, however often it stands in it.
    diff_method : {"backprop", "adjoint", "parameter-shift"}, optional
        How gradients come; parameter-shift with shots and backprop without by default.
    entangler : {"ring", "chain", "none"}
        CNOTs between layers: a chain closed to a ring for more than two qubits, a chain, or none.
    padding_idx : int, optional
        A token whose vector is zero, that runs no circuit and gets no gradient. Negative numbers
        count from the end, as in `torch.nn.Embedding`.
    seed : int
        Of initial values and shots; torch's global generator is not touched.
    init_scale : float
        Standard deviation of the initial angles, in radians.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``.

    Attributes
    ----------
    angles : Parameter, ``[V, L, n, 2]``
        RY and RZ of every token, in radians. The RZ of the last layer does nothing: Z does not see
        a rotation about Z, and its gradient is zero.
    output : torch.nn.Linear
        From n to d.

    Raises
    ------
    ValueError
        If a size is less than one, an index or option does not exist, or a state of that many
        qubits does not fit into memory.

    Examples
    --------
    >>> embedding = QuantumEmbedding(vocab_size=20, embedding_dim=8, padding_idx=0)
    >>> embedding(torch.tensor([[3, 17, 0]])).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int,
        n_qubits: int | None = None,
        n_layers: int = 3,
        shots: int | None = None,
        diff_method: DiffMethod | None = None,
        *,
        entangler: Entangler = "ring",
        padding_idx: int | None = None,
        seed: int = 0,
        init_scale: float = 0.1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if vocab_size < 1 or embedding_dim < 1:
            raise ValueError(
                f"got vocab_size={vocab_size} and embedding_dim={embedding_dim}; expected at "
                "least one token and one dimension"
            )
        self.num_embeddings, self.embedding_dim = vocab_size, embedding_dim
        self.padding_idx = _padding_index(padding_idx, vocab_size)
        n_qubits = default_qubits(embedding_dim) if n_qubits is None else n_qubits
        self.n_qubits, self.n_layers = n_qubits, n_layers
        self.circuit = QubitCircuit(
            embedding_circuit(n_qubits, n_layers, entangler),
            shots=shots,
            diff_method=diff_method,
            seeds=[seed_for("sampling", seed=seed, layer="embedding")],
            trainable=False,  # it has no weights of its own
            dtype=dtype,
        )
        angles = initial_weights(
            vocab_size * self.circuit.n_inputs,
            [seed_for("initialisation", seed=seed, layer="angles")],
            init_scale,
        )
        self.angles = nn.Parameter(angles.view(vocab_size, n_layers, n_qubits, 2).to(dtype))
        self.output = seeded_linear(
            n_qubits, embedding_dim, seed=seed, name="embedding", dtype=dtype
        )

    def forward(self, ids: Tensor) -> Tensor:
        """Look tokens up.

        Parameters
        ----------
        ids : Tensor of int64 or int32, any shape
            Tokens, 0 to V - 1. None at all is fine and gives no vectors, as in
            `torch.nn.Embedding`.

        Returns
        -------
        Tensor, ``[*ids.shape, d]``

        Raises
        ------
        ValueError
            If the ids are no integers, or one does not exist.
        """
        self._check_ids(ids)
        tokens, places = torch.unique(ids, return_inverse=True)
        return nn.functional.embedding(places, self._vectors(tokens))

    @torch.no_grad()
    def table(self) -> Tensor:
        """Return the vectors of all tokens, ``[V, d]``, without a graph.

        At inference the module is exactly `torch.nn.Embedding` with this table, and the circuit is
        not needed any more: ``nn.Embedding.from_pretrained(embedding.table())``.
        """
        tokens = torch.arange(self.num_embeddings, device=self.angles.device)
        return torch.cat([self._vectors(block) for block in torch.split(tokens, _TABLE_BLOCK)])

    def expectations(self, tokens: Tensor) -> Tensor:
        """Run the circuit of each of the given tokens once: Z of every qubit, ``[K, n]``."""
        angles = self.angles[tokens].flatten(1)
        if not len(tokens):
            return angles[:, : self.n_qubits]
        z: Tensor = self.circuit(angles[None])[0]
        return z

    def _vectors(self, tokens: Tensor) -> Tensor:
        """Vectors of different tokens, ``[K, d]``."""
        if self.padding_idx is None:
            return self._activate(self.output(self.expectations(tokens)))
        real = tokens != self.padding_idx
        vectors = self._activate(self.output(self.expectations(tokens[real])))
        return vectors.new_zeros(len(tokens), self.embedding_dim).index_put((real,), vectors)

    def _activate(self, vectors: Tensor) -> Tensor:
        return vectors

    def _check_ids(self, ids: Tensor) -> None:
        if ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"got ids of type {ids.dtype}; expected int64 or int32: call .long() if they are "
                "token numbers"
            )
        if not ids.numel():
            return
        low, high = (int(v) for v in ids.aminmax())
        if low < 0 or high >= self.num_embeddings:
            raise ValueError(
                f"got ids from {low} to {high}; expected 0 to {self.num_embeddings - 1}, for the "
                f"vocabulary has {self.num_embeddings} tokens"
            )

    def extra_repr(self) -> str:
        """Say what the embedding is, in one line."""
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}, n_layers={self.n_layers}{pad}"


class OptimizedQuantumEmbedding(QuantumEmbedding):
    """A quantum embedding with an open CNOT chain, tanh after the linear map, and a cache.

    The cache keeps the Z expectations of each token together with the angles that they belong to,
    and compares these at every call: a value is used only while its token's angles are what they
    were, however they were changed (an optimiser, ``load_state_dict``, ``.data``). Conversion to
    another type or device empties it.

    It can hit only where no gradient goes to the angles: in evaluation under ``torch.no_grad``, or
    with ``angles.requires_grad_(False)``. In training every distinct token of a batch runs its
    circuit, for a kept value would have no graph, and an optimiser's step makes it stale anyway.
    With shots a kept value is one draw, the same until the angles change or `clear_cache`.

    Parameters
    ----------
    vocab_size, embedding_dim, n_qubits, n_layers, shots, diff_method
        See `QuantumEmbedding`.
    padding_idx, seed, init_scale, dtype
        See `QuantumEmbedding`.

    Attributes
    ----------
    cache_hits, cache_misses : int
        Distinct tokens a call, summed over calls: those served from the cache, and those whose
        circuit was run.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int,
        n_qubits: int | None = None,
        n_layers: int = 3,
        shots: int | None = None,
        diff_method: DiffMethod | None = None,
        *,
        padding_idx: int | None = None,
        seed: int = 0,
        init_scale: float = 0.1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            vocab_size,
            embedding_dim,
            n_qubits,
            n_layers,
            shots,
            diff_method,
            entangler="chain",
            padding_idx=padding_idx,
            seed=seed,
            init_scale=init_scale,
            dtype=dtype,
        )
        self.cache_hits = self.cache_misses = 0
        self._kept: tuple[Tensor, Tensor] | None = None

    def clear_cache(self) -> None:
        """Forget all values; the counters stay."""
        self._kept = None

    def expectations(self, tokens: Tensor) -> Tensor:
        """Return Z of every qubit for each of the given tokens, ``[K, n]``; run what is not kept.

        The tokens must be different.
        """
        angles = self.angles[tokens].flatten(1)
        if angles.requires_grad:
            self.cache_misses += len(tokens)
            return super().expectations(tokens)
        kept_angles, kept = self._storage()
        stale = (kept_angles[tokens] != angles).any(1)
        missing = tokens[stale]
        self.cache_misses += len(missing)
        self.cache_hits += len(tokens) - len(missing)
        if len(missing):
            kept[missing] = super().expectations(missing)
            kept_angles[missing] = angles[stale]
        return kept[tokens]

    def _storage(self) -> tuple[Tensor, Tensor]:
        """Angles and values of all tokens; not a number, which equals nothing, where none is."""
        if self._kept is None:
            # An inference tensor could not be written to in a later call outside inference mode.
            with torch.inference_mode(False):
                like, rows = self.angles.detach(), self.num_embeddings
                self._kept = (
                    like.new_full((rows, self.circuit.n_inputs), torch.nan),
                    like.new_full((rows, self.n_qubits), torch.nan),
                )
        return self._kept

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        self._kept = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _activate(self, vectors: Tensor) -> Tensor:
        return vectors.tanh()


def _padding_index(index: int | None, vocab_size: int) -> int | None:
    if index is None:
        return None
    if not -vocab_size <= index < vocab_size:
        raise ValueError(
            f"got padding_idx={index}; expected {-vocab_size} to {vocab_size - 1}, one of the "
            f"{vocab_size} tokens"
        )
    return index % vocab_size
