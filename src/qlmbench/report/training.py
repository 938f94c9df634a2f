"""How the arms that a setting compares were trained, and where their attention goes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from qlmbench.data.datasets import best_possible
from qlmbench.errors import UserError
from qlmbench.records import AttentionMap
from qlmbench.report import plots
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.plots.attention import named
from qlmbench.report.plots.comparison import ACCURACIES, LOSSES
from qlmbench.report.plots.curves import summary_of
from qlmbench.report.shown import Plot
from qlmbench.report.training_table import never_left_chance
from qlmbench.spec import Arm

MOST_TEXTS = 3
MOST_CELLS = 4000
"""Cells of a figure of attention, about: each is a shape in a file."""


def comparison_name(results: Results) -> str:
    """Return the name of the figure of the arms that a setting compares: the study's own."""
    return f"{results.study.name}_comparison"


def compared(results: Results, having: set[str]) -> list[Arm]:
    """Return the arms that a setting compares, in its order, those among ``having``."""
    return [results.study.arm(name) for name in results.protocol.compare if name in having]


def comparison_plot(results: Results) -> Plot | None:
    """Return the training curves of the arms that a setting compares.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Plot or None
        None where the setting compares none, or none of them has curves of two epochs or more.
    """
    arms = compared(results, set(results.curves["arm"]))[: plots.MOST_ARMS]
    own = results.curves[results.curves["arm"].isin([arm.name for arm in arms])]
    if own["epoch"].nunique() < 2:
        return None
    summary = summary_of(own)
    labels = {arm.name: (arm.title, arm.kind) for arm in arms}
    best, accuracy = _best(results), accuracy_title(results)
    key = "Line: mean over the repetitions; band: their middle 80 %."
    if (summary["curve"] == ACCURACIES[0]).any() or (summary["curve"] == LOSSES[0]).any():
        key += " Training values are those of the batches during an epoch, each before its step."
    if any(map(math.isfinite, best.values())):
        key += " Dashed across: the best that any model can reach on new rows."
    if len(results.protocol.compare) > plots.MOST_ARMS:
        key += f" The first {plots.MOST_ARMS} of {len(results.protocol.compare)} arms are shown."
    return Plot(
        comparison_name(results),
        "Training curves, compared",
        comparison_sentence(summary, {arm.name: arm.title for arm in arms}),
        key,
        lambda: plots.compared_curves(summary, labels, best, accuracy),
    )


def _best(results: Results) -> dict[str, float]:
    known = best_possible(results.info.dataset["name"]) if results.info else {}
    loss = "log_loss" if results.protocol.task == "classification" else "cross_entropy"
    share = "accuracy" if results.protocol.task == "classification" else "token_accuracy"
    return {"loss": known.get(loss, math.nan), "accuracy": known.get(share, math.nan)}


def accuracy_title(results: Results) -> str:
    """Name the accuracy that training curves of a setting hold."""
    return "accuracy" if results.protocol.task == "classification" else "token accuracy"


def comparison_sentence(summary: pd.DataFrame, labels: dict[str, str]) -> str:
    """Say which arm has the lowest loss at the first and at the last epoch, and by how much.

    Parameters
    ----------
    summary : DataFrame
        As `qlmbench.report.plots.curves.summary_of` gives it.
    labels : dict
        Label by arm.
    """
    parts = [_lowest(summary[summary["curve"] == curve], curve, labels) for curve in LOSSES]
    return " ".join(filter(None, parts)) or "No loss was recorded."


def _lowest(summary: pd.DataFrame, curve: str, labels: dict[str, str]) -> str:
    if summary.empty:
        return ""
    ordered = summary.sort_values("epoch", kind="stable").groupby("arm", observed=True)
    first, last = ordered.head(1).set_index("arm"), ordered.tail(1).set_index("arm")
    early, late = str(first["mean"].idxmin()), str(last["mean"].idxmin())
    name = w.sentence_case(w.metric_title(curve.replace("train_", "training_")))
    began = f"{w.named(labels[early])} is lowest {_when(first, 'first')} ({_nats(first, early)})"
    if len(last) == 1:
        return f"{name}: {w.named(labels[late])} ends at {_nats(last, late)}."
    again = "again" if early == late else w.named(labels[late])
    ended = f"{again} {_when(last, 'last')} ({_nats(last, late)})"
    if (last["low"] == last["high"]).all():  # one repetition has no band
        return f"{name}: {began}, {ended}."
    return f"{name}: {began}, {ended}; {_overlap(last, late, labels)}."


def _nats(frame: pd.DataFrame, arm: str) -> str:
    return w.with_unit("loss", float(frame["mean"][arm]))


def _when(frame: pd.DataFrame, place: str) -> str:
    epochs = set(frame["epoch"])
    return f"at epoch {epochs.pop()}" if len(epochs) == 1 else f"at each arm's {place} epoch"


def _overlap(last: pd.DataFrame, arm: str, labels: dict[str, str]) -> str:
    """Say which bands overlap that of the lowest arm at the end."""
    own, others = last.loc[arm], last.drop(index=arm)
    near = others[(others["low"] <= own["high"]) & (own["low"] <= others["high"])]
    if near.empty:
        return "no other band reaches its own there"
    if len(near) == len(others) > 1:
        return "the bands of all others overlap its own there"
    names = w.listed([w.named(labels[name]) for name in labels if name in near.index])
    noun = "band" if len(near) == 1 else "bands"
    verb = "overlaps" if len(near) == 1 else "overlap"
    return f"the {noun} of {names} {verb} its own there"


def attention_plot(results: Results) -> Plot | None:
    """Return the attention of the arms that a setting compares, in a few test texts.

    Parameters
    ----------
    results : Results
        One setting of a run.

    Returns
    -------
    Plot or None
        None where no such arm has stored its attention.

    Raises
    ------
    UserError
        If the stored texts of two arms differ.
    """
    arms = compared(results, set(results.attention))[: plots.MOST_ARMS]
    if not arms:
        return None
    repetition = _telling_repetition(results, arms)
    arms = [arm for arm in arms if repetition in results.attention[arm.name]]
    stored = {arm.title: results.attention[arm.name][repetition] for arm in arms}
    maps = _shown(stored, results.where(repetition))
    texts = next(iter(maps.values()))
    key = "Row of a grid: the token that looks; column: the token that it looks at. One scale for "
    key += f"all grids. {w.sentence_case(w.plural(len(texts), 'test text'))} of repetition "
    key += f"{repetition}, mean over the heads.{_failed(results, arms, repetition)}"
    if all(_is_causal(one) for own in maps.values() for one in own):
        key += " Tokens see themselves and those before, so that the first row is always 1."
    if not all(named(one.tokens, len(texts)) for one in texts):
        key += " Tokens of long texts are not named."
    return Plot(
        "attention",
        "Where the attention goes",
        attention_sentence(maps),
        key,
        lambda: plots.attention_maps(maps),
    )


def _telling_repetition(results: Results, arms: list[Arm]) -> int:
    """Choose the first repetition whose trainings all left chance, else the first one."""
    kept = sorted(set.intersection(*[set(results.attention[arm.name]) for arm in arms]))
    whole = [r for r in kept if not any(never_left_chance(results, arm, r) for arm in arms)]
    every = [r for arm in arms for r in results.attention[arm.name]]
    return next(iter(whole or kept), min(every))


def _failed(results: Results, arms: list[Arm], repetition: int) -> str:
    """Name the arms whose training failed in the repetition that is shown."""
    names = [arm.title for arm in arms if never_left_chance(results, arm, repetition)]
    return f" In it {w.listed(names)} never left chance." if names else ""


def _shown(stored: dict[str, list[AttentionMap]], where: str) -> dict[str, list[AttentionMap]]:
    """Take as many texts as a figure has room for, at least one."""
    first = next(iter(stored.values()))
    for label, maps in stored.items():
        if [one.tokens for one in maps] != [one.tokens for one in first]:
            raise UserError(
                f"{where}: {label} kept its attention in other texts",
                do="run it again with 'qlmbench run ... --overwrite always'",
            )
    cells = np.cumsum([len(stored) * len(one.tokens) ** 2 for one in first])
    n = max(1, min(MOST_TEXTS, int((cells <= MOST_CELLS).sum())))
    return {label: maps[:n] for label, maps in stored.items()}


def attention_sentence(maps: dict[str, list[AttentionMap]]) -> str:
    """Write the largest weight of each arm beside what uniform weights would be.

    Where tokens see only those before them, it is that of the last token, which sees them all.
    """
    last = all(_is_causal(one) for own in maps.values() for one in own)
    sizes = {len(one.tokens) for own in maps.values() for one in own}
    parts = []
    for label, own in maps.items():
        peaks = [float(np.max(one.weights[-1:] if last else one.weights)) for one in own]
        place = int(np.argmax([p * len(one.tokens) for p, one in zip(peaks, own, strict=True)]))
        uniform = 1 / len(own[place].tokens)
        beside = f" (uniform {uniform:.2f})" if len(sizes) > 1 else ""
        parts.append(f"{w.named(label)} {peaks[place]:.2f}{beside}")
    text = f"Largest weight{' of the last token' if last else ''}: {w.listed(parts)}"
    if len(sizes) > 1:
        return f"{text}."
    size = sizes.pop()
    return f"{text}; uniform over {w.plural(size, 'token')} is {1 / size:.2f}."


def _is_causal(one: AttentionMap) -> bool:
    """Whether no token looks at a later one."""
    return not np.triu(np.asarray(one.weights), 1).any()
