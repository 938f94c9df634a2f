"""The qubit head: a few learned angles, a parameterised circuit, a linear readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measured import MeasuredClassifier, MeasuredNetwork
from qlmbench.models.photonic import SHOTS_ON_HARDWARE, Sigmoid
from qlmbench.models.stacked import TrainingOptions
from qlmbench.models.training import Problem
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import angle_encoding, connectivity_layers, reuploading
from qlmbench.quantum.qubits import DiffMethod, QubitCircuit
from qlmbench.records import Cost
from qlmbench.seeding import seed_for


class QubitClassifier(MeasuredClassifier):
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
        Measurements of each circuit, in training and in evaluation; exact expectations without.
        In evaluation a row's shots depend on `random_state` and on the row alone.
    diff_method : {"backprop", "adjoint", "parameter-shift"} or None, default=None
        How gradients come; by default backprop, and parameter-shift with shots.
    depolarizing : float, default=0.0
        Probability of a Pauli error on each qubit after each gate that touches it. Of the
        evaluation only: see `StackedClassifier.under`.
    n_trajectories : int or None, default=None
        Error patterns that the noise is averaged over; without, exact noise for few qubits and a
        hundred patterns for more.
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
        depolarizing: float = 0.0,
        n_trajectories: int | None = None,
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
        self.depolarizing = depolarizing
        self.n_trajectories = n_trajectories

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
        return QubitNetwork(layers["in"], Sigmoid(first.angle_scale), circuit, layers["out"])

    def _make_circuit(
        self, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> QubitCircuit:
        block = connectivity_layers(self.n_qubits, self.connectivity, self.n_layers)
        return make_circuit(
            reuploading(angle_encoding(self.n_qubits), block, self.n_blocks),
            "circuit",
            seeds,
            scales,
            shots=self.shots,
            diff_method=self.diff_method,
            trainable=self.train_circuit,
            dtype=dtype,
        )

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        refuse_noise_in_training(self.depolarizing)
        return super()._check(X, y, X_val, y_val)

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take on a processor.

        The parameter-shift rule takes two evaluations for each trained angle and each encoded one
        (Mitarai et al. 2018, 10.1103/PhysRevA.98.032309).
        """
        weights = self.network_[2].weights.numel() if self.train_circuit else 0
        shifted = self.n_blocks * self.n_qubits + weights
        circuits = self.n_iter_ * n_train * (1 + 2 * shifted)
        return Cost(circuits=circuits, shots=circuits * (self.shots or SHOTS_ON_HARDWARE))


class QubitNetwork(MeasuredNetwork, nn.Sequential):
    """Linear map, sigmoid, circuit, linear readout: (R, n, F) to (R, n, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        linear, sigmoid, circuit, readout = self
        angles = sigmoid(linear(x))
        exact = self.measurement is None
        z = circuit(angles) if exact else self._measured(circuit, angles, x)
        logits: Tensor = readout(z)
        return logits

    def _measured(self, circuit: nn.Module, angles: Tensor, x: Tensor) -> Tensor:
        assert isinstance(circuit, QubitCircuit)
        assert self.measurement is not None
        return self.measurement.z(circuit, angles, x)


def make_circuit(
    description: CircuitDescription,
    name: str,
    seeds: Sequence[int],
    scales: Sequence[float],
    **options: Any,
) -> QubitCircuit:
    """Make the circuits of a stack, with normal initial angles of pi times each copy's scale.

    Parameters
    ----------
    description : CircuitDescription
        The circuit.
    name : str
        Distinguishes the circuits of one network.
    seeds, scales : sequence
        Seed and initial scale, one a copy.
    **options
        See `QubitCircuit`; ``dtype`` is required.
    """
    circuit = QubitCircuit(
        description,
        repetitions=len(seeds),
        seeds=[seed_for("initialisation", seed=s, layer=name) for s in seeds],
        init_scale=math.pi,
        **options,
    )
    with torch.no_grad():
        circuit.weights.mul_(circuit.weights.new_tensor(scales)[:, None])
    return circuit


def refuse_noise_in_training(depolarizing: float) -> None:
    """Raise ValueError if a head is to be trained with noisy gates."""
    if depolarizing:
        raise ValueError(
            f"fit with depolarizing={depolarizing}; expected 0, for training is exact: fit without "
            f"noise, then evaluate head.under(depolarizing={depolarizing})"
        )
