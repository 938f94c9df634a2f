"""Rows of a stack: batches in an order of each copy's own, and losses over what counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class StackedRows:
    """Rows of all copies.

    Attributes
    ----------
    X : Tensor, ``[R, n, n_features]``
    y : Tensor of int64, ``[R, n]`` or ``[R, n, T]``
        Targets; -1 counts for nothing.
    weights : Tensor, like y
        What each target counts in the loss; 0 for -1.
    """

    X: Tensor
    y: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls,
        rows: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]],
        class_weights: Sequence[NDArray[np.float64]] | None,
        dtype: torch.dtype,
    ) -> StackedRows:
        """Stack rows and targets, ``(X, y)`` a copy; targets weigh 1, or what their class does."""
        X = torch.stack([torch.tensor(X, dtype=dtype) for X, _ in rows])
        y = torch.stack([torch.tensor(y, dtype=torch.long) for _, y in rows])
        counted = (y >= 0).to(dtype)
        if class_weights is None:
            return cls(X, y, counted)
        table = torch.stack([torch.tensor(w, dtype=dtype) for w in class_weights])
        weights = table.gather(1, y.flatten(1).clamp(min=0)).view_as(y)
        return cls(X, y, weights * counted)

    def batches(self, size: int | None, orders: list[torch.Generator]) -> Iterator[StackedRows]:
        """Yield the rows in batches, each copy in an order of its own."""
        n = self.y.shape[1]
        if size is None or size >= n:
            yield self
            return
        order = torch.stack([torch.randperm(n, generator=g) for g in orders])
        copies = torch.arange(len(order))[:, None]
        for start in range(0, n, size):
            rows = order[:, start : start + size]
            yield StackedRows(
                self.X[copies, rows], self.y[copies, rows], self.weights[copies, rows]
            )

    def blocks(self, size: int | None) -> Iterator[StackedRows]:
        """Yield the rows in their order, some at a time."""
        n = self.y.shape[1]
        for start in range(0, n, size or n):
            rows = slice(start, start + (size or n))
            yield StackedRows(self.X[:, rows], self.y[:, rows], self.weights[:, rows])

    def weight(self) -> Tensor:
        """Sum the weights of each copy, shape (R,)."""
        return self.weights.flatten(1).sum(1)

    def total_losses(self, logits: Tensor) -> Tensor:
        """Sum the weighted cross-entropies of each copy, shape (R,)."""
        each = nn.functional.cross_entropy(
            logits.flatten(0, -2), self.y.flatten(), reduction="none", ignore_index=-1
        ).view_as(self.y)
        return (each * self.weights).flatten(1).sum(1)

    def losses(self, logits: Tensor) -> Tensor:
        """Return the weighted mean cross-entropy of each copy, shape (R,)."""
        return self.total_losses(logits) / self.weight()

    def n_counted(self) -> Tensor:
        """Count the targets of each copy that count, shape (R,)."""
        return (self.y >= 0).flatten(1).sum(1).double()

    def n_right(self, logits: Tensor) -> Tensor:
        """Count the targets that the largest logit hits, shape (R,); -1 is never hit."""
        return (logits.argmax(-1) == self.y).flatten(1).sum(1).double()
