"""Labels beside points that do not cover one another."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.transforms import Bbox

from qlmbench.report import style

# Where a label may stand beside its point: offset in points, alignment; first choice first.
_PLACES = (
    ((7, 0), "left", "center"),
    ((-7, 0), "right", "center"),
    ((0, 7), "center", "bottom"),
    ((0, -7), "center", "top"),
    ((6, 6), "left", "bottom"),
    ((6, -6), "left", "top"),
    ((-6, 6), "right", "bottom"),
    ((-6, -6), "right", "top"),
)
# Points along a line that labels keep off, in pixels: less than what a label keeps off a point.
_CLOSE = 6.0


def label_points(
    axes: Any, points: list[tuple[float, float, str, str]], marks: Any, texts: Iterable[Any] = ()
) -> list[str]:
    """Write labels beside points, in order, wherever they cover no point and no earlier label.

    Parameters
    ----------
    axes : Axes
        Limits and scales must be final.
    points : list of tuple
        x, y, text and colour; the most important first.
    marks : list of tuple
        x and y of everything that a label may not cover.
    texts : iterable of Text
        What is written there already, which a label may not cover either.

    Returns
    -------
    list of str
        The texts that found a place; the others are left out.
    """
    figure = axes.get_figure()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = [_around(axes.transData.transform(mark)) for mark in marks]
    taken += [text.get_window_extent(renderer) for text in texts]
    written = []
    for x, y, text, colour in points:
        own = _around(axes.transData.transform((x, y)))
        others = [box for box in taken if abs(box.x0 - own.x0) + abs(box.y0 - own.y0) > 1e-6]
        for offset, ha, va in _PLACES:
            label = axes.annotate(
                text, (x, y), xytext=offset, textcoords="offset points", ha=ha, va=va,
                fontsize=8, color=colour,
            )  # fmt: skip
            box = label.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
            if inside and box.y1 <= frame.y1 and not any(box.overlaps(other) for other in others):
                taken.append(box)
                written.append(text)
                break
            label.remove()
    return written


def along(axes: Any, corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points so close along a line that no label fits between two of them.

    Parameters
    ----------
    axes : Axes
        Limits and scales must be final.
    corners : list of tuple
        x and y of the ends of the line's straight pieces.
    """
    if not corners:
        return []
    drawn = axes.transData.transform(corners)
    pieces = [drawn[:1]]
    for start, end in pairwise(drawn):
        n = max(1, int(np.ceil(np.abs(end - start).max() / _CLOSE)))
        pieces.append(np.linspace(start, end, n + 1)[1:])
    points = axes.transData.inverted().transform(np.concatenate(pieces))
    return [(float(x), float(y)) for x, y in points]


def _around(centre: Any, half: float = 4.0) -> Bbox:
    x, y = centre
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def write_at_edge(
    axes: Any, y: float, text: str, colour: str = style.MUTED, gap: float = 4
) -> None:
    """Write a line's name or a row's value to the right of the axes, ``gap`` points off."""
    axes.annotate(
        text,
        (1.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(gap, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
        annotation_clip=False,
    )


def write_at_end(axes: Any, x: float, y: float, text: str, colour: str = style.MUTED) -> None:
    """Write a line's name to the right of its last point."""
    axes.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
        annotation_clip=False,
    )


def spread(values: list[float], gap: float) -> list[float]:
    """Move values apart until neighbours are at least ``gap`` from each other, order kept."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = list(values)
    for _ in range(200):
        moved = False
        for lower, upper in pairwise(order):
            lack = gap - (placed[upper] - placed[lower])
            if lack > 1e-9 * gap:
                placed[lower] -= lack / 2
                placed[upper] += lack / 2
                moved = True
        if not moved:
            break
    return placed


def inside(values: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move values between two ends, at least ``gap`` from each other where all fit, order kept.

    What does not fit reaches beyond the upper end.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = list(values)
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    floor = low
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    return placed
