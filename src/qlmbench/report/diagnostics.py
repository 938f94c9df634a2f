"""What the models measured of themselves, in the words of the study."""

from __future__ import annotations

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.report.tables import ends
from qlmbench.spec import Arm
from qlmbench.stats import mean_interval


def named(results: Results) -> dict[str, str]:
    """Select the diagnostics that the study names and a record of the setting has."""
    known = results.study.diagnostics
    return {name: meaning for name, meaning in known.items() if _any(results, name)}


def _any(results: Results, name: str) -> bool:
    return any(len(results.values(arm.name, name)) for arm in results.arms)


def diagnostics_table(results: Results) -> Table:
    """Tabulate the diagnostics of each arm: mean and interval over the repetitions.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Table
        One row for every arm that has one of those that the study names, one column for each.
        Empty where no record has any.
    """
    names = list(named(results))
    rows = [_row(results, arm, names) for arm in results.arms]
    rows = [row for row in rows if row["n"]]
    shown = [
        {"arm": row["label"], "n": w.count(float(row["n"]))}
        | {w.column_title(name): _cell(row, name) for name in names}
        for row in rows
    ]
    caption = (
        "Mean over the repetitions with its 95 % interval, without where all values are equal; a "
        "dash: this arm does not measure it."
    )
    return Table("diagnostics", caption, pd.DataFrame(rows), pd.DataFrame(shown), ("arm",))


def _row(results: Results, arm: Arm, names: list[str]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"arm": arm.name, "label": arm.title, "n": 0}
    for name in names:
        values = results.values(arm.name, name)
        estimate = mean_interval(values.to_numpy(), seed=results.seed(arm.name, "", name))
        low, high = ends(estimate)
        row["n"] = max(row["n"], estimate.n)
        row |= {name: estimate.mean, f"{name}_low": low, f"{name}_high": high}
    return row


def _cell(row: dict[str, str | float], name: str) -> str:
    mean, low, high = (float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return w.joined(w.value(name, mean), w.interval(name, low, high))


def diagnostics_list(results: Results) -> str:
    """Write the meaning of each diagnostic that is shown, as a list."""
    lines = [f"- **{w.metric_title(name)}**: {text}" for name, text in named(results).items()]
    return "\n".join(lines)
