"""A photonic circuit as a torch module, stacked over repetitions."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from qlmbench.quantum.fock import SPACES, Space, State, fock_states, ladder, space_size
from qlmbench.quantum.fock_autograd import fock_coefficients, fock_probabilities
from qlmbench.quantum.mesh import MESHES, Mesh, mesh_size, mesh_unitaries
from qlmbench.quantum.photonic_checks import (
    checked_input_state,
    per_repetition,
)
from qlmbench.quantum.photonic_noise import (
    MAX_PARTIAL_PHOTONS,
    lose_photons,
    lossy_states,
    noisy_probabilities,
    sample_frequencies,
)
from qlmbench.quantum.transfer import transfer_amplitudes
from qlmbench.ranges import check_choice, check_share, check_whole

if TYPE_CHECKING:
    import perceval
    from merlin import QuantumLayer

Readout = Literal["probabilities", "mode_expectations", "amplitudes"]
READOUTS: tuple[Readout, ...] = ("probabilities", "mode_expectations", "amplitudes")


class PhotonicCircuit(torch.nn.Module):
    r"""Interferometer, phase encoding, interferometer, ... measured in Fock states.

    R circuits of the same shape, the *repetitions*, live in one module and are computed together;
    they share nothing, and repetition r behaves as a circuit built alone with ``seeds[r]``.

    Parameters
    ----------
    n_modes : int
        Number of modes m, at least 2.
    n_photons : int, optional
        Number of photons n, 1 to m. Default: as many as ``input_state`` has, else m // 2.
    repetitions : int
        Number of circuits R.
    input_state : sequence of int, optional
        Photons in each mode, at most one. Default: merlin's spaced state, such as |1,0,1,0>.
    n_blocks : int
        Number of times that (one phase a mode, mesh) follows the first mesh; more than one
        re-uploads data.
    mesh : {"mzi", "mzi+phases"}
        m (m - 1) angles a mesh, as merlin's entangling layer; or m more, one phase a mode after
        each mesh.
    space : {"unbunched", "fock"}
        Outputs with at most one photon a mode, that is, post-selected; or all outputs.
    readout : {"probabilities", "mode_expectations", "amplitudes"}
        One real number a state, one mean photon number a mode, or one complex number a state.
    n_groups : int, optional
        Sum neighbouring probabilities into this many outputs, in buckets of equal size (the last
        may be smaller), as merlin's LexGrouping.
    indistinguishability : float
        1 for ideal photons, 0 for distinguishable ones; see ``noisy_probabilities``.
    transmittance : float
        Probability that a photon arrives. In the Fock space the outputs then are the states of n,
        n - 1, ... 0 photons. The unbunched space keeps only events with all n photons, so that
        there it lowers ``surviving_mass`` and changes the probabilities only where
        ``renormalise`` is False.
    shots : int, optional
        Replace the probabilities by frequencies of this many shots, in training too; the gradient
        stays that of the exact probabilities. With ``renormalise`` they are the shots that survive
        the post-selection, without it those that are sent.
    trainable : bool
        False freezes the random interferometers.
    init_scale : float or sequence of float
        Standard deviation of the normal distribution that the angles start from, in radians; a
        sequence has one value a repetition.
    seeds : sequence of int, optional
        One a repetition, for its angles. Default: 0 to R - 1.
    sampling_seeds : sequence of int, optional
        One a repetition, for its shots. Default: ``seeds``.
    renormalise : bool
        Divide unbunched outputs by the surviving mass, as merlin does.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    angles : torch.nn.Parameter
        [R, n_blocks + 1, angles of a mesh] in radians, in merlin's order.
    output_size : int
        Number of outputs of a sample.

    Raises
    ------
    ValueError
        If the sizes do not fit each other, or an option is out of its range.
    """

    occupied: Tensor
    readout_matrix: Tensor | None

    def __init__(
        self,
        n_modes: int,
        n_photons: int | None = None,
        *,
        repetitions: int = 1,
        input_state: Sequence[int] | None = None,
        n_blocks: int = 1,
        mesh: Mesh = "mzi",
        space: Space = "unbunched",
        readout: Readout = "probabilities",
        n_groups: int | None = None,
        indistinguishability: float = 1.0,
        transmittance: float = 1.0,
        shots: int | None = None,
        trainable: bool = True,
        init_scale: float | Sequence[float] = math.pi,
        seeds: Sequence[int] | None = None,
        sampling_seeds: Sequence[int] | None = None,
        renormalise: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_whole("n_modes", n_modes, 2)
        check_whole("repetitions", repetitions)
        check_whole("n_blocks", n_blocks)
        check_choice("mesh", mesh, MESHES)
        check_choice("space", space, SPACES)
        check_choice("readout", readout, READOUTS)
        check_choice("dtype", dtype, (torch.float32, torch.float64))
        check_share("indistinguishability", indistinguishability)
        check_share("transmittance", transmittance)
        self.n_modes = n_modes
        self.input_state = checked_input_state(n_modes, n_photons, input_state)
        self.n_photons = sum(self.input_state)
        self.repetitions = repetitions
        self.n_blocks = n_blocks
        self.mesh: Mesh = mesh
        self.space: Space = space
        self.readout: Readout = readout
        self.n_groups = n_groups
        self.indistinguishability = float(indistinguishability)
        self.transmittance = float(transmittance)
        self.shots = shots
        self.renormalise = renormalise and space == "unbunched"
        self.seeds = per_repetition("seeds", seeds, range(repetitions))
        self.sampling_seeds = per_repetition("sampling_seeds", sampling_seeds, self.seeds)
        self._check_options()
        self._generators = [np.random.default_rng(seed) for seed in self.sampling_seeds]
        self.angles = torch.nn.Parameter(
            self._initial_angles(init_scale, dtype), requires_grad=trainable
        )
        occupied = torch.tensor(self.input_state).nonzero().flatten()
        self.register_buffer("occupied", occupied, persistent=False)
        self.register_buffer("readout_matrix", self._readout_matrix(dtype), persistent=False)
        matrix = self.readout_matrix
        self.output_size = self.n_states if matrix is None else matrix.shape[1]

    def forward(self, phases: Tensor) -> Tensor:
        """Run every repetition on its own samples.

        Parameters
        ----------
        phases : Tensor
            [R, B, n_blocks * n_modes] in radians; block l encodes entries ``l * m`` to
            ``(l + 1) * m``, one a mode.

        Returns
        -------
        Tensor
            [R, B, output_size]; complex for amplitudes, else real.

        Raises
        ------
        ValueError
            If the shape or the dtype does not fit, or shots are asked of a sample of which no
            event survives.
        """
        if self.readout == "amplitudes":
            return self._amplitudes(self._transfer(phases))
        probs = self.probabilities(phases)
        if self.shots is not None:
            complete = self.renormalise or self.space == "fock"
            probs = sample_frequencies(probs, self.shots, self._generators, complete)
        return probs if self.readout_matrix is None else probs @ self.readout_matrix

    def probabilities(self, phases: Tensor) -> Tensor:
        """Return the exact probabilities [R, B, n_states], whatever the readout."""
        transfer = self._transfer(phases)
        if self.indistinguishability == 1 and self.transmittance == 1:
            return fock_probabilities(transfer, self.space, self.renormalise)
        probs = self._unnormalised(transfer)
        return probs / _divisor(probs) if self.renormalise else probs

    def surviving_mass(self, phases: Tensor) -> Tensor:
        """Return the probability [R, B] of being in the space, before any renormalisation.

        Without losses it is 1 in the Fock space; in the unbunched space it is the probability that
        all n photons arrive, in n different modes.
        """
        return self._unnormalised(self._transfer(phases)).sum(-1)

    def unitaries(self) -> Tensor:
        """Return the unitary of every mesh, complex [R, n_blocks + 1, m, m]."""
        return mesh_unitaries(self.angles, self.n_modes, self.mesh)

    @property
    def n_states(self) -> int:
        """Number of states that have a probability."""
        if self.space == "fock" and self.transmittance < 1:
            return sum(space_size(self.n_modes, k, "fock") for k in range(self.n_photons + 1))
        return space_size(self.n_modes, self.n_photons, self.space)

    def state_space(self) -> list[State]:
        """List the Fock states in the order of the probabilities: merlin's and Perceval's."""
        if self.space == "fock" and self.transmittance < 1:
            return lossy_states(self.n_modes, self.n_photons)
        return fock_states(self.n_modes, self.n_photons, self.space)

    def to_perceval(
        self, repetition: int = 0, phases: Tensor | Sequence[float] | None = None
    ) -> "perceval.Circuit":
        """Export one repetition with its trained values; see ``photonic_views.to_perceval``."""
        from qlmbench.quantum import photonic_views

        return photonic_views.to_perceval(self, repetition, phases)

    def to_merlin(self, repetition: int = 0) -> "QuantumLayer":
        """Export one repetition as a merlin layer; see ``photonic_views.to_merlin``."""
        from qlmbench.quantum import photonic_views

        return photonic_views.to_merlin(self, repetition)

    @classmethod
    def from_merlin(
        cls, layers: "QuantumLayer | Sequence[QuantumLayer]", **options: Any
    ) -> "PhotonicCircuit":
        """Stack merlin layers, one a repetition; see ``photonic_views.from_merlin``."""
        from qlmbench.quantum import photonic_views

        return photonic_views.from_merlin(layers, **options)

    def draw(self, path: str | Path, repetition: int = 0) -> None:
        """Draw one repetition into an SVG or PNG file; see ``photonic_views.draw``."""
        from qlmbench.quantum import photonic_views

        photonic_views.draw(self, path, repetition)

    def extra_repr(self) -> str:
        """Describe the circuit in one line."""
        state = ",".join(map(str, self.input_state))
        return (
            f"{self.repetitions} x |{state}>, {self.n_blocks} encodings, mesh={self.mesh}, "
            f"space={self.space}, readout={self.readout}, outputs={self.output_size}"
        )

    def _transfer(self, phases: Tensor) -> Tensor:
        self._check_phases(phases)
        return transfer_amplitudes(self.unitaries(), phases, self.occupied)

    def _amplitudes(self, transfer: Tensor) -> Tensor:
        amplitudes = fock_coefficients(transfer, self.space)
        if self.space == "fock":
            weights = ladder(self.n_modes, self.n_photons, "fock", transfer.device).bunching
            assert weights is not None  # a Fock ladder has them
            return amplitudes * weights.sqrt().to(self.angles.dtype)
        if not self.renormalise:
            return amplitudes
        return amplitudes / _divisor(amplitudes.abs().square()).sqrt()

    def _unnormalised(self, transfer: Tensor) -> Tensor:
        probs = noisy_probabilities(transfer, self.space, self.indistinguishability)
        if self.transmittance == 1:
            return probs
        if self.space == "unbunched":
            return probs * self.transmittance**self.n_photons
        return lose_photons(probs, self.n_modes, self.n_photons, self.transmittance)

    def _initial_angles(self, init_scale: float | Sequence[float], dtype: torch.dtype) -> Tensor:
        if isinstance(init_scale, int | float):
            init_scale = [init_scale] * self.repetitions
        scales = [float(scale) for scale in init_scale]
        if len(scales) != self.repetitions or min(scales) < 0:
            raise ValueError(
                f"init_scale={init_scale}; expected one number of at least 0, or "
                f"{self.repetitions} of them, one a repetition"
            )
        shape = (self.n_blocks + 1, mesh_size(self.n_modes, self.mesh))
        generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        # drawn in float64, so that both precisions start from the same angles
        draws = [torch.randn(shape, generator=g, dtype=torch.float64) for g in generators]
        return torch.stack([s * draw for s, draw in zip(scales, draws, strict=True)]).to(dtype)

    def _readout_matrix(self, dtype: torch.dtype) -> Tensor | None:
        """Return the matrix [states, outputs] that takes probabilities to outputs, if any."""
        if self.readout == "mode_expectations":
            return torch.tensor(self.state_space(), dtype=dtype)
        if self.n_groups is None:
            return None
        size = self.n_states
        bucket = -(-size // self.n_groups)
        filled = -(-size // bucket)
        if filled < self.n_groups:
            raise ValueError(
                f"n_groups={self.n_groups}, but {size} states in buckets of {bucket} fill only "
                f"{filled} groups; take n_groups={filled}"
            )
        return torch.eye(filled, dtype=dtype).repeat_interleave(bucket, dim=0)[:size]

    def _check_options(self) -> None:
        check_whole("shots", self.shots, or_none=True)
        if self.n_groups is not None:
            check_whole("n_groups", self.n_groups)
            if self.readout != "probabilities":
                raise ValueError(
                    f"n_groups sums probabilities, but readout={self.readout!r}; leave "
                    "n_groups out or take readout='probabilities'"
                )
        noisy = self.indistinguishability < 1 or self.transmittance < 1
        if self.readout == "amplitudes" and (noisy or self.shots is not None):
            raise ValueError(
                "amplitudes exist for ideal photons only; with shots, indistinguishability or "
                "transmittance take readout='probabilities' or 'mode_expectations'"
            )
        partial = 0 < self.indistinguishability < 1
        if partial and self.n_photons > MAX_PARTIAL_PHOTONS:
            raise ValueError(
                f"indistinguishability={self.indistinguishability} with {self.n_photons} "
                f"photons; values between 0 and 1 are for at most {MAX_PARTIAL_PHOTONS} photons"
            )

    def _check_phases(self, phases: Tensor) -> None:
        width = self.n_blocks * self.n_modes
        if phases.dim() != 3 or phases.shape[0] != self.repetitions or phases.shape[2] != width:
            raise ValueError(
                f"phases have shape {tuple(phases.shape)}; expected [{self.repetitions}, batch, "
                f"{width}]: repetitions, samples, {self.n_blocks} encodings of {self.n_modes} modes"
            )
        if phases.dtype != self.angles.dtype:
            raise ValueError(
                f"phases are {phases.dtype}, the circuit computes in {self.angles.dtype}; convert "
                "the phases, or give the circuit dtype="
            )


def _divisor(probs: Tensor) -> Tensor:
    """Sum over the states; infinite instead of zero, so that nothing divided by it is nothing."""
    mass = probs.sum(-1, keepdim=True)
    return mass.masked_fill(mass == 0, torch.inf)
