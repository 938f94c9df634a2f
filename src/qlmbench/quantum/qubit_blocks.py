"""Matrices of all blocks of a plan, from weights and features, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qlmbench.quantum.qubit_kernels import (
    Fold,
    fold,
    kron_columns,
    kron_matrices,
    unfold,
    unkron_columns,
    unkron_matrices,
)
from qlmbench.quantum.qubit_plan import Bucket


@dataclass(frozen=True)
class BucketTrace:
    """Factors of a bucket in the order of time, their running products, and the Kronecker tree."""

    factors: Tensor
    products: list[Tensor]
    tree: Fold | None


class Blocks(nn.Module):
    """All blocks that depend on the sample, or all that do not.

    Their angles lie side by side, bucket after bucket, so that one sine and one cosine serve the
    circuit. Complex numbers lie as real pairs: ``Module.to`` would drop the imaginary part.

    Parameters
    ----------
    buckets : sequence of (number, Bucket)
        Buckets of this kind, with their numbers in the plan.
    sampled : bool
        Which kind.
    real : bool
        Whether no gate of the circuit is complex.
    starts : sequence of int
        Buckets that give columns of the first product state rather than matrices.
    """

    weight_map: Tensor
    feature_map: Tensor
    features: Tensor
    even: Tensor
    odd: Tensor
    even_back: Tensor
    odd_back: Tensor

    def __init__(
        self,
        buckets: Sequence[tuple[int, Bucket]],
        *,
        sampled: bool,
        real: bool,
        starts: Sequence[int],
    ) -> None:
        super().__init__()
        self.sampled, self.real = sampled, real
        self.numbers = [number for number, _ in buckets]
        self.starts = [number in starts for number in self.numbers]
        self.shapes = [(b.blocks, b.qubits, b.depth) for _, b in buckets]
        self.sizes = [blocks * qubits * depth for blocks, qubits, depth in self.shapes]
        weight_map = np.concatenate([b.weight_map for _, b in buckets], axis=1)
        feature_map = np.concatenate([b.feature_map for _, b in buckets], axis=1)
        used = np.flatnonzero(feature_map.any(axis=1))
        self.columns_by_weight: list[int] = np.flatnonzero(weight_map.any(axis=0)).tolist()
        self.columns_by_any: list[int] = np.flatnonzero(
            weight_map.any(axis=0) | feature_map.any(axis=0)
        ).tolist()
        # Half angles enter the matrices, so that the maps carry the factor 1/2.
        self._keep("weight_map", 0.5 * weight_map)
        self._keep("feature_map", 0.5 * feature_map[used])
        self._keep("features", used)
        for name in ("even", "odd"):
            values = np.concatenate([getattr(b, name) for _, b in buckets]).reshape(-1, 4)
            self._keep(name, values.real if real else _pairs(values))
            # Backwards travels the conjugate slope; its real part is what an angle feels.
            self._keep(f"{name}_back", values.real if real else _pairs(values.conj()))

    def _keep(self, name: str, values: NDArray[np.generic]) -> None:
        self.register_buffer(name, torch.from_numpy(values.copy()), persistent=False)

    def half_angles(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Half of every angle: ``[R, S]``, or ``[R, B, S]`` if the blocks depend on the sample."""
        if not self.sampled:
            return weights @ self.weight_map
        chosen = inputs
        if len(self.features) != inputs.shape[2]:
            chosen = inputs.index_select(2, self.features)
        angles = chosen @ self.feature_map
        if self.columns_by_weight:
            angles = angles + (weights @ self.weight_map).unsqueeze(1)
        return angles

    def angle_slopes(
        self, slope: Tensor, inputs: Tensor, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Slopes of weights and inputs from those of the half angles."""
        weights = features = None
        if wanted[0] and self.columns_by_weight:
            weights = (slope.sum(1) if self.sampled else slope) @ self.weight_map.T
        if wanted[1] and self.sampled:
            features = slope @ self.feature_map.T
            if len(self.features) != inputs.shape[2]:
                features = torch.zeros_like(inputs).index_copy_(2, self.features, features)
        return weights, features

    def factors(self, cos: Tensor, sin: Tensor) -> list[Tensor]:
        """2 x 2 matrices of every bucket, ``[..., blocks, qubits, depth, 2, 2]``."""
        values = torch.addcmul(cos.unsqueeze(-1) * self.even, sin.unsqueeze(-1), self.odd)
        if not self.real:
            values = torch.view_as_complex(values.view(*cos.shape, 4, 2))
        lead = cos.shape[:-1]
        if len(self.sizes) == 1:
            return [values.view(*lead, *self.shapes[0], 2, 2)]
        parts = torch.split_with_sizes(values, self.sizes, -2)
        shapes = zip(parts, self.shapes, strict=True)
        return [part.view(*lead, *shape, 2, 2) for part, shape in shapes]

    def factor_slopes(self, slopes: list[Tensor], cos: Tensor, sin: Tensor) -> Tensor:
        """Slopes of the half angles from those of the 2 x 2 matrices."""
        flat = [slope.reshape(*cos.shape[:-1], -1, 4) for slope in slopes]
        joined = flat[0] if len(flat) == 1 else torch.cat(flat, -2)
        if not self.real:
            joined = torch.view_as_real(joined).flatten(-2)
        odd, even = (joined * self.odd_back).sum(-1), (joined * self.even_back).sum(-1)
        return cos * odd - sin * even


def build(factors: Tensor, start: bool) -> tuple[Tensor, BucketTrace]:
    """Fuse the factors of a bucket and multiply its qubits out.

    Returns
    -------
    Tensor
        Matrices ``[..., blocks, d, d]``, or for a start the column ``[R, 2 ** blocks, B or 1]``.
    BucketTrace
        For :func:`build_back`.
    """
    products = [factors.select(-3, 0)]
    for k in range(1, factors.shape[-3]):
        products.append(factors.select(-3, k) @ products[-1])
    fused = products[-1]
    if not start:
        out, tree = fold(fused, kron_matrices)
        return out, BucketTrace(factors, products, tree)
    columns = fused[..., 0, :, 0]
    by_row = columns.permute(0, 2, 3, 1) if columns.dim() == 4 else columns.unsqueeze(-1)
    out, tree = fold(by_row, kron_columns)
    return out, BucketTrace(factors, products, tree)


def build_back(trace: BucketTrace, slope: Tensor, start: bool) -> Tensor:
    """Slopes of the factors of a bucket."""
    if start:
        by_row = unfold(trace.tree, slope, unkron_columns)
        columns = by_row.permute(0, 3, 1, 2) if trace.factors.dim() == 7 else by_row.squeeze(-1)
        fused = torch.zeros_like(trace.products[-1])
        fused[..., 0, :, 0] = columns
    else:
        fused = unfold(trace.tree, slope, unkron_matrices)
    depth = trace.factors.shape[-3]
    if depth == 1:
        return fused.unsqueeze(-3)
    slopes = []
    for k in range(depth - 1, 0, -1):
        slopes.append(fused @ trace.products[k - 1].mT)
        fused = trace.factors.select(-3, k).mT @ fused
    return torch.stack([fused, *reversed(slopes)], -3)


def _pairs(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack([values.real, values.imag], -1).reshape(len(values), -1)
