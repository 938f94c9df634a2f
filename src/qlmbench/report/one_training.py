"""The curves of a single training, beside its saved model."""

from __future__ import annotations

from pathlib import Path

from qlmbench.records import Outcome
from qlmbench.report import plots
from qlmbench.report.frames import curves_frame
from qlmbench.report.style import to_svg
from qlmbench.store import write_atomically

NAME = "curves"
DOTS_PER_INCH = 150


def write_curves(outcome: Outcome, title: str, folder: Path) -> list[Path]:
    """Draw losses and validation accuracy by epoch, as SVG and PNG.

    Parameters
    ----------
    outcome : Outcome
        Of a trial that has curves.
    title : str
        Of its arm.
    folder : Path
        Where the files go.

    Returns
    -------
    list of Path
        ``curves.svg`` and ``curves.png``.

    Raises
    ------
    ValueError
        If the trial has no curves.
    """
    record, curves = outcome.record, outcome.curves
    if curves is None:
        raise ValueError(f"trial {record.id} has no curves; expected one that was trained by epoch")
    frame = curves_frame({record.id: record}, {record.id: curves})
    labels = {record.arm: title}
    write_atomically(folder / f"{NAME}.svg", to_svg(plots.training_curves(frame, labels))[0])
    plots.training_curves(frame, labels).savefig(folder / f"{NAME}.png", dpi=DOTS_PER_INCH)
    return [folder / f"{NAME}.svg", folder / f"{NAME}.png"]
