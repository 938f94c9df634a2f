"""A small transformer on token ids, whose embedding and attention may be quantum circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, Unpack

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.models.token_attention import Temperature
from qlmbench.models.token_ids import check_token_ids
from qlmbench.models.token_layers import TokenNetwork
from qlmbench.models.token_model import Attention, EmbeddingKind, TokenModel
from qlmbench.models.token_tables import TableStart
from qlmbench.models.training import FloatArray, IntArray, Problem, Schedule
from qlmbench.ranges import check_choice


class TokenTransformerClassifier(TokenModel, StackedClassifier):
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
    best_by : {"accuracy", "loss"}, default="accuracy"
        What on validation says which state is the best, where that is kept.
    **training
        See `StackedClassifier`.
    """

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
        best_by: Literal["accuracy", "loss"] = "accuracy",
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
        self.best_by = best_by

    # ---- the network ---------------------------------------------------------------------

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedClassifier.build`."""
        first, stack = heads[0], cls.stack_options(heads, dtype)
        return TokenNetwork(
            first.make_embedding(**stack),
            first.make_attention(stack),
            first.make_feedforward(stack),
            StackedLinear(first.embedding_dim, n_classes, name="out", **stack),
            first.padding_id,
        )

    def schedule(self) -> Schedule:
        """Say how the stack is trained; see `StackedModel.schedule`."""
        return replace(super().schedule(), best=self.best_by)

    @property
    def n_used(self) -> int:
        """Number of tokens whose vectors matter."""
        return self.vocab_size - (self.padding_id is not None)

    # ---- what comes in -------------------------------------------------------------------

    def logits(self, X: FloatArray) -> FloatArray:
        """Return logits, shape (n, n_classes), in double precision.

        Raises
        ------
        ValueError
            If X holds something that is no token.
        """
        check_is_fitted(self)
        self.token_rows(X)
        return super().logits(X)

    def token_rows(self, X: Any) -> IntArray:
        """Check rows of token ids, after training; return them as whole numbers, (n, T)."""
        X = validate_data(self, X, reset=False)
        check_token_ids(X, self.vocab_size, type(self).__name__)
        return np.asarray(X, dtype=np.int64)

    def n_keys(self, ids: IntArray) -> IntArray:
        """Count the keys that each query may look at: every token of the row but padding."""
        kept = np.ones_like(ids)
        if self.padding_id is not None:
            kept[ids == self.padding_id] = 0
        keys: IntArray = kept * kept.sum(1, keepdims=True)
        return keys

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        problem = super()._check(X, y, X_val, y_val)
        for rows in (problem.X, problem.X_val):
            if rows is not None:
                check_token_ids(rows, self.vocab_size, type(self).__name__)
        return problem

    def _check_options(self) -> None:
        super()._check_options()
        if self.padding_id is not None and not 0 <= self.padding_id < self.vocab_size:
            raise ValueError(
                f"padding_id={self.padding_id}; expected None or 0 to {self.vocab_size - 1}"
            )
        check_choice("best_by", self.best_by, ("accuracy", "loss"))
