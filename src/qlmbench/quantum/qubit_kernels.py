"""The steps of a plan on tensors, and their gradients by hand.

A state is ``[repetitions, 2 ** n, samples]``: rows are amplitudes and columns are samples, so that
moving an amplitude moves a contiguous row, and one matrix product a repetition serves all samples.

Small circuits cost dispatch, not arithmetic. Gradients are therefore written out here rather than
left to a graph of a hundred tiny nodes. What travels backwards is the complex conjugate of torch's
gradient: the derivative of every step is then the plain transpose, and no large tensor is ever
conjugated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

RowGather = tuple[Tensor, Tensor | None]
BlockKey = tuple[int, int]
Combine = Callable[[Tensor, Tensor], Tensor]
Uncombine = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Rows:
    """A signed reordering of rows and its inverse."""

    forward: RowGather
    backward: RowGather


@dataclass(frozen=True)
class Action:
    """Reorder the rows if ``rows`` is given, then multiply the leading block by ``matrix``.

    ``matrix`` is ``[R, d, d]``, or ``[R, B, d, d]`` where every sample has its own. ``parts`` are
    the actions that a dense unitary stands for; any other action has a ``key``.
    """

    rows: Rows | None
    matrix: Tensor
    key: BlockKey | None = None
    parts: tuple[Trace, Tensor] | None = None


@dataclass
class Trace:
    """What the way back needs: the actions, and the states before each if they were kept."""

    actions: list[Action] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=list)
    keep: bool = False


def take_rows(state: Tensor, gather: RowGather) -> Tensor:
    """``out[:, i] = sign[i] * state[:, index[i]]``."""
    index, sign = gather
    out = state.index_select(1, index)
    return out if sign is None else out * sign.unsqueeze(-1)


def split(values: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    """Split one axis into several."""
    return values.reshape(*values.shape[:axis], *sizes, *values.shape[axis + 1 :])


def multiply(matrix: Tensor, state: Tensor) -> Tensor:
    """Multiply the leading block of rows by a matrix a repetition, or one a sample."""
    shape, d = state.shape, matrix.shape[-1]
    if matrix.dim() == 3:
        return torch.bmm(matrix, state.reshape(shape[0], d, -1)).view(shape)
    by_block = state.view(shape[0], d, -1, shape[2])
    columns = matrix.permute(3, 0, 2, 1).unsqueeze(3).contiguous()
    out = columns[0] * by_block[:, :1]
    for j in range(1, d):
        out.addcmul_(columns[j], by_block[:, j : j + 1])
    return out.reshape(shape)


def _samples_first(state: Tensor, d: int) -> Tensor:
    """Turn ``[R, N, B]`` into ``[R B, d, N / d]``."""
    repetitions, n_rows, samples = state.shape
    by_block = state.view(repetitions, d, n_rows // d, samples)
    # A strided view would do, and make the products that follow ten times slower.
    return by_block.permute(0, 3, 1, 2).contiguous().view(-1, d, n_rows // d)


def evolve(state: Tensor, actions: Sequence[Action], trace: Trace | None) -> Tensor:
    """Apply actions, and note in the trace what their gradient needs."""
    for action in actions:
        if action.rows is not None:
            state = take_rows(state, action.rows.forward)
        if trace is not None:
            trace.actions.append(action)
            if trace.keep:
                trace.before.append(state)
        state = multiply(action.matrix, state)
    return state


def evolve_back(
    trace: Trace, state: Tensor, slope: Tensor, into: dict[BlockKey, Tensor]
) -> tuple[Tensor, Tensor]:
    """Carry a slope from the last state back to the first.

    Where the states in between were not kept they are computed backwards, for every matrix is
    unitary (Jones and Gacon 2020, arXiv 2009.02823).

    Returns
    -------
    state, slope : Tensor
        At the first state. The slopes of the matrices are added to ``into``.
    """
    for number in reversed(range(len(trace.actions))):
        action = trace.actions[number]
        state = trace.before[number] if trace.keep else multiply(action.matrix.mH, state)
        outer = _outer(action.matrix, slope, state)
        if action.parts is not None:
            inner, last = action.parts
            evolve_back(inner, last, outer, into)
        elif action.key is not None:
            into[action.key] = outer
        slope = multiply(action.matrix.mT, slope)
        if action.rows is not None:
            slope = take_rows(slope, action.rows.backward)
            if not trace.keep:
                state = take_rows(state, action.rows.backward)
    return state, slope


def _outer(matrix: Tensor, slope: Tensor, before: Tensor) -> Tensor:
    d = matrix.shape[-1]
    if matrix.dim() == 3:
        repetitions = matrix.shape[0]
        return torch.bmm(slope.reshape(repetitions, d, -1), before.reshape(repetitions, d, -1).mT)
    return torch.bmm(_samples_first(slope, d), _samples_first(before, d).mT).view(matrix.shape)


# A reordering costs about as much as this many multiply-adds on each amplitude.
_REORDER_COST = 8


def condense(actions: Sequence[Action], n_rows: int, samples: int, traced: bool) -> list[Action]:
    """Replace runs of shared matrices by one dense unitary where that costs fewer operations."""
    out: list[Action] = []
    run: list[Action] = []
    for action in [*actions, None]:
        if action is not None and action.matrix.dim() == 3:
            run.append(action)
            continue
        dense = _worth_dense(run, n_rows, samples)
        out.extend([_dense(run, n_rows, traced)] if dense else run)
        run = []
        if action is not None:
            out.append(action)
    return out


def _worth_dense(run: list[Action], n_rows: int, samples: int) -> bool:
    column = n_rows * sum(action.matrix.shape[-1] + _REORDER_COST for action in run)
    return samples * column > n_rows * column + samples * n_rows**2


def _dense(run: list[Action], n_rows: int, traced: bool) -> Action:
    first = run[0].matrix
    eye = torch.eye(n_rows, dtype=first.dtype, device=first.device)
    trace = Trace() if traced else None
    unitary = evolve(eye.expand(first.shape[0], -1, -1), run, trace)
    return Action(None, unitary, parts=None if trace is None else (trace, unitary))


@dataclass(frozen=True)
class Fold:
    """One step of a Kronecker product over a stack: of its pairs, or of its head and its tail."""

    first: Tensor
    second: Tensor
    inner: Fold | None
    pairs: bool


def fold(stack: Tensor, combine: Combine) -> tuple[Tensor, Fold | None]:
    """Kronecker product over the third axis from the end, in about log2 of its length steps."""
    count = stack.shape[-3]
    if count == 1:
        return stack.squeeze(-3), None
    if count % 2:
        head, inner = fold(stack.narrow(-3, 0, count - 1), combine)
        tail = stack.select(-3, count - 1)
        return combine(head, tail), Fold(head, tail, inner, False)
    lead, last = stack.shape[:-3], stack.shape[-2:]
    first, second = stack.reshape(*lead, count // 2, 2, *last).unbind(-3)
    out, inner = fold(combine(first, second), combine)
    return out, Fold(first, second, inner, True)


def unfold(node: Fold | None, slope: Tensor, uncombine: Uncombine) -> Tensor:
    """Slope of the stack from the slope of its product."""
    if node is None:
        return slope.unsqueeze(-3)
    if not node.pairs:
        head, tail = uncombine(node.first, node.second, slope)
        return torch.cat([unfold(node.inner, head, uncombine), tail.unsqueeze(-3)], -3)
    pair = uncombine(node.first, node.second, unfold(node.inner, slope, uncombine))
    return torch.stack(pair, -3).flatten(-4, -3)


def kron_columns(a: Tensor, b: Tensor) -> Tensor:
    """Kronecker product of columns ``[..., D, B]``; a width of 1 serves all samples."""
    return (a.unsqueeze(-2) * b.unsqueeze(-3)).flatten(-3, -2)


def unkron_columns(a: Tensor, b: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of both factors of :func:`kron_columns`."""
    by_factor = split(slope, slope.dim() - 2, (a.shape[-2], b.shape[-2]))
    first = (by_factor * b.unsqueeze(-3)).sum(-2)
    second = (by_factor * a.unsqueeze(-2)).sum(-3)
    return _narrowed(first, a), _narrowed(second, b)


def _narrowed(slope: Tensor, like: Tensor) -> Tensor:
    return slope if slope.shape == like.shape else slope.sum(-1, keepdim=True)


def kron_matrices(a: Tensor, b: Tensor) -> Tensor:
    """Kronecker product of matrices ``[..., D, D]``."""
    product = a.unsqueeze(-1).unsqueeze(-3) * b.unsqueeze(-2).unsqueeze(-4)
    size = a.shape[-1] * b.shape[-1]
    return product.reshape(*product.shape[:-4], size, size)


def unkron_matrices(a: Tensor, b: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of both factors of :func:`kron_matrices`."""
    d, e = a.shape[-1], b.shape[-1]
    by_factor = slope.reshape(*slope.shape[:-2], d, e, d, e)
    first = (by_factor * b.unsqueeze(-2).unsqueeze(-4)).sum((-3, -1))
    return first, (by_factor * a.unsqueeze(-1).unsqueeze(-3)).sum((-4, -2))
