"""Trained classical heads: the multilayer perceptron, and bottlenecks in a circuit's place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self, Unpack

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedDropout, StackedLinear
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.ranges import check_choice


class MLPClassifier(StackedClassifier):
    """Multilayer perceptron with rectified linear units and dropout.

    Parameters
    ----------
    hidden : sequence of int, default=(100, 50)
        Widths of the hidden layers.
    dropout : float, default=0.0
        Share of hidden values dropped in training.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100, 50),
        dropout: float = 0.0,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.hidden = hidden
        self.dropout = dropout

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the layers; see `StackedClassifier.build`."""
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        first = heads[0]
        layers: list[nn.Module] = []
        width = n_features
        for i, n_out in enumerate(first.hidden):
            name = f"hidden{i}"
            layers.append(
                StackedLinear(width, n_out, seeds=seeds, name=name, scales=scales, dtype=dtype)
            )
            layers.append(nn.ReLU())
            if first.dropout:
                layers.append(StackedDropout(first.dropout, seeds=seeds, name=name))
            width = n_out
        layers.append(
            StackedLinear(width, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype)
        )
        return nn.Sequential(*layers)


def _cosine_and_sine(x: Tensor) -> Tensor:
    phases = math.pi * torch.sigmoid(x)
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


#: What a bottleneck does with its few values, and how many values come out for each.
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "identity": (lambda x: x, 1),
    "tanh": (torch.tanh, 1),
    "cosine": (lambda x: torch.cos(math.pi * torch.sigmoid(x)), 1),
    "cosine-sine": (_cosine_and_sine, 2),
}


class BottleneckClassifier(StackedClassifier):
    """A few learned features, a fixed function, a linear readout: a circuit's classical stand-in.

    Parameters
    ----------
    width : int, default=8
        Number of learned features; a circuit's counterpart is its number of modes or qubits.
    activation : {"identity", "tanh", "cosine", "cosine-sine"}, default="tanh"
        The function. The cosine ones encode as a phase does: pi times a sigmoid.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self, width: int = 8, activation: str = "tanh", **training: Unpack[TrainingOptions]
    ) -> None:
        super().__init__(**training)
        self.width = width
        self.activation = activation

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the layers; see `StackedClassifier.build`."""
        first = heads[0]
        check_choice("activation", first.activation, tuple(ACTIVATIONS))
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        function, factor = ACTIVATIONS[first.activation]
        return nn.Sequential(
            StackedLinear(
                n_features, first.width, seeds=seeds, name="in", scales=scales, dtype=dtype
            ),
            Elementwise(function),
            StackedLinear(
                factor * first.width, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype
            ),
        )


class Elementwise(nn.Module):
    """A fixed function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(x)
