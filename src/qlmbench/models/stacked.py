"""The base of every trained head: a scikit-learn classifier that can train many copies at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from qlmbench.models.stacked_model import ModelOptions, StackedModel, TrainingDivergedError
from qlmbench.models.training import FloatArray, Problem

__all__ = ["StackedClassifier", "TrainingDivergedError", "TrainingOptions"]


class TrainingOptions(ModelOptions, total=False):
    """Arguments that every trained head takes; see `StackedClassifier`."""

    class_weight: str | dict[Any, float] | None


class StackedClassifier(ClassifierMixin, StackedModel):  # type: ignore[misc]
    """Base of heads that are trained by gradient; a subclass says what the network is.

    Parameters
    ----------
    class_weight : "balanced", dict or None, default=None
        Weights of the classes in the loss.
    **training
        See `StackedModel`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in fit.
    network_ : torch.nn.Module
        The trained network, a stack of one copy.
    history_ : History
        Losses and accuracies by epoch.
    n_iter_ : int
        Number of epochs trained.
    """

    def __init__(
        self,
        *,
        class_weight: str | dict[Any, float] | None = None,
        **training: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**training)
        self.class_weight = class_weight

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.classes_)

    # ---- scikit-learn --------------------------------------------------------------------

    def fit(
        self, X: FloatArray, y: Any, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.
        y : array-like of shape (n,)
            Class labels.
        X_val, y_val : array-like, optional
            Validation rows: the state that is best on them is kept.

        Returns
        -------
        self
        """
        return super().fit(X, y, X_val, y_val)

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Return class probabilities, shape (n, n_classes)."""
        logits = torch.from_numpy(self.logits(X))
        return np.asarray(logits.softmax(-1).numpy())

    def predict(self, X: FloatArray) -> Any:
        """Return class labels, shape (n,)."""
        best = self.logits(X).argmax(1)
        return self.classes_[best]

    def logits(self, X: FloatArray) -> FloatArray:
        """Return logits, shape (n, n_classes), in double precision."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        self.network_.eval()
        with torch.no_grad():
            # Block by block: memory stays bounded for any number of rows.
            blocks = torch.split(torch.tensor(np.array(X, dtype=np.float64)), 4096)
            logits = torch.cat([self.network_(block[None])[0] for block in blocks])
        return np.asarray(logits.numpy())

    # ---- inside --------------------------------------------------------------------------

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        if (X_val is None) != (y_val is None):
            raise ValueError("give both X_val and y_val, or neither")
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs two classes; y has one class only")
        if X_val is None:
            return Problem(X, indices)
        X_val = validate_data(self, X_val, reset=False)
        unknown = set(np.unique(y_val)) - set(self.classes_)
        if unknown:
            raise ValueError(f"y_val has classes that y has not: {sorted(unknown)}")
        return Problem(X, indices, X_val, np.searchsorted(self.classes_, y_val))

    @classmethod
    def _class_weights(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[FloatArray] | None:
        if heads[0].class_weight is None:
            return None
        return [h._weights_of(p.y) for h, p in zip(heads, problems, strict=True)]

    def _weights_of(self, indices: Any) -> FloatArray:
        weights = compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[indices]
        )
        return np.asarray(weights, dtype=np.float64)
