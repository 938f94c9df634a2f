"""Timing, memory and storing for the benchmarks: both sides in one process, in turns."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from qlmbench.errors import UserError
from qlmbench.provenance import environment
from qlmbench.report.speed import write_speed
from qlmbench.report.speed_results import (
    Bar,
    Check,
    Measurement,
    Spread,
    Timing,
    Value,
)
from qlmbench.store import write_atomically

Work = Callable[[], object]

PEERS = ("pennylane", "qiskit", "qiskit-aer")
ROOT = Path(__file__).resolve().parents[1]
LEAST_SECONDS = 0.05
"""A side that is faster than this is repeated within a round, so that the clock does not matter."""


@dataclass(frozen=True)
class Setting:
    """How a benchmark is run."""

    quick: bool
    results: Path

    def rounds(self, normal: int) -> int:
        """Return the number of rounds, few for a quick try."""
        return 2 if self.quick else normal


def parse(description: str | None, argv: list[str] | None = None) -> Setting:
    """Read the command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder of the results [default: results/benchmarks, with --quick runs/benchmarks]",
    )
    given = parser.parse_args(argv)
    # A quick try never overwrites the committed numbers unasked.
    default = ROOT / ("runs" if given.quick else "results") / "benchmarks"
    # Every side works with one thread: torch, and the BLAS of everything else.
    torch.set_num_threads(1)
    threadpool_limits(1)
    return Setting(given.quick, given.results or default)


def run_alone(
    benchmark: Callable[[Setting], None], doc: str | None, argv: list[str] | None = None
) -> None:
    """Run one benchmark as a script, and write the page again."""
    setting = parse(doc, argv)
    benchmark(setting)
    write_page(setting)


def write_page(setting: Setting) -> None:
    """Write the page of everything that has been measured so far."""
    try:
        for path in write_speed(setting.results):
            print(f"wrote {path}")
    except UserError as error:
        sys.exit(f"benchmarks: {error}")


def interleave(sides: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Time every side in turns, A B A B ..., after warming up.

    Parameters
    ----------
    sides : mapping of str to callable
        The work of each side; called several times a round where it is short.
    rounds : int
        Number of turns.

    Returns
    -------
    dict of str to list of float
        Seconds of one call, one value a round.
    """
    calls = {side: _calls(work) for side, work in sides.items()}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, work in sides.items():
            seconds[side].append(_seconds(work, calls[side]) / calls[side])
    return seconds


def _calls(work: Work) -> int:
    """Warm up, and say how many calls make a round long enough."""
    first = _seconds(work, 1)
    if first > 10 * LEAST_SECONDS:  # warm enough: a second time would not make it shorter than this
        return 1
    return max(1, math.ceil(LEAST_SECONDS / max(_seconds(work, 1), 1e-7)))


def _seconds(work: Work, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - started


def peak_memory(work: Work) -> int:
    """Return the most bytes that tensors hold during the work, beyond what they held before.

    Counted from the allocations themselves, so that it is equal on every machine; what Python and
    other libraries hold is not in it.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it writes two lines for each use
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(
        activities=activities, profile_memory=True, acc_events=True
    ) as profile:
        work()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return int(peak)


@dataclass
class Report:
    """Collects what a benchmark finds, prints it as it comes, and stores it."""

    question: str
    setup: str
    setting: Setting
    checks: list[Check] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        print(f"\n{self.question}: {self.setup}", flush=True)

    def check(self, what: str, value: float, limit: float, passes_above: bool = False) -> None:
        """Note that both sides agree; end the benchmark if they do not."""
        check = Check(what=what, value=value, limit=limit, passes_above=passes_above)
        sign = ">" if passes_above else "<"
        print(f"  check: {what}: {value:.3g} (must be {sign} {limit:g})", flush=True)
        if not check.passed:
            sys.exit(f"{self.question}: the sides do not agree, so there is nothing to compare")
        self.checks.append(check)

    def add(
        self,
        group: str,
        case: Mapping[str, Value],
        unit: str,
        seconds: dict[str, list[float]],
        memory_bytes: int | None = None,
        operations: float | None = None,
    ) -> Timing:
        """Note the timings of a case and print them."""
        timing = Timing.of(group, dict(case), unit, seconds).model_copy(
            update={"memory_bytes": memory_bytes, "operations": operations}
        )
        self.timings.append(timing)
        what = ", ".join(f"{key} {value}" for key, value in case.items())
        print(f"  {group}: {what}: {_times(timing)}", flush=True)
        return timing

    def bar(self, what: str, at_least: float, ratio: Spread) -> None:
        """Compare a ratio with what is promised."""
        bar = Bar(what=what, at_least=at_least, ratio=ratio)
        self.bars.append(bar)
        sign = "met" if bar.met else "MISSED"
        print(f"  bar {sign}: {what}: {_ratio(bar.ratio)}, promised {at_least:g}", flush=True)

    def finish(self) -> None:
        """Store everything as JSON."""
        measurement = Measurement(
            question=self.question,
            setup=self.setup,
            quick=self.setting.quick,
            checks=self.checks,
            bars=self.bars,
            timings=self.timings,
            environment=describe_machine(),
            seconds=round(time.perf_counter() - self.started, 1),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        path = self.setting.results / f"{self.question}.json"
        content = _shortened(measurement.model_dump(exclude_none=True))
        write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        print(f"  stored {path} after {measurement.seconds:.0f} s", flush=True)


def total_seconds(timings: list[Timing]) -> dict[str, list[float]]:
    """Sum over cases, round by round: what the whole takes, rather than the average case."""
    return {
        side: [sum(values) for values in zip(*(t.seconds[side] for t in timings), strict=True)]
        for side in timings[0].seconds
    }


def smallest_ratio(timings: list[Timing], side: str) -> Spread:
    """Return the ratio of the case where we gain least."""
    return min((timing.ratios[side] for timing in timings), key=lambda ratio: ratio.median)


def describe_machine() -> dict[str, str]:
    """Describe versions and machine, with how busy it was."""
    found = dict(environment())
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["cores"] = str(os.cpu_count())
    found["threads used"] = str(torch.get_num_threads())
    if hasattr(os, "getloadavg"):
        found["load at the end"] = f"{os.getloadavg()[0]:.1f}"
    return found


def _times(timing: Timing) -> str:
    sides = (f"{side} {_duration(timing.spread(side).median)}" for side in timing.seconds)
    ratios = (f"{side} takes {_ratio(spread)} as long" for side, spread in timing.ratios.items())
    return "; ".join([", ".join(sides), *ratios])


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.3g} ({spread.low:.3g} to {spread.high:.3g}) times"


def _duration(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _shortened(value: object) -> object:
    """Round numbers to five digits: more are noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    return [_shortened(inner) for inner in value] if isinstance(value, list) else value
