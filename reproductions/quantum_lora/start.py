"""How an adapted model begins: how far from its base, and how strongly its angles are felt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from qlmbench.adapters.as_published import AsPublishedCircuit
from qlmbench.adapters.circuits import PhotonicBottleneck
from qlmbench.seeding import seed_for

from .update import Update, put_into

N_INPUTS = 64
"""Inputs at which the gradient of one adapter is looked at."""
WIDTH = 32
"""Values that such an adapter reads."""
N_WEIGHTINGS = 8
"""Random signs that outputs are added up with: their gradients are those of single outputs."""


def gradient_variance(network: nn.Module, inputs: Tensor) -> float | None:
    """Mean square of the derivative of an output of a circuit to an angle.

    It is a mean over angles, outputs, inputs and circuits. Over random initial angles the mean
    derivative is zero, so that the mean of this number over repetitions is the variance which
    shrinks on a barren plateau (McClean et al. 2018, arXiv 1803.11173). The loss itself has no
    gradient there before the first step, for Up is zero.

    Parameters
    ----------
    network : torch.nn.Module
        Before its training.
    inputs : Tensor
        Some inputs of the network.

    Returns
    -------
    float or None
        None where no circuit is trained.
    """
    seen: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda own, _, output: seen.append((own, output)))
        for module in network.modules()
        if isinstance(module, PhotonicBottleneck | AsPublishedCircuit)
    ]
    try:
        with torch.enable_grad():
            network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    squares = [value for own, output in seen for value in _mean_squares(own, output)]
    return sum(squares) / len(squares) if squares else None


def _mean_squares(circuit: nn.Module, outputs: Tensor) -> list[float]:
    angles = [p for p in circuit.parameters() if p.requires_grad]
    if not angles:
        return []
    generator = torch.Generator().manual_seed(seed_for("sampling", purpose="gradient variance"))
    found = []
    for _ in range(N_WEIGHTINGS):
        signs = torch.randint(0, 2, outputs.shape, generator=generator) * 2.0 - 1
        total = (outputs * signs.to(outputs)).sum()
        gradients = torch.autograd.grad(total, angles, retain_graph=True)
        mean = torch.cat([g.flatten() for g in gradients]).square().mean()
        found.append(float(mean) / outputs.numel())
    return found


def variance_by_width(
    updates: Sequence[Update], widths: Sequence[int], n_draws: int = 20
) -> Iterator[tuple[Update, float]]:
    """Yield `gradient_variance` of adapters of several widths, the mean over initial values.

    Inputs are normal, as those of a layer after a normalisation. What shrinks exponentially with
    the width cannot be trained at a large one; what shrinks like a power of it can.

    Parameters
    ----------
    updates : sequence of Update
        With a trained circuit; their ``r`` and ``seed`` are replaced.
    widths : sequence of int
        Values of r; those that an update cannot have, for too few modes, are left out.
    n_draws : int
        Initial values to average over.

    Yields
    ------
    Update
        With its r.
    float
        The mean square of a derivative.

    Raises
    ------
    ValueError
        If an update trains no circuit.
    """
    generator = torch.Generator().manual_seed(seed_for("sampling", purpose="variance by width"))
    x = torch.randn(N_INPUTS, WIDTH, generator=generator, dtype=torch.float64)
    for update in updates:
        for width in widths:
            if width > update.n_photons:
                yield replace(update, r=width), _mean_variance(replace(update, r=width), x, n_draws)


def _mean_variance(update: Update, x: Tensor, n_draws: int) -> float:
    found = []
    for seed in range(n_draws):
        layer = nn.Linear(x.shape[1], 1, bias=False, device="meta")
        layer.weight = nn.Parameter(x.new_zeros(1, x.shape[1]))
        network = put_into(nn.Sequential(layer), replace(update, seed=seed), ("0",))
        variance = gradient_variance(network, x)
        if variance is None:
            raise ValueError(f"got {update}; expected an update that trains a circuit")
        found.append(variance)
    return sum(found) / len(found)
