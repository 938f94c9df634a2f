r"""Amplitudes and probabilities of Fock states, with hand-written gradients.

Let :math:`A_{jk}` be the amplitude with which photon k leaves in mode j. The coefficient of a state
is the sum over the ways to place the photons in its modes,

.. math:: c_k(s) = \sum_{j : s_j > 0} A_{jk} \, c_{k-1}(s - e_j),

which is the permanent of the rows of A that s names, divided by :math:`\prod_j s_j!` (Heurtel et
al., "Strong simulation of linear optical processes", doi:10.1016/j.cpc.2023.108848, adds photons
one by one in the same way). The amplitude is :math:`c(s) \sqrt{\prod_j s_j!}`. For distinguishable
photons the same recursion on :math:`|A_{jk}|^2` gives probabilities at once.

Everything is batch last: a row of a table is one contiguous run over repetitions and samples, so
that a gather is a few large copies. The backward pass carries the derivative with respect to the
complex number (not its conjugate), so that no conjugate is taken on the way.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qlmbench.quantum.first_order import first_order
from qlmbench.quantum.fock import Ladder, Space, ladder

WORKSPACE_BYTES = {"cpu": 2 * 2**20}
"""Largest gathered table by kind of device; a larger batch is worked through in chunks.

On a processor a chunk should stay in its cache: measured, 2 MiB halves the time of a batch of 500.
What is kept for the way back is not bounded by it: one complex number for each state of 1, 2, ... n
photons, repetition and sample.
"""
DEVICE_WORKSPACE_BYTES = 512 * 2**20


def fock_coefficients(transfer: Tensor, space: Space) -> Tensor:
    """Sum over the placements of the photons: the permanents of the rows that each state names.

    Parameters
    ----------
    transfer : Tensor
        [R, n, m, B] complex amplitudes, or real probabilities for distinguishable photons, with
        which each photon leaves in each mode.
    space : {"unbunched", "fock"}
        Which states.

    Returns
    -------
    Tensor
        [R, B, n_states] coefficients; differentiable once.
    """
    out: Tensor = _Coefficients.apply(transfer, space)  # type: ignore[no-untyped-call]
    return out


def fock_probabilities(transfer: Tensor, space: Space, renormalise: bool) -> Tensor:
    """Compute the probabilities of the states of indistinguishable photons.

    Parameters
    ----------
    transfer : Tensor
        [R, n, m, B] complex amplitudes with which each photon leaves in each mode.
    space : {"unbunched", "fock"}
        Which states.
    renormalise : bool
        Divide by the probability of being in the space (where that is 0, all stay 0).

    Returns
    -------
    Tensor
        [R, B, n_states] probabilities; differentiable once.
    """
    out: Tensor = _Probabilities.apply(transfer, space, renormalise)  # type: ignore[no-untyped-call]
    return out


class _Coefficients(Function):
    @staticmethod
    def forward(ctx: Any, transfer: Tensor, space: Space) -> Tensor:
        ctx.climb = _Climb(transfer, space)
        top: Tensor = ctx.climb.top
        return top.view(len(top), transfer.shape[0], transfer.shape[3]).permute(1, 2, 0)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        top = grad.permute(2, 0, 1).flatten(1)
        return ctx.climb.descend(top.conj()), None


class _Probabilities(Function):
    @staticmethod
    def forward(ctx: Any, transfer: Tensor, space: Space, renormalise: bool) -> Tensor:
        climb = _Climb(transfer, space)
        conjugate = climb.top.conj_physical()
        probs = (climb.top * conjugate).real
        weights = climb.bunching
        if weights is not None:
            probs = probs * weights
        mass = _mass(probs) if renormalise else None
        probs = probs.contiguous() if mass is None else probs / mass
        ctx.climb, ctx.conjugate, ctx.weights, ctx.mass = climb, conjugate, weights, mass
        probs = probs.view(len(probs), transfer.shape[0], transfer.shape[3]).permute(1, 2, 0)
        ctx.save_for_backward(probs)
        return probs

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (probs,) = ctx.saved_tensors
        grad = grad.permute(2, 0, 1).reshape(ctx.conjugate.shape)
        if ctx.mass is not None:
            probs = probs.permute(2, 0, 1).view(grad.shape)
            grad = (grad - (grad * probs).sum(0)) / ctx.mass
        if ctx.weights is not None:
            grad = grad * ctx.weights
        # d|c|^2 = 2 Re(conj(c) dc)
        return ctx.climb.descend(ctx.conjugate * (2 * grad)), None, None


def _mass(probs: Tensor) -> Tensor:
    """Sum over the states; infinite instead of zero, so that nothing divided by it is nothing."""
    mass = probs.sum(0)
    return mass.masked_fill_(mass == 0, torch.inf)


class _Climb:
    """The coefficients of 1, 2, ... n photons, kept for the way back."""

    def __init__(self, transfer: Tensor, space: Space) -> None:
        repetitions, n_photons, n_modes, batch = transfer.shape
        self.shape = (n_photons, n_modes, repetitions, batch)
        self.ladder = ladder(n_modes, n_photons, space, transfer.device)
        rows = _photon_rows(transfer)
        workspace = WORKSPACE_BYTES.get(transfer.device.type, DEVICE_WORKSPACE_BYTES)
        width = max(1, workspace // (self.ladder.widest * rows.element_size()))
        self.rows = [part.contiguous() for part in torch.split(rows, width, dim=1)]
        self.levels = [_climb(part, self.ladder) for part in self.rows]
        tops = [levels[-1] for levels in self.levels]
        self.top = tops[0] if len(tops) == 1 else torch.cat(tops, dim=1)

    @property
    def bunching(self) -> Tensor | None:
        """[n_states, 1] product of the factorials of the occupations, None where all are 1."""
        weights = self.ladder.bunching
        return None if weights is None else weights.to(self.top.real.dtype).unsqueeze(1)

    def descend(self, top: Tensor) -> Tensor:
        """Carry the derivative at the top [n_states, R * B] back to the transfer [R, n, m, B]."""
        parts = torch.split(top, [part.shape[1] for part in self.rows], dim=1)
        grads = [
            _descend(part, rows, levels, self.ladder)
            for part, rows, levels in zip(parts, self.rows, self.levels, strict=True)
        ]
        grad = grads[0] if len(grads) == 1 else torch.cat(grads, dim=1)
        return grad.view(self.shape).permute(2, 0, 1, 3).conj()


def _photon_rows(transfer: Tensor) -> Tensor:
    """Lay the transfer out as [n * m + 1, R * B], one row a photon and mode, the last row zero."""
    repetitions, n_photons, n_modes, batch = transfer.shape
    rows = transfer.new_empty(n_photons * n_modes + 1, repetitions, batch)
    rows[:-1].copy_(transfer.flatten(1, 2).transpose(0, 1))
    rows[-1].zero_()
    return rows.flatten(1)


def _climb(rows: Tensor, ladder: Ladder) -> list[Tensor]:
    levels = [rows[: ladder.n_modes]]
    for step in ladder.steps:
        terms = rows.index_select(0, step.row)
        terms *= levels[-1].index_select(0, step.before)
        levels.append(terms.view(step.n_states, step.fan_in, rows.shape[1]).sum(1))
    return levels


def _descend(top: Tensor, rows: Tensor, levels: list[Tensor], ladder: Ladder) -> Tensor:
    n_modes = ladder.n_modes
    grad_rows = torch.empty_like(rows[:-1])
    grad = _with_zero_row(ladder.n_states, rows)
    grad[:-1].copy_(top)
    for k, step in reversed(list(enumerate(ladder.steps, start=1))):
        photon = slice(k * n_modes, (k + 1) * n_modes)
        terms = grad.index_select(0, step.after).view(step.n_before, n_modes, rows.shape[1])
        torch.sum(terms * levels[k - 1].unsqueeze(1), 0, out=grad_rows[photon])
        terms *= rows[photon]
        grad = _with_zero_row(step.n_before, rows)
        torch.sum(terms, 1, out=grad[:-1])
    grad_rows[:n_modes] = grad[:-1]
    return grad_rows


def _with_zero_row(n_rows: int, like: Tensor) -> Tensor:
    """Make room for ``n_rows`` rows and one of zeros, to which states outside the space point."""
    rows = like.new_empty(n_rows + 1, like.shape[1])
    rows[-1].zero_()
    return rows
