"""Photonic heads of two stages: circuits on the embedding, and a circuit on what they measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self, Unpack

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.measurement import Measurement, check_shots
from qlmbench.models.photonic import SHOTS_ON_HARDWARE, Sigmoid
from qlmbench.models.stacked import StackedClassifier, TrainingOptions
from qlmbench.models.training import FloatArray
from qlmbench.quantum.fock import Space
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.ranges import check_whole
from qlmbench.records import Cost
from qlmbench.seeding import seed_for

FirstStage = tuple[nn.Module, list[PhotonicCircuit], nn.Module]
"""Encoder to phases, circuits, and the map from their outputs to the last circuit's phases."""


class TwoStageClassifier(StackedClassifier):
    """Base of the heads of two stages; a subclass says what the first stage is.

    The embedding is mapped to the phases of the first circuits, their outcome probabilities to the
    phases of a last circuit (interferometer - phases - interferometer), and the probabilities of
    that one to logits. Everything is trained end to end.
    """

    n_modes: int
    n_photons: int
    space: Space
    indistinguishability: float
    phase_scale: float
    train_circuit: bool
    transmittance: float
    shots: int | None

    def make_first_stage(
        self, n_features: int, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> FirstStage:
        """Make what lies between the features and the phases of the last circuit."""
        raise NotImplementedError

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change."""
        return frozenset({"shots", "indistinguishability", "transmittance", "random_state"})

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> TwoStageNetwork:
        """Make the network; see `StackedClassifier.build`."""
        head, seeds = heads[0], [h.random_state for h in heads]
        scales = [h.init_scale for h in heads]
        last = head.make_circuit("last", seeds, scales, dtype)
        readout = StackedLinear(
            last.output_size, n_classes, seeds=seeds, name="out", scales=scales, dtype=dtype
        )
        first = head.make_first_stage(n_features, seeds, scales, dtype)
        return TwoStageNetwork(*first, last, readout)

    def make_circuit(
        self,
        name: str,
        seeds: list[int],
        scales: list[float],
        dtype: torch.dtype,
        *,
        n_blocks: int = 1,
        circuit_class: type[PhotonicCircuit] = PhotonicCircuit,
    ) -> PhotonicCircuit:
        """Make one circuit of a stack; its angles depend on the seeds and on its name."""
        return circuit_class(
            self.n_modes,
            self.n_photons,
            repetitions=len(seeds),
            n_blocks=n_blocks,
            space=self.space,
            indistinguishability=self.indistinguishability,
            transmittance=self.transmittance,
            trainable=self.train_circuit,
            init_scale=[math.pi * scale for scale in scales],
            seeds=[seed_for("initialisation", seed=s, layer=f"circuit {name}") for s in seeds],
            dtype=dtype,
        )

    def _check_conditions(self) -> None:
        check_shots(self.shots)

    def _evaluation_network(self) -> nn.Module:
        network = super()._evaluation_network()
        assert isinstance(network, TwoStageNetwork)
        if self.shots is not None:
            seeds = [
                seed_for("sampling", seed=self.random_state, circuit=number)
                for number in range(len(network.circuits()))
            ]
            network.measurements = [Measurement(seed, self.shots) for seed in seeds]
        return network

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Return the probability that post-selection keeps, averaged over rows and circuits."""
        if self.space != "unbunched":
            return {}
        with torch.no_grad():
            runs = self.network_.runs(torch.tensor(X, dtype=torch.float64)[None])
            kept = [circuit.surviving_mass(phases).mean() for circuit, phases in runs]
        return {"surviving_mass": float(torch.stack(kept).mean())}

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take on a photonic processor.

        Every circuit runs once a row and epoch, and 2 n times more for the derivative by each
        phase and trained angle, as in `PhotonicClassifier.hardware_cost`. The chain rule joins
        the stages: what the last circuit needs of the first ones is their measured outcomes.
        """
        a_row = 0
        for circuit in self.network_.circuits():
            angles = circuit.angles.numel() if self.train_circuit else 0
            phases = circuit.n_blocks * circuit.n_modes
            a_row += 1 + 2 * circuit.n_photons * (phases + angles)
        circuits = self.n_iter_ * n_train * a_row
        return Cost(circuits=circuits, shots=circuits * SHOTS_ON_HARDWARE)


class ParallelPhotonicClassifier(TwoStageClassifier):
    """Circuits side by side, merged by a learned linear map into the phases of a last circuit.

    All circuits have ``n_modes`` modes and one encoding. The linear map sees the probabilities of
    all outcomes, not the mean photon numbers of the modes: in the Fock space those are sums of
    :math:`|A_{jk}|^2` over photons and would be the same without any interference of photons.

    Parameters
    ----------
    n_modes : int, default=4
        Modes of every circuit.
    n_photons : int, default=1
        Photons at the input of every circuit, at most one a mode.
    n_circuits : int, default=2
        Circuits of the first stage.
    own_features : bool, default=False
        Whether each first circuit encodes ``n_modes`` learned features of its own, or all encode
        the same ones.
    space : {"unbunched", "fock"}, default="unbunched"
        Outcomes that are kept: at most one photon a mode (post-selected), or all.
    indistinguishability : float, default=1.0
        1: identical photons. 0: distinguishable ones, which do not interfere with each other.
    phase_scale : float, default=pi
        Phase of a fully saturated feature, in radians.
    train_circuit : bool, default=True
        Whether the interferometers are trained, or stay as drawn.
    transmittance : float, default=1.0
        Probability that a photon arrives, as in `PhotonicClassifier`.
    shots : int or None, default=None
        Measurements of each circuit in evaluation, as in `PhotonicClassifier`: those of the first
        stage set the phases of the last circuit. Training is exact.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self,
        n_modes: int = 4,
        n_photons: int = 1,
        n_circuits: int = 2,
        own_features: bool = False,
        space: Space = "unbunched",
        indistinguishability: float = 1.0,
        phase_scale: float = math.pi,
        train_circuit: bool = True,
        transmittance: float = 1.0,
        shots: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_modes = n_modes
        self.n_photons = n_photons
        self.n_circuits = n_circuits
        self.own_features = own_features
        self.space = space
        self.indistinguishability = indistinguishability
        self.phase_scale = phase_scale
        self.train_circuit = train_circuit
        self.transmittance = transmittance
        self.shots = shots

    def make_first_stage(
        self, n_features: int, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> FirstStage:
        """Make the circuits side by side and the linear map that merges them."""
        check_whole("n_circuits", self.n_circuits)
        names = [f"first {number}" for number in range(self.n_circuits)]
        circuits = [self.make_circuit(name, seeds, scales, dtype) for name in names]
        n_phases = self.n_modes * (self.n_circuits if self.own_features else 1)
        linear = StackedLinear(
            n_features, n_phases, seeds=seeds, name="in", scales=scales, dtype=dtype
        )
        n_outcomes = circuits[0].output_size
        merge = StackedLinear(
            self.n_circuits * n_outcomes,
            self.n_modes,
            seeds=seeds,
            name="merge",
            scales=scales,
            dtype=dtype,
        )
        return (
            nn.Sequential(linear, Sigmoid(self.phase_scale)),
            circuits,
            # Probabilities times their number are 1 on average, whatever the size of the space;
            # unscaled, dozens of them would start as phases that hardly depend on the row.
            nn.Sequential(Times(n_outcomes), merge, Sigmoid(self.phase_scale)),
        )


class ExpectationPhotonicClassifier(TwoStageClassifier):
    """A deeper circuit, read by the clicks of its modes, each the phase of a mode of the last one.

    The embedding is mapped to ``n_blocks`` times ``n_modes`` learned features, each the phase of
    one mode in one block. Of the first circuit's outcomes each mode keeps the probability that at
    least one photon leaves in it; ``phase_scale`` times this is the phase of that mode in the last
    circuit. Between the circuits nothing is trained.

    Parameters
    ----------
    n_modes : int, default=4
        Modes of both circuits.
    n_photons : int, default=1
        Photons at the input of both circuits, at most one a mode.
    n_blocks : int, default=2
        Times that the first circuit encodes phases, each followed by an interferometer.
    space : {"unbunched", "fock"}, default="fock"
        Outcomes that are kept: at most one photon a mode (post-selected), or all.
    indistinguishability : float, default=1.0
        1: identical photons. 0: distinguishable ones, which do not interfere with each other.
    phase_scale : float, default=pi
        Phase of a fully saturated feature and of a certain click, in radians.
    train_circuit : bool, default=True
        Whether the interferometers are trained, or stay as drawn.
    transmittance : float, default=1.0
        Probability that a photon arrives, as in `PhotonicClassifier`.
    shots : int or None, default=None
        Measurements of each circuit in evaluation, as in `PhotonicClassifier`: those of the first
        stage set the phases of the last circuit. Training is exact.
    **training
        See `StackedClassifier`.
    """

    def __init__(
        self,
        n_modes: int = 4,
        n_photons: int = 1,
        n_blocks: int = 2,
        space: Space = "fock",
        indistinguishability: float = 1.0,
        phase_scale: float = math.pi,
        train_circuit: bool = True,
        transmittance: float = 1.0,
        shots: int | None = None,
        **training: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(**training)
        self.n_modes = n_modes
        self.n_photons = n_photons
        self.n_blocks = n_blocks
        self.space = space
        self.indistinguishability = indistinguishability
        self.phase_scale = phase_scale
        self.train_circuit = train_circuit
        self.transmittance = transmittance
        self.shots = shots

    def make_first_stage(
        self, n_features: int, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> FirstStage:
        """Make the deeper circuit and the fixed map from its clicks to phases."""
        circuit = self.make_circuit(
            "first", seeds, scales, dtype, n_blocks=self.n_blocks, circuit_class=ClickCircuit
        )
        n_phases = self.n_blocks * self.n_modes
        linear = StackedLinear(
            n_features, n_phases, seeds=seeds, name="in", scales=scales, dtype=dtype
        )
        encoder = nn.Sequential(linear, Sigmoid(self.phase_scale))
        return encoder, [circuit], Times(self.phase_scale)


class ClickCircuit(PhotonicCircuit):
    """A circuit read by detectors that click or not: probabilities of a photon in each mode.

    The outputs, [R, B, n_modes], are the probabilities that at least one photon leaves in a mode.
    With at most one photon a mode they are the mean photon numbers.
    """

    def _readout_matrix(self, dtype: torch.dtype) -> Tensor:
        return (torch.tensor(self.state_space()) > 0).to(dtype)


class TwoStageNetwork(nn.Module):
    """First stage, last circuit, linear readout: (R, n, F) to (R, n, C).

    Parameters
    ----------
    encoder : torch.nn.Module
        From features to the phases of the first circuits: those of one, which all then share, or
        those of all, one after the other.
    circuits : sequence of PhotonicCircuit
        One or more, of one shape.
    merge : torch.nn.Module
        From the outputs of the first circuits, one after the other, to the last one's phases.
    circuit : PhotonicCircuit
        The last one.
    readout : torch.nn.Module
        From its outputs to logits.
    """

    def __init__(
        self,
        encoder: nn.Module,
        circuits: Sequence[PhotonicCircuit],
        merge: nn.Module,
        circuit: PhotonicCircuit,
        readout: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.circuits_first = nn.ModuleList(circuits)
        self.merge = merge
        self.circuit = circuit
        self.readout = readout
        #: How each circuit is measured; exactly without.
        self.measurements: list[Measurement] | None = None

    def circuits(self) -> list[PhotonicCircuit]:
        """List all circuits, the last one last."""
        return [*self.circuits_first, self.circuit]

    def runs(self, x: Tensor) -> list[tuple[PhotonicCircuit, Tensor]]:
        """Pair every circuit with the phases (R, n, n_blocks * n_modes) that it encodes."""
        *first, last = self.circuits()
        width = first[0].n_blocks * first[0].n_modes
        parts = torch.split(self.encoder(x), width, dim=-1)
        if len(parts) == 1:
            parts = parts * len(first)
        outputs = [self._measured(i, phases, x) for i, phases in enumerate(parts)]
        merged: Tensor = self.merge(torch.cat(outputs, dim=-1))
        return [*zip(first, parts, strict=True), (last, merged)]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        _, phases = self.runs(x)[-1]
        logits: Tensor = self.readout(self._measured(-1, phases, x))
        return logits

    def _measured(self, number: int, phases: Tensor, x: Tensor) -> Tensor:
        """Run one circuit; where shots are drawn, a row's depend on its features x alone."""
        circuit = self.circuits()[number]
        if self.measurements is None:
            outputs: Tensor = circuit(phases)
            return outputs
        return self.measurements[number].outputs(circuit, phases, x)


class Times(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the multiple."""
        return self.factor * x
