"""Pictures of scenes, and beside each the captions that models wrote."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from qlmbench.data.images.drawing import render
from qlmbench.data.images.scenes import Scene
from qlmbench.report import style
from qlmbench.spec import ArmKind

Label = tuple[str, ArmKind]

PICTURE = 1.15
"""Side of a picture, in inches."""
LINE = 0.165
"""Height of a line of text, in inches."""
LABEL, CAPTION = 30, 58
"""Letters of a line of a label and of a caption."""
LABELS_AT, CAPTIONS_AT = 1.42, 3.12
"""Where they begin, in inches."""


@style.styled
def captioned_scenes(exhibits: Sequence[tuple[Scene, Mapping[Label, str]]]) -> Figure:
    """Draw each scene with its right caption and, below it, what each arm wrote.

    Parameters
    ----------
    exhibits : sequence of (Scene, mapping)
        By title and kind of the arm, its caption.

    Returns
    -------
    Figure
        A row a scene; right captions are marked by a tick and by weight.
    """
    heights = [max(PICTURE, LINE * _lines(*exhibit)) + 0.2 for exhibit in exhibits]
    figure = Figure(figsize=(style.WIDTH, sum(heights)))
    top = sum(heights)
    for (scene, written), height in zip(exhibits, heights, strict=True):
        _picture(figure, scene, top)
        _captions(figure, scene, written, top)
        top -= height
    return figure


def _lines(scene: Scene, written: Mapping[Label, str]) -> int:
    """Count the lines beside a picture."""
    texts = [scene.caption, *written.values()]
    labels = ["", *(title for title, _ in written)]
    pairs = zip(labels, texts, strict=True)
    return sum(max(len(_wrapped(a, LABEL)), len(_wrapped(b, CAPTION))) for a, b in pairs)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _picture(figure: Figure, scene: Scene, top: float) -> None:
    height = figure.get_figheight()
    box = (0.0, (top - PICTURE) / height, PICTURE / style.WIDTH, PICTURE / height)
    axes: Any = figure.add_axes(box)
    axes.imshow(render(scene), interpolation="none")
    axes.set_axis_off()


def _captions(figure: Figure, scene: Scene, written: Mapping[Label, str], top: float) -> None:
    y = top - 0.02
    y = _row(figure, y, ("the right caption", style.MUTED), scene.caption, style.INK)
    for (title, kind), caption in written.items():
        right = caption == scene.caption
        text = f"✓ {caption}" if right else caption or "(nothing)"
        colour = style.INK if right else style.MUTED
        y = _row(figure, y, (title, style.KIND_COLOUR[kind]), text, colour)


def _row(figure: Figure, y: float, label: tuple[str, str], text: str, colour: str) -> float:
    """Write a label and a caption below ``y``; return where the next row begins."""
    labels, captions = _wrapped(label[0], LABEL), _wrapped(text, CAPTION)
    for x, lines, ink in ((LABELS_AT, labels, label[1]), (CAPTIONS_AT, captions, colour)):
        for i, line in enumerate(lines):
            _write(figure, x, y - i * LINE, line, ink)
    return y - LINE * max(len(labels), len(captions))


def _write(figure: Figure, x: float, y: float, text: str, colour: str) -> None:
    height = figure.get_figheight()
    place = (x / style.WIDTH, y / height)
    figure.text(*place, text, va="top", fontsize=7.5, color=colour)
