"""The questions of the page "How fast": their titles, figures, sentences and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from qlmbench.report.plots.speed import Line, Panel, line_panels
from qlmbench.report.speed_results import Measurement, Spread, Timing, Value
from qlmbench.report.speed_suite import draw_suite, suite_losses, suite_sentence
from qlmbench.report.speed_tables import (
    describe,
    losses,
    memory,
    number,
    per_operation,
    plural,
    ratio,
)
from qlmbench.report.wording import listed

MERLIN = "merlinquantum"
PERCEVAL = "perceval"
PENNYLANE = "pennylane"
AER = "qiskit-aer"
SHIFT, BACKPROP = f"{PENNYLANE}, parameter shift", f"{PENNYLANE}, backpropagation"
TABLE = "torch table"
LOOP = "qiskit, one circuit a call"
LORA = "peft's LoRA"
TIMES = "times as long as ours"


@dataclass(frozen=True)
class Topic:
    """How one question is shown."""

    title: str
    key: str
    """How to read the figure."""
    by: tuple[str, ...]
    """What the summary keeps apart."""
    draw: Callable[[Measurement], Figure]
    sentence: Callable[[Measurement], str]
    """What to see in the figure."""
    limit: str
    """What bounds the speed, and why it is not more."""
    losses: Callable[[Measurement], str] = losses
    """Where we are slower."""


def _line(label: str, timings: Iterable[Timing], x: str, side: str) -> Line:
    ordered = sorted(timings, key=lambda timing: float(timing.case[x]))
    places = tuple(float(timing.case[x]) for timing in ordered)
    return Line(label, places, tuple(timing.ratios[side] for timing in ordered))


def _apart(timings: Iterable[Timing], key: str) -> dict[Value, list[Timing]]:
    """Sort timings by one value of their case, in the order of appearance."""
    found: dict[Value, list[Timing]] = {}
    for timing in timings:
        found.setdefault(timing.case[key], []).append(timing)
    return found


def _extreme(timings: Iterable[Timing], side: str) -> tuple[Timing, Timing]:
    ordered = sorted(timings, key=lambda timing: timing.ratios[side].median)
    return ordered[0], ordered[-1]


# ---- the sweep ---------------------------------------------------------------------------------


def _draw_sweep(measured: Measurement) -> Figure:
    panels = []
    for batch, of_batch in _apart(measured.group("by shape"), "batch").items():
        lines = tuple(
            _line(plural(photons, "photon"), members, "modes", MERLIN)
            for photons, members in _apart(of_batch, "photons").items()
        )
        panels.append(Panel(f"Batch {batch}", lines))
    modes = _modes(measured.group("by shape"))
    return line_panels(panels, x="modes", y=TIMES, ticks=modes, even=1)


def _modes(timings: Iterable[Timing]) -> list[float]:
    return sorted({float(timing.case["modes"]) for timing in timings})


def _sweep_sentence(measured: Measurement) -> str:
    parts = [
        (ratio(t.ratios[MERLIN]), f"at batch {t.case['batch']}")
        for t in measured.group("whole sweep")
    ]
    return f"Over the whole sweep, the loop takes {_times(parts)}."


# ---- one photonic layer ------------------------------------------------------------------------

_SPACE_TITLE = {"unbunched": "Unbunched", "fock": "Fock"}


def _draw_layer(measured: Measurement) -> Figure:
    timings = measured.group("beside merlin")
    panels = []
    for repetitions, of_repetitions in _apart(timings, "repetitions").items():
        for space, members in _apart(of_repetitions, "space").items():
            lines = tuple(
                _line(plural(photons, "photon"), line, "modes", MERLIN)
                for photons, line in _apart(members, "photons").items()
            )
            title = f"{_SPACE_TITLE[str(space)]}, {plural(repetitions, 'repetition')}"
            panels.append(Panel(title, lines))
    return line_panels(panels, x="modes", y=f"merlin, {TIMES}", ticks=_modes(timings), even=1)


def _layer_sentence(measured: Measurement) -> str:
    least, most = _extreme(measured.group("beside merlin"), MERLIN)
    alone, _ = _extreme(measured.group("beside Perceval"), PERCEVAL)
    return (
        f"merlin takes {number(least.ratios[MERLIN].median)} times as long at "
        f"{describe(least.case)}, up to {number(most.ratios[MERLIN].median)} times at "
        f"{describe(most.case)}; Perceval, sample by sample, at least "
        f"{number(alone.ratios[PERCEVAL].median)} times."
    )


# ---- qubits ------------------------------------------------------------------------------------


def _draw_qubits(measured: Measurement) -> Figure:
    panels = []
    promised = {1: 8.0, 10: 40.0}
    for repetitions, members in _apart(measured.timings, "repetitions").items():
        lines = tuple(
            _line(str(circuit), line, "qubits", PENNYLANE)
            for circuit, line in _apart(members, "circuit").items()
        )
        bar = promised.get(int(repetitions))
        panels.append(Panel(plural(repetitions, "repetition"), lines, bar))
    qubits = sorted({float(timing.case["qubits"]) for timing in measured.timings})
    return line_panels(panels, x="qubits", y=TIMES, ticks=qubits, even=1)


def _qubits_sentence(measured: Measurement) -> str:
    parts = []
    for repetitions, members in _apart(measured.timings, "repetitions").items():
        least, most = _extreme(members, PENNYLANE)
        parts.append(
            (
                f"{number(least.ratios[PENNYLANE].median)} to "
                f"{number(most.ratios[PENNYLANE].median)}",
                f"for {plural(repetitions, 'repetition')}",
            )
        )
    return f"PennyLane takes {_times(parts)}."


def _times(parts: list[tuple[str, str]]) -> str:
    """Join ratios and where they hold: ``8 times as long as ours at batch 16, 5 at batch 32``."""
    (size, where), *others = parts
    return listed([f"{size} {TIMES} {where}", *(" ".join(part) for part in others)])


# ---- token embeddings --------------------------------------------------------------------------


def _draw_embedding(measured: Measurement) -> Figure:
    panels = []
    for repetitions, members in _apart(measured.timings, "repetitions").items():
        lines = tuple(_line(side, members, "tokens", side) for side in (SHIFT, BACKPROP, TABLE))
        panels.append(Panel(plural(repetitions, "repetition"), lines))
    tokens = sorted({float(timing.case["tokens"]) for timing in measured.timings})
    return line_panels(panels, x="different tokens", y=TIMES, ticks=tokens, even=1)


def _embedding_sentence(measured: Measurement) -> str:
    least, most = _extreme(measured.timings, SHIFT)
    table = [1 / timing.ratios[TABLE].median for timing in measured.timings]
    return (
        f"PennyLane takes {ratio(least.ratios[SHIFT])} to {ratio(most.ratios[SHIFT])} times as "
        f"long as ours by the parameter-shift rule; ours takes {number(min(table))} to "
        f"{number(max(table))} times as long as a table."
    )


# ---- sampling ----------------------------------------------------------------------------------


def _draw_sampling(measured: Measurement) -> Figure:
    sides = dict.fromkeys(side for timing in measured.timings for side in timing.ratios)
    lines = tuple(
        _line(
            "Aer at its best" if side == AER else "Aer, naive",
            [timing for timing in measured.timings if side in timing.ratios],
            "circuits",
            side,
        )
        for side in sides
    )
    panel = Panel("Aer beside ours", lines, bar=20)
    return line_panels([panel], x="circuits a call", y=TIMES, log_x=True, even=1)


def _sampling_sentence(measured: Measurement) -> str:
    first, last = _extreme(measured.timings, AER)
    return (
        f"At its best, Aer takes {ratio(first.ratios[AER])} times as long with "
        f"{plural(first.case['circuits'], 'circuit')} a call, and {ratio(last.ratios[AER])} "
        f"times with {plural(last.case['circuits'], 'circuit')}."
    )


# ---- updates of the quantum gradient -----------------------------------------------------------


def _draw_update(measured: Measurement) -> Figure:
    lines = tuple(_line(side, measured.timings, "circuits", side) for side in (LOOP, AER))
    panel = Panel("Beside ours", lines)
    return line_panels([panel], x="circuits a step", y=TIMES, log_x=True, even=1)


def _update_sentence(measured: Measurement) -> str:
    largest = max(measured.timings, key=lambda timing: float(timing.case["circuits"]))
    loop, aer = largest.ratios[LOOP], largest.ratios[AER]
    return (
        f"With {plural(largest.case['circuits'], 'circuit')} a step, the published loop takes "
        f"{ratio(loop)} times as long as ours, and Aer {ratio(aer)} times."
    )


# ---- adapters ----------------------------------------------------------------------------------


def _draw_adapters(measured: Measurement) -> Figure:
    lines = tuple(_line(str(model), of, "modes", LORA) for model, of in _by_model(measured).items())
    sizes = sorted({float(timing.case["modes"]) for timing in measured.timings})
    panel = Panel("LoRA beside ours", lines, bar=1 / 3)
    return line_panels([panel], x="modes (r)", y=TIMES, ticks=sizes, even=1)


def _by_model(measured: Measurement) -> dict[Value, list[Timing]]:
    return _apart(measured.timings, "model")


def _adapters_sentence(measured: Measurement) -> str:
    parts = []
    for model, timings in _by_model(measured).items():
        ours = [1 / timing.ratios[LORA].median for timing in timings]
        parts.append(f"{number(min(ours))} to {number(max(ours))} times as long on {model}")
    return f"A step of quantum LoRA takes {', '.join(parts)} as one of LoRA with the same r."


# ---- scaling -----------------------------------------------------------------------------------


def _draw_scaling(measured: Measurement) -> Figure:
    panels = []
    for name in ("photonic", "qubits"):
        timings = measured.group(name)
        for what, read in (("milliseconds", _milliseconds), ("MiB", _mebibytes)):
            lines = tuple(
                _growth(str(axis), line, read) for axis, line in _apart(timings, "varied").items()
            )
            panels.append(Panel(f"{name.capitalize()}: {what}", lines))
    x = "complex multiply-adds, forward and backward"
    return line_panels(panels, x=x, y="milliseconds, or MiB", log_x=True)


def _milliseconds(timing: Timing) -> Spread:
    return Spread.of([1e3 * seconds for seconds in timing.seconds["qlmbench"]])


def _mebibytes(timing: Timing) -> Spread:
    return Spread.of([(timing.memory_bytes or 0) / 2**20])


def _growth(label: str, timings: list[Timing], read: Callable[[Timing], Spread]) -> Line:
    ordered = sorted(timings, key=lambda timing: timing.operations or 0)
    x = tuple(timing.operations or 0 for timing in ordered)
    return Line(label, x, tuple(read(timing) for timing in ordered))


def _scaling_sentence(measured: Measurement) -> str:
    parts = []
    for name in ("photonic", "qubits"):
        by_work = sorted(measured.group(name), key=lambda timing: timing.operations or 0)
        small, large = by_work[0], by_work[-1]
        parts.append(
            f"{name}: from {number(per_operation(small))} ns a multiply-add in the smallest case "
            f"to {number(per_operation(large))} ns in the largest"
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _scaling_losses(measured: Measurement) -> str:
    hungry = max(measured.timings, key=lambda timing: timing.memory_bytes or 0)
    return (
        "There is no other side here. The most memory, "
        f"{memory(hungry.memory_bytes or 0)}, is held at {describe(hungry.case)}."
    )


_LINES = "Line: median over the rounds; band: quartiles; dashed: where both are equally fast"

TOPICS = {
    "sweep": Topic(
        title="The whole photonic sweep",
        key=f"{_LINES}.",
        by=("batch",),
        draw=_draw_sweep,
        sentence=_sweep_sentence,
        limit=(
            "At small batches a step is a few hundred calls into torch, whatever the number of "
            "repetitions; the linear map from 768 features, the loss and Adam are no longer small "
            "beside the circuit. At 500 rows a step the linear map (with few photons) and the "
            "Fock space (with many) are arithmetic, which no stacking removes: the ratio falls."
        ),
    ),
    "photonic_layer": Topic(
        title="One photonic layer",
        key=f"{_LINES}.",
        by=("space", "repetitions"),
        draw=_draw_layer,
        sentence=_layer_sentence,
        limit=(
            "merlin spends its time on building the unitary component by component, which grows "
            "with the square of the modes; ours on products of whole meshes. With many photons in "
            "many modes both are bound by the number of Fock states, and ten repetitions gain no "
            "more than one does."
        ),
    ),
    "qubits": Topic(
        title="Qubit circuits",
        key=f"{_LINES}, and where the promise is (4 to 8 qubits).",
        by=("circuit", "repetitions"),
        draw=_draw_qubits,
        sentence=_qubits_sentence,
        limit=(
            "Up to about 8 qubits a step is bound by the number of calls into torch and not by "
            "arithmetic, so that ten repetitions cost little more than one; one repetition of a "
            "small circuit gains least. Larger states leave the processor's cache: time is then "
            "that of moving them through memory, and a stack costs as much as a loop or more."
        ),
    ),
    "token_embedding": Topic(
        title="A quantum embedding",
        key=f"{_LINES}; below it the other side is faster.",
        by=("repetitions",),
        draw=_draw_embedding,
        sentence=_embedding_sentence,
        limit=(
            "A batch holds few different tokens, and all their circuits are one call: what is "
            "left is the state itself and its way back, which a table does not have."
        ),
    ),
    "sampling": Topic(
        title="Sampling with shots",
        key=f"{_LINES}, and where the promise is.",
        by=("circuits",),
        draw=_draw_sampling,
        sentence=_sampling_sentence,
        limit=(
            "Aer pays more than a millisecond for each bound circuit. Ours pays a fixed price a "
            "call, so that a call with a single circuit gains least; with many circuits a call "
            "the multinomial draws themselves are most of the time."
        ),
    ),
    "parameter_update": Topic(
        title="Updates of the quantum gradient",
        key=f"{_LINES}.",
        by=("circuits",),
        draw=_draw_update,
        sentence=_update_sentence,
        limit=(
            "The published loop builds and transpiles a circuit for each block of weights. Ours "
            "pays a fixed price a call; with many circuits the multinomial draws remain."
        ),
    ),
    "adapter_step": Topic(
        title="A step of quantum LoRA",
        key=f"{_LINES}, and where the promise is (a third).",
        by=("model",),
        draw=_draw_adapters,
        sentence=_adapters_sentence,
        limit=(
            "Almost all of a step is the model itself, which both sides run alike. What is left is "
            "a circuit for each token of each adapted layer: a few calls into torch, and states "
            "of r numbers for one photon."
        ),
    ),
    "scaling": Topic(
        title="How cost grows",
        key="One line for each thing that varies, the others fixed; band: quartiles.",
        by=("varied",),
        draw=_draw_scaling,
        sentence=_scaling_sentence,
        losses=_scaling_losses,
        limit=(
            "Below some hundred thousand multiply-adds the time is that of a fixed number of "
            "calls: more repetitions or samples are free. Above, it follows the arithmetic. "
            "Memory follows what is kept for the way back, which grows with samples times "
            "repetitions times states; `diff_method='adjoint'` keeps less for deep qubit circuits."
        ),
    ),
    "suite": Topic(
        title="Waiting for the command line",
        key="Dot: median over the rounds; line: quartiles; dashed: as long as the reference.",
        by=("command",),
        draw=draw_suite,
        sentence=suite_sentence,
        losses=suite_losses,
        limit=(
            "Python's own start and the packages that a command needs; torch is imported by "
            "commands that compute, and by no other."
        ),
    ),
}
"""The questions by name, in the order of the page."""
