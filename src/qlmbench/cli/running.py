"""Trials and their records: ``plan``, ``run`` and ``status``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from qlmbench.cli.options import (
    complete_studies,
    plan_options,
    plans_and_stores,
    results_option,
    say,
    study_argument,
    warn,
)
from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.spec import OverwritePolicy, Study
    from qlmbench.store import Store

POLICIES = ("only-missing", "always", "never", "only-cache")


@click.command("plan")
@study_argument
@plan_options
def plan_command(study: str, **options: Any) -> None:
    """Show what a run would do, what is done, and how long it should take."""
    from qlmbench.status import plan_lines

    plans = plans_and_stores(study, options)
    for line in plan_lines(plans):
        click.echo(line)
    for _, store in plans:
        warn(store.problems)


@click.command()
@study_argument
@plan_options
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Processes.  [default: cores]")
@click.option(
    "--overwrite",
    type=click.Choice(POLICIES),
    default="only-missing",
    show_default=True,
    help="Which trials run: those without a finished record, all, those never tried, none.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="What runs the trials: processes of this machine, or dask workers.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Scheduler of the dask workers.  [default: as many workers here as --jobs says]",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the table and nothing else.")
def run(
    study: str,
    jobs: int | None,
    overwrite: str,
    executor: str,
    scheduler: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Run a study: fetch, encode, train what is missing, print the comparison.

    Stopping it loses no finished trial; running it again goes on where it stopped.
    """
    from qlmbench.run import run_plans

    if scheduler is not None:
        _check_scheduler(scheduler, executor, jobs)
    plans = plans_and_stores(study, options)
    tell: Callable[[str], None] = (lambda _: None) if quiet else say
    processes = jobs or os.cpu_count() or 1
    with _workers(executor, scheduler, processes, tell):
        done = run_plans(
            plans,
            jobs=processes,
            overwrite=cast("OverwritePolicy", overwrite),
            say=tell,
            dask=executor == "dask",
        )
    warn(done.problems)
    folder = options["results"] / study / plans[0][0].run_name
    with_records = [plan.info.setting for plan, store in plans if store.records()]
    _print_results(plans[0][0].study, folder, with_records)
    tell(
        f"{done.already_done} trials were there, {done.finished} finished, {done.failed} failed "
        f"in {done.seconds:.0f} s; records in {folder}"
    )
    if done.failed:
        for line in [line for _, store in plans for line in _failed(store)][:5]:
            click.echo(line, err=True)
    if done.given_up:
        click.echo(
            f"given up: {done.given_up} trials whose workers died, most often because memory ran "
            "out; the others are kept, run again to go on",
            err=True,
        )
    if done.failed or done.given_up:
        sys.exit(1)


def _check_scheduler(scheduler: str, executor: str, jobs: int | None) -> None:
    if executor != "dask":
        raise UserError(f"--scheduler {scheduler} is for dask workers", do="add --executor dask")
    if jobs is not None:
        raise UserError(
            f"--jobs {jobs} with --scheduler: a running scheduler has its own workers",
            do="leave --jobs out",
        )


def _workers(
    executor: str, scheduler: str | None, jobs: int, tell: Callable[[str], None]
) -> AbstractContextManager[None]:
    if executor == "local":
        return nullcontext()
    from qlmbench.cluster import dask_workers

    return dask_workers(scheduler, jobs, tell)


def _failed(store: Store) -> list[str]:
    return [
        f"failed: {record.arm}, repetition {record.repetition}: {record.error}"
        for record in store.failures()
    ]


def _print_results(study: Study, folder: Path, settings: list[str]) -> None:
    """Print the comparison of these settings and the verdicts of what is in a run's folder."""
    if not settings:
        click.echo("no records yet")
        return
    from qlmbench.report import terminal_summary

    click.echo(terminal_summary(study, folder, settings))


@click.command()
@click.argument("study", required=False, shell_complete=complete_studies)
@results_option()
def status(study: str | None, results: Path) -> None:
    """Show what is on disk: runs, finished and failed trials, damage."""
    from qlmbench.status import status_lines

    lines, problems = status_lines(results, study)
    for line in lines:
        click.echo(line)
    warn(problems)
