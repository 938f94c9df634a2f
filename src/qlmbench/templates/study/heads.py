"""Fill in: the paper's model. Splits, seeds, training and metrics are the harness's."""

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
    """Linear map to one angle a qubit, entangling layers, linear readout of Z.

    Parameters
    ----------
    n_qubits : int, default=4
        Width of the circuit.
    n_layers : int, default=2
        Its depth.
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
        # The heads of a stack differ in seed, initial scale and learning rate, and in nothing else.
        q, n_layers = heads[0].n_qubits, heads[0].n_layers
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        # Fill in: the paper's circuit; see the reference of qubit_patterns and of photonic.
        circuit = angle_encoding(q).then(basic_entangler_layers(q, n_layers))
        return nn.Sequential(
            StackedLinear(n_features, q, name="in", seeds=seeds, scales=scales, dtype=dtype),
            make_circuit(circuit, "circuit", seeds, scales, dtype=dtype),
            StackedLinear(q, n_classes, name="out", seeds=seeds, scales=scales, dtype=dtype),
        )
