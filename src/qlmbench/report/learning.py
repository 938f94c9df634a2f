"""Learning curves: how every arm does with more training rows."""

from __future__ import annotations

import math
import re

import pandas as pd

from qlmbench.report import plots, unpacked
from qlmbench.report import wording as w
from qlmbench.report.choice import telling_arms
from qlmbench.report.load import Results, RunResults
from qlmbench.report.render import Table
from qlmbench.report.shown import Plot, Spanning
from qlmbench.report.tables import main_metric
from qlmbench.spec import ArmKind

MOST_OVERLAP = 0.5
"""Largest share of the dataset in a training set for which repetitions count as independent."""


def learning_curves(run: RunResults, arms: dict[str, pd.DataFrame]) -> list[Spanning]:
    """Lay out a learning curve for each word that settings share as their ``curve``.

    It takes what `qlmbench.report.spanning.spanning_of` takes, and leaves out curves of a single
    size.
    """
    words = dict.fromkeys(r.protocol.curve for r in run.settings.values() if r.protocol.curve)
    found: list[Spanning] = []
    for word in words:
        points = [r for r in run.settings.values() if r.protocol.curve == word and n_train(r)]
        points.sort(key=n_train)
        frame = learning_frame(points, arms)
        if len(frame) and frame["n_train"].nunique() > 1:
            title = "Learning curve" if len(words) == 1 else f"Learning curve: {word}"
            found.append(_curve(word, title, points, frame))
    return found


def n_train(results: Results) -> int:
    """Return how many training rows a setting has (the median, where repetitions differ)."""
    sizes = sorted(split.n_train for split in results.splits.values())
    return sizes[len(sizes) // 2] if sizes else 0


def overlap_factor(results: Results, n: int) -> float:
    """Return by how much intervals of means over repetitions are too narrow.

    Repetitions that train on more than half of the dataset share most of their training rows, so
    that their scores are correlated: the standard error grows by ``sqrt(1 + n n_test / n_train)``
    (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).

    Parameters
    ----------
    results : Results
        One setting of a run.
    n : int
        Number of repetitions behind the mean.

    Returns
    -------
    float
        One where the training sets overlap less, or where the size of the dataset is not known.
    """
    drawn = [(r, split) for r, split in sorted(results.splits.items()) if split.test_rows]
    if not drawn:
        return 1.0
    repetition, split = drawn[0]
    where = results.where(repetition)
    if split.n_train <= MOST_OVERLAP * unpacked.total(split.test_rows, where):
        return 1.0
    return math.sqrt(1 + n * unpacked.count(split.test, where) / split.n_train)


def learning_frame(points: list[Results], arms: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put settings below one another, by number of training rows.

    Returns
    -------
    DataFrame
        setting, n_train, arm, label, kind, n, mean, low, high (widened where training sets
        overlap), validation, widened (by which factor).
    """
    columns = ["arm", "label", "kind", "n", "mean", "low", "high", "validation"]
    frames = []
    for results in points:
        if len(arms[results.setting]):
            frame = arms[results.setting][columns].copy()
            frame.insert(0, "setting", results.setting)
            frame.insert(1, "n_train", n_train(results))
            frame["widened"] = [overlap_factor(results, n) for n in frame["n"]]
            for end in ("low", "high"):
                frame[end] = frame["mean"] + frame["widened"] * (frame[end] - frame["mean"])
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _curve(word: str, title: str, points: list[Results], frame: pd.DataFrame) -> Spanning:
    metric = main_metric(points[-1])
    sizes = frame.groupby("arm")["n_train"].nunique()
    having = set(sizes[sizes > 1].index)
    # The largest size says best which arm is best on validation.
    chosen = [arm.name for arm in telling_arms(points[-1], metric, having)]
    shown = frame[frame["arm"].isin(chosen)]
    name = "learning-" + re.sub(r"[^a-z0-9]+", "-", word.lower())
    plot = Plot(
        name=name,
        title=title,
        sentence=_sentence(shown, chosen, metric),
        key=(
            "Line: mean over the repetitions; bar: its 95 % interval. A few arms, chosen on "
            "validation at the largest size; the table below has all." + _widened(frame)
        ),
        draw=lambda: plots.learning_curves(shown, chosen, metric),
    )
    return Spanning(plot, learning_table(frame, name, metric))


def learning_table(frame: pd.DataFrame, name: str, metric: str) -> Table:
    """Tabulate every arm at every number of training rows."""
    cells = [
        w.joined(w.value(metric, row["mean"]), w.interval(metric, row["low"], row["high"]))
        for row in frame.to_dict("records")
    ]
    wide = frame.assign(cell=cells).pivot_table(
        index=["arm", "label", "kind"],
        columns="n_train",
        values="cell",
        aggfunc="first",
        sort=False,
    )
    wide = wide[sorted(wide.columns)].fillna(w.NOTHING).reset_index().drop(columns="arm")
    wide.columns = ["arm", "kind", *(w.count(float(size)) for size in wide.columns[2:])]
    caption = (
        f"Mean {w.column_title(metric)}{',' if w.unit(metric) else ''} with its 95 % "
        "interval, by number of training rows. A dash: not run at that size." + _widened(frame)
    )
    return Table(name, caption, frame, wide, ("arm", "kind"))


def _widened(frame: pd.DataFrame) -> str:
    """Say which intervals are widened, and why."""
    sizes = sorted(frame.loc[frame["widened"] > 1, "n_train"].unique())
    if not sizes:
        return ""
    listed = w.listed([w.count(float(size)) for size in sizes])
    return (
        f" At {listed} rows the training sets of the repetitions share most of the dataset, so "
        "that the scores are correlated: intervals there are widened after Nadeau and Bengio "
        "(2003), those on the page of the setting are not."
    )


def _sentence(shown: pd.DataFrame, chosen: list[str], metric: str) -> str:
    """Say what more rows do for the paper's arm and for the reference."""
    sizes = sorted(shown["n_train"].unique())
    parts = []
    for arm in chosen:
        own = shown[shown["arm"] == arm].sort_values("n_train")
        if own["kind"].iloc[0] not in (ArmKind.PAPER.value, ArmKind.BASELINE.value):
            continue
        first, last = own.iloc[0], own.iloc[-1]
        gain = w.difference_with_unit(metric, float(last["mean"] - first["mean"]))
        parts.append(
            f"{w.named(last['label'])} {gain} to {w.with_unit(metric, float(last['mean']))}"
        )
    span = f"From {w.count(float(sizes[0]))} to {w.count(float(sizes[-1]))} training rows"
    return f"{span}: {'; '.join(parts)}." if parts else f"{span}."
