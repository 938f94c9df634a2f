"""Functions of two variables with known basins: how often an optimiser ends in the global one's.

All are sums of one function a variable, so that the basin of the global minimum (the points from
which gradient flow ends there) is a rectangle with known sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlmbench.optim.optimizer import QuantumGradientOptimizer
from qlmbench.seeding import seed_for

Interval = tuple[float, float]


@dataclass(frozen=True)
class Landscape:
    """A function ``f(x, y) = first(x) + second(y)``.

    Attributes
    ----------
    first, second : callable
        Functions of one variable, elementwise on tensors.
    minimum : tuple (x, y)
        The global minimum.
    basin : tuple of intervals
        Its basin: an open interval a variable, from one maximum to the next.
    box : tuple of intervals
        Where starts are drawn from.
    """

    first: Callable[[Tensor], Tensor]
    second: Callable[[Tensor], Tensor]
    minimum: tuple[float, float]
    basin: tuple[Interval, Interval]
    box: tuple[Interval, Interval]

    def mirrored(self) -> Landscape:
        """Return ``f(-x, -y)``.

        An update with a mean of its own pushes all weights one way: a claim to find global minima
        must hold on both.
        """
        first, second = self.first, self.second
        x, y = self.minimum
        return Landscape(
            lambda at: first(-at),
            lambda at: second(-at),
            minimum=(-x, -y),
            basin=_turned(self.basin),
            box=_turned(self.box),
        )

    def value(self, points: Tensor) -> Tensor:
        """Value of every point, ``[N, 2]`` to ``[N]``."""
        return self.first(points[:, 0]) + self.second(points[:, 1])

    def in_basin(self, points: Tensor) -> Tensor:
        """Whether every point lies in the basin of the global minimum, ``[N, 2]`` to ``[N]``."""
        low, high = torch.tensor(self.basin, dtype=torch.float64).T
        inside: Tensor = ((points > low) & (points < high)).all(1)
        return inside

    def starts(self, number: int, rng: np.random.Generator) -> Tensor:
        """Points drawn uniformly from the box, ``[number, 2]``."""
        low, high = np.array(self.box).T
        return torch.from_numpy(rng.uniform(low, high, (number, 2)))


def _turned(sides: tuple[Interval, Interval]) -> tuple[Interval, Interval]:
    (a, b), (c, d) = sides
    return (-b, -a), (-d, -c)


def _tilted_well(x: Tensor) -> Tensor:
    return x.pow(4) / 4 - x.square() / 2 + x / 10


def _bowl(x: Tensor) -> Tensor:
    return x.square() / 2


def _styblinski_tang(x: Tensor) -> Tensor:
    return (x.pow(4) - 16 * x.square() + 5 * x) / 2


def _rastrigin(x: Tensor) -> Tensor:
    return 10 + x.square() - 10 * torch.cos(2 * math.pi * x)


# Sides of basins: where the derivative crosses zero from above, to twelve digits.
_WELL_SIDE, _WELL_LOWEST = 0.101031257881, -1.046680531805
_TANG_SIDE, _TANG_LOWEST = 0.156731256780, -2.903534027771
_RASTRIGIN_SIDE = 0.502546036555

_WELL = Landscape(
    _tilted_well,
    _bowl,
    minimum=(_WELL_LOWEST, 0.0),
    basin=((-math.inf, _WELL_SIDE), (-math.inf, math.inf)),
    box=((-1.5, 1.5), (-1.5, 1.5)),
)
_TANG = Landscape(
    _styblinski_tang,
    _styblinski_tang,
    minimum=(_TANG_LOWEST, _TANG_LOWEST),
    basin=((-math.inf, _TANG_SIDE), (-math.inf, _TANG_SIDE)),
    box=((-5.0, 5.0), (-5.0, 5.0)),
)
_RASTRIGIN = Landscape(
    _rastrigin,
    _rastrigin,
    minimum=(0.0, 0.0),
    basin=((-_RASTRIGIN_SIDE, _RASTRIGIN_SIDE),) * 2,
    box=((-5.12, 5.12), (-5.12, 5.12)),
)

LANDSCAPES: dict[str, Landscape] = {
    "tilted-well": _WELL,
    "tilted-well-mirrored": _WELL.mirrored(),
    "styblinski-tang": _TANG,
    "styblinski-tang-mirrored": _TANG.mirrored(),
    "rastrigin": _RASTRIGIN,
}
"""Two wells of different depth, one beside the other; Styblinski and Tang's function with four
minima; both mirrored, with the global minimum where weights grow; and Rastrigin's function with 121
minima in its box."""


def hit_rates(
    landscape: str | Landscape,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    starts: int = 200,
    steps: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """How often each optimiser ends in the basin of the global minimum, from the same starts.

    Every start is a run of its own: a block of two weights, two qubits, with gradients divided by
    the larger of the two entries, as the published rule does for a model of two weights.

    Parameters
    ----------
    landscape : str or Landscape
        A name in `LANDSCAPES`, or a function of one's own.
    arms : mapping of str to mapping
        Options of :class:`qlmbench.optim.optimizer.QuantumGradientOptimizer` by name of the arm;
        ``{"rule": "none", "base": "as-published"}`` is the inner optimiser alone.
    starts : int
        Number of runs of each arm, from points drawn uniformly from the landscape's box.
    steps : int
        Updates in a run.
    seed : int
        Of starts, shots and noise.

    Returns
    -------
    DataFrame
        One row an arm: ``arm``, ``starts``, how many of them lie in the basin (``at_start``), how
        many runs ended in it (``hits``), how many came from outside (``entered``) and how many
        were inside and left (``left``), the ``hit_rate``, and the mean ``value`` at the end.

    Raises
    ------
    ValueError
        If the landscape is unknown, there are no starts or steps, or an option is wrong.
    """
    if isinstance(landscape, str):
        if landscape not in LANDSCAPES:
            raise ValueError(
                f"got landscape={landscape!r}; expected one of {', '.join(LANDSCAPES)}"
            )
        landscape = LANDSCAPES[landscape]
    if starts < 1 or steps < 1:
        raise ValueError(f"got starts={starts} and steps={steps}; expected at least 1 of each")
    rng = np.random.default_rng(seed_for("initialisation", analysis="landscapes", seed=seed))
    first = landscape.starts(starts, rng)
    rows = [
        {"arm": arm, **_outcome(landscape, first, _descend(landscape, first, steps, seed, options))}
        for arm, options in arms.items()
    ]
    return pd.DataFrame(rows)


def _descend(
    landscape: Landscape, first: Tensor, steps: int, seed: int, options: Mapping[str, Any]
) -> Tensor:
    points = torch.nn.Parameter(first.clone())
    optimizer = QuantumGradientOptimizer(
        [("points", points)],
        "points",
        n_qubits=2,
        coverage="all",
        normalise="block",
        seed=seed,
        **options,
    )
    for _ in range(steps):
        optimizer.zero_grad()
        landscape.value(points).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return points.detach()


def _outcome(landscape: Landscape, first: Tensor, last: Tensor) -> dict[str, float]:
    before, after = landscape.in_basin(first), landscape.in_basin(last)
    return {
        "starts": len(first),
        "at_start": int(before.sum()),
        "hits": int(after.sum()),
        "entered": int((after & ~before).sum()),
        "left": int((before & ~after).sum()),
        "hit_rate": float(after.double().mean()),
        "value": float(landscape.value(last).mean()),
    }
