r"""One photon has a closed form: its probabilities are the squares of one column of a unitary.

With meshes :math:`U_0, U_1, \ldots`, phases x and the photon entering mode k, the amplitudes after
the first encoding and mesh are :math:`a_j = \sum_i (U_1)_{ji} (U_0)_{ik} e^{i x_i}`, one product of
a fixed matrix and the encoded phases; no permanent is taken and nothing is post-selected.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qlmbench.quantum.first_order import first_order


def one_photon_probabilities(unitaries: Tensor, phases: Tensor, occupied: Tensor) -> Tensor:
    """Return where one photon is found.

    Parameters
    ----------
    unitaries : Tensor
        [1, L + 1, m, m] complex, of the meshes.
    phases : Tensor
        [N, L * m] real, in radians; block l encodes entries ``l * m`` to ``(l + 1) * m``.
    occupied : Tensor
        [1] the mode that the photon enters.

    Returns
    -------
    Tensor
        [N, m] probabilities; differentiable once.
    """
    out: Tensor = _OnePhoton.apply(unitaries[0], phases, occupied)  # type: ignore[no-untyped-call]
    return out


class _OnePhoton(Function):
    @staticmethod
    def forward(ctx: Any, unitaries: Tensor, phases: Tensor, occupied: Tensor) -> Tensor:
        n_modes = unitaries.shape[-1]
        encoded = torch.polar(phases.new_ones(()), phases)
        entering = unitaries[0].index_select(1, occupied).mT
        amplitudes, before = entering, []
        for block, mesh in enumerate(unitaries[1:]):
            turned = amplitudes * encoded[:, block * n_modes : (block + 1) * n_modes]
            before.append(turned)
            amplitudes = turned @ mesh.mT
        ctx.save_for_backward(unitaries, occupied)
        ctx.encoded, ctx.before, ctx.amplitudes = encoded, before, amplitudes
        return torch.view_as_real(amplitudes).square().sum(-1)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unitaries, occupied = ctx.saved_tensors
        n_modes = unitaries.shape[-1]
        grad_unitaries = torch.zeros_like(unitaries)
        grad_phases = torch.empty_like(ctx.encoded.real)
        # The derivative by the complex number itself, not its conjugate: d|a|^2 = 2 Re(conj(a) da).
        down = ctx.amplitudes.conj() * (2 * grad)
        for block in reversed(range(len(ctx.before))):
            turned = ctx.before[block]
            grad_unitaries[block + 1] = down.mT @ turned
            down = down @ unitaries[block + 1]
            # turned = amplitude e^(i x), so d turned / dx = i turned
            grad_phases[:, block * n_modes : (block + 1) * n_modes] = -(down * turned).imag
            down = down * ctx.encoded[:, block * n_modes : (block + 1) * n_modes]
        grad_unitaries[0].index_copy_(1, occupied, down.sum(0, keepdim=True).mT)
        return grad_unitaries.conj(), grad_phases, None
