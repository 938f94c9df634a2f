"""What records give: ``report``, ``compare`` and ``export``."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from qlmbench.cli.options import complete_studies, results_option, study_argument
from qlmbench.errors import UserError


@click.command()
@click.argument("study", required=False, shell_complete=complete_studies)
@results_option("tables and figures are written beside them")
@click.option("--site", is_flag=True, help="Build a web page too and print its path.")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not up to date.")
def report(study: str | None, results: Path, site: bool, check: bool) -> None:
    """Write tables, figures and pages from the records, of one study or of all."""
    from qlmbench.report import check_report, write_report, write_site

    if check:
        stale = check_report(results, study)
        for path in stale:
            click.echo(f"not up to date: {path}", err=True)
        if stale:
            sys.exit(1)
        click.echo("every page, table and figure is what the records give")
        return
    for path in write_report(results, study):
        click.echo(f"wrote {path}")
    if site:
        click.echo(f"page: {write_site(results, study)}")


@click.command()
@click.argument("a", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("b", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--tolerance",
    "tolerances",
    metavar="[METRIC=]VALUE",
    multiple=True,
    help="Largest difference that counts as agreement, in the metric's own units; with METRIC, a "
    "name or a pattern such as '*_loss', of that metric. May be given often.  [default: 0.005]",
)
@click.option(
    "--subset", is_flag=True, help="A may hold some of B's trials alone, such as one repetition."
)
def compare(a: Path, b: Path, tolerances: tuple[str, ...], subset: bool) -> None:
    """Compare two runs of one study, such as runs/qllm/default and results/qllm/default.

    Trials are matched by what they compute, so the two may come from two machines or versions. Ends
    with exit code 1 if a trial is in one of them only or a metric differs by more than its
    tolerance.
    """
    from qlmbench.report import compare_runs

    text, agree = compare_runs(a, b, **_tolerances(tolerances), subset=subset)
    click.echo(text)
    if not agree:
        sys.exit(1)


def _tolerances(given: tuple[str, ...]) -> dict[str, Any]:
    """Read ``--tolerance``: one for all metrics, and those of single ones."""
    general: list[float] = []
    by_metric: dict[str, float] = {}
    for text in given:
        metric, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise UserError(f"--tolerance {text}", expected="a number, or METRIC=NUMBER") from None
        if not 0 <= number < math.inf:  # with not-a-number, any two runs would agree
            raise UserError(f"--tolerance {text}", expected="a number that is 0 or more")
        if metric:
            by_metric[metric] = number
        else:
            general.append(number)
    if len(general) > 1:
        raise UserError("--tolerance gives two numbers for all metrics", do="give one")
    return {"by_metric": by_metric} | ({"tolerance": general[0]} if general else {})


@click.command()
@study_argument
@results_option()
@click.option("--run", "run_name", default="default", show_default=True, help="Which run.")
@click.option("--setting", help="Which of its settings.  [default: the first one]")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "latex", "json"]),
    default="csv",
    show_default=True,
    help="How the table is written.",
)
@click.option(
    "--what",
    type=click.Choice(["comparison", "records", "claims"]),
    default="records",
    show_default=True,
    help="Which table; claims are those of the whole run.",
)
def export(
    study: str, results: Path, run_name: str, setting: str | None, kind: str, what: str
) -> None:
    """Print a table of a run as CSV, JSON or LaTeX."""
    from qlmbench.registry import get_study
    from qlmbench.report import export_table

    folder = results / study / run_name
    click.echo(export_table(get_study(study), folder, setting, what, kind), nl=False)
