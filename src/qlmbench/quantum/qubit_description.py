"""What a qubit circuit is: an immutable list of gates, free of any simulator.

A description names every gate, the wires it touches and where its angle comes from: a trainable
weight, an input feature, or a constant. Wire 0 is the most significant bit of a basis state, so
that ``|01>`` on two wires is amplitude 1 (PennyLane's order; Qiskit's is the reverse).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

AngleSource = Literal["weight", "feature", "constant"]
Sharing = Literal["new", "same"]

ROTATIONS = frozenset({"RX", "RY", "RZ"})
FIXED = frozenset({"H", "X", "Y", "Z", "S", "T"})
ENTANGLERS = {"CNOT": 2, "CZ": 2, "SWAP": 2, "CSWAP": 3}
AMPLITUDE = "AMPLITUDE"


@dataclass(frozen=True, slots=True)
class Angle:
    """Where the angle of a rotation comes from, in radians.

    Attributes
    ----------
    source : {"weight", "feature", "constant"}
        A trainable weight, an input feature, or a fixed number.
    index : int
        Which weight or feature; -1 for a constant.
    scale : float
        Multiplies the weight or the feature; for a constant, the angle itself.
    """

    source: AngleSource
    index: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.source not in ("weight", "feature", "constant"):
            raise ValueError(
                f"got the angle source {self.source!r}; expected 'weight', 'feature' or 'constant'"
            )
        if (self.index < 0) != (self.source == "constant"):
            raise ValueError(
                f"got index {self.index} for an angle of source {self.source!r}; expected 0 or "
                "more for a weight or a feature, and -1 for a constant"
            )


def weight(index: int, scale: float = 1.0) -> Angle:
    """Angle ``scale * weights[index]``."""
    return Angle("weight", index, scale)


def feature(index: int, scale: float = 1.0) -> Angle:
    """Angle ``scale * inputs[index]``."""
    return Angle("feature", index, scale)


def constant(value: float) -> Angle:
    """Angle that is neither trained nor fed."""
    return Angle("constant", -1, value)


@dataclass(frozen=True, slots=True)
class Gate:
    """One operation on one to three wires, or the loading of a vector as amplitudes.

    Attributes
    ----------
    name : str
        ``RX RY RZ`` (with an angle), ``H X Y Z S T``, ``CNOT CZ`` (control, target), ``SWAP``,
        ``CSWAP`` (control, a, b), or ``AMPLITUDE``.
    wires : tuple of int
        The wires in the order that the name reads them.
    angle : Angle or None
        Of a rotation, and of nothing else.
    features : tuple (first, width) or None
        Of ``AMPLITUDE``: inputs ``first .. first + width - 1`` become the amplitudes of the wires,
        zero-padded to ``2 ** len(wires)`` and divided by their norm.
    """

    name: str
    wires: tuple[int, ...]
    angle: Angle | None = None
    features: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._check_wires()
        if (self.angle is not None) != (self.name in ROTATIONS):
            raise ValueError(
                f"got {self.name} with angle {self.angle}; expected an angle for RX, RY and RZ "
                "and for no other gate"
            )
        if (self.features is not None) != (self.name == AMPLITUDE):
            raise ValueError(
                f"got {self.name} with features {self.features}; expected features (first, width) "
                f"for {AMPLITUDE} and for no other gate"
            )
        if self.features is not None:
            self._check_features(*self.features)

    def _check_wires(self) -> None:
        if self.name == AMPLITUDE:
            count = max(len(self.wires), 1)
        elif self.name in ROTATIONS or self.name in FIXED:
            count = 1
        elif self.name in ENTANGLERS:
            count = ENTANGLERS[self.name]
        else:
            known = sorted(ROTATIONS | FIXED | set(ENTANGLERS) | {AMPLITUDE})
            raise ValueError(f"got the gate {self.name!r}; expected one of {', '.join(known)}")
        if len(self.wires) != count or len(set(self.wires)) != count or min(self.wires) < 0:
            raise ValueError(
                f"got {self.name} on wires {self.wires}; expected {count} different wires, "
                "numbered from 0"
            )

    def _check_features(self, first: int, width: int) -> None:
        room = 2 ** len(self.wires)
        if first < 0 or not 1 <= width <= room:
            raise ValueError(
                f"got {width} features from {first} for the amplitudes of {len(self.wires)} "
                f"qubits; expected 1 to {room} features from 0 or later"
            )

    def feature_indices(self) -> tuple[int, ...]:
        """Input features that this gate reads."""
        if self.features is not None:
            first, width = self.features
            return tuple(range(first, first + width))
        if self.angle is not None and self.angle.source == "feature":
            return (self.angle.index,)
        return ()

    def weight_indices(self) -> tuple[int, ...]:
        """Trainable weights that this gate reads."""
        if self.angle is not None and self.angle.source == "weight":
            return (self.angle.index,)
        return ()

    def shifted(self, weights: int, features: int) -> Gate:
        """Return the same gate with its weight and feature numbers moved up."""
        if self.features is not None:
            return replace(self, features=(self.features[0] + features, self.features[1]))
        if self.angle is None or self.angle.source == "constant":
            return self
        by = weights if self.angle.source == "weight" else features
        return replace(self, angle=replace(self.angle, index=self.angle.index + by))


@dataclass(frozen=True, slots=True)
class CircuitDescription:
    """A circuit on ``n_qubits`` wires that start in ``|0>``.

    Attributes
    ----------
    n_qubits : int
        Number of wires.
    gates : tuple of Gate
        In the order of time.

    Raises
    ------
    ValueError
        If a wire does not exist, a weight or feature number is skipped (it would be dead), or
        amplitudes are loaded onto a wire that is no longer in ``|0>``.
    """

    n_qubits: int
    gates: tuple[Gate, ...]

    def __post_init__(self) -> None:
        if self.n_qubits < 1:
            raise ValueError(f"got {self.n_qubits} qubits; expected at least 1")
        touched: set[int] = set()
        for gate in self.gates:
            if max(gate.wires) >= self.n_qubits:
                raise ValueError(
                    f"got {gate.name} on wires {gate.wires}; expected wires 0 to "
                    f"{self.n_qubits - 1} in a circuit of {self.n_qubits} qubits"
                )
            if gate.name == AMPLITUDE and touched & set(gate.wires):
                raise ValueError(
                    f"got {AMPLITUDE} on wires {gate.wires} after other gates on them; expected it "
                    "before every other gate on its wires"
                )
            touched.update(gate.wires)
        _check_no_gap("weight", (i for gate in self.gates for i in gate.weight_indices()))
        _check_no_gap("feature", (i for gate in self.gates for i in gate.feature_indices()))

    @property
    def n_weights(self) -> int:
        """Number of trainable weights."""
        return 1 + max((i for gate in self.gates for i in gate.weight_indices()), default=-1)

    @property
    def n_inputs(self) -> int:
        """Number of input features a sample."""
        return 1 + max((i for gate in self.gates for i in gate.feature_indices()), default=-1)

    def then(
        self,
        other: CircuitDescription,
        *,
        weights: Sharing = "new",
        features: Sharing = "same",
    ) -> CircuitDescription:
        """Append another circuit on the same wires.

        Parameters
        ----------
        other : CircuitDescription
            The circuit that follows, on as many qubits.
        weights, features : {"new", "same"}
            Whether its weights and features are further ones, numbered after this circuit's, or
            the same numbers again (as in re-uploading).

        Raises
        ------
        ValueError
            If the numbers of qubits differ.
        """
        if other.n_qubits != self.n_qubits:
            raise ValueError(
                f"got a circuit of {other.n_qubits} qubits; expected {self.n_qubits}, "
                "as in the circuit before it"
            )
        shift_weights = self.n_weights if weights == "new" else 0
        shift_features = self.n_inputs if features == "new" else 0
        tail = tuple(gate.shifted(shift_weights, shift_features) for gate in other.gates)
        return CircuitDescription(self.n_qubits, self.gates + tail)


def _check_no_gap(kind: str, indices: Iterable[int]) -> None:
    used = set(indices)
    missing = sorted(set(range(max(used, default=-1) + 1)) - used)
    if missing:
        raise ValueError(
            f"got a circuit in which no gate reads {kind} {', '.join(map(str, missing))}; expected "
            f"every {kind} from 0 to {max(used)} to be used, renumber them"
        )
