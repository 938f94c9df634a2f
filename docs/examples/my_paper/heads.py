"""The paper's model: everything else is the harness's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, Unpack

import torch
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
from qlmbench.quantum.qubits import QubitCircuit


class QubitClassifier(StackedClassifier):
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
        q, layers = heads[0].n_qubits, heads[0].n_layers
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        entangled = angle_encoding(q).then(basic_entangler_layers(q, layers))
        return nn.Sequential(
            StackedLinear(n_features, q, seeds=seeds, name="in", scales=scales, dtype=dtype),
            QubitCircuit(entangled, repetitions=len(heads), seeds=seeds, dtype=dtype),
            StackedLinear(q, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype),
        )
