"""A student that knows its teacher's base and learns the difference, and the teacher itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from qlmbench.data.teacher_student import (
    N_CLASSES,
    WIDTH,
    base_weights,
    check_teacher,
    teacher_probabilities,
)
from qlmbench.models.alone import TrainedAlone
from qlmbench.models.stacked import StackedClassifier
from qlmbench.models.training import FloatArray, Problem, Schedule
from qlmbench.records import Parameters

from .counts import parameters_of
from .estimator import UpdateMixin
from .start import gradient_variance
from .update import put_into

BASE = ("base",)
N_LOOKED_AT = 64
"""Rows at which gradients are looked at."""


class Student(nn.Module):
    """The frozen base ``W0 x`` of a teacher, one copy, what is put into it, and a constant."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        # A layer without numbers draws none from torch's own generator.
        self.base = nn.Linear(WIDTH, N_CLASSES, bias=False, device="meta")
        self.base.weight = nn.Parameter(torch.tensor(base_weights(), dtype=dtype))
        self.constant = nn.Parameter(torch.zeros(N_CLASSES, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (1, n, 32) to logits (1, n, 16)."""
        logits: Tensor = self.base(x[0]) + self.constant
        return logits[None]


class StudentClassifier(TrainedAlone, UpdateMixin, StackedClassifier):
    """A frozen linear layer that knows the base of a teacher, adapted to the teacher's labels.

    The state with the lowest loss on validation is kept. Students with one random state meet the
    same batches, whatever is put into them.

    Parameters
    ----------
    epochs : int, default=60
        Passes over the training rows.
    batch_size : int or None, default=200
        Rows a step.
    learning_rate : float, default=1e-2
        Of Adam.
    bias : bool, default=False
        Whether a constant is trained, too, one number a class. A circuit has one built in: its
        photons add up to a constant.
    trained : bool, default=True
        False leaves the student as it starts.
    **options
        See `UpdateMixin` and `qlmbench.models.stacked.StackedClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (16,)
        All classes of the teacher, whether or not a training row has them.
    """

    def __init__(
        self,
        *,
        epochs: int = 60,
        batch_size: int | None = 200,
        learning_rate: float = 1e-2,
        bias: bool = False,
        trained: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, **options
        )
        self.bias = bias
        self.trained = trained

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the adapted base of one student."""
        (head,) = heads
        network = put_into(Student(dtype), head.update, BASE)
        network.constant.requires_grad_(head.bias)
        return network

    def schedule(self) -> Schedule:
        """Say how it is trained: probabilities are what is learnt, so loss decides."""
        return replace(super().schedule(), best="loss")

    def fit(
        self, X: FloatArray, y: Any, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on rows of 32 numbers with classes from 0 to 15."""
        return super().fit(X, y, X_val, y_val)

    def count_parameters(self) -> Parameters:
        """Count what is trained of the adapted layer."""
        check_is_fitted(self)
        return parameters_of(self.network_)

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Say where the training began.

        Returns
        -------
        dict of str to float
            ``start_difference``: largest difference of a logit to the frozen base before the first
            step. ``start_gradient_variance``: see `gradient_variance`; only for trained circuits.
        """
        rows = torch.tensor(np.asarray(X, dtype=np.float64))[None]
        network = self._evaluation_network()
        with torch.no_grad():
            difference = network(rows) - Student(torch.float64)(rows)
        found = {"start_difference": float(difference.abs().max())}
        variance = gradient_variance(network, rows[:, :N_LOOKED_AT])
        return found if variance is None else found | {"start_gradient_variance": variance}

    @classmethod
    def _fit_stack(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[Exception | None]:
        (head,) = heads
        if head.trained and (head.bias or head.method != "none"):
            return super()._fit_stack(heads, problems)
        head.network_ = head._evaluation_network()  # nothing is trained: no curves either
        head.n_iter_ = 0
        return [None]

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        self._check_options()
        if (X_val is None) != (y_val is None):
            raise ValueError("give both X_val and y_val, or neither")
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        if rows.shape[1] != WIDTH:
            raise ValueError(f"got rows of {rows.shape[1]} numbers; expected {WIDTH}")
        self.classes_ = np.arange(N_CLASSES)
        if X_val is None:
            return Problem(rows, _checked_classes(labels))
        rows_val = validate_data(self, X_val, reset=False, dtype=np.float64)
        return Problem(rows, _checked_classes(labels), rows_val, _checked_classes(y_val))


class TeacherClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The teacher as a classifier: the best there can be. It learns nothing.

    Parameters
    ----------
    teacher : {"low-rank", "full-rank", "nonlinear"}, default="low-rank"
        Which teacher.
    """

    def __init__(self, *, teacher: str = "low-rank") -> None:
        self.teacher = teacher

    def fit(self, X: FloatArray, y: Any) -> Self:
        """Look at the shape of the data."""
        check_teacher(self.teacher)
        validate_data(self, X, y)
        self.classes_ = np.arange(N_CLASSES)
        return self

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Return the probabilities that labels are drawn from, shape (n, 16)."""
        check_is_fitted(self)
        return teacher_probabilities(self.teacher, validate_data(self, X, reset=False))

    def predict(self, X: FloatArray) -> Any:
        """Return the most likely class, shape (n,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def count_parameters(self) -> Parameters:
        """Nothing is trained."""
        return Parameters()


def _checked_classes(y: Any) -> Any:
    labels = np.asarray(y)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= N_CLASSES:
        raise ValueError(f"got other classes; expected whole numbers from 0 to {N_CLASSES - 1}")
    return labels
