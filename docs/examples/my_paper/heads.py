"""The paper's model: everything else is the harness's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Self, Unpack

import torch
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
from qlmbench.quantum.qubits import QubitCircuit


class EntangledClassifier(StackedClassifier):
    """Linear map to one angle a qubit, entangling layers, Z expectations, linear readout.

    Parameters
    ----------
    n_qubits : int, default=4
        Width of the circuit.
    n_layers : int, default=2
        Depth of the circuit.
    **training
        See `StackedClassifier`.
    """

    # The circuits of one stack share their initial scale, so it does not vary within a stack.
    varying: ClassVar[frozenset[str]] = StackedClassifier.varying - {"init_scale"}

    def __init__(
        self, n_qubits: int = 4, n_layers: int = 2, **training: Unpack[TrainingOptions]
    ) -> None:
        super().__init__(**training)
        self.n_qubits = n_qubits
        self.n_layers = n_layers

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network of all heads at once: (R, n, F) to (R, n, C)."""
        q, n_layers, scale = heads[0].n_qubits, heads[0].n_layers, heads[0].init_scale
        seeds, scales = [head.random_state for head in heads], [scale] * len(heads)
        description = angle_encoding(q).then(basic_entangler_layers(q, n_layers))
        circuit = QubitCircuit(
            description,
            repetitions=len(heads),
            seeds=seeds,
            init_scale=math.pi * scale,
            dtype=dtype,
        )
        return nn.Sequential(
            StackedLinear(n_features, q, seeds=seeds, name="in", scales=scales, dtype=dtype),
            circuit,
            StackedLinear(q, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype),
        )
