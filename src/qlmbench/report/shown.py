"""What a page shows besides text: a figure with its words, and a figure with a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlmbench.report.render import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure that is drawn when it is needed, with its words."""

    name: str
    """Short name: part of the file name."""
    title: str
    sentence: str
    """What to see, computed from the records."""
    key: str
    """How to read it: marks, bands, intervals."""
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Spanning:
    """A comparison across settings: a figure and all its numbers."""

    plot: Plot
    table: Table
