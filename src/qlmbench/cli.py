"""The command line. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from click.shell_completion import CompletionItem

from qlmbench.errors import UserError

if TYPE_CHECKING:
    from qlmbench.plan import Plan
    from qlmbench.spec import OverwritePolicy, Study
    from qlmbench.store import Store

POLICIES = ("only-missing", "always", "never", "only-cache")


class _Group(click.Group):
    """A group of commands that shows a user's mistake as one line, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _stopped_by_sigterm():
                return super().invoke(ctx)
        except UserError as error:
            click.echo(f"qlmbench: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt as stop:
            click.echo("qlmbench: stopped; finished trials are kept, run again to go on", err=True)
            ctx.exit(128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT))
        except BrokenPipeError:
            _leave_quietly()
        except OSError as error:  # a full disk, a folder that is locked, a name that is too long
            where = f"{error.filename}: " if error.filename is not None else ""
            click.echo(f"qlmbench: {where}{error.strerror or error}", err=True)
            ctx.exit(2)


class _Terminated(KeyboardInterrupt):
    """Someone, a batch system for example, asked this process to end."""


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop a command as Ctrl-C does: what is finished is put in its place first."""

    def stop(*_: object) -> NoReturn:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever started it deals with signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave_quietly() -> NoReturn:
    """End without a traceback when the reader of our output has gone (``| head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _complete_studies(_c: click.Context, _p: click.Parameter, start: str) -> list[CompletionItem]:
    from qlmbench.registry import study_folders

    return [CompletionItem(name) for name in sorted(study_folders()) if name.startswith(start)]


def _complete_arms(ctx: click.Context, _p: click.Parameter, start: str) -> list[CompletionItem]:
    from qlmbench.registry import get_study, study_folders

    # While an option waits for its value, click has not read the study yet: offer all arms then.
    named = ctx.params.get("study")
    arms: set[str] = set()
    for study in [named] if named else sorted(study_folders()):
        with contextlib.suppress(UserError):
            arms.update(arm.name for arm in get_study(study).arms)
    return [CompletionItem(name) for name in sorted(arms) if name.startswith(start)]


study_argument = click.argument("study", shell_complete=_complete_studies)

F = Callable[..., Any]


def _plan_options(command: F) -> F:
    """Add the options that say which trials are meant."""
    options = [
        click.option(
            "--profile",
            default="default",
            show_default=True,
            help="Scale of the run: smoke (seconds), default (minutes), paper (the paper's data).",
        ),
        click.option(
            "--arm",
            "arms",
            multiple=True,
            shell_complete=_complete_arms,
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
        click.option(
            "--results",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("runs"),
            show_default=True,
            help="Folder of the records.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: qlmbench run qllm",
)
@click.version_option(package_name="qlmbench")
def main() -> None:
    """Find out, fairly and fast, whether a quantum circuit inside a language model does anything.

    \b
    Examples:
      qlmbench list                          the studies
      qlmbench plan qllm                     what a run would do, and how long it takes
      qlmbench run qllm                      run it; a second time runs what is missing
      qlmbench run qllm --arm 'photonic-8m*' --repetitions 5
      qlmbench new my-paper                  start a study of your own
      qlmbench report qllm                   tables, figures and a page of the records
      eval "$(qlmbench completion bash)"     completion in this shell
    """  # noqa: D301 - click takes the control character, not its name


@main.command("list")
def list_studies() -> None:
    """List the studies."""
    from qlmbench.registry import get_study, study_folders

    names = sorted(study_folders())
    if not names:
        raise UserError("no study found", do="run from the folder that holds reproductions/")
    for name in names:
        study = get_study(name)
        click.echo(f"{name:<22} {study.summary}")


@main.command()
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


@main.command()
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


def _plans_and_stores(study: str, options: dict[str, Any]) -> list[tuple[Plan, Store]]:
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


@main.command("plan")
@study_argument
@_plan_options
def plan_command(study: str, **options: Any) -> None:
    """Show what a run would do, what is done, and how long it should take."""
    from qlmbench.status import plan_lines

    plans = _plans_and_stores(study, options)
    for line in plan_lines(plans):
        click.echo(line)
    for _, store in plans:
        _warn(store.problems)


@main.command()
@study_argument
@_plan_options
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Processes.  [default: cores]")
@click.option(
    "--overwrite",
    type=click.Choice(POLICIES),
    default="only-missing",
    show_default=True,
    help="What happens to trials that have records: see the documentation.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the table and nothing else.")
def run(study: str, jobs: int | None, overwrite: str, quiet: bool, **options: Any) -> None:
    """Run a study: fetch, encode, train what is missing, print the comparison.

    Stopping it loses no finished trial; running it again goes on where it stopped.
    """
    from qlmbench.run import run_plans

    plans = _plans_and_stores(study, options)
    say: Callable[[str], None] = (lambda _: None) if quiet else _say
    done = run_plans(
        plans,
        jobs=jobs or os.cpu_count() or 1,
        overwrite=cast("OverwritePolicy", overwrite),
        say=say,
    )
    _warn(done.problems)
    folder = options["results"] / study / plans[0][0].run_name
    with_records = [plan.info.setting for plan, store in plans if store.records()]
    _print_results(plans[0][0].study, folder, with_records)
    say(
        f"{done.already_done} trials were there, {done.finished} finished, {done.failed} failed "
        f"in {done.seconds:.0f} s; records in {folder}"
    )
    if done.failed:
        for line in [line for _, store in plans for line in _failed(store)][:5]:
            click.echo(line, err=True)
        sys.exit(1)


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


@main.command()
@click.argument("study", required=False, shell_complete=_complete_studies)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of the records.",
)
def status(study: str | None, results: Path) -> None:
    """Show what is on disk: runs, finished and failed trials, damage."""
    from qlmbench.status import status_lines

    lines, problems = status_lines(results, study)
    for line in lines:
        click.echo(line)
    _warn(problems)


@main.command()
@click.argument("study", required=False, shell_complete=_complete_studies)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of the records; tables and figures are written beside them.",
)
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


@main.command()
@click.argument("a", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("b", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--tolerance", type=float, default=0.005, show_default=True)
def compare(a: Path, b: Path, tolerance: float) -> None:
    """Compare two runs of one study, such as runs/qllm/default and results/qllm/default."""
    from qlmbench.report import compare_runs

    if not 0 <= tolerance < math.inf:  # with not-a-number, any two runs would agree
        raise UserError(f"--tolerance {tolerance}", expected="a number that is 0 or more")
    text, agree = compare_runs(a, b, tolerance)
    click.echo(text)
    if not agree:
        sys.exit(1)


@main.command()
@study_argument
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
)
@click.option("--run", "run_name", default="default", show_default=True, help="Which run.")
@click.option("--setting", help="Which of its settings.  [default: the first one]")
@click.option("--format", "kind", type=click.Choice(["csv", "latex", "json"]), default="csv")
@click.option("--what", type=click.Choice(["comparison", "records", "claims"]), default="records")
def export(
    study: str, results: Path, run_name: str, setting: str | None, kind: str, what: str
) -> None:
    """Print a table of a run as CSV, JSON or LaTeX."""
    from qlmbench.registry import get_study
    from qlmbench.report import export_table

    folder = results / study / run_name
    click.echo(export_table(get_study(study), folder, setting, what, kind), nl=False)


@main.command()
@study_argument
@click.option("--arm", required=True, shell_complete=_complete_arms, help="Which arm.")
@click.option("--setting", help="Which setting.  [default: the first one that runs the arm]")
@click.option("--profile", default="default", show_default=True)
@click.option("--repetition", type=int, default=0, show_default=True)
@click.option("--data", metavar="[NAME=]DIR", multiple=True, help="As for 'run'.")
@click.option("--encoder", metavar="NAME|DIR", help="As for 'run'.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for weights, statistics and curves.",
)
def train(
    study: str,
    arm: str,
    setting: str | None,
    profile: str,
    repetition: int,
    data: tuple[str, ...],
    encoder: str | None,
    output: Path,
) -> None:
    """Train one arm on one repetition and keep the model.

    The folder gets the weights as safetensors, all numbers as JSON, and the training curves as SVG
    and PNG.
    """
    from qlmbench.plan import make_plans
    from qlmbench.registry import get_study
    from qlmbench.trained import check_output, save, train_one

    check_output(output)
    declared = get_study(study)
    declared.arm(arm)
    settings = [setting] if setting else []
    plan = make_plans(declared, profile, settings=settings, arms=[arm], data=data, encoder=encoder)[
        0
    ]
    trained = train_one(plan, repetition, say=lambda line: click.echo(line, err=True))
    written = save(trained, output)
    if trained.outcome.curves is not None:
        from qlmbench.report import write_curves

        written += write_curves(trained.outcome, declared.arm(arm).title, output)
    for path in written:
        click.echo(f"wrote {path}")


@main.command()
@click.option(
    "--image_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Any image file.",
)
@click.option("--prompt", default="Describe the image: ", show_default=True)
@click.option(
    "--n_qubits",
    type=click.IntRange(1, 12),
    default=4,
    show_default=True,
    help="Width of the circuit that the image goes through.",
)
@click.option(
    "--image_encoder",
    metavar="NAME",
    default="efficientnet-lite0-quarters",
    show_default=True,
    help="What makes features of the image.",
)
@click.option(
    "--train",
    "n_scenes",
    type=click.IntRange(1),
    metavar="N",
    help="Train on N rendered scenes first, and keep the weights.",
)
def caption(
    image_path: Path, prompt: str, n_qubits: int, image_encoder: str, n_scenes: int | None
) -> None:
    """Say what an image shows, by way of a circuit.

    The words are those of rendered scenes of coloured shapes, which is what was trained on. Weights
    stay in the cache, a file for each prompt, encoder and number of qubits.
    """
    from qlmbench.data.images.pictures import load_image
    from qlmbench.vision.trained_captions import TrainedCaptions

    captions = TrainedCaptions(n_qubits, prompt, image_encoder)
    load_image(image_path)  # a wrong path is told before minutes of training
    if n_scenes is not None:
        captions.train(n_scenes)
        click.echo(f"wrote {captions.path}", err=True)
    click.echo(captions.describe(image_path))


@main.command()
def doctor() -> None:
    """Check this installation: packages, cache, data and weights, the package registry."""
    from qlmbench.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(finding.line)
    if any(finding.broken for finding in findings):
        sys.exit(1)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, studies and arms in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "qlmbench", "_QLMBENCH_COMPLETE").source())


def _say(line: str) -> None:
    click.echo(line, err=True)


def _warn(problems: list[str]) -> None:
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)


if __name__ == "__main__":
    main()
