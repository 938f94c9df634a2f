"""Updates of the quantum gradient by circuits: all blocks at once beside a circuit a block."""

from __future__ import annotations

import numpy as np
import torch
from harness import Report, Setting, Work, interleave, run_alone
from qiskit_aer import AerSimulator
from torch import Tensor

from qlmbench.optim.published import quantum_parameter_update
from qlmbench.optim.update import BlockUpdate
from qlmbench.report.speed_results import OURS

QUBITS, SHOTS, RATE = 5, 1000, 0.01
LOOP, AER = "qiskit, one circuit a call", "qiskit-aer"
CIRCUITS = (1, 10, 100, 1000)
MOST_LOOPED = 10
"""Circuits that the loop is timed with; its time is proportional to their number."""
MOST_SHOTS_OF_NOISE = 6.0
"""Limit of a difference of means, in standard errors."""


def gradients(circuits: int) -> Tensor:
    """Draw gradients, one row a block, their largest entry 1."""
    drawn = np.random.default_rng(circuits).standard_normal((circuits, QUBITS))
    return torch.from_numpy(drawn / np.abs(drawn).max(1, keepdims=True))


def stacked(update: BlockUpdate, rows: Tensor) -> Work:
    """Prepare the updates of all blocks in one call."""
    rng, largest = np.random.default_rng(0), torch.ones(len(rows), 1)
    return lambda: update(rows, largest, RATE, rng)


def looped(rows: Tensor) -> Work:
    """Prepare the published call for each block, as many as are timed."""
    rng, few = np.random.default_rng(0), rows[:MOST_LOOPED].numpy()

    def work() -> None:
        for row in few:
            quantum_parameter_update(row, learning_rate=RATE, shots=SHOTS, seed=rng)

    return work


def measure(report: Report, circuits: int) -> None:
    """Time one number of circuits."""
    rows = gradients(circuits)
    aer = BlockUpdate("as-published", shots=SHOTS, backend=AerSimulator(seed_simulator=0))
    sides = {
        OURS: stacked(BlockUpdate("as-published", shots=SHOTS), rows),
        AER: stacked(aer, rows),
        LOOP: looped(rows),
    }
    seconds = interleave(sides, report.setting.rounds(5))
    per_loop = circuits / min(circuits, MOST_LOOPED)
    seconds[LOOP] = [per_loop * value for value in seconds[LOOP]]
    unit = f"updates of {QUBITS} weights each"
    report.add("beside Qiskit", {"circuits": circuits}, unit, seconds)


def difference_of_means(draws: int) -> float:
    """Compare the mean update with the published one, in standard errors; the largest of five."""
    row = gradients(1)
    ours = BlockUpdate("as-published", shots=SHOTS)(
        row.expand(draws, -1), torch.ones(draws, 1), RATE, np.random.default_rng(1)
    ).numpy()
    rng = np.random.default_rng(2)
    published = np.array(
        [
            quantum_parameter_update(row[0].numpy(), learning_rate=RATE, shots=SHOTS, seed=rng)
            for _ in range(draws)
        ]
    )
    error = np.sqrt((ours.var(0) + published.var(0)) / draws)
    return float((np.abs(ours.mean(0) - published.mean(0)) / error).max())


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "parameter_update",
        f"Updates of blocks of {QUBITS} weights from {SHOTS:,} shots of the published circuit, one "
        "core: exact batched statevectors with multinomial draws, against the published loop on "
        "Qiskit's local sampler, which builds, transpiles and runs a circuit a call (timed with at "
        f"most {MOST_LOOPED} circuits), and against Aer with one transpiled circuit and many bound "
        "angles.",
        setting,
    )
    error = difference_of_means(20 if setting.quick else 100)
    report.check("largest difference of a mean, standard errors", error, MOST_SHOTS_OF_NOISE)
    for circuits in CIRCUITS[:2] if setting.quick else CIRCUITS:
        measure(report, circuits)
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
