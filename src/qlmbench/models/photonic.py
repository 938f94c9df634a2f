"""The photonic head: a few learned phases, an interferometer, a linear readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement, check_shots
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.models.training import FloatArray
from qlmbench.quantum.fock import Space
from qlmbench.quantum.merlin_backend import MerlinCircuit
from qlmbench.quantum.mesh import Mesh
from qlmbench.quantum.photonic import PhotonicCircuit, Readout
from qlmbench.records import Cost
from qlmbench.seeding import seed_for

SHOTS_ON_HARDWARE = 1000
"""Shots a circuit evaluation that cost tables assume."""


class PhotonicClassifier(StackedClassifier):
    """Linear map to one phase a mode, interferometer - phases - interferometer, linear readout.

    Each phase is ``phase_scale`` times a sigmoid of a learned feature. Photons enter every other
    mode; the readout is linear in the output probabilities.

    Parameters
    ----------
    n_modes : int, default=4
        Modes of the interferometer.
    n_photons : int, default=1
        Photons at its input, at most one a mode.
    n_blocks : int, default=1
        Times that phases are encoded, each followed by an interferometer (data re-uploading).
    space : {"unbunched", "fock"}, default="unbunched"
        Outcomes that are kept: at most one photon a mode (post-selected), or all.
    readout : {"probabilities", "mode_expectations"}, default="probabilities"
        What the linear readout sees.
    n_groups : int or None, default=None
        Sum neighbouring probabilities into so many outputs, so that heads of different numbers of
        photons have equally many; see `PhotonicCircuit`.
    indistinguishability : float, default=1.0
        1: identical photons. 0: distinguishable ones, which do not interfere with each other.
    transmittance : float, default=1.0
        Probability that a photon arrives. In the unbunched space events with a lost photon are
        discarded: there it lowers the surviving mass (see `diagnostics`) and changes no output.
    shots : int or None, default=None
        Measurements of each circuit in evaluation; with post-selection, those that are kept.
        Training is exact, validation included. A row's shots depend on `random_state` and on the
        row alone, not on the rows beside it. Exact probabilities without.
    phase_scale : float, default=pi
        Phase of a fully saturated feature, in radians.
    train_circuit : bool, default=True
        Whether the interferometers are trained, or stay as drawn.
    backend : {"stacked", "merlin"}, default="stacked"
        Our stacked simulator, or merlinquantum's QuantumLayer.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self,
        n_modes: int = 4,
        n_photons: int = 1,
        n_blocks: int = 1,
        space: Space = "unbunched",
        readout: Readout = "probabilities",
        n_groups: int | None = None,
        indistinguishability: float = 1.0,
        phase_scale: float = math.pi,
        train_circuit: bool = True,
        backend: str = "stacked",
        transmittance: float = 1.0,
        shots: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_modes = n_modes
        self.n_photons = n_photons
        self.n_blocks = n_blocks
        self.space = space
        self.readout = readout
        self.n_groups = n_groups
        self.indistinguishability = indistinguishability
        self.phase_scale = phase_scale
        self.train_circuit = train_circuit
        self.backend = backend
        self.transmittance = transmittance
        self.shots = shots

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change."""
        return frozenset({"shots", "indistinguishability", "transmittance", "random_state"})

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> PhotonicNetwork:
        """Make the network; see `StackedClassifier.build`."""
        first = heads[0]
        seeds, scales = [h.random_state for h in heads], [h.init_scale for h in heads]
        circuit = first.make_circuit(seeds, scales, dtype)
        encoder = first.make_encoder(n_features, seeds, scales, dtype)
        readout = StackedLinear(
            circuit.output_size, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype
        )
        return PhotonicNetwork(encoder, circuit, readout)

    def make_encoder(
        self, n_features: int, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> nn.Module:
        """Make the map from features to phases, (R, n, F) to (R, n, n_blocks * n_modes)."""
        n_phases = self.n_blocks * self.n_modes
        linear = StackedLinear(
            n_features, n_phases, seeds=seeds, name="in", scales=scales, dtype=dtype
        )
        return nn.Sequential(linear, Sigmoid(self.phase_scale))

    def make_circuit(
        self, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> PhotonicCircuit | MerlinCircuit:
        """Make the interferometers of a stack."""
        if self.backend not in {"stacked", "merlin"}:
            raise ValueError(f"backend={self.backend!r}; expected 'stacked' or 'merlin'")
        circuit_class: Any = PhotonicCircuit if self.backend == "stacked" else MerlinCircuit
        circuit: PhotonicCircuit | MerlinCircuit = circuit_class(
            self.n_modes,
            self.n_photons,
            repetitions=len(seeds),
            n_blocks=self.n_blocks,
            mesh=self._mesh,
            space=self.space,
            readout=self.readout,
            n_groups=self.n_groups,
            indistinguishability=self.indistinguishability,
            transmittance=self.transmittance,
            trainable=self.train_circuit,
            init_scale=[math.pi * scale for scale in scales],
            seeds=[seed_for("initialisation", seed=s, layer="circuit") for s in seeds],
            dtype=dtype,
        )
        return circuit

    def _check_conditions(self) -> None:
        check_shots(self.shots)
        if self.shots is not None and self.backend == "merlin":
            raise ValueError(
                f"shots={self.shots} with backend='merlin'; expected backend='stacked', or no shots"
            )

    def _evaluation_network(self) -> nn.Module:
        network = super()._evaluation_network()
        if self.shots is None:
            return network
        if not isinstance(network, PhotonicNetwork):
            raise ValueError(
                f"{type(self).__name__} has a network of its own, which draws no shots; leave out "
                f"shots={self.shots}"
            )
        network.measurement = Measurement(self.random_state, self.shots)
        return network

    _mesh: Mesh = "mzi"

    @property
    def stackable(self) -> bool:
        """Whether several of these heads can be one stack: merlin's layers cannot."""
        return self.backend != "merlin"

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Return the probability that post-selection keeps, averaged over rows."""
        if self.backend != "stacked" or self.space != "unbunched":
            return {}
        network = self.network_
        with torch.no_grad():
            phases = network.encoder(torch.tensor(X, dtype=torch.float64)[None])
            return {"surviving_mass": float(network.circuit.surviving_mass(phases).mean())}

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take on a photonic processor.

        A phase that n photons pick up has frequencies up to n, so the parameter-shift rule needs
        2 n evaluations for its derivative (Wierichs et al. 2022, 10.22331/q-2022-03-30-677). The
        derivative by the encoded phases feeds the linear map before them.
        """
        angles = self.network_.circuit.angles
        phases = self.n_blocks * self.n_modes
        shifted = phases + (angles.numel() if self.train_circuit else 0)
        circuits = self.n_iter_ * n_train * (1 + 2 * self.n_photons * shifted)
        return Cost(circuits=circuits, shots=circuits * SHOTS_ON_HARDWARE)


class PhotonicNetwork(nn.Module):
    """Encoder to phases, circuit, linear readout: (R, n, F) to (R, n, C)."""

    def __init__(
        self, encoder: nn.Module, circuit: PhotonicCircuit | MerlinCircuit, readout: nn.Module
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.circuit = circuit
        self.readout = readout
        #: How the circuit is measured; exactly without.
        self.measurement: Measurement | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        phases = self.encoder(x)
        if self.measurement is None:
            outputs = self.circuit(phases)
        else:
            assert isinstance(self.circuit, PhotonicCircuit)  # others are refused with shots
            outputs = self.measurement.outputs(self.circuit, phases, x)
        logits: Tensor = self.readout(outputs)
        return logits


class Sigmoid(nn.Module):
    """A sigmoid times a constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map any value into (0, scale)."""
        return self.scale * torch.sigmoid(x)
