"""The end of a run in the terminal: the comparison, the claims, the verdicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from qlmbench.report import wording as w
from qlmbench.report.claims import claims_table, judge_claims
from qlmbench.report.load import Results, load_run
from qlmbench.report.render import TERMINAL_WIDTH, Table, to_text
from qlmbench.report.sentences import verdicts_sentence
from qlmbench.report.tables import (
    best_arm,
    comparison_table,
    ends,
    for_terminal,
    main_metric,
    mean_difference,
    reference_arm,
)
from qlmbench.spec import Arm, ArmKind, Study


def terminal_summary(
    study: Study, folder: Path, settings: Collection[str] = (), width: int = TERMINAL_WIDTH
) -> str:
    """Write the comparison and the verdicts of a run for the terminal.

    One setting is shown arm by arm, several with their reference and best arm of the paper.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``.
    settings : collection of str, optional
        Which settings; default all that have records.
    width : int
        Columns of the terminal.

    Returns
    -------
    str
    """
    run = load_run(study, folder)
    shown = [r for name, r in run.settings.items() if not settings or name in settings]
    if len(shown) == 1:
        lines = _setting_lines(shown[0], width)
    else:
        lines = [f"{study.name}, run {run.run}", "", to_text(settings_table(shown), width)]
    judged = judge_claims(run)
    if judged:
        lines += [to_text(claims_table(run, judged), width), verdicts_sentence(judged)]
    lines += [f"note: {note}" for results in shown for note in results.problems]
    return "\n".join(lines)


def _setting_lines(results: Results, width: int) -> list[str]:
    title = f"{results.study.name}, run {results.run}, setting {results.setting}"
    if results.records.empty:
        return [f"{title}: no finished trials yet"]
    metric = w.metric_title(main_metric(results))
    table = to_text(for_terminal(comparison_table(results)), width)
    return [f"{title}: {metric}", "", table]


def settings_table(shown: Sequence[Results]) -> Table:
    """Tabulate settings: the reference beside the best arm of the paper, on validation."""
    frame = pd.DataFrame([_settings_row(results) for results in shown])
    if frame["metric"].nunique() == 1:  # that of the study, which its page names
        frame = frame.drop(columns="metric")
    return Table(
        "settings", "", frame, frame, ("setting", "metric", "reference", "best arm of the paper")
    )


def _settings_row(results: Results) -> dict[str, str]:
    metric = main_metric(results)
    reference = reference_arm(results, metric)
    papers = [arm for arm in results.arms if arm.kind is ArmKind.PAPER]
    paper = best_arm(results, papers, metric)
    difference = w.NOTHING
    if reference is not None and paper is not None:
        estimate = mean_difference(results, paper.name, reference.name, metric)
        low, high = ends(estimate)
        difference = w.joined(
            w.difference(metric, estimate.mean), w.interval(metric, low, high, signed=True)
        )
    return {
        "setting": results.setting,
        "metric": w.column_title(metric),
        "n": w.count(results.records["repetition"].nunique() if len(results.records) else 0),
        "reference": _with_mean(results, reference, metric),
        "best arm of the paper": _with_mean(results, paper, metric),
        "difference": difference,
    }


def _with_mean(results: Results, arm: Arm | None, metric: str) -> str:
    if arm is None:
        return w.NOTHING
    return f"{arm.title} {w.value(metric, float(results.values(arm.name, metric).mean()))}"
