"""Two runs of one study side by side: two machines, two versions, two days."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlmbench.errors import UserError, unknown
from qlmbench.packing import holds_classes
from qlmbench.records import Predictions, Record
from qlmbench.report import unpacked
from qlmbench.report import wording as w
from qlmbench.report.load import setting_folders
from qlmbench.report.render import Table, to_text
from qlmbench.store import Store

Environment = dict[str, set[str]]
"""Versions, machine and commit, by name; several where records of a run come from several."""
TOLERANCE = 0.005
"""Largest difference of a metric that counts as agreement, where nothing else is said: half a point
of accuracy."""


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common and where they differ."""

    trials: pd.DataFrame
    """One row a trial of both: id, arm, repetition, equal_predictions (share of rows, NaN where
    unknown)."""
    metrics: pd.DataFrame
    """One row a metric of such a trial: id, arm, repetition, metric, difference (b minus a, NaN
    where one side has none), tolerance."""
    only_a: int
    only_b: int
    environments: tuple[Environment, Environment]
    """Where the records of each run come from."""
    subset: bool = False
    """Whether the first run may lack trials of the second."""

    @property
    def beyond(self) -> pd.DataFrame:
        """Metrics that differ by more than their tolerance, or stand on one side only."""
        # A difference of NaN is a metric that only one side has: never silently in tolerance.
        return self.metrics[~(self.metrics["difference"].abs() <= self.metrics["tolerance"])]

    @property
    def agree(self) -> bool:
        """Whether the runs have the same trials and every metric is within its tolerance."""
        missing = self.only_a or (self.only_b and not self.subset)
        return not (missing or len(self.beyond)) and len(self.trials) > 0

    def text(self) -> str:
        """Write the comparison for a terminal."""
        lines = [f"{w.plural(len(self.trials), 'trial')} in both runs"]
        if self.only_a or self.only_b:
            lines[0] += f", {self.only_a} only in the first, {self.only_b} only in the second"
        if len(self.trials):
            lines += self._lines()
        lines += ["", *environment_lines(*self.environments), ""]
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
            f"{self.beyond['id'].nunique()} of {w.plural(len(self.trials), 'trial')} differ by "
            "more than the tolerance in a metric"
        )
        table = difference_table(self.metrics)
        return [*lines, "", to_text(table).rstrip() if len(table) else "every metric is equal"]


def difference_table(metrics: pd.DataFrame) -> Table:
    """Tabulate the metrics that differ at all, those beyond their tolerance first."""
    rows = [_difference_row(str(name), found) for name, found in metrics.groupby("metric")]
    data = pd.DataFrame([row for row in rows if row["differ"]])
    if data.empty:
        return Table("differences", "", data, data)
    data = data.sort_values(["beyond", "metric"], ascending=[False, True], ignore_index=True)
    largest = [f"{x:+.3g}" if np.isfinite(x) else "one side only" for x in data["largest"]]
    tolerance = [f"{x:g}" for x in data["tolerance"]]
    shown = data.assign(tolerance=tolerance, largest=largest)
    return Table("differences", "", data, shown, ("metric", "where"))


def _difference_row(metric: str, found: pd.DataFrame) -> dict[str, object]:
    size = np.nan_to_num(found["difference"].abs().to_numpy(dtype=float), nan=np.inf)
    worst = found.iloc[int(size.argmax())]
    return {
        "metric": metric,
        "trials": len(found),
        "differ": int((size > 0).sum()),
        "beyond": int((size > found["tolerance"].to_numpy(dtype=float)).sum()),
        "tolerance": float(worst["tolerance"]),
        "largest": float(worst["difference"]),
        "where": f"{worst['arm']}, repetition {worst['repetition']}",
    }


def environment_lines(a: Environment, b: Environment) -> list[str]:
    """Say what the environments of two runs have in common, and tabulate where they differ."""
    names = sorted(a.keys() | b.keys())
    if not names:
        return ["environments: not recorded"]
    cells = {name: [", ".join(sorted(side.get(name, {"?"}))) for side in (a, b)] for name in names}
    same = [f"{name} {first}" for name, (first, second) in cells.items() if first == second]
    lines = ["the same in both: " + ("; ".join(same) or "nothing")]
    rows = [
        {"environment": name, "first run": first, "second run": second}
        for name, (first, second) in cells.items()
        if first != second
    ]
    if rows:
        shown = pd.DataFrame(rows)
        table = Table("environments", "", shown, shown, tuple(shown.columns))
        lines += ["", to_text(table).rstrip()]
    return lines


def compare_folders(
    a: Path,
    b: Path,
    tolerance: float = TOLERANCE,
    by_metric: Mapping[str, float] | None = None,
    *,
    subset: bool = False,
) -> Comparison:
    """Compare the records of two run folders trial by trial.

    Parameters
    ----------
    a, b : Path
        Folders of runs (``results/<study>/<run>``) or of settings; of runs, the settings that both
        have are compared, and trials of the others count as missing.
    tolerance : float
        Largest difference of a metric that still counts as agreement, in its own units.
    by_metric : mapping of str to float, optional
        Tolerances of single metrics, by name or by a pattern such as ``*_loss``; of several that
        fit the last one holds.
    subset : bool
        Whether the first run may hold some of the second's trials alone, and still agree.

    Returns
    -------
    Comparison

    Raises
    ------
    UserError
        If a folder has no records or predictions of a form that this version does not read, a
        tolerance is negative, or one is for a metric that no record has.
    """
    by_metric = by_metric or {}
    for value in (tolerance, *by_metric.values()):
        if not value >= 0:
            raise UserError(f"tolerance {value}", expected="zero or more")
    runs = [_read(folder) for folder in (a, b)]
    common = sorted(runs[0].records.keys() & runs[1].records.keys())
    pairs = [(runs[0].records[i], runs[1].records[i]) for i in common]
    trials = [_trial(pair, runs) for pair in pairs]
    metrics = [row for pair in pairs for row in _metrics(*pair)]
    frame = pd.DataFrame(metrics, columns=["id", "arm", "repetition", "metric", "difference"])
    frame["tolerance"] = _tolerances(frame["metric"], tolerance, by_metric)
    columns = ["id", "arm", "repetition", "equal_predictions"]
    return Comparison(
        pd.DataFrame(trials, columns=columns).sort_values(["arm", "repetition"], ignore_index=True),
        frame.sort_values(["arm", "repetition", "metric"], ignore_index=True),
        only_a=len(runs[0].records) - len(common),
        only_b=len(runs[1].records) - len(common),
        environments=(runs[0].environment, runs[1].environment),
        subset=subset,
    )


def _tolerances(
    metrics: pd.Series[str], tolerance: float, by_metric: Mapping[str, float]
) -> pd.Series[float]:
    """Return the tolerance of each row."""
    known = sorted(metrics.unique())
    found = dict.fromkeys(known, tolerance)
    for pattern, value in by_metric.items():
        fitting = fnmatch.filter(known, pattern)
        if known and not fitting:
            raise unknown("metric", pattern, known, "these runs")
        found.update(dict.fromkeys(fitting, value))
    return metrics.map(found).astype(float)


@dataclass(frozen=True)
class _Run:
    """What is read of a run, by trial."""

    folder: Path
    records: dict[str, Record]
    predictions: dict[str, Predictions]
    environment: Environment


def _read(folder: Path) -> _Run:
    """Read records and predictions of all settings."""
    stores = [Store(setting) for setting in setting_folders(folder)]
    if not stores:
        raise UserError(f"{folder}: no records here", expected="the folder of a run")
    records = {record.id: record for store in stores for record in store.records()}
    predictions = {i: row for store in stores for i, row in store.predictions().items()}
    known = {key: found for store in stores for key, found in store.environments().items()}
    environment: dict[str, set[str]] = defaultdict(set)
    for key in {record.environment for record in records.values()}:
        for name, value in known.get(key, {}).items():
            environment[name].add(value)
    return _Run(folder, records, predictions, dict(environment))


def _trial(pair: tuple[Record, Record], runs: Sequence[_Run]) -> dict[str, object]:
    record = pair[0]
    first, second = (
        _predicted(
            run.predictions.get(record.id),
            f"{run.folder}, {record.arm}, repetition {record.repetition}",
        )
        for run in runs
    )
    return {
        "id": record.id,
        "arm": record.arm,
        "repetition": record.repetition,
        "equal_predictions": _equal_share(first, second),
    }


def _metrics(a: Record, b: Record) -> Iterator[dict[str, object]]:
    nan = float("nan")
    for name in sorted(a.metrics.keys() | b.metrics.keys()):
        difference = _difference(a.metrics.get(name, nan), b.metrics.get(name, nan))
        row = {"id": a.id, "arm": a.arm, "repetition": a.repetition, "metric": name}
        yield row | {"difference": difference}


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


def compare_runs(
    a: Path,
    b: Path,
    tolerance: float = TOLERANCE,
    by_metric: Mapping[str, float] | None = None,
    *,
    subset: bool = False,
) -> tuple[str, bool]:
    """Compare two run folders; return a text for the terminal and whether they agree."""
    comparison = compare_folders(a, b, tolerance, by_metric, subset=subset)
    return comparison.text(), comparison.agree
