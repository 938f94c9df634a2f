"""Studies: ``list``, ``show`` and ``new``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qlmbench.cli.options import study_argument
from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.spec import Study


@click.command("list")
def list_studies() -> None:
    """List the studies."""
    from qlmbench.registry import get_study, study_folders

    names = sorted(study_folders())
    if not names:
        raise UserError("no study found", do="run from the folder that holds reproductions/")
    for name in names:
        study = get_study(name)
        click.echo(f"{name:<22} {study.summary}")


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to begin.  [default: the current folder]",
)
def new(name: str, directory: Path) -> None:
    """Start a study: files that run as they stand, for a paper to be filled in.

    In a checkout of qlmbench they go below reproductions/, anywhere else into a package of their
    own.
    """
    from qlmbench.scaffold import new_study, next_steps

    made = new_study(name, directory)
    for path in made.files:
        click.echo(f"wrote {path}")
    click.echo("\nIt runs as it stands:")
    for line in next_steps(made):
        click.echo(f"  {line}")


@click.command()
@study_argument
def show(study: str) -> None:
    """Show a study: its paper, claims, arms, profiles and deviations."""
    from qlmbench.registry import get_study

    click.echo(_describe(get_study(study)))


def _describe(study: Study) -> str:
    paper = study.paper
    where = paper.doi or (f"arXiv {paper.arxiv}" if paper.arxiv else paper.url)
    lines = [study.summary, "", f"{paper.authors} ({paper.year}). {paper.title}. {where}", ""]
    lines += ["Claims"] + [f"  {c.id:<28} {c.statement}" for c in study.claims]
    lines += ["", "Arms"] + [f"  {a.name:<28} {a.kind:<13} {a.title}" for a in study.arms]
    lines += ["", "Profiles"]
    for name, profile in study.profiles.items():
        n = profile.repetitions
        lines.append(f"  {name:<28} {profile.dataset}, {profile.encoder}, {n} repetitions")
        lines += [
            f"    {setting:<26} {protocol.title}"
            for setting, protocol in study.protocols(name).items()
            if profile.settings
        ]
    lines += ["", "Deviations from the paper, and choices where it is silent"]
    lines += [f"  {d.what} ({d.why})" for d in study.deviations]
    return "\n".join(lines)
