"""The qubit head of the paper: sentence quantum encoders, then a re-uploading circuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack

import torch
from sklearn.utils import Tags
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measured import MeasuredClassifier, MeasuredNetwork
from qlmbench.models.photonic import SHOTS_ON_HARDWARE
from qlmbench.models.qubit import make_circuit, refuse_noise_in_training
from qlmbench.models.stacked import TrainingOptions
from qlmbench.models.training import Problem
from qlmbench.quantum.qubit_description import CircuitDescription, Gate, weight
from qlmbench.quantum.qubit_patterns import (
    amplitude_encoding,
    angle_encoding,
    reuploading,
    rotation_layer,
)
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_whole
from qlmbench.records import Cost

# Amplitudes of one copy that a block of rows may have: memory of this size is used again, while
# the system hands out larger pieces page by page.
_AMPLITUDES = 2**17


class SQEClassifier(MeasuredClassifier):
    """Amplitude-encoded circuits, whose Z feed a re-uploading circuit, whose Z is read linearly.

    The embedding, zero-padded and normalised, is the state of each of `n_encoders` circuits.
    Their Z expectations, computed classically, are the angles of the second circuit, which is
    meant for a quantum processor: `n_reuploading` times (RY encoding, trained circuit), then one
    more trained circuit, then Z of `n_measured` qubits and a linear map to the classes. A trained
    circuit on Q qubits has ``Q (1 + L C)`` angles, see `entangling_circuit`. With one encoder it
    is the paper's "Single sQE", with more its "Multi sQE".

    Amplitudes keep neither the length nor the overall sign of an embedding: x and -x are one
    state. Centred features lose the more by it. A zero embedding has no direction: as of a fully
    mixed state, its Z are zero.

    Parameters
    ----------
    n_encoder_qubits : int, default=10
        Qubits of each encoder; the embedding must fit into ``2 ** n_encoder_qubits`` amplitudes.
    n_encoders : int, default=1
        Encoders side by side, each with angles of its own.
    n_qpu_qubits : int or None, default=None
        Qubits of the second circuit, shared evenly among the encoders; as many as an encoder has,
        without.
    n_layers : int, default=1
        L, layers of each trained circuit.
    connectivity : int, default=1
        C, rings of CNOT in a layer; 0 for a circuit without entangling gates.
    encoder_layers, encoder_connectivity : int or None, default=None
        L and C of the encoders; those of the second circuit, without.
    n_reuploading : int, default=1
        N, encodings in the second circuit; each is followed by angles of its own.
    n_measured : int, default=1
        Qubits of the second circuit that are read, from the first on.
    angle_scale : float, default=1.0
        Angle of an expectation of 1, in radians.
    train_circuit : bool, default=True
        Whether the circuits are trained, or stay as drawn.
    shots : int or None, default=None
        Measurements of the second circuit in evaluation. Training is exact, validation included. A
        row's shots depend on `random_state` and on the row alone. Exact without.
    depolarizing : float, default=0.0
        Probability of a Pauli error on each qubit after each gate of the second circuit that
        touches it. Of the evaluation only: see `StackedClassifier.under`.
    n_trajectories : int or None, default=None
        Error patterns that the noise is averaged over; without, exact noise for few qubits and a
        hundred patterns for more.
    **training
        See `StackedClassifier`.

    Notes
    -----
    The paper leaves open, and here is chosen: how encoders are merged (each gives Z of its first
    ``n_qpu_qubits / n_encoders`` qubits, one after the other); which qubit is measured (the
    first); the factor between Z and angle (1); whether re-uploading blocks share their angles (no);
    whether encoders and second circuit are of one depth (they are unless told otherwise); the
    initial angles (normal, of standard deviation pi); optimiser, epochs and batches.

    References
    ----------
    Kim et al. 2025, DOI 10.1109/QCE65121.2025.00258.
    """

    max_stack = 10  # a state has a thousand amplitudes: ten copies of a batch fill a cache
    n_looks = 10  # and a look at the validation rows costs more than an epoch of few rows

    def __init__(
        self,
        n_encoder_qubits: int = 10,
        n_encoders: int = 1,
        n_qpu_qubits: int | None = None,
        n_layers: int = 1,
        connectivity: int = 1,
        encoder_layers: int | None = None,
        encoder_connectivity: int | None = None,
        n_reuploading: int = 1,
        n_measured: int = 1,
        angle_scale: float = 1.0,
        train_circuit: bool = True,
        shots: int | None = None,
        depolarizing: float = 0.0,
        n_trajectories: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_encoder_qubits = n_encoder_qubits
        self.n_encoders = n_encoders
        self.n_qpu_qubits = n_qpu_qubits
        self.n_layers = n_layers
        self.connectivity = connectivity
        self.encoder_layers = encoder_layers
        self.encoder_connectivity = encoder_connectivity
        self.n_reuploading = n_reuploading
        self.n_measured = n_measured
        self.angle_scale = angle_scale
        self.train_circuit = train_circuit
        self.shots = shots
        self.depolarizing = depolarizing
        self.n_trajectories = n_trajectories

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> SQENetwork:
        """Make the network; see `StackedClassifier.build`."""
        first = heads[0]
        first._check_sizes(n_features)
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        encoding = first.encoder_description(n_features)
        share = first._qpu_qubits // first.n_encoders
        encoders = [
            make_circuit(
                encoding,
                f"encoder{e}",
                seeds,
                scales,
                measured=range(share),
                trainable=first.train_circuit,
                dtype=dtype,
            )
            for e in range(first.n_encoders)
        ]
        circuit = make_circuit(
            first.qpu_description(),
            "circuit",
            seeds,
            scales,
            measured=range(first.n_measured),
            trainable=first.train_circuit,
            dtype=dtype,
        )
        readout = StackedLinear(
            first.n_measured, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype
        )
        return SQENetwork(encoders, circuit, readout)

    def encoder_description(self, n_features: int) -> CircuitDescription:
        """Describe one encoder, which reads the embedding."""
        layers = self.n_layers if self.encoder_layers is None else self.encoder_layers
        rings = (
            self.connectivity if self.encoder_connectivity is None else self.encoder_connectivity
        )
        circuit = entangling_circuit(self.n_encoder_qubits, layers, rings)
        return amplitude_encoding(self.n_encoder_qubits, n_features).then(circuit)

    def qpu_description(self) -> CircuitDescription:
        """Describe the second circuit, which reads the encoders' expectations."""
        circuit = entangling_circuit(self._qpu_qubits, self.n_layers, self.connectivity)
        encoding = angle_encoding(self._qpu_qubits, scale=self.angle_scale)
        return reuploading(encoding, circuit, self.n_reuploading).then(circuit)

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take, the encoders staying classical.

        The parameter-shift rule takes two evaluations for each trained angle and each encoded one
        (Mitarai et al. 2018, 10.1103/PhysRevA.98.032309); the derivative by the encoded angles
        trains the encoders.
        """
        angles = self.n_reuploading * self._qpu_qubits + self.qpu_description().n_weights
        circuits = self.n_iter_ * n_train * (1 + 2 * angles * self.train_circuit)
        return Cost(circuits=circuits, shots=circuits * (self.shots or SHOTS_ON_HARDWARE))

    @property
    def _qpu_qubits(self) -> int:
        return self.n_encoder_qubits if self.n_qpu_qubits is None else self.n_qpu_qubits

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        refuse_noise_in_training(self.depolarizing)
        problem = super()._check(X, y, X_val, y_val)
        self._check_sizes(self.n_features_in_)
        return problem

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        # Few centred features, on which scikit-learn scores classifiers, lose their sign here.
        tags.classifier_tags.poor_score = True
        return tags

    def _check_sizes(self, n_features: int) -> None:
        for name in ("n_encoder_qubits", "n_encoders", "n_reuploading"):
            check_whole(name, getattr(self, name))
        room, qpu = 2**self.n_encoder_qubits, self._qpu_qubits
        if n_features > room:
            raise ValueError(
                f"{n_features} features do not fit into the {room} amplitudes of "
                f"n_encoder_qubits={self.n_encoder_qubits}; expected at least "
                f"{(n_features - 1).bit_length()} qubits"
            )
        share, left = divmod(qpu, self.n_encoders)
        if left or not 1 <= share <= self.n_encoder_qubits:
            raise ValueError(
                f"n_qpu_qubits={qpu} with n_encoders={self.n_encoders} of {self.n_encoder_qubits} "
                f"qubits; expected a multiple of {self.n_encoders}, up to "
                f"{self.n_encoders * self.n_encoder_qubits}: an encoder feeds an equal share"
            )
        if not 1 <= self.n_measured <= qpu:
            raise ValueError(f"n_measured={self.n_measured}; expected 1 to n_qpu_qubits={qpu}")


class SQENetwork(MeasuredNetwork):
    """Encoders, second circuit (which is measured), linear readout: (R, n, F) to (R, n, C)."""

    def __init__(
        self, encoders: Sequence[QubitCircuit], circuit: QubitCircuit, readout: nn.Module
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.circuit = circuit
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        angles = self.encode(x)
        measured = self.measurement
        circuit = self.circuit
        z = _in_blocks(circuit, angles) if measured is None else measured.z(circuit, angles, x)
        logits: Tensor = self.readout(z)
        return logits

    def encode(self, x: Tensor) -> Tensor:
        """Return Z of the encoders side by side, (R, n, F) to (R, n, n_qpu_qubits)."""
        empty = ~x.any(-1, keepdim=True)
        if not empty.any():
            return self._encode(x)
        return self._encode(x + empty).masked_fill(empty, 0.0)

    def _encode(self, x: Tensor) -> Tensor:
        encoders = [encoder for encoder in self.encoders if isinstance(encoder, QubitCircuit)]
        return torch.cat([_in_blocks(encoder, x) for encoder in encoders], dim=-1)


def _in_blocks(circuit: QubitCircuit, inputs: Tensor) -> Tensor:
    """Run a few rows at a time where states are large, which is twice as fast from 14 qubits on.

    How many does not depend on the number of copies, so that a stack equals its parts bit by bit.
    """
    size = max(1, _AMPLITUDES // 2**circuit.description.n_qubits)
    if inputs.shape[1] <= size:
        return circuit(inputs)  # type: ignore[no-any-return]
    return torch.cat([circuit(block) for block in torch.split(inputs, size, 1)], 1)


def entangling_circuit(n_qubits: int, n_layers: int, connectivity: int) -> CircuitDescription:
    """RY on every qubit, then layers of rings: CNOT q to q + c, then RY on its target.

    A layer has one ring for each c = 1 .. C, and a ring one pair of gates for each q in order.

    Parameters
    ----------
    n_qubits : int
        Q.
    n_layers : int
        L, 0 for the first rotations alone.
    connectivity : int
        C, 0 to Q - 1.

    Returns
    -------
    CircuitDescription
        With ``Q (1 + L C)`` weights, numbered in the order of the gates.

    Raises
    ------
    ValueError
        If the number of layers is negative, or the connectivity is not 0 to Q - 1.
    """
    if n_layers < 0 or not 0 <= connectivity < n_qubits:
        raise ValueError(
            f"got {n_layers} layers of connectivity {connectivity} on {n_qubits} qubits; expected "
            f"0 layers or more, and connectivity 0 to {n_qubits - 1}"
        )
    rings = [c for _ in range(n_layers) for c in range(1, connectivity + 1)]
    gates: list[Gate] = []
    for ring, c in enumerate(rings, start=1):
        for q in range(n_qubits):
            target = (q + c) % n_qubits
            gates.append(Gate("CNOT", (q, target)))
            gates.append(Gate("RY", (target,), weight(ring * n_qubits + q)))
    first = rotation_layer(n_qubits)
    return CircuitDescription(n_qubits, first.gates + tuple(gates))
