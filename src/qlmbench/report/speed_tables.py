"""Tables of stored benchmarks: every case, and a few rows that sum them up."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from qlmbench.report.render import Table
from qlmbench.report.speed_results import OURS, Measurement, Spread, Timing, Value


def ratio(spread: Spread) -> str:
    """Write a ratio with its quartiles."""
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def number(value: float) -> str:
    """Write two or three digits that mean something, without exponents."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds >= 120:
        return f"{number(seconds / 60)} min"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{number(seconds * factor)} {unit}"
    return f"{number(seconds * 1e9)} ns"


def memory(n_bytes: int) -> str:
    """Write a number of bytes in the unit that suits it."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= factor:
            return f"{number(n_bytes / factor)} {unit}"
    return f"{n_bytes} B"


def plural(count: Value, noun: str) -> str:
    """Write a count and its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def describe(case: dict[str, Value]) -> str:
    """Write a case as words: '8 modes, 1 photon, space fock'."""
    return ", ".join(
        f"{key} {value}" if isinstance(value, str) else plural(value, key.removesuffix("s"))
        for key, value in case.items()
    )


def cases_table(measured: Measurement) -> Table:
    """List every case of a question, with the time of each side and the ratios.

    Parameters
    ----------
    measured : Measurement
        The question.

    Returns
    -------
    Table
    """
    rows = [_plain(timing) for timing in measured.timings]
    shown = pd.DataFrame([_shown(timing) for timing in measured.timings]).fillna("")
    caption = "Medians over the rounds; ratios with quartiles."
    words = tuple(str(c) for c in shown.columns if _is_words(shown[c]))
    return Table(measured.question, caption, pd.DataFrame(rows), shown, left=words)


def _plain(timing: Timing) -> dict[str, Value | None]:
    row: dict[str, Value | None] = {"group": timing.group, **timing.case, "unit": timing.unit}
    for side in timing.seconds:
        row[f"{side} seconds"] = timing.spread(side).median
    for side, found in timing.ratios.items():
        row |= {f"{side} ratio": found.median}
        row |= {f"{side} ratio low": found.low, f"{side} ratio high": found.high}
    if timing.operations is not None:
        row["operations"] = timing.operations
    if timing.memory_bytes is not None:
        row["memory_bytes"] = timing.memory_bytes
    return row


def _shown(timing: Timing) -> dict[str, str]:
    row = {"Case": timing.group, **{key: str(value) for key, value in timing.case.items()}}
    for side in timing.seconds:
        row[side] = duration(timing.spread(side).median)
    for side in _others(timing):
        row[f"{side}: times as long"] = ratio(timing.ratios[side])
    if timing.operations is not None:
        row["multiply-adds"] = f"{timing.operations:.2g}"
        row["ns each"] = number(per_operation(timing))
    if timing.memory_bytes is not None:
        row["memory"] = memory(timing.memory_bytes)
    return row


def _is_words(column: pd.Series[str]) -> bool:
    return not any(text[:1].isdigit() for text in column if text)


def per_operation(timing: Timing) -> float:
    """Nanoseconds a complex multiply-add.

    Raises
    ------
    ValueError
        If the operations of the case were not counted.
    """
    if timing.operations is None:
        raise ValueError(f"the case {describe(timing.case)} has no count of operations")
    return 1e9 * timing.spread().median / timing.operations


def summary_table(measured: Measurement, by: Sequence[str]) -> Table:
    """Sum the cases up: for each kind of case the least, the middle and the largest ratio.

    Questions without another side list the smallest and the largest time instead. Where nothing
    would be summed up, these are the cases themselves.

    Parameters
    ----------
    measured : Measurement
        The question.
    by : sequence of str
        What is kept apart; cases that differ in other things are summed up.
    """
    kinds: dict[tuple[str, str, str], list[Timing]] = {}
    for timing in measured.timings:
        kept = describe({key: timing.case[key] for key in by if key in timing.case})
        for side in _others(timing) or [OURS]:
            kinds.setdefault((timing.group, kept, side), []).append(timing)
    if all(len(members) == 1 for members in kinds.values()):
        return cases_table(measured)
    rows = [_summary(key, members) for key, members in kinds.items()]
    data = pd.DataFrame(rows)
    caption = "Over the cases of each row: the least and the largest, and the middle one."
    words = tuple(str(c) for c in data.columns if c in {"Case", "Of", "Side", "Where least"})
    return Table(f"{measured.question}-summary", caption, data, data, left=words)


def _others(timing: Timing) -> list[str]:
    """Name the sides that are not ours in another precision."""
    return [side for side in timing.ratios if not side.startswith(OURS)]


def _summary(key: tuple[str, str, str], members: list[Timing]) -> dict[str, str]:
    group, kept, side = key
    row = {"Case": group, "Of": kept, "Cases": str(len(members))}
    if side == OURS:
        ordered = sorted(members, key=lambda timing: timing.spread().median)
        values = [duration(timing.spread().median) for timing in ordered]
    else:
        ordered = sorted(members, key=lambda timing: timing.ratios[side].median)
        values = [number(timing.ratios[side].median) for timing in ordered]
        row["Side"] = side
    title = "time" if side == OURS else "times as long"
    row[f"Least, {title}"] = values[0]
    row["Middle"] = values[len(values) // 2]
    row["Largest"] = values[-1]
    row["Where least"] = describe(_varied(ordered[0], members))
    return row


def _varied(timing: Timing, members: list[Timing]) -> dict[str, Value]:
    """Keep of a case what is not equal in all members."""
    varied = [key for key in timing.case if len({m.case.get(key) for m in members}) > 1]
    return {key: timing.case[key] for key in varied}


def losses(measured: Measurement, most: int = 3) -> str:
    """Say in which cases another side is faster, or where our lead is smallest.

    Parameters
    ----------
    measured : Measurement
        A question with at least one other side.
    most : int
        How many losing cases to name.
    """
    cases = [
        (timing.ratios[side].median, side, timing)
        for timing in measured.timings
        for side in _others(timing)
    ]
    cases.sort(key=lambda case: case[0])
    lost = [case for case in cases if case[0] < 1]
    if not lost:
        least, side, timing = cases[0]
        return (
            f"In none of the {len(cases)} cases. The smallest lead, {number(least)} times over "
            f"{side}, is at {describe(timing.case)}."
        )
    named = "; ".join(
        f"{describe(timing.case)} ({side} takes {number(value)} times as long)"
        for value, side, timing in lost[:most]
    )
    more = f" and {len(lost) - most} more" if len(lost) > most else ""
    return f"In {len(lost)} of {len(cases)} cases: {named}{more}."
