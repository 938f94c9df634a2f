"""Shots of the quantum-gradient circuit against Qiskit Aer, the best way and the naive way."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from harness import Report, Setting, interleave, run_alone
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit_aer import AerSimulator
from scipy import stats

from qlmbench.quantum.qubit_exports import from_qiskit_order
from qlmbench.quantum.qubit_patterns import quantum_gradient
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.report.speed_results import OURS

N_QUBITS = 5
SHOTS = 1000
BEST, NAIVE = "qiskit-aer", "qiskit-aer, naive"
Array = NDArray[np.float64]


def published_circuit(theta: ParameterVector | list[float]) -> QuantumCircuit:
    """Write the circuit as its project does, with a measurement of every qubit."""
    circuit = QuantumCircuit(N_QUBITS)
    circuit.h(range(N_QUBITS))
    for q in range(N_QUBITS):
        circuit.ry(theta[q], q)
    for q in range(N_QUBITS - 1):
        circuit.cx(q, q + 1)
    for q in range(N_QUBITS):
        circuit.ry(theta[q] / 2, q)
    circuit.measure_all()
    return circuit


def our_counts() -> Callable[[Array], Array]:
    """Prepare our side: counts [circuits, outcomes] from gradients [circuits, qubits]."""
    module = QubitCircuit(quantum_gradient(N_QUBITS))

    def counts(gradients: Array) -> Array:
        inputs = torch.from_numpy(gradients).float()[None]
        return module.counts(inputs, SHOTS)[0].numpy()

    return counts


def aer_at_its_best() -> Callable[[Array], Array]:
    """Prepare Aer: transpiled once, all parameters bound in one call."""
    simulator = AerSimulator(method="statevector", max_parallel_threads=1)
    theta = ParameterVector("theta", N_QUBITS)
    circuit = transpile(published_circuit(theta), simulator)

    def counts(gradients: Array) -> Array:
        binds = {theta[q]: (math.pi * gradients[:, q]).tolist() for q in range(N_QUBITS)}
        done = simulator.run([circuit], parameter_binds=[binds], shots=SHOTS).result()
        return _tables([done.data(i)["counts"] for i in range(len(gradients))])

    return counts


def aer_naively() -> Callable[[Array], Array]:
    """Prepare Aer as the project uses it: each circuit built, transpiled and run by itself."""
    simulator = AerSimulator(max_parallel_threads=1)

    def counts(gradients: Array) -> Array:
        found = []
        for row in gradients:
            circuit = transpile(published_circuit((math.pi * row).tolist()), simulator)
            found.append(simulator.run(circuit, shots=SHOTS).result().data(0)["counts"])
        return _tables(found)

    return counts


def _tables(found: list[dict[str, int]]) -> Array:
    table = np.zeros((len(found), 2**N_QUBITS))
    for row, by_outcome in zip(table, found, strict=True):
        for outcome, times in by_outcome.items():
            row[int(outcome, 16)] = times
    return from_qiskit_order(table)


def p_value(a: Array, b: Array) -> float:
    """Test that two tables of counts come from the same distributions, row by row (chi-square)."""
    statistic, degrees = 0.0, 0
    for own, other in zip(a, b, strict=True):
        seen = own + other > 10  # the test wants at least five expected of each side
        kept = np.stack([np.append(side[seen], side[~seen].sum()) for side in (own, other)])
        kept = kept[:, kept.sum(0) > 0]
        found = stats.chi2_contingency(kept)
        statistic, degrees = statistic + found.statistic, degrees + found.dof
    return float(stats.chi2.sf(statistic, degrees))


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "sampling",
        f"{SHOTS:,} shots of the quantum-gradient circuit on {N_QUBITS} qubits, for many gradients "
        "at once, one core: exact batched statevectors with multinomial draws against Qiskit Aer "
        "with the circuit transpiled once and all parameters bound in one call, and against Aer "
        "with a transpilation for each circuit, as the project does.",
        setting,
    )
    rng = np.random.default_rng(0)
    ours, best, naive = our_counts(), aer_at_its_best(), aer_naively()
    some = rng.uniform(-1, 1, size=(20, N_QUBITS))
    for name, theirs in (("the best way", best), ("the naive way", naive)):
        what = f"Aer, {name}: p-value that the counts of 20 circuits have equal distributions"
        report.check(what, p_value(ours(some), theirs(some)), 1e-3, passes_above=True)
    for circuits in (1, 10, 100, 1000):
        gradients = rng.uniform(-1, 1, size=(circuits, N_QUBITS))
        sides = {OURS: lambda g=gradients: ours(g), BEST: lambda g=gradients: best(g)}
        if circuits <= 10:
            sides[NAIVE] = lambda g=gradients: naive(g)
        seconds = interleave(sides, setting.rounds(7 if circuits < 1000 else 5))
        each = {side: [s / circuits for s in values] for side, values in seconds.items()}
        timing = report.add("beside Aer", {"circuits": circuits}, "circuit of 1,000 shots", each)
        if circuits in (1, 1000):
            number = f"{circuits:,} circuit{'s' if circuits > 1 else ''} a call"
            report.bar(f"{number}, Aer at its best", 20, timing.ratios[BEST])
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
