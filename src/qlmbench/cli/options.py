"""What several commands share: options, completion, and lines on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.plan import Plan
    from qlmbench.store import Store


def complete_studies(_c: click.Context, _p: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a study."""
    from qlmbench.registry import study_folders

    return [CompletionItem(name) for name in sorted(study_folders()) if name.startswith(start)]


def complete_arms(ctx: click.Context, _p: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of an arm, of the study that was named if one was."""
    from qlmbench.registry import get_study, study_folders

    # While an option waits for its value, click has not read the study yet: offer all arms then.
    named = ctx.params.get("study")
    arms: set[str] = set()
    for study in [named] if named else sorted(study_folders()):
        with contextlib.suppress(UserError):
            arms.update(arm.name for arm in get_study(study).arms)
    return [CompletionItem(name) for name in sorted(arms) if name.startswith(start)]


study_argument = click.argument("study", shell_complete=complete_studies)

F = Callable[..., Any]


def results_option(more: str = "") -> Callable[[F], F]:
    """Make the option that names the folder of the records; ``more`` is said after that."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help=f"Folder of the records{more and '; ' + more}.",
    )


def plan_options(command: F) -> F:
    """Add the options that say which trials are meant."""
    options: list[Callable[[F], F]] = [
        click.option(
            "--profile",
            default="default",
            show_default=True,
            help="Scale of the run: smoke (seconds), default (minutes, or hours), "
            "paper (the paper's data); others are listed by 'show'.",
        ),
        click.option(
            "--arm",
            "arms",
            multiple=True,
            shell_complete=complete_arms,
            help="Only this arm; a name or a pattern such as 'photonic-*'. May be given often.",
        ),
        click.option(
            "--repetitions", type=int, help="Number of repetitions.  [default: profile's]"
        ),
        click.option(
            "--setting",
            "settings",
            multiple=True,
            help="Only this setting; a name or a pattern such as 'size-*'. May be given often.",
        ),
        click.option(
            "--data",
            metavar="[NAME=]DIR",
            multiple=True,
            help="A dataset, or a folder with train.tsv (sentence, label), validation.tsv, "
            "test.tsv, instead of the profile's dataset; with NAME, instead of that dataset.",
        ),
        click.option(
            "--encoder",
            metavar="NAME|DIR",
            help="An encoder, or a folder of a sentence-transformers model.  [default: profile's]",
        ),
        results_option(),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def plans_and_stores(study: str, options: dict[str, Any]) -> list[tuple[Plan, Store]]:
    """Return what the options of `plan_options` ask for, with where its records go."""
    from qlmbench.plan import make_plans
    from qlmbench.registry import get_study
    from qlmbench.store import Store

    plans = make_plans(
        get_study(study),
        options["profile"],
        settings=options["settings"],
        arms=options["arms"],
        repetitions=options["repetitions"],
        data=options["data"],
        encoder=options["encoder"],
    )
    return [(plan, Store(options["results"] / plan.folder)) for plan in plans]


def say(line: str) -> None:
    """Say a line of progress."""
    click.echo(line, err=True)


def warn(problems: list[str]) -> None:
    """Say what is damaged."""
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
