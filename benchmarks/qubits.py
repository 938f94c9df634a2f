"""Qubit circuits with gradients against PennyLane's default.qubit with backpropagation."""

from __future__ import annotations

from collections.abc import Callable
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
    ours = angle_encoding(n_qubits).then(basic_entangler_layers(n_qubits, layers=LAYERS))

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


def step(run: Callable[[], Tensor], leaves: list[Tensor]) -> Work:
    """Prepare a forward and a backward pass, to weights and inputs."""

    def work() -> None:
        for leaf in leaves:
            leaf.grad = None
        torch.autograd.backward(run().square().sum())

    return work


def measure(report: Report, name: str, n_qubits: int, repetitions: int) -> float:
    """Time one case; return the largest difference of an expectation."""
    description, pennylane = CIRCUITS[name](n_qubits)
    generator = torch.Generator().manual_seed(n_qubits)
    inputs = torch.randn(repetitions, SAMPLES, n_qubits, generator=generator)
    outputs, sides = {}, {}
    for side, dtype in ((OURS, torch.float32), (OURS_DOUBLE, torch.float64)):
        circuit = QubitCircuit(description, repetitions=repetitions, dtype=dtype)
        own = inputs.to(dtype).requires_grad_()
        run = lambda circuit=circuit, own=own: circuit(own)  # noqa: E731
        outputs[side] = run().detach().double()
        sides[side] = step(run, [circuit.weights, own])
    weights = [row.detach().requires_grad_() for row in torch.unbind(circuit.weights)]
    samples = [rows.detach().double().requires_grad_() for rows in torch.unbind(inputs)]

    def loop() -> Tensor:
        return torch.stack([pennylane(x, w) for x, w in zip(samples, weights, strict=True)])

    sides["pennylane"] = step(loop, weights + samples)
    rounds = report.setting.rounds(5 if n_qubits < 12 else 3)
    case: dict[str, Value] = {"circuit": name, "qubits": n_qubits, "repetitions": repetitions}
    unit = f"forward and backward, {SAMPLES} samples, all repetitions"
    report.add("beside PennyLane", case, unit, interleave(sides, rounds))
    return float((outputs[OURS] - loop().detach()).abs().max())


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
