"""Where the attention of trained models goes: a grid of weights for each arm and text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qlmbench.records import AttentionMap
from qlmbench.report import style
from qlmbench.report.plots.labels import spread, write_at_edge

COLOUR = "#0b62a8"
LEAST_SEEN = 0.004
"""Weights below this part of the largest are not drawn: nobody sees them, and files stay small."""
STEPS = 32
LABEL = 0.1
"""Inches that the name of a token needs on its axis."""
SIDE = 1.75
"""Largest side of a grid in inches."""


@style.styled
def attention_maps(maps: Mapping[str, Sequence[AttentionMap]]) -> Figure:
    """Draw each arm's weights in each text; a row is a query, a column what it looks at.

    Parameters
    ----------
    maps : mapping
        By label of the arm, its maps; the same texts for every arm.

    Returns
    -------
    Figure
        Rows are arms, columns texts; with a single text, arms stand side by side. The deeper the
        colour, the larger the weight, on one scale from zero to the largest; what uniform weights
        would be is marked on it. Tokens are named where there is room.
    """
    texts = next(iter(maps.values()))
    largest = max(np.max(one.weights) for row in maps.values() for one in row)
    rows = _rows(maps)
    columns = max(len(row) for row in rows)
    side = min(SIDE, 5.0 / columns - 0.2)
    figure = Figure(figsize=(style.WIDTH, 0.9 + (side + 0.3) * len(rows)), layout="constrained")
    ratios = [*[1.0] * columns, 0.07]
    spec = figure.add_gridspec(len(rows), columns + 1, width_ratios=ratios)
    for i, row in enumerate(rows):
        for j, (label, one) in enumerate(row):
            axes = figure.add_subplot(spec[i, j])
            _grid(axes, np.asarray(one.weights, dtype=float), largest)
            _tokens(axes, one.tokens, side, lowest=i == len(rows) - 1)
            axes.set_title(textwrap.fill(label, 18) if len(texts) == 1 else label)
    bar = figure.add_subplot(spec[:, -1])
    _bar(bar, largest)
    figure.canvas.draw()
    _marks(bar, largest, sorted({len(one.tokens) for one in texts}))
    return figure


def _rows(maps: Mapping[str, Sequence[AttentionMap]]) -> list[list[tuple[str, AttentionMap]]]:
    """Say which grids stand side by side: the texts of an arm, or arms where there is one text."""
    panels = [
        [(label if j == 0 else "", one) for j, one in enumerate(own)] for label, own in maps.items()
    ]
    if len(panels[0]) > 1:
        return panels
    alone = [panel for row in panels for panel in row]
    width = 2 if len(alone) in (2, 4) else 3
    return [alone[start : start + width] for start in range(0, len(alone), width)]


def named(tokens: Sequence[str], n_texts: int) -> bool:
    """Whether there is room to name the tokens of a text beside its grid."""
    return len(tokens) * LABEL <= min(SIDE, 5.0 / n_texts - 0.2)


def _grid(axes: Any, weights: NDArray[np.float64], largest: float) -> None:
    size = len(weights)
    queries, keys = np.nonzero(weights > LEAST_SEEN * largest)
    _cells(axes, keys, queries, weights[queries, keys] / largest)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(True)


def _cells(
    axes: Any,
    x: NDArray[np.int64] | NDArray[np.float64],
    y: NDArray[np.int64] | NDArray[np.float64],
    shares: NDArray[np.float64],
    height: float = 1.0,
) -> None:
    """Draw cells in one colour, more or less transparent: this holds on a dark page as well."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (1.0, height)
    squares = np.stack([x, y], axis=1)[:, None, :] + corners
    cells = PolyCollection(list(squares), facecolors=COLOUR, linewidths=0)
    cells.set_alpha(np.round(np.clip(shares, 0, 1), 3).tolist())
    axes.add_collection(cells)


def _tokens(axes: Any, tokens: Sequence[str], side: float, *, lowest: bool) -> None:
    fits = len(tokens) * LABEL <= side
    places = range(len(tokens)) if fits else []
    names = list(tokens) if fits else []
    axes.set_yticks(places, names)
    axes.set_xticks(places, names if lowest else [""] * len(names), rotation=90)
    axes.tick_params(length=0, labelsize=7, pad=2)


def _bar(axes: Any, largest: float) -> None:
    heights = (np.arange(STEPS) + 0.5) / STEPS
    _cells(axes, np.zeros(STEPS), largest * heights, heights, height=largest / STEPS)
    axes.set_xlim(-0.5, 0.5)
    axes.set_ylim(0, largest)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title("weight", fontweight="normal", fontsize=8.5, color=style.MUTED, pad=9)


def _marks(axes: Any, largest: float, sizes: Sequence[int]) -> None:
    """Write the ends of the scale and what uniform weights would be."""
    marks = [(0.0, "0"), (largest, f"{largest:.2f}")]
    marks += [(1 / size, f"uniform: 1/{size}") for size in sizes if 1 / size <= largest]
    height = axes.get_window_extent().height / axes.get_figure().dpi
    heights = spread([value for value, _ in marks], gap=0.16 * largest / height)
    for (value, text), y in zip(marks, heights, strict=True):
        write_at_edge(axes, y, text, style.INK if "uniform" in text else style.MUTED)
        if 0 < value < largest:
            axes.axhline(value, color=style.INK, linewidth=1.4)
