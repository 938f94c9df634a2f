r"""The rectangular mesh of Mach-Zehnder interferometers, for many meshes at once.

A mesh of m modes has m columns (one where m is 2); column c couples the pairs (0, 1), (2, 3), ...
or, where c is odd, (1, 2), (3, 4), ... (Clements et al., doi:10.1364/OPTICA.3.001460). Each pair is
a beam splitter, an inner phase :math:`\theta` on the upper mode, a beam splitter, and an outer
phase :math:`\varphi` on the upper mode:

.. math::
    \begin{pmatrix} e^{i\varphi} & 0 \\ 0 & 1 \end{pmatrix}
    \tfrac{1}{2} \begin{pmatrix} 1 & i \\ i & 1 \end{pmatrix}
    \begin{pmatrix} e^{i\theta} & 0 \\ 0 & 1 \end{pmatrix}
    \begin{pmatrix} 1 & i \\ i & 1 \end{pmatrix}.

Every entry of a column is therefore (outer phase of its row) x (slope x inner phase + constant),
with constant matrices of slopes and constants. So all columns of all meshes are two elementwise
operations, and their product is a tree of batched matrix products.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function

from qlmbench.quantum.first_order import first_order

Mesh = Literal["mzi", "mzi+phases"]
MESHES: tuple[Mesh, ...] = ("mzi", "mzi+phases")


def mesh_pairs(n_modes: int) -> list[list[int]]:
    """List the upper mode of every interferometer, column by column, in order of the angles."""
    columns = [list(range(column % 2, n_modes - 1, 2)) for column in range(n_modes)]
    return [column for column in columns if column]


def mesh_size(n_modes: int, mesh: Mesh) -> int:
    """Return the number of angles of a mesh: m (m - 1), and m more with phases at the end.

    The angles are inner, outer, inner, outer, ... in the order of ``mesh_pairs``, and then the
    phases of the modes.
    """
    return n_modes * (n_modes - 1) + (n_modes if mesh == "mzi+phases" else 0)


def mesh_unitaries(angles: Tensor, n_modes: int, mesh: Mesh) -> Tensor:
    """Build the unitary of every mesh.

    Parameters
    ----------
    angles : Tensor
        [..., ``mesh_size``] angles in radians, real.
    n_modes : int
        Number of modes m, at least 2.
    mesh : {"mzi", "mzi+phases"}
        Without or with a phase on each mode after the mesh.

    Returns
    -------
    Tensor
        [..., m, m] complex unitaries; ``U[i, j]`` is the amplitude from mode j to mode i.
        Differentiable once.
    """
    out: Tensor = _Unitaries.apply(angles, n_modes, mesh)  # type: ignore[no-untyped-call]
    return out


class _Unitaries(Function):
    @staticmethod
    def forward(ctx: Any, angles: Tensor, n_modes: int, mesh: Mesh) -> Tensor:
        layout = _layout(n_modes, mesh, angles.dtype, angles.device)
        phases = torch.polar(layout.one, angles.reshape(-1, angles.shape[-1]) @ layout.angle_to_row)
        # [inner or outer, column, mesh, row, 1]
        inner, outer = phases.view(-1, *layout.rows, 1).permute(1, 2, 0, 3, 4)
        columns = torch.addcmul(layout.constant, layout.slope, inner)
        columns *= outer
        ctx.layout, ctx.outer, ctx.products = layout, outer, _product_tree(columns)
        ctx.shape = angles.shape
        product: Tensor = ctx.products[-1]
        return product.view(*angles.shape[:-1], n_modes, n_modes)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        layout: _Layout = ctx.layout
        columns = ctx.products[0]
        last = grad.conj().reshape(ctx.products[-1].shape)
        grad_columns = _product_tree_gradient(last, ctx.products)
        # with M = outer (slope inner + constant): outer dM/d(outer) = M, and
        # inner dM/d(inner) = M - outer constant, and d e^(i x) / dx = i e^(i x)
        by_row = last.new_empty(2, *columns.shape[:-1])
        torch.sum(grad_columns * columns, -1, out=by_row[1])
        grad_columns *= layout.constant
        torch.sum(grad_columns, -1, out=by_row[0])
        by_row[0].mul_(ctx.outer.squeeze(-1)).neg_().add_(by_row[1])
        by_row = by_row.imag.permute(2, 0, 1, 3).flatten(1)
        return (by_row @ layout.row_to_angle).view(ctx.shape), None, None


def _product_tree(columns: Tensor) -> list[Tensor]:
    """Multiply [columns, N, m, m], stored in the order of ``_tree_order``, level by level."""
    levels = [columns]
    while len(levels[-1]) > 1:
        factors = levels[-1]
        half = len(factors) // 2
        product = _matmul(factors[half : 2 * half], factors[:half])
        if len(factors) % 2:
            product = torch.cat([product, factors[-1:]])
        levels.append(product)
    return levels


def _product_tree_gradient(grad: Tensor, levels: list[Tensor]) -> Tensor:
    for factors in reversed(levels[:-1]):
        half = len(factors) // 2
        first, later = factors[:half], factors[half : 2 * half]
        parts = [_matmul(later.mT, grad[:half]), _matmul(grad[:half], first.mT), grad[half:]]
        grad = torch.cat(parts)
    return grad


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """Multiply stacks [c, N, m, m]; one flat batch is faster than a broadcast product."""
    product = torch.bmm(left.flatten(0, 1), right.flatten(0, 1))
    return product.view(left.shape)


def _tree_order(n_columns: int) -> list[int]:
    """Order the columns so that each level of the tree multiplies its first half with its second.

    Then no level has to copy: the earlier factors of all pairs lie together, then the later ones,
    then the one left over.
    """
    if n_columns == 1:
        return [0]
    half = n_columns // 2
    pairs = [pair for pair in _tree_order((n_columns + 1) // 2) if pair < half]
    left_over = [n_columns - 1] if n_columns % 2 else []
    return [2 * p for p in pairs] + [2 * p + 1 for p in pairs] + left_over


@dataclass(frozen=True)
class _Layout:
    """Constants of a mesh.

    Attributes
    ----------
    rows : tuple of int
        2 (inner and outer), columns, m.
    one : Tensor
        The number 1, as the modulus of every phase.
    angle_to_row, row_to_angle : Tensor
        [n_angles, 2 m m] zeros and ones: which angles add up to the inner and to the outer phase
        of each row of each column; and minus its transpose, for Re(i x) = -Im(x).
    slope, constant : Tensor
        [columns, 1, m, m] complex matrices of the columns.
    """

    rows: tuple[int, int, int]
    one: Tensor
    angle_to_row: Tensor
    row_to_angle: Tensor
    slope: Tensor
    constant: Tensor


@lru_cache(maxsize=64)
def _layout(n_modes: int, mesh: Mesh, dtype: torch.dtype, device: torch.device) -> _Layout:
    pairs = mesh_pairs(n_modes)
    order = _tree_order(len(pairs))
    rows = (2, len(pairs), n_modes)
    angle_to_row = torch.zeros(mesh_size(n_modes, mesh), *rows, dtype=dtype)
    slope = torch.zeros(len(pairs), n_modes, n_modes, dtype=torch.complex128)
    constant = torch.eye(n_modes, dtype=torch.complex128).repeat(len(pairs), 1, 1)
    first_angle = [2 * sum(map(len, pairs[:column])) for column in range(len(pairs))]
    for place, column in enumerate(order):
        for i, upper in enumerate(pairs[column]):
            both = slice(upper, upper + 2)
            inner = first_angle[column] + 2 * i
            angle_to_row[inner, 0, place, both] = 1
            angle_to_row[inner + 1, 1, place, upper] = 1
            slope[place, both, both] = torch.tensor([[0.5, 0.5j], [0.5j, -0.5]])
            constant[place, both, both] = torch.tensor([[-0.5, 0.5j], [0.5j, 0.5]])
    if mesh == "mzi+phases":
        modes = torch.arange(n_modes)
        last = order.index(len(pairs) - 1)
        angle_to_row[n_modes * (n_modes - 1) + modes, 1, last, modes] = 1
    angle_to_row = angle_to_row.flatten(1).to(device)
    complex_dtype = dtype.to_complex()
    return _Layout(
        rows=rows,
        one=torch.ones((), dtype=dtype, device=device),
        angle_to_row=angle_to_row,
        row_to_angle=-angle_to_row.T.contiguous(),
        slope=slope.unsqueeze(1).to(device, complex_dtype),
        constant=constant.unsqueeze(1).to(device, complex_dtype),
    )
