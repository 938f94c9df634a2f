"""Records and tables of a run as CSV, JSON and LaTeX text."""

from __future__ import annotations

from pathlib import Path

from qlmbench.errors import UserError, unknown
from qlmbench.report.claims import claims_table, judge_claims
from qlmbench.report.load import Results, RunResults, load_run
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
    caption = (
        f"Records of study {results.study.name}, run {results.run}, setting {results.setting}."
    )
    return Table("records", caption, data, shown, left)


def export_table(study: Study, folder: Path, setting: str | None, what: str, kind: str) -> str:
    """Write a table of a run as text.

    Parameters
    ----------
    study : Study
        Its declaration.
    folder : Path
        ``results/<study>/<run>``.
    setting : str or None
        Name of a setting; default the first one. Claims are those of the whole run.
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
        If the run has no records, or the setting, the table or the form is not known.
    """
    if what not in WHAT:
        raise UserError(f"unknown table {what!r}", expected="one of " + ", ".join(WHAT))
    if kind not in WRITERS:
        raise UserError(f"unknown form {kind!r}", expected="one of " + ", ".join(WRITERS))
    run = load_run(study, folder)
    if what == "claims":
        table = claims_table(run, judge_claims(run))
    else:
        results = _setting(run, setting)
        table = records_table(results) if what == "records" else comparison_table(results)
    return WRITERS[kind](table)


def _setting(run: RunResults, name: str | None) -> Results:
    found = run.setting_of(name or "")
    if found is None:
        where = f"run {run.run!r} of study {run.study.name!r} with records"
        raise unknown("setting", name or "", list(run.settings), where)
    return found
