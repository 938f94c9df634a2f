"""What arms are compared under: settings, profiles, and both written out as a protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qlmbench.spec.arms import matches
from qlmbench.spec.base import MOST_REPETITIONS, Scalar, Spec, Value, Values
from qlmbench.spec.metrics import Task
from qlmbench.spec.split import Split

MAIN = "main"
"""Name of the only setting of a study that declares none."""


class EncoderTuning(Spec):
    """How an encoder is tuned on the training sentences of a repetition, before any head sees them.

    Steps of the supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, the outer sum
    of its equation 2): sentences of one class are drawn together, others apart. Dropout is on as
    in the model's own configuration.
    """

    steps: int = Field(default=20, gt=0)
    """Optimiser steps."""
    batch_size: int | None = Field(default=None, gt=1)
    """Sentences a step, as equal in their classes as possible; default all of them."""
    temperature: float = Field(default=0.07, gt=0)
    """Divides the cosine similarities."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Step size of Adam, without weight decay."""
    trained_layers: int | None = Field(default=None, gt=0)
    """Tune the last so many layers only, which is faster: all below is frozen, without dropout.
    Default the whole encoder."""


class Setting(Spec):
    """One protocol that arms are compared under; what it leaves open, the profile says."""

    title: str = ""
    """Heading of its results; default its name."""
    note: str = ""
    """One or two sentences for its page."""
    dataset: str | None = None
    """Name of a dataset."""
    encoder: str | None = None
    """Name of an encoder."""
    encoder_tuning: EncoderTuning | None = None
    """How the encoder is tuned in each repetition; default not at all: it is frozen."""
    split: Split | None = None
    """Rows of each role."""
    repetitions: int | None = Field(default=None, gt=0, le=MOST_REPETITIONS)
    """Number of paired repetitions."""
    arms: list[str] = Field(default_factory=list)
    """Arms that are run, by name or pattern; default all."""
    overrides: dict[str, Value] = Field(default_factory=dict)
    """Arguments set on every arm that names them (for example fewer epochs)."""
    tune: dict[str, Values] = Field(default_factory=dict)
    """Values to choose from on validation, in place of those of the arms that tune the argument."""
    evaluate: dict[str, Values] = Field(default_factory=dict)
    """Conditions that trained models are also scored under, one at a time, those that they know."""
    curve: str = ""
    """Settings that share this word are points of one curve over the number of training rows."""
    task: Task = "classification"
    """What is predicted."""
    choose_by: Literal["accuracy", "loss"] | None = None
    """What on validation decides among the configurations of a tuned arm; ties go to the other.
    Default accuracy, and loss for language models and captions."""
    metric: str = ""
    """Metric of its tables and figures; default that of the study's main claim."""
    alone: bool = False
    """Train each repetition by itself, so that seconds are those of one training."""
    reference: str = ""
    """Arm that differences are taken to; default the study's."""
    compare: list[str] = Field(default_factory=list)
    """Arms, by name, whose training curves are drawn in one figure."""
    pareto: bool = False
    """Whether quality is weighed against trained parameters: the front, and who dominates whom."""
    threshold: float | None = Field(default=None, gt=0)
    """Validation loss of which it is told by which epoch each arm reached it."""


class Profile(Spec):
    """One scale to run a study at: its settings, and what they have in common."""

    dataset: str
    """Name of a dataset."""
    encoder: str
    """Name of an encoder."""
    split: Split | None = None
    """Rows of each role, for settings without a split of their own."""
    repetitions: int = Field(gt=0, le=MOST_REPETITIONS)
    """Number of paired repetitions."""
    arms: list[str] = Field(default_factory=list)
    """Arms of this profile, by name or pattern; default all."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """Settings that it runs, by name, each with what it changes in them; default one, ``main``."""
    overrides: dict[str, Value] = Field(default_factory=dict)
    """Arguments set on every arm that names them (for example fewer epochs in the smoke run)."""
    tune: bool = True
    """Whether tuned arms search their grid; without, they keep the first value of each argument."""
    note: str = ""
    """One line for the page."""


class Protocol(Spec):
    """A setting of a profile, written out: nothing is left to look up."""

    profile: str
    setting: str
    title: str
    note: str
    dataset: str
    encoder: str
    encoder_tuning: EncoderTuning | None
    split: Split
    repetitions: int
    arms: list[str]
    overrides: dict[str, Value]
    tune: bool
    grid: dict[str, list[Scalar]]
    evaluate: dict[str, list[Scalar]]
    curve: str
    task: Task
    choose_by: Literal["accuracy", "loss"]
    metric: str
    alone: bool
    reference: str
    compare: list[str]
    pareto: bool
    threshold: float | None

    def runs(self, arm: str) -> bool:
        """Whether an arm of this name is run."""
        return matches(arm, self.arms)


def write_out(profile_name: str, profile: Profile, name: str, setting: Setting) -> Protocol:
    """Write out a setting of a profile.

    Parameters
    ----------
    profile_name : str
        Name of the profile.
    profile : Profile
        What counts where neither the study nor the profile changes it for this setting.
    name : str
        Name of the setting.
    setting : Setting
        The study's own one; the profile's changes in it come first.

    Raises
    ------
    ValueError
        If neither the setting nor the profile says which rows are drawn.
    """
    changed = profile.settings.get(name, Setting())
    given = setting.model_copy(update={k: getattr(changed, k) for k in changed.model_fields_set})
    split = given.split or profile.split
    if split is None:
        raise ValueError(f"profile {profile_name!r}, setting {name!r}: no split is given")
    return Protocol(
        profile=profile_name,
        setting=name,
        title=given.title or name,
        note=given.note,
        dataset=given.dataset or profile.dataset,
        encoder=given.encoder or profile.encoder,
        encoder_tuning=given.encoder_tuning,
        split=split,
        repetitions=given.repetitions or profile.repetitions,
        arms=given.arms or profile.arms,
        overrides=profile.overrides | given.overrides,
        tune=profile.tune,
        grid=given.tune,
        evaluate=given.evaluate,
        curve=given.curve,
        task=given.task,
        choose_by=given.choose_by or _usual_choice(given.task),
        metric=given.metric,
        alone=given.alone,
        reference=given.reference,
        compare=given.compare,
        pareto=given.pareto,
        threshold=given.threshold,
    )


def _usual_choice(task: Task) -> Literal["accuracy", "loss"]:
    return "accuracy" if task == "classification" else "loss"
