"""One trial trained once more, to keep its model: weights, numbers and curves in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.errors import UserError
from qlmbench.plan import Plan, Trial
from qlmbench.store import write_atomically

if TYPE_CHECKING:
    from qlmbench.progress import Say
    from qlmbench.records import Outcome

WEIGHTS = "model.safetensors"
STATISTICS = "statistics.json"


@dataclass(frozen=True)
class Trained:
    """A trial with its trained model.

    Parameters
    ----------
    trial : Trial
        What was trained.
    model : estimator
        As validation chose it.
    outcome : Outcome
        What its record would hold.
    """

    trial: Trial
    model: Any
    outcome: Outcome


def check_output(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises
    ------
    UserError
        If it is a file, or not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty", do="choose another folder with --output")


def train_one(plan: Plan, repetition: int, say: Say) -> Trained:
    """Train the only arm of a plan on one repetition.

    Parameters
    ----------
    plan : Plan
        Of one arm.
    repetition : int
        Which one.
    say : callable
        Receives lines of progress.

    Raises
    ------
    UserError
        If there is no such repetition, or the training fails.
    """
    from qlmbench.experiment import fit_trial
    from qlmbench.prepare import prepare

    trials = {trial.repetition: trial for trial in plan.trials}
    if repetition not in trials:
        raise UserError(f"repetition {repetition}", expected=f"0 to {len(trials) - 1}")
    trial = trials[repetition]
    data = prepare(plan, [repetition], say)
    try:
        model, outcome = fit_trial(trial, data[repetition])
    except ArithmeticError as error:
        raise UserError(f"arm {trial.arm!r}, repetition {repetition}: {error}") from None
    return Trained(trial, model, outcome)


def save(trained: Trained, folder: Path) -> list[Path]:
    """Write the weights as safetensors, and all numbers as JSON.

    A transformers model is written by its own ``save_pretrained``, so that transformers opens it.

    Parameters
    ----------
    trained : Trained
        A trial with its model.
    folder : Path
        Made if it is not there.

    Returns
    -------
    list of Path
        What was written; the statistics last, so that they stand for a folder that is whole.

    Raises
    ------
    UserError
        If the model has no weights of its own to save.
    """
    network = getattr(trained.model, "network_", None)
    if network is None:
        raise UserError(
            f"arm {trained.trial.arm!r} has no trained network to save",
            do="choose an arm that is trained by gradient",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(network, "save_pretrained"):
        network.save_pretrained(folder)
    else:
        from safetensors.torch import save_model

        save_model(network, str(folder / WEIGHTS))
    write_atomically(folder / STATISTICS, json.dumps(statistics(trained), indent=1) + "\n")
    return [*sorted(p for p in folder.iterdir() if p.name != STATISTICS), folder / STATISTICS]


def statistics(trained: Trained) -> dict[str, Any]:
    """Collect what is known of a trained model: its trial, scores, curves and environment."""
    record, curves = trained.outcome.record, trained.outcome.curves
    return {
        "trial": trained.trial.model_dump(mode="json", exclude_none=True),
        "record": record.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        "curves": None if curves is None else {"epoch": curves.epochs, **curves.values},
        "optimiser": getattr(trained.model, "optimizer_", None) or None,
        "environment": trained.outcome.environment,
    }
