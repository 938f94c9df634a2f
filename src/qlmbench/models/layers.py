"""Layers whose random numbers are their own: R copies as a stack, or one of them alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qlmbench.seeding import seed_for


class StackedLinear(nn.Module):
    """R affine maps side by side, each initialised as `torch.nn.Linear` is, times a factor.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    seeds : sequence of int
        One a copy; copy r depends on ``seeds[r]`` and the layer's name alone.
    name : str
        Distinguishes the layers of one network.
    scales : sequence of float
        Factor on the initial values, one a copy.
    dtype : torch.dtype
        Type of the parameters.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        seeds: Sequence[int],
        name: str,
        scales: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        weights, biases = [], []
        for seed, scale in zip(seeds, scales, strict=True):
            g = torch.Generator().manual_seed(seed_for("initialisation", seed=seed, layer=name))
            # Drawn in float64 so that single and double precision start from the same point.
            uniform = torch.rand(n_in + 1, n_out, generator=g, dtype=torch.float64) * 2 - 1
            weights.append(uniform[:-1].T * bound * scale)
            biases.append(uniform[-1:].T * bound * scale)
        self.weight = nn.Parameter(torch.stack(weights).to(dtype))
        self.bias = nn.Parameter(torch.stack(biases).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, n, n_in) to (R, n, n_out)."""
        # Few outputs, many inputs: with the weight on the left the product runs along its rows,
        # in both directions, which is two to four times faster here.
        return torch.baddbmm(self.bias, self.weight, x.transpose(1, 2)).transpose(1, 2)


def seeded_linear(
    n_in: int, n_out: int, *, seed: int, name: str, bias: bool = True, dtype: torch.dtype
) -> nn.Linear:
    """`torch.nn.Linear` with its usual initial values, drawn from a seed of its own.

    It is one copy of `StackedLinear` of the same name, so that a module alone starts where its
    stacked form starts.
    """
    drawn = StackedLinear(n_in, n_out, seeds=[seed], name=name, scales=[1.0], dtype=dtype)
    # Made without values: torch would take them from its global generator.
    linear = nn.Linear(n_in, n_out, bias=bias, dtype=dtype, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(drawn.weight[0])
        if bias:
            linear.bias.copy_(drawn.bias[0, :, 0])
    return linear


class StackedDropout(nn.Module):
    """Dropout whose masks depend, copy by copy, on that copy's seed alone.

    Parameters
    ----------
    rate : float
        Share of values set to zero in training.
    seeds : sequence of int
        One a copy.
    name : str
        Distinguishes the layers of one network.
    """

    def __init__(self, rate: float, *, seeds: Sequence[int], name: str) -> None:
        super().__init__()
        self.rate = rate
        self.generators = [
            torch.Generator().manual_seed(seed_for("sampling", seed=s, layer=name)) for s in seeds
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training, pass through in evaluation."""
        if not self.training or self.rate == 0:
            return x
        draws = [torch.rand(x.shape[1:], generator=g, dtype=x.dtype) for g in self.generators]
        return x * (torch.stack(draws) >= self.rate) / (1 - self.rate)
