"""Sentiment of sentences: a frozen encoder whose last attention is adapted, and a trained head."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from qlmbench.models.alone import TrainedAlone
from qlmbench.models.fine_tuning import TINY
from qlmbench.models.stacked import StackedClassifier
from qlmbench.models.token_ids import TokenIdsMixin, check_token_ids
from qlmbench.models.training import FloatArray, Problem, Schedule
from qlmbench.records import Parameters
from qlmbench.seeding import seed_for

from .below import LayersBelow, layers_below
from .counts import parameters_of
from .estimator import UpdateMixin
from .update import put_into

TARGETS = (r"attention\.q_lin", r"attention\.v_lin")
"""The layers that LoRA adapts by default: projections to queries and to values."""
BLOCK = 50
"""Rows that are scored together."""
N_LOOKED_AT = 16
"""Rows at which the start is looked at."""


class LastLayer(nn.Module):
    """The last layer of an encoder and a linear head on the mean over tokens, one copy."""

    def __init__(self, below: LayersBelow, n_classes: int, seed: int) -> None:
        super().__init__()
        self._below = below
        self.layer: Any = below.last_layer()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(below.width, n_classes)

    def forward(self, rows: Tensor) -> Tensor:
        """Map token ids (1, n, T), as whole floating-point numbers, to logits (1, n, C)."""
        texts = self._below.states(rows[0].long())
        lengths = torch.tensor([len(text) for text in texts])
        states = self._last_states(torch.cat(texts), lengths)
        of_text = torch.repeat_interleave(torch.arange(len(texts)), lengths)
        sums = states.new_zeros(len(texts), states.shape[1]).index_add(0, of_text, states)
        logits: Tensor = self.head(sums / lengths[:, None])
        return logits[None]

    def _last_states(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Run DistilBERT's last layer on the tokens of all texts, ``[sum of lengths, d]``.

        Only attention sees padding: half of a batch would be padding otherwise.
        """
        attention = self.layer.attention
        real = torch.arange(int(lengths.max())) < lengths[:, None]
        q, k, v = (
            self._by_head(part(hidden), real)
            for part in (attention.q_lin, attention.k_lin, attention.v_lin)
        )
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
        mixed = mixed.transpose(1, 2).flatten(2)[real]
        attended = self.layer.sa_layer_norm(attention.out_lin(mixed) + hidden)
        out: Tensor = self.layer.output_layer_norm(self.layer.ffn(attended) + attended)
        return out

    def _by_head(self, values: Tensor, real: Tensor) -> Tensor:
        """Spread values of tokens, ``[N, d]``, to ``[B, heads, T, d / heads]``, zero elsewhere."""
        heads = self.layer.attention.n_heads
        padded = values.new_zeros(*real.shape, values.shape[1])
        padded[real] = values
        return padded.view(*real.shape, heads, -1).transpose(1, 2)


@dataclass(eq=False)
class _Scored:
    """Logits of the rows that were scored last, which are asked for more than once."""

    key: bytes = b""
    logits: FloatArray = field(default_factory=lambda: np.zeros(0))


class SentimentClassifier(TokenIdsMixin, TrainedAlone, UpdateMixin, StackedClassifier):
    """An encoder in DistilBERT form, frozen, with an adapted last attention and a linear head.

    Adapted are the projections to queries and to values. The layers below never change, so that
    their hidden states are computed once for each distinct text and kept in memory. The state with
    the lowest loss on validation is kept. Classifiers with one random state have the same head and
    meet the same batches, whatever is put into them.

    Parameters
    ----------
    weights : str, default="tiny"
        A pretrained model: a name or a folder that `qlmbench.data.pretrained` knows, or "tiny": a
        model of 2 layers and 32 dimensions with random weights, for 1,000 tokens.
    epochs : int, default=5
        Passes over the training rows.
    batch_size : int or None, default=20
        Rows a step.
    learning_rate : float, default=3e-3
        Of Adam, for adapters and head alike.
    precision : {"single"}, default="single"
        That of the encoder; anything else is refused.
    **options
        See `UpdateMixin` and `qlmbench.models.stacked.StackedClassifier`.
    """

    _last: _Scored

    def __init__(
        self,
        *,
        weights: str = TINY,
        epochs: int = 5,
        batch_size: int | None = 20,
        learning_rate: float = 3e-3,
        precision: str = "single",
        **options: Any,
    ) -> None:
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            **options,
        )
        self.weights = weights

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the adapted layer and the head of one classifier, in single precision."""
        (head,) = heads
        network = head._base(n_classes)
        put_into(network, head.update, TARGETS)
        network.head.requires_grad_(True)
        return network

    def schedule(self) -> Schedule:
        """Say how it is trained: the lowest loss on validation decides, block by block."""
        return replace(super().schedule(), best="loss", look_size=BLOCK)

    def logits(self, X: FloatArray) -> FloatArray:
        """Return logits, shape (n, n_classes), computed in single precision."""
        check_is_fitted(self)
        rows = self._rows(validate_data(self, X, reset=False))
        key = hashlib.sha256(rows.numpy().tobytes()).digest()
        if self._last.key != key:
            self._last = _Scored(key, _blocks_of(self.network_, rows))
        return self._last.logits

    def count_parameters(self) -> Parameters:
        """Count what is trained: adapters and head."""
        check_is_fitted(self)
        return parameters_of(self.network_)

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Say where the training began.

        Returns
        -------
        dict of str to float
            ``start_difference``: largest difference of a logit to the frozen encoder with the same
            head before the first step.
        """
        rows = self._rows(np.asarray(X)[:N_LOOKED_AT])[None]
        with torch.no_grad():
            adapted, base = self._evaluation_network()(rows), self._base(self.n_outputs)(rows)
        return {"start_difference": float((adapted - base).abs().max())}

    def _base(self, n_classes: int) -> LastLayer:
        seed = seed_for("initialisation", seed=int(self.random_state), part="head")
        return LastLayer(layers_below(self.weights), n_classes, seed).eval()

    def _check_options(self) -> None:
        super()._check_options()
        if self.precision != "single":
            raise ValueError(f"precision={self.precision!r}; expected 'single', the encoder's")

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        problem = super()._check(X, y, X_val, y_val)
        below = layers_below(self.weights)
        if problem.X.shape[1] > below.max_length:
            raise ValueError(
                f"got rows of {problem.X.shape[1]} ids; expected at most {below.max_length}, the "
                "positions that the model has"
            )
        for rows in (problem.X, problem.X_val):
            if rows is not None:
                check_token_ids(rows, below.vocab_size, type(self).__name__)
        self._last = _Scored()
        return problem

    def _rows(self, X: FloatArray) -> Tensor:
        check_token_ids(X, layers_below(self.weights).vocab_size, type(self).__name__)
        return torch.tensor(np.asarray(X, dtype=np.float32))


@torch.no_grad()
def _blocks_of(network: nn.Module, rows: Tensor) -> FloatArray:
    """Logits of rows, those of about the same length together."""
    order = torch.argsort((rows != 0).sum(1), stable=True)
    network.eval()
    parts = [network(rows[places][None])[0] for places in torch.split(order, BLOCK)]
    logits = torch.cat(parts)[torch.argsort(order)]
    return np.asarray(logits.double().numpy())
