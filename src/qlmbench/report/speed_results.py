"""What a benchmark leaves behind: timings of both sides, checks before them, bars to reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qlmbench.errors import UserError

OURS = "qlmbench"
"""Name of our own side in every timing."""

Value = str | int | float


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Stored):
    """Median and quartiles over the rounds of a benchmark."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise one value a round.

        Raises
        ------
        ValueError
            If there is no value.
        """
        if len(values) == 0:
            raise ValueError("got no rounds to summarise; expected at least one")
        low, median, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
        return cls(median=float(median), low=float(low), high=float(high))


class Timing(_Stored):
    """One case, measured on every side in the same rounds."""

    group: str
    """Which part of the question this case belongs to."""
    case: dict[str, Value]
    """What was varied: modes, photons, repetitions, ..."""
    unit: str
    """What the seconds are for, such as 'training step of all repetitions'."""
    seconds: dict[str, list[float]]
    """Seconds by side, one value a round."""
    ratios: dict[str, Spread] = {}
    """Times that each other side takes as long as ours, from the ratios within each round."""
    memory_bytes: int | None = None
    """Most that our tensors held at one time, beyond what they held before."""
    operations: float | None = None
    """Complex multiplications and additions that the arithmetic alone takes."""

    @model_validator(mode="after")
    def _check_rounds(self) -> Timing:
        lengths = {side: len(values) for side, values in self.seconds.items()}
        if OURS not in lengths or len(set(lengths.values())) > 1 or lengths[OURS] == 0:
            raise ValueError(f"got rounds {lengths}; expected as many of each side, {OURS} one")
        return self

    @classmethod
    def of(
        cls, group: str, case: dict[str, Value], unit: str, seconds: dict[str, list[float]]
    ) -> Timing:
        """Compare the sides of one case, round by round."""
        ratios = {
            side: Spread.of(ratios_by_round(values, seconds[OURS]))
            for side, values in seconds.items()
            if side != OURS
        }
        return cls(group=group, case=case, unit=unit, seconds=seconds, ratios=ratios)

    def spread(self, side: str = OURS) -> Spread:
        """Return the spread of a side's seconds."""
        return Spread.of(self.seconds[side])


class Check(_Stored):
    """That both sides compute the same."""

    what: str
    value: float
    limit: float
    passes_above: bool = False
    """Whether the value must be above the limit (a p-value) rather than below (a difference)."""

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value > self.limit if self.passes_above else self.value < self.limit


class Bar(_Stored):
    """A ratio that the library promises."""

    what: str
    at_least: float
    ratio: Spread

    @property
    def met(self) -> bool:
        """Whether the median reaches the bar."""
        return self.ratio.median >= self.at_least


class Measurement(_Stored):
    """The answer to one question: ``<question>.json``."""

    question: str
    setup: str
    """What was measured and how, in a sentence."""
    quick: bool
    """Whether this was a short try, whose numbers mean little."""
    checks: list[Check] = []
    bars: list[Bar] = []
    timings: list[Timing] = []
    environment: dict[str, str]
    seconds: float
    """How long the benchmark took."""
    finished: str
    """When it ended, UTC, ISO 8601."""

    def group(self, name: str) -> list[Timing]:
        """Return the timings of one part of the question."""
        return [timing for timing in self.timings if timing.group == name]


def ratios_by_round(other: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Divide another side's seconds by ours, round by round.

    Raises
    ------
    ValueError
        If the numbers of rounds differ.
    """
    return [theirs / own for theirs, own in zip(other, ours, strict=True)]


def load_measurements(folder: Path) -> dict[str, Measurement]:
    """Read every stored benchmark of a folder, by question.

    Raises
    ------
    UserError
        If there is none, or a file is not what a benchmark writes.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Measurement.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: not a benchmark's result ({str(error).splitlines()[0]})",
                do="run the benchmark again, or remove the file",
            ) from None
    if not found:
        raise UserError(
            f"{folder}: no benchmark results", do="run 'python benchmarks/run_all.py' first"
        )
    return found
