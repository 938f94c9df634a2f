"""The paper's model; splits, seeds, training and metrics are the harness's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, Unpack

import torch
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.qubit import make_circuit
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers


class MyPaperClassifier(StackedClassifier):
    """Linear map to one angle a qubit, two entangling layers, linear readout of Z."""

    def __init__(self, n_qubits: int = 4, **training: Unpack[TrainingOptions]) -> None:
        super().__init__(**training)
        self.n_qubits = n_qubits

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network of all heads at once: (R, n, F) to (R, n, C)."""
        q = heads[0].n_qubits
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        circuit = angle_encoding(q).then(basic_entangler_layers(q, n_layers=2))
        return nn.Sequential(
            StackedLinear(n_features, q, name="in", seeds=seeds, scales=scales, dtype=dtype),
            make_circuit(circuit, "circuit", seeds, scales, dtype=dtype),
            StackedLinear(q, n_classes, name="out", seeds=seeds, scales=scales, dtype=dtype),
        )
