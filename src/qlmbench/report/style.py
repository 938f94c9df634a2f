"""One look for every figure of the project: colour, marker and hatching by kind of arm.

Figures are drawn once, in the light palette, on a transparent ground; the dark variant is the same
text with every colour replaced by its partner. The palette was chosen to stay apart for
colour-blind readers, and every kind also has a marker of its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from qlmbench.spec import ArmKind
from qlmbench.stats import Verdict

P = ParamSpec("P")

INK = "#1f2430"
MUTED = "#5a6272"
GRID = "#d9dde3"
BAND = "#e9ecf1"

KIND_COLOUR = {
    ArmKind.PAPER: "#0b62a8",
    ArmKind.AS_PUBLISHED: "#a8437f",
    ArmKind.BASELINE: "#444a56",
    ArmKind.CONTROL: "#c2570c",
}
KIND_MARKER = {
    ArmKind.PAPER: "o",
    ArmKind.AS_PUBLISHED: "s",
    ArmKind.BASELINE: "^",
    ArmKind.CONTROL: "v",
}
KIND_TITLE = {
    ArmKind.PAPER: "Paper",
    ArmKind.AS_PUBLISHED: "As published",
    ArmKind.BASELINE: "Classical",
    ArmKind.CONTROL: "Controls",
}
QUOTED_MARKER = "D"
VERDICT_COLOUR = {
    Verdict.REPRODUCED: "#1c7a4a",
    Verdict.PARTLY_REPRODUCED: "#8a5d00",
    Verdict.NOT_REPRODUCED: "#b3261e",
    Verdict.EQUIVALENT: "#0f6e74",
    Verdict.INCONCLUSIVE: "#666e7d",
    Verdict.NOT_RUN: "#6c7382",
}
# Shades of one hue for a numbered series (photons); told apart by marker and label as well.
SERIES = ("#0b62a8", "#3f8fcf", "#7a5bb5", "#4c7d2f", "#9a6b00", "#a8437f")
SERIES_MARKERS = ("o", "s", "^", "v", "P", "X")

DARK = {
    INK: "#e6e9ef",
    MUTED: "#a6afbd",
    GRID: "#3b4350",
    BAND: "#2a313c",
    "#0b62a8": "#5fb0f0",
    "#a8437f": "#ec93c6",
    "#444a56": "#c6ccd6",
    "#c2570c": "#f59a52",
    "#1c7a4a": "#4cc38a",
    "#8a5d00": "#e0b040",
    "#b3261e": "#ff8379",
    "#0f6e74": "#4fd1c5",
    "#666e7d": "#9aa3b1",
    "#6c7382": "#8891a0",
    "#3f8fcf": "#9cd0f7",
    "#7a5bb5": "#b9a0ee",
    "#4c7d2f": "#93cf6f",
    "#9a6b00": "#e3b64d",
}

FONTS = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', "
    "sans-serif"
)
WIDTH = 7.2
"""Width of a figure in inches; on a page it scales with the column."""

RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "both",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=[INK]),
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    # Text is measured in a font that matplotlib ships, so that layout is equal on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "none",
    # Ids in the file come from this salt and not from chance.
    "svg.hashsalt": "qlmbench",
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
    "ytick.left": False,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function draw in the project's style, whatever the caller's own settings are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(RC)
            return draw(*args, **kwargs)

    return drawn


def to_svg(figure: Figure) -> tuple[str, str]:
    """Write a figure as SVG text in the light and in the dark palette.

    Parameters
    ----------
    figure : Figure
        Drawn by a function under `styled`, with colours of this module only.

    Returns
    -------
    tuple of str
        Light and dark; the same figure always gives the same text.

    Raises
    ------
    ValueError
        If the figure has a colour without a partner in the dark palette.
    """
    stream = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        # The layout is found once; saving would look for it twice more.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(
            stream,
            format="svg",
            bbox_inches="tight",
            pad_inches=0.05,
            metadata={"Date": None, "Creator": None},
        )
    text = stream.getvalue().replace("'DejaVu Sans'", FONTS)
    light = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    return light, _dark(light)


def _dark(light: str) -> str:
    def partner(match: re.Match[str]) -> str:
        colour = match.group(0)
        if colour not in DARK:
            raise ValueError(f"colour {colour} has no dark partner; take one of qlmbench's palette")
        return DARK[colour]

    return re.sub(r"(?<![\w(])#[0-9a-f]{6}\b", partner, light)
