"""A small transformer on token ids, whose embedding and attention may be quantum circuits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self, Unpack, cast, get_args

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement, check_shots
from qlmbench.models.photonic import SHOTS_ON_HARDWARE
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.models.token_attention import Temperature, check_heads, log_temperature
from qlmbench.models.token_counts import count
from qlmbench.models.token_embedding import Entangler, default_qubits, embedding_circuit
from qlmbench.models.token_layers import AttentionKind, StackedAttention, TokenNetwork
from qlmbench.models.token_tables import (
    StackedFactored,
    StackedQuantum,
    StackedTable,
    TableStart,
    matched_values,
    normal_values,
)
from qlmbench.models.training import FloatArray, Problem, Schedule
from qlmbench.records import Cost, Parameters

EmbeddingKind = Literal["table", "factored", "quantum", "quantum-unentangled", "quantum-frozen"]
Attention = AttentionKind | Literal["none"]


# Random points at which it is looked whether a parameter does anything.
_DRAWS = 8


class TokenTransformerClassifier(StackedClassifier):
    """Embedding, attention, feed-forward, mean over positions, linear readout.

    There is no residual connection, no normalisation and no position: a row is a bag of tokens. X
    has the shape (n, T) and holds whole numbers from 0 to ``vocab_size - 1``.

    Parameters
    ----------
    vocab_size : int, default=20
        V, number of tokens.
    embedding_dim : int, default=8
        d, width of a vector.
    embedding : str, default="quantum"
        "table", as `torch.nn.Embedding`; "quantum", as `QuantumEmbedding`; "quantum-unentangled",
        without CNOTs; "quantum-frozen", whose angles stay as drawn while its linear map learns;
        "factored", with n trained values a token in the place of the circuit's expectations.
    attention : {"classical", "quantum", "none"}, default="classical"
        Scores by scaled dot products, by fidelities as in `QuantumAttention`, or no attention.
    n_qubits : int or None, default=None
        n, qubits of a token's circuit and width of the factored table; ``ceil(log2 d)`` for None.
    n_layers : int, default=2
        Layers of rotations.
    optimized : bool, default=False
        As in `OptimizedQuantumEmbedding`: CNOTs in an open chain in the place of a ring, and tanh
        after the linear map. The factored table gets the tanh too, the plain one does not.
    num_heads : int, default=1
        Attention heads.
    feedforward : int, default=8
        Hidden width after the attention.
    temperature : "trainable" or float, default=1.0
        Divides the fidelities. Trainable: one a head, from 1.
    angle_scale : float, default=0.1
        Standard deviation of the initial angles, in radians.
    table_start : {"normal", "matched", "circuit"}, default="normal"
        What a plain or factored table begins with: normal values with standard deviation 1, as
        published; normal values with mean and spread of the circuit's, column by column; or the
        very values of the circuit of the same seed.
    padding_id : int or None, default=None
        Token that no query looks at and that is not in the mean.
    gradient_clip : float or None, default=None
        Largest norm of the gradient of all parameters.
    shots : int or None, default=None
        Measurements of each circuit of the embedding, in training with gradients by parameter
        shift, and in evaluation, where a token's shots depend on `random_state` and on the token
        alone; exact without.
    **training
        See `StackedClassifier`.
    """

    conditions: ClassVar[frozenset[str]] = frozenset({"shots", "random_state"})

    def __init__(
        self,
        vocab_size: int = 20,
        embedding_dim: int = 8,
        embedding: EmbeddingKind = "quantum",
        attention: Attention = "classical",
        n_qubits: int | None = None,
        n_layers: int = 2,
        optimized: bool = False,
        num_heads: int = 1,
        feedforward: int = 8,
        temperature: Temperature = 1.0,
        angle_scale: float = 0.1,
        table_start: TableStart = "normal",
        padding_id: int | None = None,
        gradient_clip: float | None = None,
        shots: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.vocab_size = vocab_size
        self.embedding_dim = embedding_dim
        self.embedding = embedding
        self.attention = attention
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.optimized = optimized
        self.num_heads = num_heads
        self.feedforward = feedforward
        self.temperature = temperature
        self.angle_scale = angle_scale
        self.table_start = table_start
        self.padding_id = padding_id
        self.gradient_clip = gradient_clip
        self.shots = shots

    # ---- the network ---------------------------------------------------------------------

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedClassifier.build`."""
        first = heads[0]
        stack: dict[str, Any] = {
            "seeds": [h.random_state for h in heads],
            "scales": [h.init_scale for h in heads],
            "dtype": dtype,
        }
        d, hidden = first.embedding_dim, first.feedforward
        attention = (
            None
            if first.attention == "none"
            else StackedAttention(first.attention, d, first.num_heads, first.temperature, **stack)
        )
        return TokenNetwork(
            first._embedding(**stack),
            attention,
            (
                StackedLinear(d, hidden, name="feedforward0", **stack),
                StackedLinear(hidden, d, name="feedforward1", **stack),
            ),
            StackedLinear(d, n_classes, name="out", **stack),
            first.padding_id,
        )

    @property
    def width(self) -> int:
        """Qubits of a token's circuit, or values of a factored table."""
        return default_qubits(self.embedding_dim) if self.n_qubits is None else self.n_qubits

    @property
    def is_quantum(self) -> bool:
        """Whether tokens own circuits."""
        return self.embedding.startswith("quantum")

    def _embedding(self, seeds: list[int], scales: list[float], dtype: torch.dtype) -> nn.Module:
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
        """Say how the stack is trained; see `StackedClassifier.schedule`."""
        return Schedule(
            self.epochs, self.batch_size, self.restore_best, self.patience, self.gradient_clip
        )

    def _evaluation_network(self) -> nn.Module:
        exact = clone(self).set_params(shots=None)
        network = self.build([exact], self.n_features_in_, len(self.classes_), torch.float64)
        network.eval()
        embedding = network.embedding
        if self.shots is not None and isinstance(embedding, StackedQuantum):
            embedding.measurement = Measurement(self.random_state, self.shots)
        return network

    # ---- what comes in -------------------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        """Say that X holds categories, numbered from 0, of which the order does not matter."""
        tags = super().__sklearn_tags__()
        # The blobs of scikit-learn's checks differ by which column a value stands in.
        tags.classifier_tags.poor_score = True
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        return tags

    def logits(self, X: FloatArray) -> FloatArray:
        """Return logits, shape (n, n_classes), in double precision.

        Raises
        ------
        ValueError
            If X holds something that is no token.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        self._check_ids(X)
        return super().logits(X)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_arguments()
        problem = super()._check(X, y, X_val, y_val)
        for rows in (problem.X, problem.X_val):
            if rows is not None:
                self._check_ids(rows)
        return problem

    def _check_ids(self, X: FloatArray) -> None:
        name = type(self).__name__
        if not np.issubdtype(X.dtype, np.number):
            raise ValueError(f"{name}: got X of type {X.dtype}; expected token ids, whole numbers")
        low, high = X.min(), X.max()
        if low < 0:
            raise ValueError(
                f"Negative values in data passed to {name}: got {low}; expected token ids from 0 "
                f"to {self.vocab_size - 1}"
            )
        broken = X[np.floor(X) != X]
        if broken.size:
            raise ValueError(
                f"{name}: got {broken[0]} in X; expected token ids, whole numbers from 0 to "
                f"{self.vocab_size - 1}"
            )
        if high >= self.vocab_size:
            raise ValueError(
                f"{name}: got the token id {int(high)}; expected 0 to {self.vocab_size - 1}: set "
                "vocab_size to the number of tokens"
            )

    def _check_arguments(self) -> None:
        for name, value, known in (
            ("embedding", self.embedding, get_args(EmbeddingKind)),
            ("attention", self.attention, ("classical", "quantum", "none")),
            ("table_start", self.table_start, get_args(TableStart)),
        ):
            if value not in known:
                raise ValueError(f"{name}={value!r}; expected one of {', '.join(known)}")
        for name in ("vocab_size", "embedding_dim", "feedforward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least 1")
        check_heads(self.embedding_dim, self.num_heads)
        log_temperature(self.temperature, (), torch.float64)
        embedding_circuit(self.width, self.n_layers)
        if self.padding_id is not None and not 0 <= self.padding_id < self.vocab_size:
            raise ValueError(
                f"padding_id={self.padding_id}; expected None or 0 to {self.vocab_size - 1}"
            )
        if self.gradient_clip is not None and not 0 < self.gradient_clip < math.inf:
            raise ValueError(
                f"gradient_clip={self.gradient_clip}; expected a positive number, or None"
            )
        if self.angle_scale < 0:
            raise ValueError(f"angle_scale={self.angle_scale}; expected 0 or more")

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

    @torch.no_grad()
    def attention_weights(self, X: FloatArray) -> FloatArray:
        """Return the weights of the attention, shape (n, num_heads, T, T).

        Raises
        ------
        ValueError
            If there is no attention, or X holds something that is no token.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        self._check_ids(X)
        network = cast(TokenNetwork, self.network_)
        if network.attention is None:
            raise ValueError("attention='none' has no weights; expected 'classical' or 'quantum'")
        ids = torch.tensor(X, dtype=torch.long)[None]
        weights = network.attention.weights(network.embed(ids), network.mask(ids, torch.float64))
        return np.asarray(weights[0].numpy())

    def count_parameters(self) -> Parameters:
        """Count parameters, and those that can do anything; see ``models.token_counts``."""
        check_is_fitted(self)
        # Random points, with angles and vectors that differ among tokens.
        random = {"init_scale": 1.0, "angle_scale": math.pi, "shots": None}
        fresh = [clone(self).set_params(**random, random_state=seed) for seed in range(_DRAWS)]
        network = self.build(fresh, self.n_features_in_, len(self.classes_), torch.float64)
        return count(cast(TokenNetwork, network), self.vocab_size, self.n_features_in_)

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuit evaluations that this training would take on a processor; None without circuits.

        In each step every token that a batch can hold runs once, and twice for each of its angles
        by the parameter-shift rule; each query of a quantum attention meets each key once.
        """
        length = self.n_features_in_
        size = min(n_train, n_train if self.batch_size is None else self.batch_size)
        circuits = 0
        if self.is_quantum:
            shifted = 0 if self.embedding == "quantum-frozen" else 2 * self.n_layers * self.width
            tokens = min(self.vocab_size, size * length)
            circuits += math.ceil(n_train / size) * tokens * (1 + 2 * shifted)
        if self.attention == "quantum":
            circuits += n_train * self.num_heads * length**2
        circuits *= self.n_iter_
        if not circuits:
            return None
        return Cost(circuits=circuits, shots=circuits * (self.shots or SHOTS_ON_HARDWARE))
