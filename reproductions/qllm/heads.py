"""The photonic head as its public notebook builds it, with the features that never arrive."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.photonic import PhotonicClassifier


class PublishedPhotonicClassifier(PhotonicClassifier):
    """Linear to 100 features, sigmoid, series encoding, interferometers with output phases.

    The series encoding puts on mode j - 1 the phase pi times the sum of the features whose bits
    are set in j, for j = 1 .. m - 1. With m modes only the first ceil(log2(m)) of the 100 features
    ever reach a phase; the rest of the linear map is trained and counted, and does nothing. An
    interferometer has m (m - 1) angles and one phase a mode behind them.
    """

    _mesh = "mzi+phases"
    n_hidden = 100

    def make_encoder(
        self, n_features: int, seeds: list[int], scales: list[float], dtype: torch.dtype
    ) -> nn.Module:
        """Make the map from features to phases of the series encoding."""
        linear = StackedLinear(
            n_features, self.n_hidden, seeds=seeds, name="in", scales=scales, dtype=dtype
        )
        return nn.Sequential(linear, SeriesEncoding(self.n_hidden, self.n_modes, dtype))


class SeriesEncoding(nn.Module):
    """Phases from sums over subsets of the features: (R, n, n_features) to (R, n, n_modes)."""

    subsets: Tensor

    def __init__(self, n_features: int, n_modes: int, dtype: torch.dtype) -> None:
        super().__init__()
        subsets = torch.zeros(n_features, n_modes, dtype=dtype)
        for j in range(1, n_modes):
            for bit in range(j.bit_length()):
                if j >> bit & 1:
                    subsets[bit, j - 1] = math.pi
        self.n_reached = int(subsets.any(1).sum())
        self.register_buffer("subsets", subsets[: self.n_reached].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the phases, in radians."""
        features = torch.sigmoid(x[..., : self.n_reached])
        return features @ self.subsets
