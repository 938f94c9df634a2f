"""How long the command line takes, beside the first command of its benchmark."""

from __future__ import annotations

from matplotlib.figure import Figure

from qlmbench.report.plots.speed import times_as_long
from qlmbench.report.speed_results import OURS, Measurement, Spread, ratios_by_round
from qlmbench.report.speed_tables import number, ratio


def draw_suite(measured: Measurement) -> Figure:
    """Draw each command's time over that of the reference."""
    ratios = _beside_reference(measured)
    return times_as_long(list(ratios), list(ratios.values()), _reference(measured))


def _reference(measured: Measurement) -> str:
    """Name the command that the others are compared with: the first one."""
    return str(measured.timings[0].case["command"])


def _beside_reference(measured: Measurement) -> dict[str, Spread]:
    """Divide the time of each command by that of the reference, round by round."""
    reference, *others = measured.timings
    return {
        str(timing.case["command"]): Spread.of(
            ratios_by_round(timing.seconds[OURS], reference.seconds[OURS])
        )
        for timing in others
    }


def suite_sentence(measured: Measurement) -> str:
    """Say how many times as long as the reference each command takes."""
    parts = [f"{name} {number(r.median)}" for name, r in _beside_reference(measured).items()]
    return f"Times as long as {_reference(measured)}: {'; '.join(parts)}."


def suite_losses(measured: Measurement) -> str:
    """Say what takes longer than the reference."""
    ratios = _beside_reference(measured)
    longer = [f"{name}, {ratio(spread)}" for name, spread in ratios.items() if spread.median > 1]
    if not longer:
        return f"Nothing takes longer than {_reference(measured)}."
    return f"These take longer than {_reference(measured)}: {'; '.join(longer)} times."
