"""One photonic layer, forward and backward, against merlin; forward alone against Perceval."""

from __future__ import annotations

import math

import perceval
import torch
from harness import Report, Setting, Work, interleave, run_alone
from torch import Tensor

from qlmbench.quantum.fock import SPACES, Space, fock_states, space_size
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.report.speed_results import OURS, Value

SAMPLES = 16


def shapes(quick: bool) -> list[tuple[int, int]]:
    """List modes and photons."""
    modes = (2, 6) if quick else (2, 4, 6, 8, 10, 12)
    return [(m, n) for m in modes for n in range(1, m // 2 + 1)]


def step(runs: list[tuple[torch.nn.Module, Tensor]]) -> Work:
    """Prepare a forward and a backward pass of each module, to its angles and its phases."""

    def work() -> None:
        for module, phases in runs:
            module.zero_grad()
            phases.grad = None
            torch.autograd.backward(module(phases).square().sum())

    return work


def draw_phases(repetitions: int, n_modes: int) -> Tensor:
    """Draw phases of every repetition, and ask for their gradient."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(repetitions, SAMPLES, n_modes, generator=generator)
    return (math.pi * drawn).requires_grad_()


def beside_merlin(report: Report, shape: tuple[int, int], space: Space, repetitions: int) -> float:
    """Time forward and backward; return the largest difference of probabilities."""
    circuit = PhotonicCircuit(*shape, space=space, repetitions=repetitions)
    phases = draw_phases(repetitions, shape[0])
    # One layer after the other, each with its own step and without any cost of ours around it.
    samples = [rows.detach().requires_grad_() for rows in torch.unbind(phases)]
    loop = [(circuit.to_merlin(r), samples[r]) for r in range(repetitions)]
    sides = {OURS: step([(circuit, phases)]), "merlinquantum": step(loop)}
    case = _case(shape, space) | {"repetitions": repetitions}
    unit = f"forward and backward, {SAMPLES} samples, all repetitions"
    report.add("beside merlin", case, unit, interleave(sides, report.setting.rounds(5)))
    with torch.no_grad():
        theirs = torch.stack([layer(rows) for layer, rows in loop])
        return float((circuit(phases) - theirs).abs().max())


class PercevalLoop:
    """Perceval's SLOS, sample by sample, with what can be prepared once prepared once."""

    def __init__(self, circuit: PhotonicCircuit) -> None:
        self.circuit = circuit.to_perceval()
        values = {parameter.name: parameter for parameter in self.circuit.get_parameters()}
        self.encoded = [values[f"x{mode + 1}"] for mode in range(circuit.n_modes)]
        self.backend = perceval.SLOSBackend()
        self.state = perceval.BasicState(list(circuit.input_state))
        everything = fock_states(circuit.n_modes, circuit.n_photons, "fock")
        place = {state: i for i, state in enumerate(everything)}
        # SLOS computes every state; those that are post-selected away are dropped afterwards.
        self.kept = torch.tensor([place[state] for state in circuit.state_space()])

    def __call__(self, phases: Tensor) -> Tensor:
        """Return the probabilities [samples, states]."""
        probs = torch.tensor([self._all(sample) for sample in phases.tolist()])[:, self.kept]
        return probs / probs.sum(1, keepdim=True)

    def _all(self, sample: list[float]) -> list[float]:
        for parameter, value in zip(self.encoded, sample, strict=True):
            parameter.set_value(value)
        self.backend.set_circuit(self.circuit)
        self.backend.set_input_state(self.state)
        probs: list[float] = self.backend.all_prob()
        return probs


def beside_perceval(report: Report, shape: tuple[int, int], space: Space) -> float:
    """Time forward alone; return the largest difference of probabilities."""
    circuit = PhotonicCircuit(*shape, space=space)
    phases = draw_phases(1, shape[0]).detach()
    loop = PercevalLoop(circuit)

    def ours() -> Tensor:
        with torch.no_grad():
            probs: Tensor = circuit(phases)
        return probs

    sides: dict[str, Work] = {OURS: ours, "perceval": lambda: loop(phases[0])}
    difference = float((ours()[0] - loop(phases[0])).abs().max())
    seconds = interleave(sides, report.setting.rounds(5))
    per_sample = {side: [s / SAMPLES for s in values] for side, values in seconds.items()}
    report.add("beside Perceval", _case(shape, space), "forward of one sample", per_sample)
    return difference


def _case(shape: tuple[int, int], space: Space) -> dict[str, Value]:
    states = space_size(*shape, space)
    return {"modes": shape[0], "photons": shape[1], "space": space, "states": states}


def main(setting: Setting) -> None:
    """Measure."""
    report = Report(
        "photonic_layer",
        f"One photonic layer (mesh, phases, mesh; {SAMPLES} samples; single precision; one core). "
        "Forward and backward, to angles and phases, against merlinquantum's QuantumLayer, one "
        "after the other for ten repetitions; and forward alone against Perceval's SLOS, which "
        "takes one sample at a time, in double precision.",
        setting,
    )
    merlin_differences, perceval_differences = [], []
    for shape in shapes(setting.quick):
        for space in SPACES:
            for repetitions in (1, 10):
                merlin_differences.append(beside_merlin(report, shape, space, repetitions))
            perceval_differences.append(beside_perceval(report, shape, space))
    what = "largest difference of a probability, any shape"
    report.check(f"merlinquantum: {what}", max(merlin_differences), 1e-5)
    report.check(f"Perceval: {what}", max(perceval_differences), 1e-5)
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
