"""How time and memory of our simulators grow, beside the arithmetic that they do."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from harness import Report, Setting, Work, interleave, peak_memory, run_alone

from qlmbench.quantum.fock import ladder
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.report.speed_results import OURS, Value

LAYERS = 2
BACKWARD = 3
"""A forward and a backward pass: each product has two gradients of its own size."""


def photonic_operations(modes: int, photons: int, repetitions: int, samples: int) -> float:
    """Count complex multiply-adds of a layer, forward and backward, in the unbunched space.

    Two meshes of m columns of m x m matrices; then, for each sample, the second mesh times the
    phases times the occupied columns of the first; then one product for each way that a photon
    joins a state. Exact up to the lower-order work of phases, norms and sums.
    """
    meshes = 2 * modes * modes**3
    transfer = photons * modes**2
    steps = ladder(modes, photons, "unbunched", torch.device("cpu")).steps
    fock = sum(step.n_states * step.fan_in for step in steps)
    return float(BACKWARD * repetitions * (meshes + samples * (transfer + fock)))


def qubit_operations(qubits: int, repetitions: int, samples: int) -> float:
    """Count complex multiply-adds of one 2 x 2 matrix a rotation: two for each amplitude."""
    rotations = qubits * (1 + LAYERS)
    return float(BACKWARD * repetitions * samples * rotations * 2 * 2**qubits)


def photonic_work(modes: int, photons: int, repetitions: int, samples: int) -> Work:
    """Prepare a forward and a backward pass of a photonic layer."""
    circuit = PhotonicCircuit(modes, photons, repetitions=repetitions)
    phases = math.pi * torch.rand(
        repetitions, samples, modes, generator=torch.Generator().manual_seed(0)
    )
    return _step(circuit, phases)


def qubit_work(qubits: int, repetitions: int, samples: int) -> Work:
    """Prepare a forward and a backward pass of a qubit circuit."""
    description = angle_encoding(qubits).then(basic_entangler_layers(qubits, n_layers=LAYERS))
    circuit = QubitCircuit(description, repetitions=repetitions)
    generator = torch.Generator().manual_seed(0)
    return _step(circuit, torch.randn(repetitions, samples, qubits, generator=generator))


def _step(circuit: torch.nn.Module, inputs: torch.Tensor) -> Work:
    inputs.requires_grad_()

    def work() -> None:
        circuit.zero_grad()
        inputs.grad = None
        torch.autograd.backward(circuit(inputs).square().sum())

    return work


PHOTONIC = {"modes": 8, "photons": 4, "repetitions": 20, "samples": 16}
QUBITS = {"qubits": 6, "repetitions": 20, "samples": 16}
REPETITIONS = [{"repetitions": r} for r in (1, 2, 5, 10, 20, 50, 100)]
SAMPLES = [{"samples": samples} for samples in (1, 4, 16, 64, 256, 1024)]
PHOTONIC_AXES = {
    "modes": [{"modes": m, "photons": m // 2} for m in (2, 4, 6, 8, 10, 12)],
    "photons": [{"photons": n} for n in (1, 2, 3, 4)],
    "repetitions": REPETITIONS,
    "samples": SAMPLES,
}
QUBIT_AXES = {
    "qubits": [{"qubits": q} for q in (2, 4, 6, 8, 10, 12)],
    "repetitions": REPETITIONS,
    "samples": SAMPLES,
}
"""What is varied, one axis at a time: each entry changes the common shape."""


def cases(
    shape: dict[str, int], axes: dict[str, list[dict[str, int]]], quick: bool
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the name of what varies, and a shape."""
    for axis, changes in axes.items():
        for change in changes[:3] if quick else changes:
            yield axis, shape | change


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "scaling",
        "Forward and backward of one layer, one core, single precision: time and the most memory "
        "that tensors hold, beside the number of complex multiply-adds of the arithmetic alone. "
        "One thing varies at a time, from a photonic layer of 8 modes, 4 photons, 20 repetitions "
        "and 16 samples (modes with half as many photons), and from a qubit circuit of 6 qubits, "
        "20 repetitions and 16 samples.",
        setting,
    )
    kinds = (
        ("photonic", PHOTONIC, PHOTONIC_AXES, photonic_work, photonic_operations),
        ("qubits", QUBITS, QUBIT_AXES, qubit_work, qubit_operations),
    )
    for name, middle, axes, prepare, operations in kinds:
        for axis, shape in cases(middle, axes, setting.quick):
            work = prepare(**shape)
            seconds = interleave({OURS: work}, setting.rounds(5))
            case: dict[str, Value] = {"varied": axis, **shape}
            report.add(
                name,
                case,
                "forward and backward",
                seconds,
                memory_bytes=peak_memory(work),
                operations=operations(**shape),
            )
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
