"""How a trained circuit is evaluated: exactly, from finitely many shots, with noisy gates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.quantum.photonic_noise import sample_frequencies
from qlmbench.quantum.qubit_noise import noisy_probabilities, z_expectations
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_share, check_whole
from qlmbench.seeding import seed_for


@dataclass(frozen=True)
class Measurement:
    """Conditions of the evaluation of one trained head.

    Attributes
    ----------
    random_state : int
        Seed of shots and errors.
    shots : int or None
        Measurements of each circuit; exact without.
    depolarizing : float
        Probability of a Pauli error on each qubit after each gate that touches it.
    n_trajectories : int or None
        Error patterns averaged over; see `qlmbench.quantum.qubit_noise.noisy_probabilities`.
    """

    random_state: int
    shots: int | None = None
    depolarizing: float = 0.0
    n_trajectories: int | None = None

    def frequencies(self, probabilities: Tensor, rows: Tensor) -> Tensor:
        """Replace probabilities by what the shots find.

        Parameters
        ----------
        probabilities : Tensor, ``[R, n, outcomes]``
            Exact, each row with the sum 1.
        rows : Tensor, ``[R, n, n_features]``
            The head's input. A row's draws depend on the seed and on its own numbers alone: they
            are the same in any batch, and equal rows draw equally.

        Returns
        -------
        Tensor, ``[R, n, outcomes]``
        """
        if self.shots is None:
            return probabilities
        seed = seed_for("sampling", seed=self.random_state, purpose="shots")
        generators = row_generators(rows.flatten(0, 1), seed)
        # One row is one circuit with a generator of its own.
        each = probabilities.flatten(0, 1).unsqueeze(1)
        return sample_frequencies(each, self.shots, generators, True).view_as(probabilities)

    def outputs(self, circuit: PhotonicCircuit, phases: Tensor, rows: Tensor) -> Tensor:
        """Return the outputs of a photonic circuit, ``[R, n, outputs]``, with its outcomes drawn.

        Parameters
        ----------
        circuit : PhotonicCircuit
            The trained circuit.
        phases : Tensor, ``[R, n, n_blocks * n_modes]``
            Its inputs.
        rows : Tensor, ``[R, n, n_features]``
            The head's input, for `frequencies`.
        """
        drawn = self.frequencies(circuit.probabilities(phases), rows)
        return drawn if circuit.readout_matrix is None else drawn @ circuit.readout_matrix

    def z(self, circuit: QubitCircuit, angles: Tensor, rows: Tensor) -> Tensor:
        """Z of every measured wire, ``[R, n, wires]``, all wires measured in the same shots.

        Parameters
        ----------
        circuit : QubitCircuit
            The trained circuit.
        angles : Tensor, ``[R, n, n_inputs]``
            Its inputs.
        rows : Tensor, ``[R, n, n_features]``
            The head's input, for `frequencies`.
        """
        seed = seed_for("sampling", seed=self.random_state, purpose="gate errors")
        probabilities = noisy_probabilities(
            circuit,
            angles,
            self.depolarizing,
            n_trajectories=self.n_trajectories,
            seeds=[seed] * circuit.repetitions,
        )
        return z_expectations(self.frequencies(probabilities, rows))


def row_generators(rows: Tensor, seed: int) -> list[np.random.Generator]:
    """Make one generator a row, which depends on the seed and the row's numbers alone.

    Parameters
    ----------
    rows : Tensor, ``[n, n_features]``
    seed : int
    """
    # Adding zero makes one of the two floating-point zeros.
    table = rows.detach().cpu().to(torch.float64).add(0.0).numpy()
    key = seed.to_bytes(8, "little")
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16, key=key).digest() for row in table]
    return [np.random.Generator(np.random.Philox(key=int.from_bytes(d, "little"))) for d in digests]


def check_shots(shots: int | None) -> None:
    """Raise ValueError unless there is at least one shot, or None for exact."""
    check_whole("shots", shots, or_none=True)


def check_noise(depolarizing: float, n_trajectories: int | None) -> None:
    """Raise ValueError unless these are a probability, and a number of trajectories or None."""
    check_share("depolarizing", depolarizing)
    check_whole("n_trajectories", n_trajectories, or_none=True)
