"""Runs a compiled circuit on stacks of weights and samples, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from qlmbench.quantum.qubit_blocks import Blocks, BucketTrace, build, build_back
from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_kernels import (
    Action,
    BlockKey,
    Rows,
    Trace,
    condense,
    evolve,
    evolve_back,
    kron_columns,
    split,
    take_rows,
    unkron_columns,
)
from qlmbench.quantum.qubit_plan import RowOrder, make_plan

Readout = Literal["z", "probabilities", "state"]


@dataclass
class Tape:
    """What a run leaves behind for its gradient."""

    keep: bool
    angles: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    buckets: dict[int, BucketTrace] = field(default_factory=dict)
    joins: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    shared: Trace = field(default_factory=Trace)
    sampled: Trace = field(default_factory=Trace)
    widened: bool = False
    rows: Tensor | None = None


class Simulator(nn.Module):
    """States and readouts of a circuit; holds no weights.

    Parameters
    ----------
    description : CircuitDescription
        The circuit.
    measured : sequence of int
        Wires that are read out, in this order.
    """

    row_of: Tensor
    sign_of: Tensor
    basis_of: Tensor
    outcome_rows: Tensor
    row_outcomes: Tensor
    z_signs: Tensor
    outcome_signs: Tensor

    def __init__(self, description: CircuitDescription, measured: Sequence[int]) -> None:
        super().__init__()
        plan = make_plan(description)
        self.n_qubits, self.n_outcomes = plan.n_qubits, 2 ** len(measured)
        self.real, self.registers, self.start = plan.real, plan.registers, plan.start
        kinds = nn.ModuleList()
        for sampled in (False, True):
            chosen = [(i, b) for i, b in enumerate(plan.buckets) if b.sampled == sampled]
            if chosen:
                kinds.append(Blocks(chosen, sampled=sampled, real=plan.real, starts=plan.start))
        self._kinds = kinds
        self._numbers: dict[bytes, int] = {}
        self._rows: list[Rows] | None = None
        self.steps = [(self._keep(step.order), step.bucket, step.block) for step in plan.steps]
        self._keep_readout(torch.from_numpy(plan.row_of), torch.from_numpy(plan.sign_of), measured)

    def _keep(self, order: RowOrder | None) -> int | None:
        """Store a reordering once, however many steps use it."""
        if order is None:
            return None
        key = order.index.tobytes() + (b"" if order.sign is None else order.sign.tobytes())
        if key in self._numbers:
            return self._numbers[key]
        number = self._numbers[key] = len(self._numbers)
        index = torch.from_numpy(order.index)
        inverse = _inverse(index)
        sign = None if order.sign is None else torch.from_numpy(order.sign).double()
        back = None if sign is None else sign[inverse]
        for name, value in zip(_ROW_BUFFERS, (index, sign, inverse, back), strict=True):
            self.register_buffer(f"{name}_{number}", value, persistent=False)
        return number

    def _keep_readout(self, row_of: Tensor, sign_of: Tensor, measured: Sequence[int]) -> None:
        rest = [q for q in range(self.n_qubits) if q not in measured]
        basis = torch.arange(2**self.n_qubits)
        ordered = basis.view([2] * self.n_qubits).permute([*measured, *rest]).flatten()
        z_signs = torch.empty(len(measured), len(basis), dtype=torch.float64)
        z_signs[:, row_of] = _signs(basis, [self.n_qubits - 1 - q for q in measured])
        outcomes = torch.arange(self.n_outcomes)
        places = list(reversed(range(len(measured))))
        for name, value in (
            ("row_of", row_of),
            ("sign_of", sign_of.double()),
            ("basis_of", _inverse(row_of)),
            ("outcome_rows", row_of[ordered]),
            ("row_outcomes", _inverse(row_of[ordered]) // (len(basis) // self.n_outcomes)),
            ("z_signs", z_signs),
            ("outcome_signs", _signs(outcomes, places)),
        ):
            self.register_buffer(name, value, persistent=False)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Simulator:
        self._rows = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def rows(self) -> list[Rows]:
        """All reorderings of the plan as tensors where the module lives."""
        if self._rows is None:
            sets = [
                [self._buffers[f"{name}_{number}"] for name in _ROW_BUFFERS]
                for number in range(len(self._numbers))
            ]
            self._rows = [Rows((_given(i), s), (_given(j), t)) for i, s, j, t in sets]
        return self._rows

    @property
    def kinds(self) -> list[Blocks]:
        """Blocks that depend on no sample, then those that do, where there are any."""
        return [kind for kind in self._kinds if isinstance(kind, Blocks)]

    def half_angles(self, weights: Tensor, inputs: Tensor) -> list[Tensor]:
        """Half of every angle of the circuit, one tensor a kind of block."""
        return [kind.half_angles(weights, inputs) for kind in self.kinds]

    def shift_columns(self, by_features: bool) -> list[list[int]]:
        """Columns of the half angles to shift: those of weights, or of features as well."""
        return [k.columns_by_any if by_features else k.columns_by_weight for k in self.kinds]

    def vectors(self, inputs: Tensor) -> list[Tensor]:
        """Normalised, zero-padded amplitude encodings, each ``[R, 2 ** k, B]``.

        Raises
        ------
        ValueError
            If a vector is zero or not finite: it has no direction.
        """
        out = []
        for gate in self.registers:
            assert gate.features is not None
            first, width = gate.features
            values = inputs.narrow(2, first, width)
            norm = torch.linalg.vector_norm(values, dim=2, keepdim=True)
            bad = ~((norm > 0) & norm.isfinite())
            if bool(bad.any()):
                r, b, _ = bad.nonzero()[0].tolist()
                raise ValueError(
                    f"got a vector of norm {norm[r, b, 0].item()} for amplitude encoding "
                    f"(repetition {r}, sample {b}, features {first} to {first + width - 1}); "
                    "expected a finite vector that is not zero"
                )
            padded = nn.functional.pad(values / norm, (0, 2 ** len(gate.wires) - width))
            out.append(padded.transpose(1, 2))
        return out

    def run(self, halves: list[Tensor], vectors: list[Tensor], tape: Tape | None = None) -> Tensor:
        """Amplitudes after the last step, in the plan's own row order.

        Returns ``[R, 2 ** n, B]``, or ``[R, 2 ** n, 1]`` if nothing depends on the sample.
        """
        built = self._build(halves, tape)
        state = self._first_state([built[i] for i in self.start] + vectors, tape)
        rows, blocks = (
            self.rows(),
            {i: m.unbind(-3) for i, m in built.items() if i not in self.start},
        )
        actions = [
            Action(None if order is None else rows[order], blocks[bucket][block], (bucket, block))
            for order, bucket, block in self.steps
        ]
        # While nothing depends on the sample, one column serves all of them.
        ahead = next((i for i, a in enumerate(actions) if a.matrix.dim() == 4), len(actions))
        if state.shape[2] > 1:
            ahead = 0
        state = evolve(state, actions[:ahead], None if tape is None else tape.shared)
        if ahead == len(actions):
            return state
        if state.shape[2] == 1:
            state = state.expand(-1, -1, actions[ahead].matrix.shape[1]).contiguous()
            if tape is not None:
                tape.widened = True
        rest = condense(actions[ahead:], state.shape[1], state.shape[2], tape is not None)
        return evolve(state, rest, None if tape is None else tape.sampled)

    def _build(self, halves: list[Tensor], tape: Tape | None) -> dict[int, Tensor]:
        """Matrices, or first columns, of every bucket."""
        built = {}
        for kind, half in zip(self.kinds, halves, strict=True):
            cos, sin = half.cos(), half.sin()
            if tape is not None:
                tape.angles.append((cos, sin))
            factors = kind.factors(cos, sin)
            for number, start, values in zip(kind.numbers, kind.starts, factors, strict=True):
                built[number], trace = build(values, start)
                if tape is not None:
                    tape.buckets[number] = trace
        return built

    def _first_state(self, parts: list[Tensor], tape: Tape | None) -> Tensor:
        state = parts[0]
        if not self.real and not state.is_complex():
            state = state.to(_complex_of(state))
        for part in parts[1:]:
            if tape is not None:
                tape.joins.append((state, part))
            state = kron_columns(state, part)
        return state.contiguous()

    def run_back(
        self, tape: Tape, slope: Tensor, inputs: Tensor, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, list[Tensor]]:
        """Slopes of weights, inputs and vectors from the conjugate slope of the final rows."""
        assert tape.rows is not None
        into: dict[BlockKey, Tensor] = {}
        state, slope = evolve_back(tape.sampled, tape.rows, slope, into)
        if tape.widened:
            state, slope = state[..., :1].contiguous(), slope.sum(-1, keepdim=True)
        state, slope = evolve_back(tape.shared, state, slope, into)
        parts: list[Tensor] = []
        for before, part in reversed(tape.joins):
            slope, second = unkron_columns(before, part, slope)
            parts.insert(0, second)
        parts.insert(0, slope)
        columns = dict(zip(self.start, parts, strict=False))
        vectors = [part.real if part.is_complex() else part for part in parts[len(self.start) :]]
        weights = features = None
        for kind, (cos, sin) in zip(self.kinds, tape.angles, strict=True):
            slopes = [
                build_back(tape.buckets[n], columns[n] if start else _stacked(into, n), start)
                for n, start in zip(kind.numbers, kind.starts, strict=True)
            ]
            angle = kind.factor_slopes(slopes, cos, sin)
            by_weight, by_feature = kind.angle_slopes(angle, inputs, wanted)
            weights = _sum(weights, by_weight)
            features = _sum(features, by_feature)
        return weights, features, vectors

    def read(self, rows: Tensor, readout: Readout) -> Tensor:
        """Read final rows out, ``[R, B, outputs]``: see ``QubitCircuit``."""
        if readout == "state":
            return take_rows(rows, (self.row_of, self.sign_of)).transpose(1, 2)
        squares = _as_pairs(rows).square()
        if readout == "z":
            read = self.z_signs @ squares
        else:
            ordered = squares.index_select(1, self.outcome_rows)
            read = split(ordered, 1, (self.n_outcomes, -1)).sum(2)
        if rows.is_complex():
            read = read.view(*read.shape[:2], -1, 2).sum(-1)
        return read.transpose(1, 2)

    def read_back(self, rows: Tensor, grad: Tensor, readout: Readout) -> Tensor:
        """Conjugate slope of the final rows from the gradient of what was read."""
        grad = grad.transpose(1, 2)
        if readout == "state":
            signed = (grad.conj() * self.sign_of.unsqueeze(-1)).resolve_conj()
            return signed.index_select(1, self.basis_of)
        grad = 2 * grad
        if rows.is_complex():
            # The slope is conjugate: plus for the real part, minus for the imaginary one.
            grad = torch.stack([grad, -grad], -1).flatten(2)
        if readout == "z":
            factor = self.z_signs.T @ grad
        else:
            factor = grad.index_select(1, self.row_outcomes)
        slope = factor * _as_pairs(rows)
        if rows.is_complex():
            return torch.view_as_complex(slope.view(*rows.shape, 2))
        return slope


class _CircuitFunction(torch.autograd.Function):
    """One node of torch's graph for a whole circuit."""

    @staticmethod
    def forward(
        ctx: Any,
        simulator: Simulator,
        readout: Readout,
        keep: bool,
        weights: Tensor,
        inputs: Tensor,
        *vectors: Tensor,
    ) -> Tensor:
        tape = Tape(keep)
        tape.shared.keep = tape.sampled.keep = keep
        rows = simulator.run(simulator.half_angles(weights, inputs), list(vectors), tape)
        tape.rows = rows
        ctx.simulator, ctx.readout, ctx.tape = simulator, readout, tape
        ctx.save_for_backward(weights, inputs, *vectors)
        return simulator.read(rows, readout)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights, inputs, *vectors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, None, *_differentiable(ctx, [weights, inputs, *vectors], grad)
        simulator, tape = ctx.simulator, ctx.tape
        slope = simulator.read_back(tape.rows, grad, ctx.readout)
        wanted = ctx.needs_input_grad[3:5]
        by_weight, by_feature, by_vector = simulator.run_back(tape, slope, inputs, wanted)
        return None, None, None, by_weight, by_feature, *by_vector


def _differentiable(ctx: Any, tensors: list[Tensor], grad: Tensor) -> list[Tensor | None]:
    """Gradients that can be differentiated again: through torch's graph of a second run."""
    weights, inputs, *vectors = tensors
    simulator: Simulator = ctx.simulator
    rows = simulator.run(simulator.half_angles(weights, inputs), vectors)
    wanted = [t for t in tensors if t.requires_grad]
    found = torch.autograd.grad(
        simulator.read(rows, ctx.readout), wanted, grad, create_graph=True, allow_unused=True
    )
    remaining = iter(found)
    return [next(remaining) if t.requires_grad else None for t in tensors]


def run_circuit(
    simulator: Simulator, readout: Readout, keep: bool, weights: Tensor, inputs: Tensor
) -> Tensor:
    """Exact outputs, ``[R, B or 1, outputs]``, with gradients by hand.

    Parameters
    ----------
    simulator : Simulator
        The circuit.
    readout : {"z", "probabilities", "state"}
        What to read.
    keep : bool
        Keep every state for the way back, or only the last.
    weights, inputs : Tensor
        ``[R, n_weights]`` and ``[R, B, n_inputs]``.
    """
    vectors = simulator.vectors(inputs)
    out: Tensor = _CircuitFunction.apply(  # type: ignore[no-untyped-call]
        simulator, readout, keep, weights, inputs, *vectors
    )
    return out


_ROW_BUFFERS = ("index", "sign", "inverse", "inverse_sign")


def _given(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def _inverse(index: Tensor) -> Tensor:
    inverse = torch.empty_like(index)
    inverse[index] = torch.arange(len(index))
    return inverse


def _signs(numbers: Tensor, places: list[int]) -> Tensor:
    """+1 where the bit at a place is 0 and -1 where it is 1, ``[places, numbers]``."""
    bits = (numbers >> torch.tensor(places, dtype=torch.int64).unsqueeze(-1)) & 1
    return 1.0 - 2.0 * bits.double()


def _complex_of(values: Tensor) -> torch.dtype:
    return torch.complex128 if values.dtype == torch.float64 else torch.complex64


def _as_pairs(rows: Tensor) -> Tensor:
    """Complex columns as two real ones each."""
    return torch.view_as_real(rows).flatten(2) if rows.is_complex() else rows


def _stacked(into: dict[BlockKey, Tensor], bucket: int) -> Tensor:
    """Slopes of the blocks of a bucket, in their order."""
    count = sum(key[0] == bucket for key in into)
    return torch.stack([into[bucket, block] for block in range(count)], -3)


def _sum(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    if total is None or term is None:
        return term if total is None else total
    return total + term
