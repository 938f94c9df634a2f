"""The end of a run in the terminal: the comparison, the claims, the verdicts."""

from __future__ import annotations

from pathlib import Path

from qlmbench.report import wording as w
from qlmbench.report.claims import claims_table, judge_claims
from qlmbench.report.load import Results, load_run
from qlmbench.report.render import TERMINAL_WIDTH, to_text
from qlmbench.report.sentences import verdicts_sentence
from qlmbench.report.tables import comparison_table, for_terminal, main_metric
from qlmbench.spec import Study


def terminal_summary(study: Study, folder: Path, width: int = TERMINAL_WIDTH) -> str:
    """Write the comparison tables and the verdicts of a run for the terminal.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``.
    width : int
        Columns of the terminal.

    Returns
    -------
    str
    """
    run = load_run(study, folder)
    lines = [line for results in run.settings.values() for line in _setting_lines(results, width)]
    judged = judge_claims(run)
    if judged:
        lines += [to_text(claims_table(run, judged), width), verdicts_sentence(judged)]
    lines += [f"note: {note}" for results in run.settings.values() for note in results.problems]
    return "\n".join(lines)


def _setting_lines(results: Results, width: int) -> list[str]:
    title = f"{results.study.name}, run {results.run}, setting {results.setting}"
    if results.records.empty:
        return [f"{title}: no finished trials yet"]
    metric = w.metric_title(main_metric(results))
    table = to_text(for_terminal(comparison_table(results)), width)
    return [f"{title}: {metric}", "", table]
