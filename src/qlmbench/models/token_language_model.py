"""A small causal language model on token ids, whose embedding and attention may be quantum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, Unpack

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.stacked_model import ModelOptions
from qlmbench.models.token_attention import Temperature
from qlmbench.models.token_layers import CausalNetwork
from qlmbench.models.token_model import Attention, EmbeddingKind, TokenModel
from qlmbench.models.token_rows import PADDING, check_texts, choose, text_draws
from qlmbench.models.token_tables import TableStart
from qlmbench.models.training import FloatArray, IntArray, Problem, Schedule
from qlmbench.seeding import seed_for

# Standard deviation of the initial vectors of the positions.
_POSITION_SCALE = 0.1

# Rows whose logits are held at once.
_BLOCK = 64


class TokenLanguageModel(TokenModel):
    """Predicts each token of a row from those before it: embedding, attention, feed-forward.

    X has the shape (n, T) and holds whole numbers from 0 to ``vocab_size - 1``. Id 0 is padding: it
    stands only at the end of a row, is never predicted and counts in no loss. The first token is
    predicted from id 0 as the start symbol; there is no symbol for the end. Positions are learned
    vectors. Attention and feed-forward (ReLU) have a residual connection each. There is no layer
    normalisation: at this depth validation losses were as low without one, for tables and for
    circuits, at learning rates from 0.001 to 0.1.

    Parameters
    ----------
    vocab_size : int, default=20
        V, number of tokens, padding among them.
    embedding_dim : int, default=16
        d, width of a vector.
    embedding, n_qubits, n_layers, optimized, angle_scale, table_start
        Of the embedding; see `TokenTransformerClassifier`.
    attention, num_heads, temperature
        Of the attention; see `TokenTransformerClassifier`. Without attention, a token is predicted
        from the one before it and its position.
    feedforward : int, default=32
        Hidden width after the attention.
    gradient_clip, shots
        See `TokenTransformerClassifier`.
    **training
        See `StackedModel`. With ``restore_best`` the state of the lowest validation loss is kept.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 2, 3, 0], [2, 3, 1, 2]])
    >>> model = TokenLanguageModel(vocab_size=4, embedding="table", epochs=2).fit(X)
    >>> model.log_likelihoods(X).shape, model.sample(5, length=3, random_state=0).shape
    ((2, 4), (5, 3))
    """

    #: The logits of a batch take megabytes a copy: larger stacks are hardly faster.
    max_stack: ClassVar[int] = 20

    def __init__(
        self,
        vocab_size: int = 20,
        embedding_dim: int = 16,
        embedding: EmbeddingKind = "quantum",
        attention: Attention = "classical",
        n_qubits: int | None = None,
        n_layers: int = 2,
        optimized: bool = False,
        num_heads: int = 1,
        feedforward: int = 32,
        temperature: Temperature = 1.0,
        angle_scale: float = 0.1,
        table_start: TableStart = "normal",
        gradient_clip: float | None = None,
        shots: int | None = None,
        **training: Unpack[ModelOptions],
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
        self.gradient_clip = gradient_clip
        self.shots = shots

    # ---- the network ---------------------------------------------------------------------

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedModel.build`."""
        first, stack = heads[0], cls.stack_options(heads, dtype)
        positions = [
            head.init_scale * _positions(n_features, head.embedding_dim, head.random_state)
            for head in heads
        ]
        return CausalNetwork(
            first.make_embedding(**stack),
            torch.stack(positions).to(dtype),
            first.make_attention(stack),
            first.make_feedforward(stack),
            StackedLinear(first.embedding_dim, n_classes, name="out", **stack),
        )

    @property
    def n_outputs(self) -> int:
        """Number of tokens that can be predicted: all but padding."""
        return self.vocab_size - 1

    @property
    def n_used(self) -> int:
        """Number of tokens whose vectors matter: all, or in rows of one token the start symbol."""
        return self.vocab_size if self.n_features_in_ > 1 else 1

    @property
    def predictions_a_row(self) -> int:
        """Number of predictions of a row."""
        return int(self.n_features_in_)

    def schedule(self) -> Schedule:
        """Say how the stack is trained; see `StackedModel.schedule`."""
        return replace(super().schedule(), best="loss", look_size=_BLOCK)

    # ---- the estimator ---------------------------------------------------------------------

    def fit(
        self, X: FloatArray, y: Any = None, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on texts.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.
        y, y_val : ignored
            The tokens are the targets.
        X_val : array-like of shape (m, T), optional
            Validation texts: the state of the lowest loss on them is kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is out of range or not whole, padding stands before a token, or a row is
            nothing but padding.
        """
        return super().fit(X, y, X_val, y_val)

    def log_likelihoods(self, X: FloatArray) -> FloatArray:
        """Return the log-probability of each token given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.

        Returns
        -------
        ndarray of float64, shape (n, T)
            In nats; 0 at padding.
        """
        check_is_fitted(self)
        ids = self.token_rows(X)
        # Padding takes the first logit and is then set to zero.
        targets = torch.split(torch.from_numpy(np.maximum(ids - 1, 0)), _BLOCK)
        each = [
            logits.log_softmax(-1).gather(-1, target[..., None])[..., 0]
            for logits, target in zip(self._logits(ids), targets, strict=True)
        ]
        return np.where(ids == PADDING, 0.0, torch.cat(each).numpy())

    def predict(self, X: FloatArray) -> IntArray:
        """Return the most likely token at each place given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.

        Returns
        -------
        ndarray of int64, shape (n, T)
            From 1 to V - 1; -1 at padding.
        """
        check_is_fitted(self)
        ids = self.token_rows(X)
        best = torch.cat([logits.argmax(-1) for logits in self._logits(ids)]).numpy()
        return np.where(ids == PADDING, -1, best + 1)

    def sample(self, n: int, length: int, random_state: int) -> IntArray:
        """Draw texts, token by token.

        Parameters
        ----------
        n : int
            Number of texts. The first ones do not depend on how many there are.
        length : int
            Tokens of each, at most T.
        random_state : int
            Seed.

        Returns
        -------
        ndarray of int64, shape (n, length)
            From 1 to V - 1.
        """
        check_is_fitted(self)
        if n < 1 or not 1 <= length <= self.n_features_in_:
            raise ValueError(
                f"{type(self).__name__}.sample: got n={n}, length={length}; expected n at least 1 "
                f"and length 1 to {self.n_features_in_}, for later positions were never trained"
            )
        draws = text_draws(n, length, random_state)
        ids = np.zeros((n, length), dtype=np.int64)
        for t in range(length):
            known = [logits[:, -1].softmax(-1) for logits in self._logits(ids[:, : t + 1])]
            ids[:, t] = 1 + choose(torch.cat(known).numpy(), draws[:, t])
        return ids

    # ---- inside --------------------------------------------------------------------------

    def token_rows(self, X: Any) -> IntArray:
        """Check texts, after training; return them as whole numbers, (n, T)."""
        return check_texts(X, self.vocab_size, type(self).__name__, self.n_features_in_)

    def n_keys(self, ids: IntArray) -> IntArray:
        """Count the keys that each query may look at: start symbol and the tokens before it."""
        keys: IntArray = np.arange(1, ids.shape[1] + 1) * (ids != PADDING)
        return keys

    @torch.no_grad()
    def _logits(self, ids: IntArray) -> list[Tensor]:
        """Return the logits of rows, block by block."""
        self.network_.eval()
        blocks = torch.split(torch.from_numpy(ids), _BLOCK)
        return [self.network_(block[None])[0] for block in blocks]

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        name = type(self).__name__
        ids = check_texts(X, self.vocab_size, name)
        self.n_features_in_ = ids.shape[1]
        if X_val is None:
            return Problem(ids.astype(np.float64), ids - 1)
        seen = check_texts(X_val, self.vocab_size, name, self.n_features_in_)
        return Problem(ids.astype(np.float64), ids - 1, seen.astype(np.float64), seen - 1)

    def _check_options(self) -> None:
        super()._check_options()
        if self.vocab_size < 2:
            raise ValueError(
                f"vocab_size={self.vocab_size}; expected at least 2, padding and one token"
            )


def _positions(length: int, width: int, seed: int) -> Tensor:
    """Draw the initial vectors of the positions, ``[T, d]``, in float64."""
    g = torch.Generator().manual_seed(seed_for("initialisation", seed=seed, layer="positions"))
    return _POSITION_SCALE * torch.randn(length, width, generator=g, dtype=torch.float64)
