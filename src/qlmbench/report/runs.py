"""What was run: data, encoder, split and size of each run of a study."""

from __future__ import annotations

import pandas as pd

from qlmbench.report import unpacked
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.spec import Selection


def runs_table(settings: list[Results], links: dict[str, str]) -> Table:
    """Tabulate settings of runs that have records.

    Parameters
    ----------
    settings : list of Results
        Settings, run by run.
    links : dict
        By stem of a setting, the path of its page; without, the run has no link.

    Returns
    -------
    Table
    """
    rows = [_row(results, links.get(results.stem)) for results in settings]
    frame = pd.DataFrame(rows)
    caption = (
        "Each repetition draws rows once and gives them to every arm, so that comparisons are "
        "paired. Rows are those of the records; in brackets, how they were drawn."
    )
    left = ("run", "data", "encoder", "train", "validation", "test")
    return Table("runs", caption, frame, frame.astype(str), left)


def _row(results: Results, link: str | None) -> dict[str, str]:
    split = results.protocol.split
    failed = len(results.failures)
    trials = w.count(len(results.records))
    repetitions = results.records["repetition"].nunique() if len(results.records) else 0
    encoder = results.info.encoder["name"] if results.info else "not known"
    return {
        "run": f"[{results.title}]({link})" if link else results.title,
        "data": results.info.dataset["name"] if results.info else "not known",
        "encoder": f"{encoder}, {encoder_use(results)}",
        "train": _rows(results, "train", split.train),
        "validation": _rows(results, "validation", split.validation),
        "test": _rows(results, "test", split.test),
        "repetitions": w.count(repetitions),
        "arms": w.count(len(results.arms)),
        "trials": f"{trials} ({failed} failed)" if failed else trials,
    }


def encoder_use(results: Results) -> str:
    """Say in a word what becomes of the encoder: tuned, frozen, or it gives token ids."""
    if results.protocol.encoder_tuning is not None:
        return "tuned"
    gives_ids = results.info is not None and "tokens" in results.info.encoder
    return "token ids" if gives_ids else "frozen"


def _rows(results: Results, role: str, selection: Selection) -> str:
    sizes = {
        split.n_train if role == "train" else unpacked.count(getattr(split, role), results.where(r))
        for r, split in results.splits.items()
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
        text = "drawn"
    elif selection.rows is not None:
        text = f"rows {selection.rows[0]} to {selection.rows[1] - 1}"
    else:
        text = "all others"
    part = "all parts" if selection.part == "all" else selection.part
    return f"{text} from {part}" + (", classes balanced" if selection.balanced else "")
