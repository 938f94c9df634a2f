"""Depolarising noise on qubit circuits: exact for few qubits, by random Pauli errors for many.

After every gate, each qubit that it touched suffers X, Y or Z with probability p / 3 each: the
convention of PennyLane's ``DepolarizingChannel(p)``. The loading of amplitudes counts as one gate.

A Pauli error can be moved behind every gate that follows it: CNOT and its kin make other Paulis of
it, and a rotation that it does not commute with turns the other way instead (as in the Pauli-frame
simulation of stabiliser circuits, e.g. Gidney 2021, DOI 10.22331/q-2021-07-06-497). A trajectory is
therefore the same circuit with some angles negated and some outcomes flipped. Real circuits stay
real, and trajectories run side by side as repetitions do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription, Gate, feature, weight
from qlmbench.quantum.qubit_pauli import pauli_probabilities
from qlmbench.quantum.qubit_simulator import Simulator
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.ranges import check_share, check_whole

MAX_EXACT_QUBITS = 6
"""Up to here noise is computed exactly unless a number of trajectories is given."""

DEFAULT_TRAJECTORIES = 100
"""Trajectories beyond that, unless their number is given."""

Bits = NDArray[np.bool_]

# Keeps the stream of errors apart from the streams of weights and shots with the same seed.
_ERROR_STREAM = 0xE440
# Amplitudes that the states of one pass may hold, 32 MiB of them.
_AMPLITUDES = 2**22


@torch.no_grad()
def noisy_probabilities(
    circuit: QubitCircuit,
    inputs: Tensor,
    depolarizing: float,
    *,
    n_trajectories: int | None = None,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """Outcome probabilities of the measured wires under depolarising noise, without gradient.

    Parameters
    ----------
    circuit : QubitCircuit
        The circuit; its own shots, readout and way of differentiating play no role.
    inputs : Tensor, ``[R, B, n_inputs]``
        As for the circuit.
    depolarizing : float
        p, from 0 to 1.
    n_trajectories : int, optional
        Number of random error patterns to average over. Left out, the result is exact up to
        `MAX_EXACT_QUBITS` qubits, and the mean of `DEFAULT_TRAJECTORIES` beyond.
    seeds : sequence of int, optional
        One a repetition, for its errors; the circuit's own by default. All samples of a repetition
        see the same error patterns, so that a sample's result does not depend on its neighbours.

    Returns
    -------
    Tensor, ``[R, B, 2 ** m]``
        In float64, the first measured wire most significant. The mean over trajectories is
        unbiased, with a standard error that falls with the root of their number.

    Raises
    ------
    ValueError
        If an argument is out of its range, the inputs do not fit, or trajectories are asked of a
        circuit with T or CSWAP, behind which a Pauli error is no Pauli error any more.
    """
    check_share("depolarizing", depolarizing)
    check_whole("n_trajectories", n_trajectories, or_none=True)
    seeds = circuit.seeds if seeds is None else seeds
    if len(seeds) != circuit.repetitions:
        raise ValueError(
            f"got {len(seeds)} seeds; expected {circuit.repetitions}, one a repetition"
        )
    description = circuit.description
    expected = (circuit.repetitions, description.n_inputs)
    if inputs.dim() != 3 or (inputs.shape[0], inputs.shape[2]) != expected:
        raise ValueError(
            f"got inputs of shape {list(inputs.shape)}; expected [repetitions, samples, inputs] = "
            f"[{expected[0]}, any, {expected[1]}]"
        )
    rows = []
    exact = n_trajectories is None and description.n_qubits <= MAX_EXACT_QUBITS
    for angles, samples, seed in zip(circuit.weights.double(), inputs.double(), seeds, strict=True):
        if exact and depolarizing > 0:
            rows.append(
                pauli_probabilities(description, angles, samples, circuit.measured, depolarizing)
            )
            continue
        rng = np.random.default_rng([_ERROR_STREAM, seed])
        errors = _Errors.draw(
            description, depolarizing, n_trajectories or DEFAULT_TRAJECTORIES, rng
        )
        rows.append(_mean(description, angles, samples, circuit.measured, errors))
    return torch.stack(rows)


def z_expectations(probabilities: Tensor) -> Tensor:
    """Z of every measured wire, ``[..., 2 ** m]`` to ``[..., m]``, from joint probabilities."""
    n_wires = probabilities.shape[-1].bit_length() - 1
    outcomes = torch.arange(probabilities.shape[-1])
    bits = [(outcomes >> (n_wires - 1 - w)) & 1 for w in range(n_wires)]
    return probabilities @ (1 - 2 * torch.stack(bits, 1)).to(probabilities.dtype)


@dataclass(frozen=True)
class _Errors:
    """Error patterns, moved to the end of the circuit.

    ``turns`` ``[T, rotations]`` says which rotations turn the other way, ``flips``
    ``[T, n_qubits]`` which outcomes are flipped, and ``shares`` ``[T]`` how often a pattern came.
    """

    turns: Bits
    flips: Bits
    shares: NDArray[np.float64]

    @classmethod
    def draw(
        cls,
        description: CircuitDescription,
        depolarizing: float,
        n_trajectories: int,
        rng: np.random.Generator,
    ) -> _Errors:
        places = sum(len(gate.wires) for gate in description.gates)
        if depolarizing == 0:
            n_trajectories = 1
        drawn = rng.random((n_trajectories, places))
        # 0 for none; X, Y and Z share the probability.
        errors = np.where(
            drawn < depolarizing, 1 + np.minimum(2, 3 * drawn / (depolarizing or 1)), 0
        ).astype(np.int8)
        patterns, counts = np.unique(errors, axis=0, return_counts=True)
        turns, flips = _moved_to_the_end(description, patterns)
        return cls(turns, flips, counts / n_trajectories)


def _moved_to_the_end(
    description: CircuitDescription, patterns: NDArray[np.int8]
) -> tuple[Bits, Bits]:
    x = np.zeros((description.n_qubits, len(patterns)), dtype=bool)
    z = np.zeros_like(x)
    turns: list[Bits] = []
    place = 0
    for gate in description.gates:
        if gate.angle is not None:
            turns.append(_anticommutes(gate, x, z))
        else:
            _pass_through(gate, x, z)
        for q in gate.wires:
            error = patterns[:, place]
            x[q] ^= (error == 1) | (error == 2)
            z[q] ^= error >= 2
            place += 1
    stacked = np.stack(turns, 1) if turns else np.zeros((len(patterns), 0), dtype=bool)
    return stacked, x.T


def _anticommutes(gate: Gate, x: Bits, z: Bits) -> Bits:
    q = gate.wires[0]
    parts: dict[str, Bits] = {"RX": z[q], "RY": x[q] ^ z[q], "RZ": x[q]}
    return parts[gate.name].copy()


def _pass_through(gate: Gate, x: Bits, z: Bits) -> None:
    """Replace each Pauli before a gate by the one behind it, up to a phase."""
    wires = list(gate.wires)
    if gate.name == "H":
        x[wires], z[wires] = z[wires], x[wires]
    elif gate.name == "S":
        z[wires] ^= x[wires]
    elif gate.name == "CNOT":
        control, target = wires
        x[target] ^= x[control]
        z[control] ^= z[target]
    elif gate.name == "CZ":
        a, b = wires
        z[a] ^= x[b]
        z[b] ^= x[a]
    elif gate.name == "SWAP":
        x[wires], z[wires] = x[wires[::-1]], z[wires[::-1]]
    elif gate.name in ("T", "CSWAP") and (x[wires].any() or z[wires].any()):
        raise ValueError(
            f"got a circuit with {gate.name} for noise by trajectories; expected rotations, H, X, "
            f"Y, Z, S, CNOT, CZ and SWAP only, or at most {MAX_EXACT_QUBITS} qubits with "
            "n_trajectories=None, which is exact"
        )


@dataclass(frozen=True)
class _Unrolled:
    """A circuit in which every rotation has an angle of its own, so that each can be negated."""

    simulator: Simulator
    loaded: tuple[int, ...]
    by_weight: tuple[tuple[int, float], ...]
    by_feature: tuple[tuple[int, float], ...]
    weight_turns: tuple[int, ...]
    feature_turns: tuple[int, ...]

    def run(self, angles: Tensor, samples: Tensor, turns: Bits) -> Tensor:
        """Probabilities ``[T, B, 2 ** m]`` of each pattern of negated rotations."""
        signs = torch.from_numpy(1.0 - 2.0 * turns)
        # A constant angle has index -1: a weight of value 1 behind the others.
        known = torch.cat([angles, angles.new_ones(1)])
        scales = angles.new_tensor([scale for _, scale in self.by_weight])
        weights = known[[i for i, _ in self.by_weight]] * scales
        weights = weights * signs[:, list(self.weight_turns)]
        scales = samples.new_tensor([scale for _, scale in self.by_feature])
        turned = samples[:, [i for i, _ in self.by_feature]] * scales
        turned = turned * signs[:, None, list(self.feature_turns)]
        vectors = samples[:, list(self.loaded)].expand(len(turns), -1, -1)
        inputs = torch.cat([vectors, turned], 2)
        rows = self.simulator.run(
            self.simulator.half_angles(weights, inputs), self.simulator.vectors(inputs)
        )
        return self.simulator.read(rows, "probabilities").expand(-1, len(samples), -1)


@lru_cache(maxsize=8)
def _unroll(description: CircuitDescription, measured: tuple[int, ...]) -> _Unrolled:
    loaded: list[int] = []
    for gate in description.gates:
        if gate.features is not None:
            loaded.extend(gate.feature_indices())
    gates: list[Gate] = []
    by_weight: list[tuple[int, float]] = []
    by_feature: list[tuple[int, float]] = []
    turns: tuple[list[int], list[int]] = ([], [])
    first = number = 0
    for gate in description.gates:
        if gate.features is not None:
            gates.append(replace(gate, features=(first, gate.features[1])))
            first += gate.features[1]
        elif gate.angle is None:
            gates.append(gate)
        elif gate.angle.source == "feature":
            gates.append(replace(gate, angle=feature(len(loaded) + len(by_feature))))
            by_feature.append((gate.angle.index, gate.angle.scale))
            turns[1].append(number)
        else:
            gates.append(replace(gate, angle=weight(len(by_weight))))
            by_weight.append((gate.angle.index, gate.angle.scale))
            turns[0].append(number)
        number += gate.angle is not None
    simulator = Simulator(CircuitDescription(description.n_qubits, tuple(gates)), measured)
    return _Unrolled(
        simulator.to(torch.float64),
        tuple(loaded),
        tuple(by_weight),
        tuple(by_feature),
        tuple(turns[0]),
        tuple(turns[1]),
    )


def _mean(
    description: CircuitDescription,
    angles: Tensor,
    samples: Tensor,
    measured: tuple[int, ...],
    errors: _Errors,
) -> Tensor:
    """Mean over error patterns, ``[B, 2 ** m]``; block by block, for memory to stay bounded."""
    unrolled = _unroll(description, measured)
    room = max(1, _AMPLITUDES // 2**description.n_qubits)
    n_rows = min(len(samples), room)
    n_patterns = max(1, room // n_rows)
    places = 2 ** np.arange(len(measured))[::-1]
    masks = torch.from_numpy(errors.flips[:, list(measured)] @ places)
    outcomes = torch.arange(2 ** len(measured))
    parts = []
    for block in torch.split(samples, n_rows):
        total = torch.zeros(len(block), len(outcomes), dtype=torch.float64)
        for at in range(0, len(masks), n_patterns):
            here = slice(at, at + n_patterns)
            probabilities = unrolled.run(angles, block, errors.turns[here])
            flipped = (outcomes ^ masks[here, None])[:, None].expand_as(probabilities)
            shares = torch.from_numpy(errors.shares[here])
            total += torch.tensordot(shares, probabilities.gather(2, flipped), dims=1)
        parts.append(total)
    return torch.cat(parts)
