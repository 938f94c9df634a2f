"""The qubit head: a few learned angles, a parameterised circuit, a linear readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self, Unpack

import torch
from torch import nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.photonic import SHOTS_ON_HARDWARE, Sigmoid
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.quantum.qubit_patterns import angle_encoding, connectivity_layers, reuploading
from qlmbench.quantum.qubits import DiffMethod, QubitCircuit
from qlmbench.records import Cost
from qlmbench.seeding import seed_for


class QubitClassifier(StackedClassifier):
    """Linear map to one angle a qubit, RY encoding and trained layers, linear readout of Z.

    Parameters
    ----------
    n_qubits : int, default=4
        Qubits.
    n_layers : int, default=1
        Trained layers after each encoding.
    n_blocks : int, default=1
        Times that the angles are encoded (data re-uploading).
    connectivity : int, default=1
        Rings of CNOT in a layer, of stride 1, 2, ...; 0 for a circuit without entangling gates.
    angle_scale : float, default=pi
        Angle of a fully saturated feature, in radians.
    train_circuit : bool, default=True
        Whether the layers are trained, or stay as drawn.
    shots : int or None, default=None
        Measurements of each circuit; exact expectations without.
    diff_method : {"backprop", "adjoint", "parameter-shift"} or None, default=None
        How gradients come; by default backprop, and parameter-shift with shots.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self,
        n_qubits: int = 4,
        n_layers: int = 1,
        n_blocks: int = 1,
        connectivity: int = 1,
        angle_scale: float = math.pi,
        train_circuit: bool = True,
        shots: int | None = None,
        diff_method: DiffMethod | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.n_blocks = n_blocks
        self.connectivity = connectivity
        self.angle_scale = angle_scale
        self.train_circuit = train_circuit
        self.shots = shots
        self.diff_method = diff_method

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedClassifier.build`."""
        first, seeds = heads[0], [h.random_state for h in heads]
        scales = [h.init_scale for h in heads]
        n = first.n_qubits
        layers = {
            name: StackedLinear(n_in, n_out, seeds=seeds, name=name, scales=scales, dtype=dtype)
            for name, n_in, n_out in (("in", n_features, n), ("out", n, n_classes))
        }
        circuit = first._make_circuit(seeds, scales, dtype)
        return nn.Sequential(layers["in"], Sigmoid(first.angle_scale), circuit, layers["out"])

    def _make_circuit(
        self, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> QubitCircuit:
        block = connectivity_layers(self.n_qubits, self.connectivity, self.n_layers)
        circuit = QubitCircuit(
            reuploading(angle_encoding(self.n_qubits), block, self.n_blocks),
            repetitions=len(seeds),
            shots=self.shots,
            diff_method=self.diff_method,
            seeds=[seed_for("initialisation", seed=s, layer="circuit") for s in seeds],
            init_scale=math.pi,
            trainable=self.train_circuit,
            dtype=dtype,
        )
        with torch.no_grad():
            circuit.weights.mul_(torch.tensor(scales, dtype=dtype)[:, None])
        return circuit

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take on a processor.

        The parameter-shift rule takes two evaluations for each trained angle and each encoded one
        (Mitarai et al. 2018, 10.1103/PhysRevA.98.032309).
        """
        weights = self.network_[2].weights.numel() if self.train_circuit else 0
        shifted = self.n_blocks * self.n_qubits + weights
        circuits = self.n_iter_ * n_train * (1 + 2 * shifted)
        return Cost(circuits=circuits, shots=circuits * (self.shots or SHOTS_ON_HARDWARE))
