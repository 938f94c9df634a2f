"""Qubit circuits with gradients against PennyLane's default.qubit with backpropagation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pennylane as qml
import torch
from harness import Report, Setting, Work, interleave, run_alone, smallest_ratio
from torch import Tensor

from qlmbench.quantum.qubit_description import CircuitDescription
from qlmbench.quantum.qubit_patterns import (
    angle_encoding,
    basic_entangler_layers,
    connectivity_layers,
)
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.report.speed_results import OURS, Value

SAMPLES = 16
LAYERS = 2
OURS_DOUBLE = "qlmbench, double precision"
PennyLane = Callable[[Tensor, Tensor], Tensor]


def entangler(n_qubits: int) -> tuple[CircuitDescription, PennyLane]:
    """Angles, then rotations and rings of CNOTs: PennyLane's own templates, and the same here."""
    ours = angle_encoding(n_qubits).then(basic_entangler_layers(n_qubits, n_layers=LAYERS))

    @qml.qnode(qml.device("default.qubit", wires=n_qubits), interface="torch")  # type: ignore
    def circuit(inputs: Tensor, weights: Tensor) -> Any:
        qml.AngleEmbedding(inputs, wires=range(n_qubits), rotation="Y")
        qml.BasicEntanglerLayers(weights.view(LAYERS, n_qubits), wires=range(n_qubits))
        return [qml.expval(qml.PauliZ(q)) for q in range(n_qubits)]

    return ours, lambda inputs, weights: torch.stack(circuit(inputs, weights), -1)


def connectivity(n_qubits: int) -> tuple[CircuitDescription, PennyLane]:
    """Angles, then rings of CNOTs of two strides with RY between: every amplitude is real."""
    ours = angle_encoding(n_qubits).then(connectivity_layers(n_qubits, 2, LAYERS))

    @qml.qnode(qml.device("default.qubit", wires=n_qubits), interface="torch")  # type: ignore
    def circuit(inputs: Tensor, weights: Tensor) -> Any:
        qml.AngleEmbedding(inputs, wires=range(n_qubits), rotation="Y")
        for gate in ours.gates[n_qubits:]:
            if gate.angle is None:
                qml.CNOT(wires=gate.wires)
            else:
                qml.RY(weights[gate.angle.index], wires=gate.wires)
        return [qml.expval(qml.PauliZ(q)) for q in range(n_qubits)]

    return ours, lambda inputs, weights: torch.stack(circuit(inputs, weights), -1)


CIRCUITS = {"RX and CNOT rings": entangler, "RY and CNOT rings": connectivity}


Run = Callable[[], Tensor]


def step(runs: list[Run], leaves: list[Tensor]) -> Work:
    """Prepare a forward and a backward pass of each run, to weights and inputs."""

    def work() -> None:
        for leaf in leaves:
            leaf.grad = None
        for run in runs:
            torch.autograd.backward(run().square().sum())

    return work


def our_side(description: CircuitDescription, inputs: Tensor) -> tuple[Run, list[Tensor]]:
    """Prepare one stack of all repetitions, and name what gets a gradient."""
    circuit = QubitCircuit(description, repetitions=len(inputs), dtype=inputs.dtype)
    own = inputs.clone().requires_grad_()
    return partial(circuit, own), [circuit.weights, own]


def pennylane_side(
    circuit: PennyLane, weights: Tensor, inputs: Tensor
) -> tuple[list[Run], list[Tensor]]:
    """Prepare a loop over repetitions: each ends its step before the next begins."""
    own_weights = [row.detach().clone().requires_grad_() for row in torch.unbind(weights)]
    samples = [rows.double().requires_grad_() for rows in torch.unbind(inputs)]
    pairs = zip(samples, own_weights, strict=True)
    return [partial(circuit, x, w) for x, w in pairs], own_weights + samples


def measure(report: Report, name: str, n_qubits: int, repetitions: int) -> float:
    """Time one case; return the largest difference of an expectation."""
    description, pennylane = CIRCUITS[name](n_qubits)
    generator = torch.Generator().manual_seed(n_qubits)
    inputs = torch.randn(repetitions, SAMPLES, n_qubits, generator=generator)
    single, single_leaves = our_side(description, inputs)
    double, double_leaves = our_side(description, inputs.double())
    loop, loop_leaves = pennylane_side(pennylane, double_leaves[0], inputs)
    sides = {
        OURS: step([single], single_leaves),
        OURS_DOUBLE: step([double], double_leaves),
        "pennylane": step(loop, loop_leaves),
    }
    rounds = report.setting.rounds(5 if n_qubits < 12 else 3)
    case: dict[str, Value] = {"circuit": name, "qubits": n_qubits, "repetitions": repetitions}
    unit = f"forward and backward, {SAMPLES} samples, all repetitions"
    report.add("beside PennyLane", case, unit, interleave(sides, rounds))
    with torch.no_grad():
        theirs = torch.stack([run() for run in loop])
        return float((single() - theirs).abs().max())


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "qubits",
        f"Forward and backward of a qubit circuit, Z expectations of every wire, {SAMPLES} "
        "samples at once, one core: ours in single precision (and in double, for comparison) "
        "against PennyLane's default.qubit with torch, backpropagation and parameter "
        "broadcasting, which always computes in double precision; ten repetitions are one stack "
        "here and a loop there.",
        setting,
    )
    sizes = (4, 8) if setting.quick else (4, 5, 6, 7, 8, 10, 12, 14)
    differences = [
        measure(report, name, n_qubits, repetitions)
        for name in CIRCUITS
        for n_qubits in sizes
        for repetitions in (1, 10)
    ]
    report.check("largest difference of an expectation, any case", max(differences), 1e-5)
    for repetitions, at_least in ((1, 8), (10, 40)):
        small = [
            timing
            for timing in report.timings
            if timing.case["repetitions"] == repetitions and int(timing.case["qubits"]) <= 8
        ]
        what = f"4 to 8 qubits, {repetitions} repetition{'s' if repetitions > 1 else ''}, least"
        report.bar(what, at_least, smallest_ratio(small, "pennylane"))
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
