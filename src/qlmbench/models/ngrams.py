"""The classical baseline of a language model: frequencies of tokens and of pairs of tokens."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from qlmbench.metrics import FloatArray, IntArray
from qlmbench.models.token_rows import PADDING, check_texts, choose, text_draws


class NGramLanguageModel(BaseEstimator):  # type: ignore[misc]
    """Predicts a token from the one before it by counting pairs, mixed with single tokens.

    With ``c(u, w)`` the number of times that w follows u, s the smoothing and i the interpolation

        p(w | u) = i (c(u, w) + s) / (c(u) + s (V - 1)) + (1 - i) (c(w) + s) / (N + s (V - 1)).

    The start of a row is a context of its own (id 0). Rows are as for `TokenLanguageModel`.

    Parameters
    ----------
    vocab_size : int, default=20
        V, number of tokens, padding (id 0) among them. The model keeps V x V counts.
    order : {1, 2}, default=2
        2: pairs. 1: single tokens alone, whatever stands before.
    smoothing : float, default=0.1
        Added to each count; above 0, so that nothing is impossible.
    interpolation : float, default=0.8
        Weight of the pairs, 0 to 1.

    Attributes
    ----------
    n_features_in_ : int
        T, length of the rows in fit.
    probabilities_ : ndarray of shape (V, V - 1)
        Of the tokens 1 to V - 1 (columns), given the token before (rows).

    Examples
    --------
    >>> model = NGramLanguageModel(vocab_size=3).fit([[1, 2, 1, 0]])
    >>> model.predict([[1, 2, 1, 2]])
    array([[1, 2, 1, 2]])
    """

    def __init__(
        self,
        vocab_size: int = 20,
        order: int = 2,
        smoothing: float = 0.1,
        interpolation: float = 0.8,
    ) -> None:
        self.vocab_size = vocab_size
        self.order = order
        self.smoothing = smoothing
        self.interpolation = interpolation

    def fit(self, X: Any, y: Any = None, X_val: Any = None, y_val: Any = None) -> Self:
        """Count.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.
        y, X_val, y_val : ignored
            There is nothing to choose.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is out of its range, an id is out of range or not whole, padding stands
            before a token, or a row is nothing but padding.
        """
        self._check_arguments()
        ids = self._rows(X)
        self.n_features_in_ = ids.shape[1]
        real = ids != PADDING
        pairs = _before(ids)[real] * self.vocab_size + ids[real]
        counts = np.bincount(pairs, minlength=self.vocab_size**2)
        counts = counts.reshape(self.vocab_size, self.vocab_size)[:, 1:]
        single = self._smoothed(counts.sum(0, keepdims=True))
        share = self.interpolation if self.order == 2 else 0.0
        self.probabilities_ = share * self._smoothed(counts) + (1 - share) * single
        return self

    def log_likelihoods(self, X: Any) -> FloatArray:
        """Return the log-probability of each token given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding; T may differ from that in fit.

        Returns
        -------
        ndarray of float64, shape (n, T)
            In nats; 0 at padding.
        """
        check_is_fitted(self)
        ids = self._rows(X)
        # Padding takes the first column and is then set to zero.
        found = self.probabilities_[_before(ids), np.maximum(ids - 1, 0)]
        return np.where(ids == PADDING, 0.0, np.log(found))

    def predict(self, X: Any) -> IntArray:
        """Return the most likely token at each place given those before it.

        Parameters
        ----------
        X : array-like of shape (n, T)
            Token ids, then padding.

        Returns
        -------
        ndarray of int64, shape (n, T)
            From 1 to V - 1, the first of equally likely ones; -1 at padding.
        """
        check_is_fitted(self)
        ids = self._rows(X)
        best = 1 + self.probabilities_.argmax(1)
        return np.where(ids == PADDING, -1, best[_before(ids)])

    def sample(self, n: int, length: int, random_state: int) -> IntArray:
        """Draw texts, token by token.

        Parameters
        ----------
        n : int
            Number of texts. The first ones do not depend on how many there are.
        length : int
            Tokens of each.
        random_state : int
            Seed.

        Returns
        -------
        ndarray of int64, shape (n, length)
            From 1 to V - 1.
        """
        check_is_fitted(self)
        if n < 1 or length < 1:
            raise ValueError(
                f"{type(self).__name__}.sample: got n={n}, length={length}; expected at least 1"
            )
        draws = text_draws(n, length, random_state)
        ids = np.zeros((n, length + 1), dtype=np.int64)
        for t in range(length):
            ids[:, t + 1] = 1 + choose(self.probabilities_[ids[:, t]], draws[:, t])
        return ids[:, 1:]

    def _rows(self, X: Any) -> IntArray:
        return check_texts(X, self.vocab_size, type(self).__name__)

    def _smoothed(self, counts: IntArray) -> FloatArray:
        total = counts.sum(1, keepdims=True) + self.smoothing * counts.shape[1]
        smoothed: FloatArray = (counts + self.smoothing) / total
        return smoothed

    def _check_arguments(self) -> None:
        if self.vocab_size < 2:
            raise ValueError(
                f"vocab_size={self.vocab_size}; expected at least 2, padding and one token"
            )
        if self.order not in (1, 2):
            raise ValueError(f"order={self.order!r}; expected 1 or 2")
        if not 0 < self.smoothing < np.inf:
            raise ValueError(
                f"smoothing={self.smoothing}; expected a positive number: without it, what was "
                "never seen has no likelihood"
            )
        if not 0 <= self.interpolation <= 1:
            raise ValueError(f"interpolation={self.interpolation}; expected 0 to 1")


def _before(ids: IntArray) -> IntArray:
    """Shift rows to the tokens before; padding is the start symbol."""
    return np.pad(ids[:, :-1], ((0, 0), (1, 0)))
