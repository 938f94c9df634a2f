"""Photonic circuits in the place of a bottleneck."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.adapters.one_photon import one_photon_probabilities
from qlmbench.quantum.mesh import mesh_pairs, mesh_size, mesh_unitaries
from qlmbench.quantum.photonic import PhotonicCircuit

if TYPE_CHECKING:
    import perceval
    from merlin import QuantumLayer

COLUMNS = 2
"""Columns of a shallow mesh: every pair of neighbours once."""


class ShallowCircuit(PhotonicCircuit):
    """A photonic circuit whose meshes are cut after two columns of interferometers.

    A photon then reaches its neighbours only: a phase on a mode that no photon reaches before it is
    encoded does nothing, so that one photon in many modes wants more than one encoding.

    Parameters
    ----------
    n_modes, n_photons : int
        Number of modes and of photons.
    **options
        Further arguments of `PhotonicCircuit`; ``mesh`` is "mzi".

    Attributes
    ----------
    angles : torch.nn.Parameter
        [R, n_blocks + 1, 2 (m - 1)] in radians; half of that where m is 2.
    """

    def __init__(self, n_modes: int, n_photons: int, **options: Any) -> None:
        super().__init__(n_modes, n_photons, mesh="mzi", **options)
        kept = 2 * sum(map(len, mesh_pairs(n_modes)[:COLUMNS]))
        first = self.angles.detach()[..., :kept].clone()
        self.angles = nn.Parameter(first, requires_grad=self.angles.requires_grad)

    def unitaries(self) -> Tensor:
        """Return the unitary of every mesh, complex [R, n_blocks + 1, m, m]."""
        return mesh_unitaries(self._all_angles(), self.n_modes, self.mesh)

    def completed(self) -> PhotonicCircuit:
        """Return the same circuit with whole meshes, whose further interferometers do nothing."""
        circuit = PhotonicCircuit(
            self.n_modes,
            self.n_photons,
            repetitions=self.repetitions,
            input_state=self.input_state,
            n_blocks=self.n_blocks,
            space=self.space,
            readout=self.readout,
            n_groups=self.n_groups,
            indistinguishability=self.indistinguishability,
            transmittance=self.transmittance,
            dtype=self.angles.dtype,
        )
        with torch.no_grad():
            circuit.angles.copy_(self._all_angles())
        return circuit

    def to_perceval(
        self, repetition: int = 0, phases: Tensor | Sequence[float] | None = None
    ) -> perceval.Circuit:
        """Export the completed circuit; see `PhotonicCircuit.to_perceval`."""
        return self.completed().to_perceval(repetition, phases)

    def to_merlin(self, repetition: int = 0) -> QuantumLayer:
        """Export the completed circuit; see `PhotonicCircuit.to_merlin`."""
        return self.completed().to_merlin(repetition)

    def draw(self, path: str | Path, repetition: int = 0) -> None:
        """Draw the completed circuit; see `PhotonicCircuit.draw`."""
        self.completed().draw(path, repetition)

    def _all_angles(self) -> Tensor:
        # Inner and outer phase pi make an interferometer the identity.
        missing = mesh_size(self.n_modes, self.mesh) - self.angles.shape[-1]
        return nn.functional.pad(self.angles, (0, missing), value=math.pi)


def make_circuit(config: QuantumLoRAConfig, seed: int, dtype: torch.dtype) -> PhotonicCircuit:
    """Make the circuit that the settings describe.

    Parameters
    ----------
    config : QuantumLoRAConfig
        With a photonic bottleneck and an ansatz that is not "custom".
    seed : int
        Of the initial angles.
    dtype : torch.dtype
        float32 or float64.
    """
    build: Callable[..., PhotonicCircuit] = PhotonicCircuit
    if config.ansatz == "hardware_efficient":
        build = ShallowCircuit
    expectations = config.readout == "mode_expectations"
    return build(
        config.r,
        config.n_photons,
        n_blocks=config.encodings,
        space=config.space,
        readout="mode_expectations" if expectations else "probabilities",
        indistinguishability=config.indistinguishability,
        trainable=config.train_circuit,
        seeds=[seed],
        dtype=dtype,
    )


class PhotonicBottleneck(nn.Module):
    """One circuit between Down and Up, always computed in single or double precision.

    Half precision would round phases by hundredths of a radian, so that neither autocast nor a
    conversion of the whole model reaches the angles.

    Parameters
    ----------
    circuit : PhotonicCircuit
        Of one repetition, real outputs. Every encoding gets the same values.
    n_groups : int, optional
        Sum neighbouring outputs into this many groups of nearly equal size.
    """

    grouping: Tensor | None

    def __init__(self, circuit: PhotonicCircuit, n_groups: int | None = None) -> None:
        super().__init__()
        self.circuit = circuit
        matrix = None if n_groups is None else grouping_matrix(circuit.output_size, n_groups)
        self.register_buffer(
            "grouping", None if matrix is None else matrix.to(circuit.angles), persistent=False
        )
        self.n_out = circuit.output_size if n_groups is None else n_groups

    def forward(self, values: Tensor) -> Tensor:
        """Map phases in radians, (N, r), to outputs (N, n_out) in the circuit's precision."""
        circuit = self.circuit
        with torch.autocast(values.device.type, enabled=False):
            phases = values.to(circuit.angles.dtype).repeat(1, circuit.n_blocks)
            outputs = self._one_photon(phases) if self._closed_form else circuit(phases[None])[0]
            return outputs if self.grouping is None else outputs @ self.grouping

    @property
    def _closed_form(self) -> bool:
        c = self.circuit
        return c.n_photons == 1 and c.shots is None and c.transmittance == 1

    def _one_photon(self, phases: Tensor) -> Tensor:
        circuit = self.circuit
        probabilities = one_photon_probabilities(circuit.unitaries(), phases, circuit.occupied)
        # The mean photon numbers of one photon are its probabilities.
        matrix = circuit.readout_matrix
        whole = matrix is None or circuit.readout == "mode_expectations"
        return probabilities if whole or matrix is None else probabilities @ matrix

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PhotonicBottleneck:
        super()._apply(keep_precision(fn), recurse)  # type: ignore[no-untyped-call]
        return self


def keep_precision(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Let a conversion of a whole model move tensors, but not round them to half precision."""

    def kept(tensor: Tensor) -> Tensor:
        moved = fn(tensor)
        half = moved.is_floating_point() and moved.dtype not in (torch.float32, torch.float64)
        return tensor.to(moved.device) if half else moved

    return kept


def grouping_matrix(n_states: int, n_groups: int) -> Tensor:
    """Return zeros and ones [n_states, n_groups]: neighbours together, sizes equal up to one.

    Merlin's grouping makes all groups but the last equally large, and so leaves some empty where
    the numbers do not divide: 6 outcomes do not fill 4 groups of 2.
    """
    group = torch.arange(n_states) * n_groups // n_states
    return nn.functional.one_hot(group, n_groups)
