"""From a circuit description to few, wide steps on a table of amplitudes.

The plan alternates two kinds of layer. Single-qubit gates that follow one another on a qubit
become one 2 x 2 matrix, and those of up to a few qubits one Kronecker product. CNOT, CZ, SWAP and
CSWAP only move amplitudes and flip signs: any number of them between two such matrices is a single
gather of rows, composed here once. Nothing here needs torch.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qlmbench.quantum.qubit_description import AMPLITUDE, ENTANGLERS, CircuitDescription, Gate

Matrix = NDArray[np.complex128]
Index = NDArray[np.int64]
Sign = NDArray[np.int8]

# Qubits a Kronecker product, as measured: sixteen rows keep a matrix product efficient, and four
# rows a matrix a sample.
SHARED_GROUP = 4
SAMPLED_GROUP = 2

_ROOT = 2**-0.5
PAULI: dict[str, Matrix] = {
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=complex),
    "Z": np.array([[1, 0], [0, -1]], dtype=complex),
}
FIXED_MATRIX: dict[str, Matrix] = PAULI | {
    "H": np.array([[_ROOT, _ROOT], [_ROOT, -_ROOT]], dtype=complex),
    "S": np.diag([1, 1j]).astype(complex),
    "T": np.diag([1, np.exp(0.25j * np.pi)]).astype(complex),
}


@dataclass
class Factor:
    """``cos(a / 2) * even + sin(a / 2) * odd``, with ``a`` linear in weights and features."""

    even: Matrix
    odd: Matrix
    axis: str | None
    weights: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    features: dict[int, float] = field(default_factory=lambda: defaultdict(float))


class Slot:
    """All gates that follow one another on one qubit, as few factors as can be."""

    def __init__(self) -> None:
        self._lead: Matrix = np.eye(2, dtype=complex)
        self._factors: list[Factor] = []

    def add(self, gate: Gate) -> None:
        """Append a rotation or a fixed gate."""
        angle = gate.angle
        if angle is None:
            self._absorb(FIXED_MATRIX[gate.name])
        elif angle.source == "constant":
            half = 0.5 * angle.scale
            generator = -1j * PAULI[gate.name[1]]
            self._absorb(np.cos(half) * np.eye(2) + np.sin(half) * generator)
        else:
            self._turn(gate.name, angle.source, angle.index, angle.scale)

    def _absorb(self, matrix: Matrix) -> None:
        if not self._factors:
            self._lead = matrix @ self._lead
            return
        last = self._factors[-1]
        last.even, last.odd, last.axis = matrix @ last.even, matrix @ last.odd, None

    def _turn(self, axis: str, source: str, index: int, scale: float) -> None:
        if not self._factors or self._factors[-1].axis != axis:
            lead = np.eye(2, dtype=complex) if self._factors else self._lead
            self._factors.append(Factor(lead, -1j * PAULI[axis[1]] @ lead, axis))
        terms = self._factors[-1].weights if source == "weight" else self._factors[-1].features
        terms[index] += scale

    @property
    def factors(self) -> list[Factor]:
        """Factors in the order of time; one with a fixed matrix if no angle enters."""
        return self._factors or [Factor(self._lead, np.zeros((2, 2), dtype=complex), None)]

    @property
    def sampled(self) -> bool:
        """Whether the matrix depends on the sample."""
        return any(factor.features for factor in self._factors)


@dataclass
class Layer:
    """Matrices on single qubits, then gates that only move amplitudes."""

    slots: dict[int, Slot] = field(default_factory=dict)
    moves: list[Gate] = field(default_factory=list)


@dataclass(frozen=True)
class Bucket:
    """Blocks of equal shape whose matrices are built together.

    The columns of the maps run over (block, qubit of the block, factor); short slots are padded
    with identities, whose columns are not ``active``.
    """

    sampled: bool
    blocks: int
    qubits: int
    depth: int
    even: Matrix
    odd: Matrix
    weight_map: NDArray[np.float64]
    feature_map: NDArray[np.float64]
    active: NDArray[np.bool_]


@dataclass(frozen=True)
class RowOrder:
    """``new[i] = sign[i] * old[index[i]]``; no sign means all plus."""

    index: Index
    sign: Sign | None


@dataclass(frozen=True)
class Step:
    """Reorder the rows (if need be), then multiply the leading block by a matrix."""

    order: RowOrder | None
    bucket: int
    block: int


@dataclass(frozen=True)
class Plan:
    """Everything that the simulator needs to know about a circuit.

    Attributes
    ----------
    registers : tuple of Gate
        Amplitude encodings; their vectors are the last factors of the first product state.
    start : tuple of int
        Buckets whose first columns are the first factors of that state, in this order.
    row_of, sign_of : arrays over basis states
        After the last step, amplitude ``b`` is ``sign_of[b] * rows[row_of[b]]``.
    """

    n_qubits: int
    real: bool
    registers: tuple[Gate, ...]
    buckets: tuple[Bucket, ...]
    start: tuple[int, ...]
    steps: tuple[Step, ...]
    row_of: Index
    sign_of: Sign


def schedule(description: CircuitDescription) -> tuple[list[Gate], list[Layer]]:
    """Sort gates into as few layers as the wires allow; amplitude encodings apart."""
    registers = [gate for gate in description.gates if gate.name == AMPLITUDE]
    scheduler = _Scheduler(description.n_qubits)
    for gate in description.gates:
        if gate.name in ENTANGLERS:
            scheduler.move(gate)
        elif gate.name != AMPLITUDE:
            scheduler.turn(gate)
    return registers, scheduler.finish()


class _Scheduler:
    """Single-qubit gates wait until a move needs their wire; then all that wait go together.

    Placed at once instead, the rotations that follow a staircase of CNOTs would each end up on
    another stair, and a layer of encodings would cost a pass over the state a qubit.
    """

    def __init__(self, n_qubits: int) -> None:
        self.layers = [Layer()]
        self._waiting: dict[int, Slot] = {}
        # Last layer that turned, and last layer that moved, each qubit.
        self._turned = [0] * n_qubits
        self._moved = [-1] * n_qubits

    def turn(self, gate: Gate) -> None:
        """Add a rotation or a fixed gate."""
        q = gate.wires[0]
        if self._turned[q] > self._moved[q]:
            self.layers[self._turned[q]].slots.setdefault(q, Slot()).add(gate)
        else:
            self._waiting.setdefault(q, Slot()).add(gate)

    def move(self, gate: Gate) -> None:
        """Add a gate that only moves amplitudes."""
        for q in gate.wires:
            if q in self._waiting:
                self._settle(q)
        at = max(max(self._turned[q], self._moved[q]) for q in gate.wires)
        self.layers[at].moves.append(gate)
        for q in gate.wires:
            self._moved[q] = at

    def finish(self) -> list[Layer]:
        """Place what still waits."""
        while self._waiting:
            self._settle(next(iter(self._waiting)))
        return self.layers

    def _settle(self, qubit: int) -> None:
        """Join a layer that has a pass of this kind anyway, or open one for all that wait."""
        kind = self._waiting[qubit].sampled
        for at in range(self._moved[qubit] + 1, len(self.layers)):
            if any(slot.sampled == kind for slot in self.layers[at].slots.values()):
                self.layers[at].slots[qubit] = self._waiting.pop(qubit)
                self._turned[qubit] = at
                return
        for q in self._waiting:
            self._turned[q] = len(self.layers)
        self.layers.append(Layer(slots=self._waiting))
        self._waiting = {}


class RowTable:
    """Which row of the table holds which amplitude, and with which sign."""

    def __init__(self, n_qubits: int, order: list[int]) -> None:
        self.n_qubits = n_qubits
        self.basis: Index = np.arange(2**n_qubits, dtype=np.int64)
        self.row: Index = np.empty_like(self.basis)
        self.row[self._basis_in_order(order)] = self.basis
        self.sign: Sign = np.ones(2**n_qubits, dtype=np.int8)

    def bit(self, qubit: int) -> Index:
        """Bit of a qubit in every basis state; qubit 0 is the most significant."""
        return (self.basis >> (self.n_qubits - 1 - qubit)) & 1

    def _basis_in_order(self, order: list[int]) -> Index:
        """Basis states sorted with the qubits of ``order`` from most to least significant."""
        result = np.zeros_like(self.basis)
        for position, qubit in enumerate(order):
            result |= self.bit(position) << (self.n_qubits - 1 - qubit)
        return result

    def move(self, gate: Gate) -> None:
        """Apply a CNOT, CZ, SWAP or CSWAP. Each is its own inverse."""
        bits = [self.bit(q) for q in gate.wires]
        if gate.name == "CZ":
            self.sign = np.where(bits[0] & bits[1], -self.sign, self.sign).astype(np.int8)
            return
        place = [self.n_qubits - 1 - q for q in gate.wires]
        if gate.name == "CNOT":
            source = self.basis ^ (bits[0] << place[1])
        else:
            differ = bits[-2] ^ bits[-1]
            if gate.name == "CSWAP":
                differ = differ & bits[0]
            source = self.basis ^ (differ << place[-2]) ^ (differ << place[-1])
        self.row, self.sign = self.row[source], self.sign[source]

    def gather(self, leading: tuple[int, ...]) -> RowOrder | None:
        """Bring qubits to the front; ``None`` when the rows lie so already."""
        rest = [q for q in range(self.n_qubits) if q not in leading]
        order = self._basis_in_order([*leading, *rest])
        index, sign = self.row[order], self.sign[order]
        self.row = np.empty_like(self.row)
        self.row[order] = self.basis
        self.sign = np.ones_like(self.sign)
        if bool(np.array_equal(index, self.basis)) and bool(np.all(sign == 1)):
            return None
        return RowOrder(index, None if bool(np.all(sign == 1)) else sign)


def make_plan(description: CircuitDescription) -> Plan:
    """Compile a description."""
    registers, layers = schedule(description)
    held = {q for gate in registers for q in gate.wires}
    buckets = _BucketMaker(description.n_weights, description.n_inputs)
    free = [q for q in range(description.n_qubits) if q not in held]
    first = {q: layers[0].slots.pop(q, Slot()) for q in free}
    start, order = [], []
    for sampled in (False, True):
        chosen = [q for q in free if first[q].sampled == sampled]
        if chosen:
            start.append(buckets.add_start([first[q] for q in chosen], sampled))
            order.extend(chosen)
    order.extend(q for gate in registers for q in gate.wires)
    table = RowTable(description.n_qubits, order)
    steps = [step for layer in layers for step in _layer_steps(layer, table, buckets)]
    made = buckets.finish()
    return Plan(
        n_qubits=description.n_qubits,
        real=not any(np.any(b.even.imag) or np.any(b.odd.imag) for b in made),
        registers=tuple(registers),
        buckets=made,
        start=tuple(start),
        steps=tuple(steps),
        row_of=table.row,
        sign_of=table.sign,
    )


def _layer_steps(layer: Layer, table: RowTable, buckets: _BucketMaker) -> list[Step]:
    steps = []
    for sampled, size in ((False, SHARED_GROUP), (True, SAMPLED_GROUP)):
        qubits = sorted(q for q, slot in layer.slots.items() if slot.sampled == sampled)
        for group in _even_groups(qubits, size):
            order = table.gather(group)
            bucket, block = buckets.add([layer.slots[q] for q in group], sampled)
            steps.append(Step(order, bucket, block))
    for gate in layer.moves:
        table.move(gate)
    return steps


def _even_groups(qubits: list[int], size: int) -> list[tuple[int, ...]]:
    count = -(-len(qubits) // size)
    return [tuple(int(q) for q in part) for part in np.array_split(qubits, count)] if count else []


class _BucketMaker:
    """Collects blocks by shape, in the order of their first appearance."""

    def __init__(self, n_weights: int, n_inputs: int) -> None:
        self._sizes = (n_weights, n_inputs)
        self._blocks: list[tuple[bool, list[list[Slot]]]] = []
        self._number: dict[tuple[bool, int], int] = {}

    def add_start(self, slots: list[Slot], sampled: bool) -> int:
        """Open a bucket of one-qubit blocks that nothing else joins."""
        self._blocks.append((sampled, [[slot] for slot in slots]))
        return len(self._blocks) - 1

    def add(self, slots: list[Slot], sampled: bool) -> tuple[int, int]:
        """Add a block to the bucket of its shape and return both numbers."""
        key = (sampled, len(slots))
        if key not in self._number:
            self._number[key] = len(self._blocks)
            self._blocks.append((sampled, []))
        blocks = self._blocks[self._number[key]][1]
        blocks.append(slots)
        return self._number[key], len(blocks) - 1

    def finish(self) -> tuple[Bucket, ...]:
        """Freeze every bucket."""
        return tuple(self._freeze(sampled, blocks) for sampled, blocks in self._blocks)

    def _freeze(self, sampled: bool, blocks: list[list[Slot]]) -> Bucket:
        slots = [slot for block in blocks for slot in block]
        depth = max(len(slot.factors) for slot in slots)
        columns = len(slots) * depth
        even = np.tile(np.eye(2, dtype=complex), (columns, 1, 1))
        odd = np.zeros((columns, 2, 2), dtype=complex)
        maps = [np.zeros((size, columns)) for size in self._sizes]
        active = np.zeros(columns, dtype=bool)
        for s, slot in enumerate(slots):
            for k, factor in enumerate(slot.factors):
                column = s * depth + k
                even[column], odd[column] = factor.even, factor.odd
                for terms, into in zip((factor.weights, factor.features), maps, strict=True):
                    for index, scale in terms.items():
                        into[index, column] += scale
                active[column] = bool(factor.weights or factor.features)
        return Bucket(
            sampled, len(blocks), len(blocks[0]), depth, even, odd, maps[0], maps[1], active
        )
