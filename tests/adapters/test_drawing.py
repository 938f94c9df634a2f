"""The circuit as text, as a figure and as SVG."""

import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import nn

from qlmbench.adapters import QuantumLoRALayer
from qlmbench.quantum.photonic import PhotonicCircuit


def layer(**options: object) -> QuantumLoRALayer:
    return QuantumLoRALayer(nn.Linear(4, 4), **({"r": 4, "n_photons": 2} | options))  # type: ignore[arg-type]


def test_the_text_shows_modes_photons_interferometers_and_phases() -> None:
    assert layer().visualize_circuit("text").splitlines() == [
        "simple: 4 modes, 2 photons, 24 angles, 4 outputs (mode_expectations)",
        "|1⟩ ─╲╱────╲╱────(x0)─╲╱────╲╱────▷",
        "|0⟩ ─╱╲─╲╱─╱╲─╲╱─(x1)─╱╲─╲╱─╱╲─╲╱─▷",
        "|1⟩ ─╲╱─╱╲─╲╱─╱╲─(x2)─╲╱─╱╲─╲╱─╱╲─▷",
        "|0⟩ ─╱╲────╱╲────(x3)─╱╲────╱╲────▷",
    ]


@pytest.mark.parametrize(
    ("options", "n_meshes", "n_encodings"),
    [
        ({}, 12, 4),
        ({"ansatz": "universal"}, 24, 12),
        ({"ansatz": "hardware_efficient"}, 9, 8),
        ({"r": 2, "n_photons": 1}, 2, 2),
        ({"ansatz": PhotonicCircuit(4, 1, mesh="mzi+phases")}, 12, 12),
    ],
)
def test_the_figure_has_a_box_an_interferometer_and_a_circle_a_phase(
    options: dict[str, object], n_meshes: int, n_encodings: int
) -> None:
    figure = layer(**options).visualize_circuit()
    assert isinstance(figure, Figure)
    patches = figure.axes[0].patches
    assert sum(isinstance(p, Rectangle) for p in patches) == n_meshes
    assert sum(isinstance(p, Circle) for p in patches) == n_encodings


def test_the_svg_is_well_formed_and_the_same_each_time() -> None:
    image = layer().visualize_circuit("svg")
    assert ElementTree.fromstring(image).tag.endswith("svg")
    assert layer().visualize_circuit("svg") == image


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("png", {}, "kind='png'; expected one of figure, svg, text"),
        ("text", {"n_photons": 1, "bottleneck": "tanh"}, "the adapter has no circuit"),
        ("text", {"n_photons": 1, "ansatz": nn.Linear(4, 2)}, "has a circuit of your own"),
    ],
)
def test_what_cannot_be_drawn_is_said(kind: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(**options).visualize_circuit(kind)  # type: ignore[call-overload]


def test_a_chosen_adapter_is_drawn() -> None:
    with pytest.raises(ValueError, match=r"no adapter 'b' on this layer; expected one of"):
        layer().visualize_circuit("text", adapter="b")
