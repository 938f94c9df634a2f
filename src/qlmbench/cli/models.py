"""Single models, trained and kept: ``train`` and ``caption``."""

from __future__ import annotations

from pathlib import Path

import click

from qlmbench.cli.options import complete_arms, study_argument
from qlmbench.vision import IMAGE_ENCODER, PROMPT


@click.command()
@study_argument
@click.option("--arm", required=True, shell_complete=complete_arms, help="Which arm.")
@click.option("--setting", help="Which setting.  [default: the first one that runs the arm]")
@click.option("--profile", default="default", show_default=True, help="As for 'run'.")
@click.option("--repetition", type=int, default=0, show_default=True, help="Whose rows and seed.")
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


@click.command()
@click.option(
    "--image_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Any image file.",
)
@click.option(
    "--prompt",
    default=PROMPT,
    show_default=True,
    help="Words between the image and what is said of it.",
)
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
    default=IMAGE_ENCODER,
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
