"""Records and tables of a run as CSV, JSON and LaTeX text."""

from __future__ import annotations

from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.report.claims import claims_table, judge_claims
from qlmbench.report.load import Results, has_records, load_results
from qlmbench.report.render import Table, to_csv, to_json, to_latex
from qlmbench.report.tables import comparison_table
from qlmbench.spec import Study

WHAT = ("comparison", "records", "claims")
WRITERS = {"csv": to_csv, "latex": to_latex, "json": to_json}


def records_table(results: Results) -> Table:
    """Tabulate the records themselves, one row a trial."""
    data = results.records.drop(columns=["error"], errors="ignore")
    shown = data.round(4).astype(str)
    left = tuple(str(column) for column in data.columns if data[column].dtype.kind not in "iuf")
    caption = f"Records of run {results.run} of study {results.study.name}."
    return Table("records", caption, data, shown, left)


def export_table(study: Study, folder: Path, what: str, kind: str) -> str:
    """Write a table of a run as text.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``.
    what : str
        ``comparison``, ``records`` or ``claims``.
    kind : str
        ``csv``, ``latex`` or ``json``.

    Returns
    -------
    str

    Raises
    ------
    UserError
        If the run has no records, or the table or the form is not known.
    """
    if what not in WHAT:
        raise UserError(f"unknown table {what!r}", expected="one of " + ", ".join(WHAT))
    if kind not in WRITERS:
        raise UserError(f"unknown form {kind!r}", expected="one of " + ", ".join(WRITERS))
    if not has_records(folder):
        raise UserError(f"{folder}: no records here", do=f"run 'qlmbench run {study.name}' first")
    results = load_results(study, folder)
    if what == "records":
        table = records_table(results)
    elif what == "claims":
        table = claims_table(results, judge_claims(results))
    else:
        table = comparison_table(results)
    return WRITERS[kind](table)
