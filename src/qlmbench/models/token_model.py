"""What small models on token ids share: an embedding and an attention, quantum or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, TypedDict, get_args

import numpy as np
import torch
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement, check_shots
from qlmbench.models.photonic import SHOTS_ON_HARDWARE
from qlmbench.models.stacked_model import StackedModel
from qlmbench.models.token_attention import Temperature, check_heads, log_temperature
from qlmbench.models.token_counts import count
from qlmbench.models.token_embedding import Entangler, default_qubits, embedding_circuit
from qlmbench.models.token_ids import TokenIdsMixin
from qlmbench.models.token_layers import AttentionKind, StackedAttention
from qlmbench.models.token_tables import (
    StackedFactored,
    StackedQuantum,
    StackedTable,
    TableStart,
    matched_values,
    normal_values,
)
from qlmbench.models.training import FloatArray, IntArray, Schedule
from qlmbench.ranges import check_choice, check_not_negative, check_positive, check_whole
from qlmbench.records import Cost, Parameters

EmbeddingKind = Literal["table", "factored", "quantum", "quantum-unentangled", "quantum-frozen"]
Attention = AttentionKind | Literal["none"]

# Random points at which it is looked whether a parameter does anything.
_DRAWS = 8


class StackOptions(TypedDict):
    """What every layer of a stack is made with; see `StackedLinear`."""

    seeds: list[int]
    scales: list[float]
    dtype: torch.dtype


class TokenModel(TokenIdsMixin, StackedModel):
    """Base of small models on token ids; a subclass has the arguments and says what is predicted.

    See `TokenTransformerClassifier` for the arguments.
    """

    vocab_size: int
    embedding_dim: int
    embedding: EmbeddingKind
    attention: Attention
    n_qubits: int | None
    n_layers: int
    optimized: bool
    num_heads: int
    feedforward: int
    temperature: Temperature
    angle_scale: float
    table_start: TableStart
    gradient_clip: float | None
    shots: int | None

    # ---- what a subclass says ------------------------------------------------------------

    def token_rows(self, X: Any) -> IntArray:
        """Check rows of token ids, after training; return them as whole numbers, (n, T)."""
        raise NotImplementedError

    def n_keys(self, ids: IntArray) -> IntArray:
        """Count the keys that each query may look at, (n, T); 0 for a query that is padding."""
        raise NotImplementedError

    @property
    def n_used(self) -> int:
        """Number of tokens whose vectors matter."""
        raise NotImplementedError

    @property
    def predictions_a_row(self) -> int:
        """Number of predictions of a row."""
        return 1

    # ---- the parts of the network ----------------------------------------------------------

    @property
    def width(self) -> int:
        """Qubits of a token's circuit, or values of a factored table."""
        return default_qubits(self.embedding_dim) if self.n_qubits is None else self.n_qubits

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change."""
        return frozenset({"shots", "random_state"} if self.is_quantum else ())

    @property
    def is_quantum(self) -> bool:
        """Whether tokens own circuits."""
        return self.embedding.startswith("quantum")

    @classmethod
    def stack_options(cls, models: Sequence[Self], dtype: torch.dtype) -> StackOptions:
        """Say what the layers of a stack of models are made with."""
        return {
            "seeds": [m.random_state for m in models],
            "scales": [m.init_scale for m in models],
            "dtype": dtype,
        }

    def make_attention(self, stack: StackOptions) -> StackedAttention | None:
        """Make the attentions of a stack; None without."""
        if self.attention == "none":
            return None
        return StackedAttention(
            self.attention, self.embedding_dim, self.num_heads, self.temperature, **stack
        )

    def make_feedforward(self, stack: StackOptions) -> tuple[StackedLinear, StackedLinear]:
        """Make the two linear maps after the attention."""
        d, hidden = self.embedding_dim, self.feedforward
        return (
            StackedLinear(d, hidden, name="feedforward0", **stack),
            StackedLinear(hidden, d, name="feedforward1", **stack),
        )

    def make_embedding(
        self, *, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> nn.Module:
        """Make the embeddings of a stack, ids ``[R, N]`` to vectors ``[R, N, d]``."""
        entangler: Entangler = "chain" if self.optimized else "ring"
        output = StackedLinear(
            self.width,
            self.embedding_dim,
            seeds=seeds,
            name="embedding",
            scales=scales,
            dtype=dtype,
        )
        activation = torch.tanh if self.optimized else nn.Identity()
        quantum = StackedQuantum(
            self.vocab_size,
            self.width,
            self.n_layers,
            "none" if self.embedding == "quantum-unentangled" else entangler,
            output,
            activation,
            seeds=seeds,
            scales=[self.angle_scale * scale for scale in scales],
            shots=self.shots if self.is_quantum else None,
            trainable=self.embedding != "quantum-frozen",
            dtype=dtype,
        )
        if self.is_quantum:
            return quantum
        plain = self.embedding == "table"
        width = self.embedding_dim if plain else self.width
        if self.table_start == "normal":
            start = normal_values((self.vocab_size, width), seeds, scales).to(dtype)
        else:
            start = quantum.start(activated=plain)
            if self.table_start == "matched":
                start = matched_values(start, seeds)
        return StackedTable(start) if plain else StackedFactored(start, output, activation)

    def schedule(self) -> Schedule:
        """Say how the stack is trained; see `StackedModel.schedule`."""
        return replace(super().schedule(), gradient_clip=self.gradient_clip)

    def _evaluation_network(self) -> nn.Module:
        exact = clone(self).set_params(shots=None)
        network = self.build([exact], self.n_features_in_, self.n_outputs, torch.float64)
        network.eval()
        embedding = network.embedding
        if self.shots is not None and isinstance(embedding, StackedQuantum):
            embedding.measurement = Measurement(self.random_state, self.shots)
        return network

    # ---- what comes in -------------------------------------------------------------------

    def _check_options(self) -> None:
        for name, value, known in (
            ("embedding", self.embedding, get_args(EmbeddingKind)),
            ("attention", self.attention, ("classical", "quantum", "none")),
            ("table_start", self.table_start, get_args(TableStart)),
        ):
            check_choice(name, value, known)
        for name in ("vocab_size", "embedding_dim", "feedforward"):
            check_whole(name, getattr(self, name))
        check_heads(self.embedding_dim, self.num_heads)
        log_temperature(self.temperature, (), torch.float64)
        embedding_circuit(self.width, self.n_layers)
        check_positive("gradient_clip", self.gradient_clip, or_none=True)
        check_not_negative("angle_scale", self.angle_scale)
        super()._check_options()

    def _check_conditions(self) -> None:
        check_shots(self.shots)
        if self.shots is not None and not self.is_quantum:
            raise ValueError(
                f"shots={self.shots} with embedding={self.embedding!r}; expected None, for there "
                "is no circuit to measure"
            )

    # ---- looking inside ------------------------------------------------------------------

    @torch.no_grad()
    def embedding_table(self) -> FloatArray:
        """Return the vectors of all tokens after training, shape (V, d)."""
        check_is_fitted(self)
        tokens = torch.arange(self.vocab_size)[None]
        return np.asarray(self.network_.embedding(tokens)[0].numpy())

    def attention_weights(self, X: FloatArray) -> FloatArray:
        """Return the weights of the attention, shape (n, num_heads, T, T), a query a row.

        Raises
        ------
        ValueError
            If there is no attention, or X holds something that is no token.
        """
        check_is_fitted(self)
        weights = self._weights(self.token_rows(X))
        if weights is None:
            raise ValueError("attention='none' has no weights; expected 'classical' or 'quantum'")
        return weights

    @torch.no_grad()
    def _weights(self, ids: IntArray) -> FloatArray | None:
        weights = self.network_.attention_weights(torch.from_numpy(ids)[None])
        return None if weights is None else np.asarray(weights[0].numpy())

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Say how even the attention is.

        Returns
        -------
        dict
            ``attention_entropy``: entropy of the weights of a query over the logarithm of the
            number of keys that it may look at, mean over rows, heads and queries; 1 is uniform, 0
            a single key. Queries that are padding, or have one key only, are left out. Empty
            without attention, or where no query is left.
        """
        check_is_fitted(self)
        ids = self.token_rows(X)
        total, n = 0.0, 0
        for block in np.array_split(ids, math.ceil(len(ids) / 1024)):
            weights, keys = self._weights(block), self.n_keys(block)
            if weights is None:
                return {}
            entropies = -xlogy(weights, weights).sum(-1).mean(1)
            chosen = keys > 1
            total += float((entropies[chosen] / np.log(keys[chosen])).sum())
            n += int(chosen.sum())
        return {"attention_entropy": total / n} if n else {}

    def count_parameters(self) -> Parameters:
        """Count parameters, and those that can do anything; see ``models.token_counts``."""
        check_is_fitted(self)
        # Random points, with angles and vectors that differ among tokens.
        random = {"init_scale": 1.0, "angle_scale": math.pi, "shots": None}
        fresh = [clone(self).set_params(**random, random_state=seed) for seed in range(_DRAWS)]
        network = self.build(fresh, self.n_features_in_, self.n_outputs, torch.float64)
        return count(
            network, self.vocab_size, self.n_features_in_, self.n_used, self.predictions_a_row
        )

    @property
    def inert(self) -> dict[str, int]:
        """Number of parameters without effect that such a model has by design, by name.

        A softmax over keys does not see what is added to all of them, in torch's attention too;
        and a table has a row for the padding token.
        """
        found = {}
        if self.attention == "classical":
            found["attention.key.bias"] = self.embedding_dim
        if getattr(self, "padding_id", None) is not None and not self.is_quantum:
            width = self.embedding_dim if self.embedding == "table" else self.width
            found["embedding.values"] = width
        return found

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuit evaluations that this training would take on a processor; None without circuits.

        In each step every token that a batch can hold runs once, and twice for each of its angles
        by the parameter-shift rule; each query of a quantum attention meets each of its keys once.
        """
        length = self.n_features_in_
        size = min(n_train, n_train if self.batch_size is None else self.batch_size)
        circuits = 0
        if self.is_quantum:
            shifted = 0 if self.embedding == "quantum-frozen" else 2 * self.n_layers * self.width
            tokens = min(self.vocab_size, size * length)
            circuits += math.ceil(n_train / size) * tokens * (1 + 2 * shifted)
        if self.attention == "quantum":
            pairs = int(self.n_keys(np.ones((1, length), dtype=np.int64)).sum())
            circuits += n_train * self.num_heads * pairs
        circuits *= self.n_iter_
        if not circuits:
            return None
        return Cost(circuits=circuits, shots=circuits * (self.shots or SHOTS_ON_HARDWARE))
