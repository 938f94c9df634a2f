"""A step of a quantum embedding beside PennyLane, and beside the table that it replaces."""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch
from harness import Report, Setting, Work, interleave, run_alone
from torch import Tensor, nn

from qlmbench.models.layers import StackedLinear
from qlmbench.models.token_tables import StackedQuantum, StackedTable, normal_values
from qlmbench.report.speed_results import OURS, Value

QUBITS, LAYERS, WIDTH = 4, 2, 8
SHIFT, BACKPROP = "pennylane, parameter shift", "pennylane, backpropagation"
TABLE = "torch table"
CASES = tuple((tokens, repetitions) for repetitions in (1, 10) for tokens in (5, 10, 20))
POSITIONS = 4
"""How often a token stands in a batch, on average."""


def quantum(vocab_size: int, repetitions: int) -> StackedQuantum:
    """Make quantum embeddings of the optimised form, in double precision."""
    seeds = list(range(repetitions))
    shared: dict[str, Any] = {"seeds": seeds, "dtype": torch.float64}
    ones = [1.0] * repetitions
    output = StackedLinear(QUBITS, WIDTH, name="embedding", scales=ones, **shared)
    scales = [0.1] * repetitions
    return StackedQuantum(
        vocab_size,
        QUBITS,
        LAYERS,
        "chain",
        output,
        torch.tanh,
        scales=scales,
        shots=None,
        trainable=True,
        **shared,
    )


def node(diff_method: str) -> Any:
    """Make the circuit of one token in PennyLane."""

    @qml.qnode(  # type: ignore[untyped-decorator]
        qml.device("default.qubit", wires=QUBITS), interface="torch", diff_method=diff_method
    )
    def circuit(angles: Tensor) -> Any:
        layered = angles.view(LAYERS, QUBITS, 2)
        for layer in range(LAYERS):
            for wire in range(QUBITS):
                qml.RY(layered[layer, wire, 0], wires=wire)
                qml.RZ(layered[layer, wire, 1], wires=wire)
            if layer < LAYERS - 1:
                for wire in range(QUBITS - 1):
                    qml.CNOT(wires=[wire, wire + 1])
        return [qml.expval(qml.PauliZ(wire)) for wire in range(QUBITS)]

    return circuit


def step(module: nn.Module, ids: Tensor) -> Work:
    """Prepare a forward and a backward pass of a stack."""

    def work() -> None:
        module.zero_grad()
        torch.autograd.backward(module(ids).square().sum())

    return work


def peer_vectors(circuit: Any, ours: StackedQuantum, ids: Tensor, angles: Tensor) -> Tensor:
    """Look tokens up with PennyLane: each different token of each copy runs its circuit once."""
    copies = []
    for r, row in enumerate(ids):
        tokens, places = torch.unique(row, return_inverse=True)
        z = torch.stack([torch.stack(circuit(angles[r, t])) for t in tokens])
        weight, bias = ours.output.weight[r], ours.output.bias[r, :, 0]
        copies.append(torch.tanh(nn.functional.linear(z, weight, bias))[places])
    return torch.stack(copies)


def peer_step(circuit: Any, ours: StackedQuantum, ids: Tensor) -> Work:
    """Prepare a forward and a backward pass in PennyLane."""
    angles = ours.angles.detach().clone().requires_grad_()

    def work() -> None:
        angles.grad = None
        torch.autograd.backward(peer_vectors(circuit, ours, ids, angles).square().sum())

    return work


def measure(report: Report, vocab_size: int, repetitions: int) -> float:
    """Time one case; return the largest difference of a vector."""
    g = torch.Generator().manual_seed(vocab_size)
    positions = POSITIONS * vocab_size
    ids = torch.stack(
        [torch.randperm(positions, generator=g) % vocab_size for _ in range(repetitions)]
    )
    ours = quantum(vocab_size, repetitions)
    seeds = list(range(repetitions))
    table = StackedTable(normal_values((vocab_size, WIDTH), seeds, [1.0] * repetitions))
    backprop, shift = node("backprop"), node("parameter-shift")
    sides = {
        OURS: step(ours, ids),
        TABLE: step(table, ids),
        BACKPROP: peer_step(backprop, ours, ids),
        SHIFT: peer_step(shift, ours, ids),
    }
    case: dict[str, Value] = {"tokens": vocab_size, "repetitions": repetitions}
    unit = "forward and backward of one batch, all repetitions"
    report.add("beside PennyLane", case, unit, interleave(sides, report.setting.rounds(3)))
    with torch.no_grad():
        return float((ours(ids) - peer_vectors(backprop, ours, ids, ours.angles)).abs().max())


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "token_embedding",
        f"Forward and backward of a quantum embedding, {QUBITS} qubits and {LAYERS} layers a "
        f"token, {WIDTH} dimensions, one batch in which each token stands four times, one core, "
        "double precision. PennyLane runs a circuit for each different token of the batch, with "
        "the parameter-shift rule as the published code does, or by backpropagation; a table of "
        "the same shape stands for torch.nn.Embedding.",
        setting,
    )
    cases = CASES[:1] if setting.quick else CASES
    report.check("largest difference of a vector", max(measure(report, *c) for c in cases), 1e-9)
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
