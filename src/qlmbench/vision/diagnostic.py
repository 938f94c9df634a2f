"""A classifier of images whose features are the amplitudes of a state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self, Unpack, get_args

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measured import MeasuredClassifier, MeasuredNetwork
from qlmbench.models.stacked import TrainingOptions
from qlmbench.models.training import Problem
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import amplitude_encoding
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_choice, check_whole
from qlmbench.seeding import seed_for
from qlmbench.vision.circuits import Ansatz, trained_layers


class AmplitudeClassifier(MeasuredClassifier):
    """Features as amplitudes of ``ceil(log2 F)`` qubits, trained layers, Z, linear readout.

    A row is divided by its length, so that its length is lost; a row of zeros has no state. Nothing
    is learned before the state: the circuit alone says which features are told apart.

    Parameters
    ----------
    n_layers : int, default=3
        Trained layers.
    ansatz : {"published", "noncommuting"}
        See `projection_circuit`.
    train_circuit : bool, default=True
        Whether the layers are trained, or stay as drawn.
    shots : int or None, default=None
        Measurements of each circuit in evaluation, where a row's shots depend on `random_state` and
        on the row alone; training is exact, for amplitudes have no parameter shift.
    depolarizing : float, default=0.0
        Of the evaluation only: probability of a Pauli error on each qubit after each gate.
    n_trajectories : int or None, default=None
        Error patterns that the noise is averaged over.
    **training
        See `StackedClassifier`.
    """

    #: A state for each row of a batch.
    max_stack: ClassVar[int] = 10

    def __init__(
        self,
        n_layers: int = 3,
        ansatz: Ansatz = "published",
        train_circuit: bool = True,
        shots: int | None = None,
        depolarizing: float = 0.0,
        n_trajectories: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_layers = n_layers
        self.ansatz = ansatz
        self.train_circuit = train_circuit
        self.shots = shots
        self.depolarizing = depolarizing
        self.n_trajectories = n_trajectories

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network; see `StackedClassifier.build`."""
        first, seeds = heads[0], [h.random_state for h in heads]
        circuit = QubitCircuit(
            first._description(n_features),
            repetitions=len(heads),
            seeds=[seed_for("initialisation", seed=s, layer="circuit") for s in seeds],
            trainable=first.train_circuit,
            dtype=dtype,
        )
        readout = StackedLinear(
            circuit.n_outputs,
            n_classes,
            seeds=seeds,
            name="out",
            scales=[h.init_scale for h in heads],
            dtype=dtype,
        )
        return AmplitudeNetwork(circuit, readout)

    def _description(self, n_features: int) -> CircuitDescription:
        n_qubits = max(1, math.ceil(math.log2(n_features)))
        layers = trained_layers(n_qubits, self.n_layers, self.ansatz)
        return amplitude_encoding(n_qubits, n_features).then(layers)

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        if self.shots is not None or self.depolarizing:
            raise ValueError(
                f"fit with shots={self.shots}, depolarizing={self.depolarizing}; expected None and "
                "0, for training is exact: fit, then evaluate under() them"
            )
        check_choice("ansatz", self.ansatz, get_args(Ansatz))
        check_whole("n_layers", self.n_layers)
        return super()._check(X, y, X_val, y_val)


class AmplitudeNetwork(MeasuredNetwork, nn.Sequential):
    """Circuit and linear readout: (R, n, F) to (R, n, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        circuit, readout = self
        assert isinstance(circuit, QubitCircuit)
        exact = self.measurement is None
        z = circuit(x) if exact else self.measurement.z(circuit, x, x)  # type: ignore[union-attr]
        logits: Tensor = readout(z)
        return logits
