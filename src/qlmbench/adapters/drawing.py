"""The circuit of an adapter as lines of text, as a matplotlib figure, and as SVG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlmbench.adapters.adapter import QuantumLoRAAdapter
from qlmbench.adapters.circuits import COLUMNS, PhotonicBottleneck, ShallowCircuit
from qlmbench.quantum.mesh import mesh_pairs
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.ranges import check_choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("figure", "svg", "text")
_INCHES = 0.55
"""Width of a column and height of a mode."""
_NARROWEST = 6.0
"""Inches that the title needs."""


@dataclass(frozen=True)
class Column:
    """What acts side by side: interferometers, or one phase on every mode.

    Attributes
    ----------
    pairs : tuple of int
        Upper mode of each interferometer; none in a column of phases.
    encodes : bool
        Whether the phases are the adapter's values, rather than trained.
    """

    pairs: tuple[int, ...] = ()
    encodes: bool = False


def draw(adapter: QuantumLoRAAdapter, kind: str) -> Figure | str:
    """Draw the circuit of an adapter.

    Parameters
    ----------
    adapter : QuantumLoRAAdapter
        With a photonic circuit.
    kind : {"figure", "svg", "text"}
        What is returned.

    Raises
    ------
    ValueError
        If the kind is another one, or the adapter has no photonic circuit.
    """
    check_choice("kind", kind, KINDS)
    bottleneck = adapter.bottleneck
    if not isinstance(bottleneck, PhotonicBottleneck):
        what = "a circuit of your own" if adapter.config.ansatz == "custom" else "no circuit"
        raise ValueError(
            f"the adapter has {what} ({type(bottleneck).__name__}, {adapter.config.bottleneck}); "
            "only photonic circuits of this package are drawn"
        )
    title = _title(adapter, bottleneck)
    if kind == "text":
        return _text(bottleneck.circuit, title)
    figure = _figure(bottleneck.circuit, title)
    return figure if kind == "figure" else _svg(figure)


def columns(circuit: PhotonicCircuit) -> list[Column]:
    """List the columns of a circuit from its input to its output."""
    meshed = [Column(tuple(pairs)) for pairs in mesh_pairs(circuit.n_modes)]
    if isinstance(circuit, ShallowCircuit):
        meshed = meshed[:COLUMNS]
    if circuit.mesh == "mzi+phases":
        meshed.append(Column())
    stages = getattr(circuit, "stages", ("mesh", *("encoding", "mesh") * circuit.n_blocks))
    found: list[Column] = []
    for stage in stages:
        found += meshed if stage == "mesh" else [Column(encodes=True)]
    return found


def _title(adapter: QuantumLoRAAdapter, bottleneck: PhotonicBottleneck) -> str:
    circuit = bottleneck.circuit
    photons = f"{circuit.n_photons} photon{'s' if circuit.n_photons > 1 else ''}"
    return (
        f"{adapter.config.ansatz}: {circuit.n_modes} modes, {photons}, {circuit.angles.numel()} "
        f"angles, {bottleneck.n_out} outputs ({adapter.config.readout})"
    )


def _text(circuit: PhotonicCircuit, title: str) -> str:
    rows = [f"|{count}⟩ " for count in circuit.input_state]
    for column in columns(circuit):
        for mode, cell in enumerate(_cells(column, circuit.n_modes)):
            rows[mode] += cell
    return "\n".join([title, *(row + "─▷" for row in rows)])


def _cells(column: Column, n_modes: int) -> list[str]:
    if not column.pairs:
        names = [f"x{mode}" if column.encodes else "φ" for mode in range(n_modes)]
        width = max(map(len, names))
        return [f"─({name:─^{width}})" for name in names]
    cells = ["───"] * n_modes
    for upper in column.pairs:
        cells[upper], cells[upper + 1] = "─╲╱", "─╱╲"
    return cells


def _figure(circuit: PhotonicCircuit, title: str) -> Figure:
    from matplotlib.figure import Figure

    found = columns(circuit)
    size = (max(_NARROWEST, _INCHES * (len(found) + 2)), _INCHES * (circuit.n_modes + 1))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for mode, count in enumerate(circuit.input_state):
        axes.plot([-1, len(found)], [mode, mode], color="0.5", lw=1, zorder=0)
        face = "black" if count else "white"
        axes.plot(-1, mode, "o", markerfacecolor=face, markeredgecolor="black")
        axes.plot(len(found), mode, ">", color="0.3")
    for place, column in enumerate(found):
        _draw_column(axes, place, column, circuit.n_modes)
    axes.set(xlim=(-1.5, len(found) + 0.5), ylim=(circuit.n_modes - 0.5, -0.5), aspect="equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)
    return figure


def _draw_column(axes: Axes, place: int, column: Column, n_modes: int) -> None:
    from matplotlib.patches import Circle, Rectangle

    for upper in column.pairs:
        corner = (place - 0.3, upper - 0.2)
        axes.add_patch(Rectangle(corner, 0.6, 1.4, facecolor="#dde7f3", edgecolor="#33577f"))
        for ends in ((upper, upper + 1), (upper + 1, upper)):
            axes.plot([place - 0.3, place + 0.3], ends, color="#33577f", lw=1)
    if column.pairs:
        return
    for mode in range(n_modes):
        label = f"$x_{{{mode}}}$" if column.encodes else "φ"
        axes.add_patch(Circle((place, mode), 0.33, facecolor="#fbe3c8", edgecolor="#9a5b13"))
        axes.text(place, mode, label, ha="center", va="center", fontsize=8)


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    # Without the fixed salt and the date, equal circuits would make different files.
    with mpl.rc_context({"svg.hashsalt": "qlmbench"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
