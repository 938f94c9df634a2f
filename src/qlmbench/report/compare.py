"""Two runs of one study side by side: two machines, two versions, two days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.errors import UserError
from qlmbench.packing import holds_classes
from qlmbench.records import Predictions, Record
from qlmbench.report import unpacked
from qlmbench.report import wording as w
from qlmbench.report.load import setting_folders
from qlmbench.report.render import Table, to_text
from qlmbench.store import Store


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common and where they differ."""

    trials: pd.DataFrame
    """One row a trial of both: id, arm, repetition, equal_predictions (share of rows, NaN where
    unknown), metric (the one that differs most), difference (of that metric, b minus a)."""
    only_a: int
    only_b: int
    tolerance: float

    @property
    def beyond(self) -> pd.DataFrame:
        """Trials with a metric that differs by more than the tolerance, or on one side only."""
        # A difference of NaN is a metric that only one side has: never silently in tolerance.
        return self.trials[~(self.trials["difference"].abs() <= self.tolerance)]

    @property
    def agree(self) -> bool:
        """Whether the runs have the same trials and every metric is within the tolerance."""
        return not (self.only_a or self.only_b or len(self.beyond)) and len(self.trials) > 0

    def text(self) -> str:
        """Write the comparison for a terminal."""
        lines = [f"{w.plural(len(self.trials), 'trial')} in both runs"]
        if self.only_a or self.only_b:
            lines[0] += f", {self.only_a} only in the first, {self.only_b} only in the second"
        if len(self.trials):
            lines += self._lines()
        lines.append("the runs agree" if self.agree else "the runs do not agree")
        return "\n".join(lines)

    def _lines(self) -> list[str]:
        shares = self.trials["equal_predictions"].dropna()
        lines = []
        if len(shares):
            same = int((shares == 1).sum())
            lines.append(
                f"equal predictions: {100 * shares.mean():.2f} % of the test rows; "
                f"{same} of {w.plural(len(shares), 'trial')} in every row"
            )
        lines.append(
            f"{len(self.beyond)} of {w.plural(len(self.trials), 'trial')} differ by more than "
            f"{self.tolerance:g} in a metric"
        )
        if len(self.beyond):
            lines += ["", to_text(_by_arm(self.beyond))]
        return lines


def _by_arm(beyond: pd.DataFrame) -> Table:
    rows = []
    for arm, trials in beyond.groupby("arm"):
        worst = trials.loc[trials["difference"].abs().fillna(np.inf).sort_values().index[-1]]
        rows.append(
            {
                "arm": str(arm),
                "trials": w.count(len(trials)),
                "largest difference": f"{worst['difference']:+.4g}",
                "metric": str(worst["metric"]),
                "repetition": str(worst["repetition"]),
            }
        )
    shown = pd.DataFrame(rows)
    return Table("differences", "", shown, shown, ("arm", "metric"))


def compare_folders(a: Path, b: Path, tolerance: float) -> Comparison:
    """Compare the records of two run folders trial by trial.

    Parameters
    ----------
    a, b : Path
        Folders of runs (``results/<study>/<run>``) or of settings; of runs, the settings that both
        have are compared, and trials of the others count as missing.
    tolerance : float
        Largest difference of a metric that still counts as agreement, in its own units.

    Returns
    -------
    Comparison

    Raises
    ------
    UserError
        If a folder has no records or predictions of a form that this version does not read, or
        the tolerance is negative.
    """
    if not tolerance >= 0:
        raise UserError(f"tolerance {tolerance}", expected="zero or more")
    records, predictions = zip(*(_read(folder) for folder in (a, b)), strict=True)
    common = sorted(records[0].keys() & records[1].keys())
    rows = [_trial((a, b), i, records[0][i], records[1][i], predictions) for i in common]
    columns = ["id", "arm", "repetition", "equal_predictions", "metric", "difference"]
    trials = pd.DataFrame(rows, columns=columns).sort_values(["arm", "repetition"])
    only = [len(own.keys() - set(common)) for own in records]
    return Comparison(trials.reset_index(drop=True), only[0], only[1], tolerance)


def _read(folder: Path) -> tuple[dict[str, Record], dict[str, Predictions]]:
    """Read records and predictions of all settings, by trial."""
    stores = [Store(setting) for setting in setting_folders(folder)]
    if not stores:
        raise UserError(f"{folder}: no records here", expected="the folder of a run")
    records = {record.id: record for store in stores for record in store.records()}
    predictions = {i: row for store in stores for i, row in store.predictions().items()}
    return records, predictions


def _trial(
    folders: tuple[Path, Path],
    trial: str,
    a: Record,
    b: Record,
    predictions: Sequence[dict[str, Predictions]],
) -> dict[str, object]:
    metric, difference = _largest_difference(a.metrics, b.metrics)
    first, second = (
        _predicted(found.get(trial), f"{folder}, {a.arm}, repetition {a.repetition}")
        for folder, found in zip(folders, predictions, strict=True)
    )
    return {
        "id": trial,
        "arm": a.arm,
        "repetition": a.repetition,
        "equal_predictions": _equal_share(first, second),
        "metric": metric,
        "difference": difference,
    }


def _largest_difference(a: dict[str, float], b: dict[str, float]) -> tuple[str, float]:
    nan = float("nan")
    names = sorted(a.keys() | b.keys())
    differences = {name: _difference(a.get(name, nan), b.get(name, nan)) for name in names}
    if not differences:
        return "", 0.0
    name = max(names, key=lambda n: np.nan_to_num(abs(differences[n]), nan=np.inf))
    return name, differences[name]


def _difference(a: float, b: float) -> float:
    return 0.0 if a == b else b - a


Predicted = NDArray[np.int64] | NDArray[np.float64]


def _predicted(found: Predictions | None, where: str) -> Predicted | None:
    """Read what was predicted of each test row: its class, or its log-likelihood."""
    if found is None:
        return None
    read = unpacked.classes if holds_classes(found.test) else unpacked.numbers
    return read(found.test, where)


def _equal_share(a: Predicted | None, b: Predicted | None) -> float:
    if a is None or b is None or not a.size:
        return float("nan")
    return float((a == b).mean()) if a.shape == b.shape else 0.0


def compare_runs(a: Path, b: Path, tolerance: float = 0.005) -> tuple[str, bool]:
    """Compare two run folders; return a text for the terminal and whether they agree."""
    comparison = compare_folders(a, b, tolerance)
    return comparison.text(), comparison.agree
