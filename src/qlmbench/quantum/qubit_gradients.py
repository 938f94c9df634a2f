"""The parameter-shift rule: gradients from further runs of the circuit, exact or with shots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qlmbench.quantum.qubit_kernels import split

Run = Callable[[list[Tensor], list[Tensor], int], Tensor]
"""``run(half angles, vectors, copies)`` gives outputs ``[R * copies, B, m]``, without a graph."""


class _ParameterShift(torch.autograd.Function):
    """Outputs of a run; the gradient of angle a is ``(f(a + pi/2) - f(a - pi/2)) / 2``.

    Mitarai et al. 2018, DOI 10.1103/PhysRevA.98.032309; Schuld et al. 2019, DOI
    10.1103/PhysRevA.99.032331.
    """

    @staticmethod
    def forward(
        ctx: Any,
        run: Run,
        columns: Sequence[Sequence[int]],
        limit: int,
        vectors: list[Tensor],
        *halves: Tensor,
    ) -> Tensor:
        ctx.run, ctx.columns, ctx.limit = run, columns, limit
        ctx.n_vectors = len(vectors)
        ctx.save_for_backward(*vectors, *halves)
        return run(list(halves), vectors, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = list(ctx.saved_tensors)
        vectors, halves = saved[: ctx.n_vectors], saved[ctx.n_vectors :]
        gradients: list[Tensor | None] = []
        for number, wanted in enumerate(ctx.columns):
            if not ctx.needs_input_grad[4 + number]:
                gradients.append(None)
                continue
            gradient = torch.zeros_like(halves[number])
            for first in range(0, len(wanted), ctx.limit):
                chunk = list(wanted[first : first + ctx.limit])
                slope = _differences(ctx.run, halves, vectors, number, chunk)
                gradient[..., chunk] = _contract(slope, grad, halves[number].dim())
            gradients.append(gradient)
        return None, None, None, None, *gradients


def _differences(
    run: Run, halves: list[Tensor], vectors: list[Tensor], number: int, columns: list[int]
) -> Tensor:
    """Slope of the outputs in each half angle, ``[R, columns, B, m]``."""
    copies = 2 * len(columns)
    stacked = [half.repeat_interleave(copies, 0) for half in halves]
    shifted = split(stacked[number], 0, (-1, copies))
    for i, column in enumerate(columns):
        # Half angles move by pi/4, and their slope is twice the slope of the angle.
        shifted[:, 2 * i, ..., column] += math.pi / 4
        shifted[:, 2 * i + 1, ..., column] -= math.pi / 4
    outputs = run(stacked, [vector.repeat_interleave(copies, 0) for vector in vectors], copies)
    pairs = split(outputs, 0, (-1, len(columns), 2))
    return pairs[:, :, 0] - pairs[:, :, 1]


def _contract(slope: Tensor, grad: Tensor, dim: int) -> Tensor:
    """Chain rule: angles of all samples sum over them, angles of one sample keep it apart."""
    if dim == 2:
        return torch.einsum("rkbm,rbm->rk", slope, grad)
    return torch.einsum("rkbm,rbm->rbk", slope, grad)


def parameter_shift(
    run: Run,
    columns: Sequence[Sequence[int]],
    limit: int,
    vectors: list[Tensor],
    halves: list[Tensor],
) -> Tensor:
    """Run a circuit so that its gradient comes from shifted runs.

    Parameters
    ----------
    run : callable
        Runs a stack of circuits without a graph; see ``Run``.
    columns : sequence of sequences of int
        For each tensor of half angles, the columns to shift.
    limit : int
        Most angles to shift in one run: bounds the memory.
    vectors : list of Tensor
        Amplitude encodings; they have no shift rule.
    halves : list of Tensor
        Half angles, ``[R, S]`` or ``[R, B, S]``.
    """
    out: Tensor = _ParameterShift.apply(  # type: ignore[no-untyped-call]
        run, columns, limit, vectors, *halves
    )
    return out
