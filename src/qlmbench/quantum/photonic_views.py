"""The same photonic circuit in Perceval and in merlin, and as a drawing."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import perceval
import torch
from merlin import CircuitBuilder, ComputationSpace, LexGrouping, MeasurementStrategy, QuantumLayer
from torch import Tensor

from qlmbench.quantum.mesh import Mesh, mesh_pairs, mesh_size

if TYPE_CHECKING:
    from qlmbench.quantum.photonic import PhotonicCircuit

DRAWINGS = (".svg", ".png")
_SPACES = {"unbunched": ComputationSpace.UNBUNCHED, "fock": ComputationSpace.FOCK}
_KINDS = {
    "PROBABILITIES": "probabilities",
    "MODE_EXPECTATIONS": "mode_expectations",
    "AMPLITUDES": "amplitudes",
}


def to_perceval(
    circuit: "PhotonicCircuit",
    repetition: int = 0,
    phases: Tensor | Sequence[float] | None = None,
) -> perceval.Circuit:
    """Export one repetition as a Perceval circuit with its trained values.

    Parameters
    ----------
    circuit : PhotonicCircuit
        The stack.
    repetition : int
        Which circuit of it.
    phases : Tensor or sequence of float, optional
        [n_blocks * n_modes] encoded phases of one sample, in radians. Without them the encoding is
        left open, as parameters x1, x2, ...

    Returns
    -------
    perceval.Circuit
        Meshes as sub-circuits, encoding phases between them. It has no input state and no noise.
    """
    _check_repetition(circuit, repetition)
    width = circuit.n_blocks * circuit.n_modes
    encoded = _encoded(phases, width)
    angles = circuit.angles.detach().to("cpu", torch.float64)[repetition].tolist()
    exported = perceval.Circuit(circuit.n_modes, name=f"repetition {repetition}")
    for number, mesh_angles in enumerate(angles):
        if number > 0:
            for mode in range(circuit.n_modes):
                phase = encoded[(number - 1) * circuit.n_modes + mode]
                exported.add(mode, perceval.PS(phase))
        exported.add(0, _perceval_mesh(circuit.n_modes, mesh_angles, f"mesh {number + 1}"))
    return exported


def draw(circuit: "PhotonicCircuit", path: str | Path, repetition: int = 0) -> None:
    """Draw one repetition, every component, without a display.

    Parameters
    ----------
    circuit : PhotonicCircuit
        The stack.
    path : str or Path
        File to write; its suffix, .svg or .png, names the format.
    repetition : int
        Which circuit of the stack.

    Raises
    ------
    ValueError
        If the suffix is another one.
    """
    path = Path(path)
    if path.suffix not in DRAWINGS:
        raise ValueError(f"cannot draw {path.name}; expected a name ending in .svg or .png")
    perceval.pdisplay_to_file(to_perceval(circuit, repetition), str(path), recursive=True)


def to_merlin(circuit: "PhotonicCircuit", repetition: int = 0) -> QuantumLayer:
    """Export one repetition as a merlin layer with the same angles and outputs.

    Parameters
    ----------
    circuit : PhotonicCircuit
        The stack; of ideal photons, renormalised, without shots.
    repetition : int
        Which circuit of it.

    Returns
    -------
    merlin.QuantumLayer
        Layer of ``n_blocks * n_modes`` inputs.

    Raises
    ------
    ValueError
        If the circuit has an option that the layer would not have.
    """
    _check_repetition(circuit, repetition)
    if circuit.indistinguishability < 1 or circuit.transmittance < 1 or circuit.shots is not None:
        raise ValueError(
            "the circuit has noise or shots, which a merlin layer takes elsewhere; export one with "
            "indistinguishability=1, transmittance=1 and shots=None"
        )
    if circuit.space == "unbunched" and not circuit.renormalise:
        raise ValueError("merlin renormalises unbunched outputs; take renormalise=True")
    layer = QuantumLayer(
        input_size=circuit.n_blocks * circuit.n_modes,
        builder=_builder(circuit.n_modes, circuit.n_blocks, circuit.mesh),
        n_photons=circuit.n_photons,
        input_state=list(circuit.input_state),
        measurement_strategy=_strategy(circuit),
        dtype=circuit.angles.dtype,
    )
    angles = circuit.angles.detach()[repetition].flatten().cpu()
    with torch.no_grad():
        for name, part in _angle_parts(layer, angles):
            dict(layer.named_parameters())[name].copy_(part)
    layer.requires_grad_(circuit.angles.requires_grad)
    return layer


def from_merlin(layers: QuantumLayer | Sequence[QuantumLayer], **options: Any) -> "PhotonicCircuit":
    """Stack merlin layers, one a repetition, with their angles.

    Parameters
    ----------
    layers : merlin.QuantumLayer or sequence of them
        Built as mesh, phase encoding on every mode, mesh, ... (``add_entangling_layer``, perhaps
        ``add_rotations`` after it, ``add_angle_encoding``), ideal, equal but for the angles.
    **options
        Further arguments of ``PhotonicCircuit``, such as ``shots``.

    Returns
    -------
    PhotonicCircuit
        With the layers' modes, photons, input state, space, readout, groups and dtype.

    Raises
    ------
    ValueError
        If a layer is built in another way, or the layers differ in shape.
    """
    from qlmbench.quantum.photonic import PhotonicCircuit

    stack = [layers] if isinstance(layers, QuantumLayer) else list(layers)
    shapes = [_shape_of(layer) for layer in stack]
    if not stack or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"layers have the shapes {shapes}; expected one shape for all")
    circuit = PhotonicCircuit(repetitions=len(stack), **{**shapes[0], **options})
    with torch.no_grad():
        for repetition, layer in enumerate(stack):
            flat = torch.cat([p.detach().flatten() for p in layer.parameters()])
            circuit.angles[repetition] = flat.view_as(circuit.angles[repetition])
    for repetition, layer in enumerate(stack):
        _check_same(circuit, repetition, layer)
    return circuit


def _encoded(
    phases: Tensor | Sequence[float] | None, width: int
) -> list[float] | list[perceval.Parameter]:
    if phases is None:
        return [perceval.P(f"x{i + 1}") for i in range(width)]
    values = np.asarray(phases.detach().cpu() if isinstance(phases, Tensor) else phases, float)
    if values.shape != (width,):
        raise ValueError(f"phases have shape {values.shape}; expected ({width},): one sample")
    return [float(value) for value in values]


def _perceval_mesh(n_modes: int, angles: Sequence[float], name: str) -> perceval.Circuit:
    mesh = perceval.Circuit(n_modes, name=name)
    values = iter(angles)
    for column in mesh_pairs(n_modes):
        for upper in column:
            for _ in ("inner", "outer"):
                mesh.add(upper, perceval.BS()).add(upper, perceval.PS(next(values)))
    for mode, phase in enumerate(values):
        mesh.add(mode, perceval.PS(phase))
    return mesh


def _builder(n_modes: int, n_blocks: int, mesh: Mesh) -> CircuitBuilder:
    builder = CircuitBuilder(n_modes=n_modes)
    for number in range(n_blocks + 1):
        label = _label(number)
        if number > 0:
            builder.add_angle_encoding(modes=list(range(n_modes)), name=f"x_{label}")
        builder.add_entangling_layer(trainable=True, name=f"mesh_{label}")
        if mesh == "mzi+phases":
            builder.add_rotations(trainable=True, name=f"out_{label}")
    return builder


def _label(number: int) -> str:
    """Name a mesh by two letters: merlin strips digits, and no name may start another."""
    first, second = divmod(number, 26)
    return ascii_lowercase[first] + ascii_lowercase[second]


def _strategy(circuit: "PhotonicCircuit") -> Any:
    space = _SPACES[circuit.space]
    if circuit.readout == "mode_expectations":
        return MeasurementStrategy.mode_expectations(space)
    if circuit.readout == "amplitudes":
        return MeasurementStrategy.amplitudes(space)
    if circuit.n_groups is None:
        return MeasurementStrategy.probs(space)
    return MeasurementStrategy.probs(
        space, grouping=LexGrouping(circuit.n_states, circuit.n_groups)
    )


def _angle_parts(layer: QuantumLayer, angles: Tensor) -> Iterator[tuple[str, Tensor]]:
    start = 0
    for name, parameter in layer.named_parameters():
        yield name, angles[start : start + parameter.numel()]
        start += parameter.numel()


def _shape_of(layer: QuantumLayer) -> dict[str, Any]:
    """Read the arguments of the circuit that has the layer's shape."""
    config = layer.export_config()
    n_modes = config["n_modes"]
    if config["noise"] is not None:
        raise ValueError("the merlin layer has noise; expected an ideal one")
    trainable = {p.requires_grad for p in layer.parameters()}
    if len(trainable) > 1:
        raise ValueError("some angles of the merlin layer are frozen; expected all or none")
    n_blocks, rest = divmod(config["input_size"], n_modes)
    per_mesh, odd = divmod(sum(p.numel() for p in layer.parameters()), n_blocks + 1)
    meshes = [m for m in ("mzi", "mzi+phases") if mesh_size(n_modes, m) == per_mesh]
    if rest or odd or not n_blocks or not meshes:
        raise ValueError(
            f"the merlin layer has {config['input_size']} inputs and "
            f"{per_mesh * (n_blocks + 1) + odd} angles on {n_modes} modes; expected meshes and, "
            "between them, one encoded phase on every mode"
        )
    strategy = layer.measurement_strategy
    grouping = strategy.grouping
    return {
        "n_modes": n_modes,
        "input_state": list(config["input_state"]),
        "n_blocks": n_blocks,
        "mesh": meshes[0],
        "space": "fock" if layer.computation_space == ComputationSpace.FOCK else "unbunched",
        "readout": _KINDS[strategy.type.value],
        "n_groups": None if grouping is None else grouping.output_size,
        "trainable": trainable != {False},
        "dtype": layer.dtype,
    }


def _check_same(circuit: "PhotonicCircuit", repetition: int, layer: QuantumLayer) -> None:
    """Compare unitaries at some phases, since equal counts do not make equal circuits."""
    config = layer.export_config()
    phases = np.linspace(0.1, 2.9, circuit.n_blocks * circuit.n_modes)
    exported = config["circuit"].copy()
    values = dict(zip(config["input_param_order"], phases, strict=True))
    for parameter in exported.get_parameters():
        if parameter.name in values:
            parameter.set_value(values[parameter.name])
    ours = to_perceval(circuit, repetition, phases.tolist())
    if not np.allclose(ours.compute_unitary(), exported.compute_unitary(), atol=1e-5):
        raise ValueError(
            f"layer {repetition} is not built as mesh, encoding, mesh, ... in merlin's order; its "
            "unitary differs from that of the circuit with the same angles"
        )


def _check_repetition(circuit: "PhotonicCircuit", repetition: int) -> None:
    if not 0 <= repetition < circuit.repetitions:
        raise ValueError(
            f"repetition={repetition}; expected one from 0 to {circuit.repetitions - 1}"
        )
