"""What was run: data, encoder, split and size of each run of a study."""

from __future__ import annotations

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.spec import Selection


def runs_table(runs: list[Results]) -> Table:
    """Tabulate the runs of a study that have records."""
    rows = [_row(results) for results in runs]
    columns = ["run", "data", "encoder", "repetitions", "train", "validation", "test", "trials"]
    frame = pd.DataFrame(rows, columns=columns)
    caption = (
        "Each repetition draws rows once and gives them to every arm, so that comparisons are "
        "paired. Rows are those of the records; in brackets, how they were drawn."
    )
    left = ("run", "data", "encoder", "train", "validation", "test")
    return Table("runs", caption, frame, frame.astype(str), left)


def _row(results: Results) -> dict[str, str]:
    profile = results.profile
    failed = len(results.failures)
    trials = w.count(len(results.records))
    repetitions = sorted(results.records["repetition"].unique()) if len(results.records) else []
    return {
        "run": results.run,
        "data": results.info.dataset["name"] if results.info else "not known",
        "encoder": results.info.encoder["name"] if results.info else "not known",
        "repetitions": w.count(len(repetitions)),
        "train": _rows(results, "train", profile.split.train),
        "validation": _rows(results, "validation", profile.split.validation),
        "test": _rows(results, "test", profile.split.test),
        "trials": f"{trials} ({failed} failed)" if failed else trials,
    }


def _rows(results: Results, role: str, selection: Selection) -> str:
    sizes = {
        split.n_train if role == "train" else len(getattr(split, role))
        for split in results.splits.values()
    }
    drawn = describe_selection(selection)
    if not sizes:
        return drawn
    low, high = min(sizes), max(sizes)
    size = w.count(low) if low == high else f"{w.count(low)} to {w.count(high)}"
    return f"{size} ({drawn})"


def describe_selection(selection: Selection) -> str:
    """Say in words how the rows of a role are drawn."""
    if selection.per_class is not None:
        text = f"{selection.per_class} a class"
    elif selection.count is not None:
        balanced = ", balanced" if selection.balanced else ""
        text = f"{w.count(selection.count)} drawn{balanced}"
    elif selection.rows is not None:
        text = f"rows {selection.rows[0]} to {selection.rows[1] - 1}"
    else:
        text = "all others"
    return f"{text} of {selection.part}" if selection.part != "all" else f"{text} of all parts"
