"""A classifier that trains a whole small transformer on token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from qlmbench.models.alone import OwnTraining
from qlmbench.models.distilbert import Pooling, layer_attention, make_classifier, tiny_config
from qlmbench.models.fine_tuning_loop import (
    BLOCK,
    FineTuning,
    Rows,
    encoder_features,
    fine_tune,
    logits_of,
)
from qlmbench.models.stacked import StackedClassifier
from qlmbench.models.token_ids import TokenIdsMixin, check_token_ids
from qlmbench.models.training import FloatArray, History, IntArray, Problem
from qlmbench.ranges import check_choice, check_positive, check_share
from qlmbench.records import Parameters
from qlmbench.seeding import seed_for

TINY = "tiny"
"""Name that stands for a small model with random weights."""


@dataclass(eq=False)
class _Scored:
    """Logits of the rows that were scored last, which are asked for more than once."""

    key: bytes = b""
    logits: Tensor = field(default_factory=lambda: torch.zeros(0))


class FineTunedClassifier(TokenIdsMixin, OwnTraining, StackedClassifier):
    """DistilBERT with a classification head, all of it trained by AdamW.

    A subclass may bring pretrained weights (`pretrained`) and another optimiser
    (`make_optimizer`). The learning rate falls linearly from its value to zero, without a warm-up;
    the state after the last step is kept. Two classifiers with one random state start from the same
    weights and meet the same batches and the same dropout, whatever optimises them.

    Parameters
    ----------
    weights : str, default="tiny"
        What the training starts from; "tiny" is a model of 2 layers and 32 dimensions with random
        weights, for 1,000 tokens.
    epochs : int, default=3
        Passes over the training rows.
    batch_size : int or None, default=8
        Rows a step; None for all rows at once. A batch is cut to its longest row.
    learning_rate : float, default=5e-5
        Of AdamW, at the first step.
    weight_decay : float, default=0.0
        Of AdamW.
    eps : float, default=1e-6
        Of AdamW; both as in the AdamW that transformers had.
    pooling : {"first", "mean"}, default="first"
        What the head reads: the first token, as in transformers' own classifier, or the mean over
        all tokens, for which sentence encoders were trained.
    head_dropout : float, default=0.2
        Dropout in the head; that of the encoder is its configuration's.
    gradient_clip : float or None, default=None
        Largest norm of the gradient.
    frozen_encoder : bool, default=False
        Train the head alone, on an encoder without dropout.
    random_state : int, default=0
        Seed of the head, batches and dropout. The global random state is left as it was.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        T, length of a row of ids.
    network_ : transformers.DistilBertForSequenceClassification
        The trained network, in single precision.
    history_ : History
        Losses and accuracies by epoch.
    n_iter_ : int
        Number of epochs trained.
    """

    #: For those who ask what kind of attention is shown.
    attention = "classical"

    def __init__(
        self,
        *,
        weights: str = TINY,
        epochs: int = 3,
        batch_size: int | None = 8,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.0,
        eps: float = 1e-6,
        pooling: Pooling = "first",
        head_dropout: float = 0.2,
        gradient_clip: float | None = None,
        frozen_encoder: bool = False,
        random_state: int = 0,
    ) -> None:
        self.weights = weights
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.eps = eps
        self.pooling = pooling
        self.head_dropout = head_dropout
        self.gradient_clip = gradient_clip
        self.frozen_encoder = frozen_encoder
        self.random_state = random_state

    # ---- what a subclass may say -----------------------------------------------------------

    def pretrained(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor] | None]:
        """Return the configuration and the weights that ``weights`` names; None: random ones.

        Raises
        ------
        ValueError
            If it names none.
        """
        if self.weights != TINY:
            raise ValueError(f"got weights={self.weights!r}; expected {TINY!r}")
        return tiny_config(), None

    def make_optimizer(self, named: Sequence[tuple[str, Tensor]]) -> torch.optim.Optimizer:
        """Make the optimiser of named weights."""
        return torch.optim.AdamW(
            [parameter for _, parameter in named], lr=self.learning_rate, **self.adamw_options
        )

    @property
    def attention_layer(self) -> int:
        """Layer whose attention `attention_weights` shows."""
        return 0

    @property
    def adamw_options(self) -> dict[str, Any]:
        """Options of AdamW beside the learning rate."""
        return {"eps": self.eps, "weight_decay": self.weight_decay, "fused": True}

    # ---- scoring ---------------------------------------------------------------------------

    def logits(self, X: FloatArray) -> FloatArray:
        """Return logits, shape (n, n_classes), computed in single precision."""
        ids = self._ids(X)
        key = hashlib.sha256(ids.numpy().tobytes()).digest()
        if self._last.key != key:
            self._last.key, self._last.logits = key, logits_of(self.network_, ids)
        return np.asarray(self._last.logits.double().numpy())

    def attention_weights(self, X: FloatArray) -> FloatArray:
        """Return the weights of a layer's attention, shape (n, heads, T, T), a query a row."""
        blocks = torch.split(self._ids(X), BLOCK)
        layer = self.attention_layer
        weights = [layer_attention(self.network_, block, layer) for block in blocks]
        return np.asarray(torch.cat(weights).double().numpy())

    def count_parameters(self) -> Parameters:
        """Count the weights that are trained; it is not looked which of them matter."""
        check_is_fitted(self)
        trained = [p.numel() for p in self.network_.parameters() if p.requires_grad]
        return Parameters(classical=sum(trained))

    def _ids(self, X: Any) -> Tensor:
        check_is_fitted(self)
        vocab_size = self.network_.config.vocab_size
        return self._checked_ids(validate_data(self, X, reset=False), vocab_size)

    def _checked_ids(self, X: FloatArray | IntArray, vocab_size: int) -> Tensor:
        check_token_ids(X, vocab_size, type(self).__name__)
        return torch.from_numpy(np.asarray(X, dtype=np.int64))

    # ---- training --------------------------------------------------------------------------

    def _check_options(self) -> None:
        self._check_training()
        check_positive("eps", self.eps)
        check_positive("gradient_clip", self.gradient_clip, or_none=True)
        check_choice("pooling", self.pooling, get_args(Pooling))
        check_share("head_dropout", self.head_dropout, below_one=True)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        problem = super()._check(X, y, X_val, y_val)
        config, _ = self.pretrained()
        longest = int(config["max_position_embeddings"])
        if problem.X.shape[1] > longest:
            raise ValueError(
                f"got rows of {problem.X.shape[1]} ids; expected at most {longest}, the positions "
                "that the model has"
            )
        for rows in (problem.X, problem.X_val):
            if rows is not None:
                self._checked_ids(rows, int(config["vocab_size"]))
        return problem

    def _fit_alone(self, problem: Problem) -> Exception | None:
        seed = int(self.random_state)
        config, tensors = self.pretrained()
        network = make_classifier(
            config,
            tensors,
            self.n_outputs,
            pooling=self.pooling,
            head_dropout=self.head_dropout,
            seed=seed_for("initialisation", seed=seed),
        )
        if self.frozen_encoder:
            network.distilbert.requires_grad_(False)
        train, validation = self._rows(network, problem)
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        size = self.batch_size or len(problem.y)
        how = FineTuning(self.epochs, size, self.gradient_clip, seed)
        self.history_: History = fine_tune(
            network, self.make_optimizer(named), train, validation, how
        )
        self.network_ = network
        self._last = _Scored()
        return self._ended()

    def _rows(self, network: Any, problem: Problem) -> tuple[Rows, Rows | None]:
        """Rows of the training and of validation; features of a frozen encoder, once."""

        def rows(X: FloatArray, y: IntArray) -> Rows:
            ids = torch.from_numpy(np.asarray(X, dtype=np.int64))
            inputs = encoder_features(network, ids) if self.frozen_encoder else ids
            return Rows(inputs, torch.from_numpy(np.asarray(y)))

        if problem.X_val is None or problem.y_val is None:
            return rows(problem.X, problem.y), None
        return rows(problem.X, problem.y), rows(problem.X_val, problem.y_val)
