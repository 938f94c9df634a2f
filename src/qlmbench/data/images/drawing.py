"""Images of scenes, drawn by arithmetic alone: no version of an image library changes a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qlmbench.data.images.scenes import Group, Scene
from qlmbench.seeding import seed_for

SIDE = 224
"""Pixels of an image's side."""

DRAWING_VERSION = "1"
"""Raised when other pixels come out for the same scene."""

Pixels = NDArray[np.uint8]
_Array = NDArray[np.float64]

_RGB = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 190),
    "yellow": (235, 205, 30),
    "purple": (130, 60, 160),
    "orange": (245, 130, 20),
}
_RADII = {"small": (9.0, 12.0), "large": (20.0, 24.0)}  # pixels, from the centre to the outline
_SUBPIXELS = 4
_STAR_WAIST = 0.45  # inner radius of a star, in outer ones
_GREYS = (200, 246)  # of the background


def render(scene: Scene) -> Pixels:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
        Its text is the seed of places, sizes in their range, turns, shades and background.

    Returns
    -------
    ndarray of uint8, shape (224, 224, 3)
        Red, green, blue. Shapes do not touch, and none leaves its quarter.
    """
    rng = np.random.default_rng(seed_for("data", scene=scene.text, drawing=DRAWING_VERSION))
    canvas = np.full((SIDE, SIDE, 3), float(rng.integers(*_GREYS)))
    for group in scene.groups:
        for column, row in _cells(group, rng):
            _paint(canvas, group, column, row, rng)
    return np.round(canvas).astype(np.uint8)


def _cells(group: Group, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Cells of a grid of four by four, two by two a quarter: a shape each."""
    vertical, horizontal = group.position.split()
    first_row, first_column = 2 * (vertical == "bottom"), 2 * (horizontal == "right")
    places = rng.choice(4, size=group.count, replace=False)
    return [(first_column + int(p) % 2, first_row + int(p) // 2) for p in places]


def _paint(canvas: _Array, group: Group, column: int, row: int, rng: np.random.Generator) -> None:
    cell = SIDE // 4
    radius = rng.uniform(*_RADII[group.size])
    room = cell / 2 - radius - 2
    centre = np.array([column + 0.5, row + 0.5]) * cell + rng.uniform(-room, room, 2)
    turn = rng.uniform(-0.15, 0.15)
    colour = np.clip(np.array(_RGB[group.colour]) + rng.integers(-12, 13, 3), 0, 255)
    cover = _cover(_SHAPES[group.shape], (column * cell, row * cell), centre, radius, turn)
    window = canvas[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
    window += cover[..., None] * (colour - window)


def _cover(
    inside: Callable[[_Array, _Array], NDArray[np.bool_]],
    corner: tuple[int, int],
    centre: _Array,
    radius: float,
    turn: float,
) -> _Array:
    """Share of each pixel of a cell that a shape covers, by points on a grid within it."""
    cell = SIDE // 4
    places = (np.arange(cell * _SUBPIXELS) + 0.5) / _SUBPIXELS
    x = (corner[0] + places[None, :] - centre[0]) / radius
    y = (corner[1] + places[:, None] - centre[1]) / radius
    c, s = math.cos(turn), math.sin(turn)
    covered = inside(c * x + s * y, c * y - s * x)
    share: _Array = covered.reshape(cell, _SUBPIXELS, cell, _SUBPIXELS).mean((1, 3))
    return share


def _circle(x: _Array, y: _Array) -> NDArray[np.bool_]:
    return x**2 + y**2 <= 1


def _square(x: _Array, y: _Array) -> NDArray[np.bool_]:
    return np.maximum(abs(x), abs(y)) <= math.sqrt(0.5)


def _diamond(x: _Array, y: _Array) -> NDArray[np.bool_]:
    return abs(x) / 0.62 + abs(y) <= 1


def _triangle(x: _Array, y: _Array) -> NDArray[np.bool_]:
    return (y <= 0.5) & (math.sqrt(3) * abs(x) - y <= 1)


def _star(x: _Array, y: _Array) -> NDArray[np.bool_]:
    """Five points: between a tip and the next waist, the outline is a straight line."""
    step = math.pi / 5
    angle = np.abs((np.arctan2(x, -y) + step) % (2 * step) - step)
    along, across = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    waist_x, waist_y = _STAR_WAIST * math.cos(step), _STAR_WAIST * math.sin(step)
    return (along - 1) * waist_y + across * (1 - waist_x) <= 0


_SHAPES = {
    "circle": _circle,
    "square": _square,
    "diamond": _diamond,
    "triangle": _triangle,
    "star": _star,
}
