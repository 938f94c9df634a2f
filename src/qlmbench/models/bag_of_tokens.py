"""Classical baselines on token ids: how often each token occurs, and a classifier of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, Unpack

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from qlmbench.models.classical import MLPClassifier
from qlmbench.models.parameters import count_parameters
from qlmbench.models.stacked import TrainingOptions
from qlmbench.models.token_ids import TokenIdsMixin, check_token_ids
from qlmbench.models.training import FloatArray, Problem
from qlmbench.records import Parameters

_MODELS = {
    "logistic": lambda C: LogisticRegression(C=C, max_iter=5000),
    "svc": lambda C: SVC(C=C),
}


def _has_probabilities(estimator: Any) -> bool:
    """Without them a kernel machine has no loss; scikit-learn's would come from another fit."""
    return bool(estimator.classifier == "logistic")


class BagOfTokensClassifier(TokenIdsMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression, or a support vector machine, on standardised token counts.

    Parameters
    ----------
    classifier : {"logistic", "svc"}, default="logistic"
        Linear in the counts, or with a Gaussian kernel of them.
    C : float, default=1.0
        Inverse strength of the regularisation.
    vocab_size : int, default=20
        V, number of tokens.
    padding_id : int or None, default=None
        Token that does not count.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    model_ : LogisticRegression or SVC
        The classifier of the counts.
    """

    def __init__(
        self,
        classifier: Literal["logistic", "svc"] = "logistic",
        C: float = 1.0,
        vocab_size: int = 20,
        padding_id: int | None = None,
    ) -> None:
        self.classifier = classifier
        self.C = C
        self.vocab_size = vocab_size
        self.padding_id = padding_id

    def fit(self, X: FloatArray, y: Any) -> Self:
        """Fit on token ids, shape (n, T).

        Raises
        ------
        ValueError
            If X holds something that is no token, or the classifier is not known.
        """
        if self.classifier not in _MODELS:
            raise ValueError(f"classifier={self.classifier!r}; expected {' or '.join(_MODELS)}")
        X, y = validate_data(self, X, y)
        self.scaler_ = StandardScaler()
        counts = self.scaler_.fit_transform(self._counts(X))
        self.model_ = _MODELS[self.classifier](self.C).fit(counts, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: FloatArray) -> Any:
        """Return class labels, shape (n,)."""
        scaled = self._scaled(X)
        return self.model_.predict(scaled)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Return class probabilities, shape (n, n_classes)."""
        scaled = self._scaled(X)
        return np.asarray(self.model_.predict_proba(scaled))

    def count_parameters(self) -> Parameters | None:
        """Count the parameters of the classifier of the counts."""
        return count_parameters(self.model_)

    def _scaled(self, X: FloatArray) -> FloatArray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.asarray(self.scaler_.transform(self._counts(X)))

    def _counts(self, X: FloatArray) -> FloatArray:
        check_token_ids(X, self.vocab_size, type(self).__name__)
        counts = CountTokens(self.vocab_size, self.padding_id)(torch.tensor(np.array(X))[None])
        return np.asarray(counts[0].numpy())


class CountTokens(nn.Module):
    """How often each token stands in a row.

    Parameters
    ----------
    vocab_size : int
        V.
    padding_id : int or None
        Token that does not count.
    """

    def __init__(self, vocab_size: int, padding_id: int | None) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.padding_id = padding_id

    def forward(self, x: Tensor) -> Tensor:
        """Count ids ``[R, n, T]``, given as numbers, into ``[R, n, V]`` of the same type."""
        counts = x.new_zeros(*x.shape[:-1], self.vocab_size)
        counts.scatter_add_(-1, x.long(), torch.ones_like(x))
        if self.padding_id is not None:
            counts[..., self.padding_id] = 0
        return counts


class BagOfTokensMLP(TokenIdsMixin, MLPClassifier):
    """Multilayer perceptron on token counts.

    Parameters
    ----------
    vocab_size : int, default=20
        V, number of tokens.
    padding_id : int or None, default=None
        Token that does not count.
    hidden, dropout, **training
        See `MLPClassifier`.
    """

    def __init__(
        self,
        vocab_size: int = 20,
        padding_id: int | None = None,
        hidden: tuple[int, ...] = (100, 50),
        dropout: float = 0.0,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(hidden=hidden, dropout=dropout, **training)
        self.vocab_size = vocab_size
        self.padding_id = padding_id

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Put the counting before the layers; see `StackedClassifier.build`."""
        first = heads[0]
        counting = CountTokens(first.vocab_size, first.padding_id)
        layers = super().build(heads, first.vocab_size, n_classes, dtype)
        return nn.Sequential(counting, layers)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        problem = super()._check(X, y, X_val, y_val)
        for rows in (problem.X, problem.X_val):
            if rows is not None:
                check_token_ids(rows, self.vocab_size, type(self).__name__)
        return problem

    def count_parameters(self) -> Parameters | None:
        """Count the parameters of the layers, for counts as input."""
        alone = MLPClassifier(self.hidden)
        alone.classes_, alone.n_features_in_ = self.classes_, self.vocab_size
        return count_parameters(alone)
