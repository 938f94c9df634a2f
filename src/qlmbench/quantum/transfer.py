r"""From unitaries and encoded phases to the amplitude of each photon in each output mode.

With meshes :math:`U_0, U_1, \ldots` and phases :math:`x_1, x_2, \ldots` the interferometer is
:math:`\cdots U_2 \, e^{i x_2} U_1 \, e^{i x_1} U_0`, of which only the columns of the occupied
input modes are needed. The first encoding does not depend on the photon and the meshes do not
depend on the sample, so that one encoding is a single batched product of weights and phases.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qlmbench.quantum.first_order import first_order


def transfer_amplitudes(unitaries: Tensor, phases: Tensor, occupied: Tensor) -> Tensor:
    """Send each photon through meshes and encoded phases in turn.

    Parameters
    ----------
    unitaries : Tensor
        [R, L + 1, m, m] complex.
    phases : Tensor
        [R, B, L * m] real, radians; block l encodes entries ``l * m`` to ``(l + 1) * m``.
    occupied : Tensor
        [n] input mode of each photon.

    Returns
    -------
    Tensor
        [R, n, m, B] complex amplitudes; differentiable once.
    """
    out: Tensor = _Transfer.apply(unitaries, phases, occupied)  # type: ignore[no-untyped-call]
    return out


class _Transfer(Function):
    @staticmethod
    def forward(ctx: Any, unitaries: Tensor, phases: Tensor, occupied: Tensor) -> Tensor:
        repetitions, meshes, n_modes, _ = unitaries.shape
        one = phases.new_ones(())
        encoded = torch.polar(one, phases.mT).view(
            repetitions, meshes - 1, n_modes, phases.shape[1]
        )
        # [R, n, 1, m]: how each photon enters the first encoding
        entering = unitaries[:, 0].index_select(2, occupied).mT.unsqueeze(2)
        weights = (unitaries[:, 1].unsqueeze(1) * entering).flatten(1, 2)
        stages = [torch.bmm(weights, encoded[:, 0])]
        for block in range(1, meshes - 1):
            turned = _per_photon(stages[-1], n_modes) * encoded[:, block].unsqueeze(1)
            stages.append((unitaries[:, block + 1].unsqueeze(1) @ turned).flatten(1, 2))
        ctx.save_for_backward(unitaries, occupied)
        ctx.encoded, ctx.entering, ctx.weights, ctx.stages = encoded, entering, weights, stages
        return _per_photon(stages[-1], n_modes)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        unitaries, occupied = ctx.saved_tensors
        need_unitaries, need_phases, _ = ctx.needs_input_grad
        _, meshes, n_modes, _ = unitaries.shape
        grad_unitaries = torch.zeros_like(unitaries) if need_unitaries else None
        grad_phases = torch.empty_like(ctx.encoded.real) if need_phases else None
        down = grad.conj()
        for block in range(meshes - 2, 0, -1):
            encoded, before = (
                ctx.encoded[:, block].unsqueeze(1),
                _per_photon(ctx.stages[block - 1], n_modes),
            )
            if grad_unitaries is not None:
                grad_unitaries[:, block + 1] = (down @ (encoded * before).mT).sum(1)
            down = (unitaries[:, block + 1].mT.unsqueeze(1) @ down) * encoded
            if grad_phases is not None:
                grad_phases[:, block] = -(down * before).sum(1).imag
        down = down.flatten(1, 2)
        if grad_phases is not None:
            first = torch.bmm(ctx.weights.mT, down)
            grad_phases[:, 0] = -(first * ctx.encoded[:, 0]).imag
            grad_phases = grad_phases.flatten(1, 2).mT
        if grad_unitaries is not None:
            grad_weights = _per_photon(torch.bmm(down, ctx.encoded[:, 0].mT), n_modes)
            grad_unitaries[:, 1] = (grad_weights * ctx.entering).sum(1)
            grad_entering = (grad_weights * unitaries[:, 1].unsqueeze(1)).sum(2)
            grad_unitaries[:, 0].index_copy_(2, occupied, grad_entering.mT)
            grad_unitaries = grad_unitaries.conj()
        return grad_unitaries, grad_phases, None


def _per_photon(stage: Tensor, n_modes: int) -> Tensor:
    """View [R, n * m, B] as [R, n, m, B]."""
    return stage.view(len(stage), stage.shape[1] // n_modes, n_modes, stage.shape[2])
