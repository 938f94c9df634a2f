"""The end of a run in the terminal: the comparison, the claims, the verdicts."""

from __future__ import annotations

from pathlib import Path

from qlmbench.report import wording as w
from qlmbench.report.claims import claims_table, judge_claims
from qlmbench.report.load import load_results
from qlmbench.report.render import TERMINAL_WIDTH, to_text
from qlmbench.report.sentences import verdicts_sentence
from qlmbench.report.tables import comparison_table, for_terminal, main_metric
from qlmbench.spec import Study


def terminal_summary(study: Study, folder: Path, width: int = TERMINAL_WIDTH) -> str:
    """Write the comparison table and the verdicts of a run for the terminal.

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
    results = load_results(study, folder)
    title = f"{study.name}, run {results.run}"
    if results.records.empty:
        return f"{title}: no finished trials yet"
    judged = judge_claims(results)
    lines = [
        f"{title}: {w.metric_title(main_metric(results))}",
        "",
        to_text(for_terminal(comparison_table(results)), width),
    ]
    if judged:
        lines += [to_text(claims_table(results, judged), width), verdicts_sentence(judged)]
    lines += [f"note: {problem}" for problem in results.problems]
    return "\n".join(lines)
