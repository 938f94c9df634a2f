"""What a study declares: the paper, its claims, the arms, the profiles, the deviations.

Every object is frozen and refuses keys it does not know, so that a typo in a ``study.toml`` is an
error and never a silently ignored setting.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qlmbench.cases import expand_cases
from qlmbench.errors import nearest, unknown

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]

Task = Literal["classification", "language-model"]
"""What is predicted: the class of a text, or each of its tokens from those before it."""

SECONDS_PER_EPOCH = "seconds_per_epoch"

_SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"),
    "language-model": ("token_accuracy", "cross_entropy", "perplexity"),
}


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the metrics that a record of a task can have, as a claim may name them."""
    roles = ("train", "validation", "test")
    scores = tuple(f"{role}_{metric}" for role in roles for metric in _SCORES[task])
    return (*scores, SECONDS_PER_EPOCH)


MAIN = "main"
"""Name of the only setting of a study that declares none."""

NAME = r"^[a-z0-9][a-z0-9._-]*$"


class Spec(BaseModel):
    """Base of everything a study declares: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Paper(Spec):
    """The work that a study reproduces."""

    title: str
    """Title as published."""
    authors: str
    """Authors as they would stand in a reference list."""
    year: int
    """Year of the version that is reproduced."""
    venue: str = ""
    """Where it appeared."""
    doi: str = ""
    """Digital object identifier, without a resolver in front."""
    arxiv: str = ""
    """arXiv number."""
    url: str = ""
    """A page to read, where there is neither DOI nor arXiv number."""
    says: str
    """What it says, in two or three sentences of our own."""


class Direction(StrEnum):
    """Which way a claim says the difference goes."""

    GREATER = "greater"
    LESS = "less"
    EQUAL = "equal"


class Claim(Spec):
    """One published statement that records can support or refute."""

    id: str = Field(pattern=NAME)
    """Short name, unique in the study."""
    statement: str
    """What the paper says, in our words."""
    arm: str
    """The arm that the claim is about."""
    versus: str | None = None
    """The arm it is compared with; none for a claim about a level."""
    setting: str = ""
    """The setting that decides; default the first one of the profile."""
    versus_setting: str = ""
    """The setting of the arm it is compared with; default the same one."""
    metric: str = "test_accuracy"
    """The metric of the records that decides."""
    direction: Direction = Direction.GREATER
    """The direction of arm minus versus; for a level, above the interval is ``greater``."""
    margin: float = Field(default=0.01, gt=0)
    """Differences smaller than this count as equal; default one point of accuracy."""
    published: float | None = Field(default=None, allow_inf_nan=False)
    """Published effect: the difference, or the level where there is no ``versus``."""
    published_sd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Published standard deviation of it, where given."""
    published_n: int | None = Field(default=None, ge=1)
    """Number of runs behind the published value, where known."""
    level: tuple[float, float] | None = None
    """For a claim about a level: the published range, low and high."""
    headline: bool = False
    """Shown on the first page as a main claim of the study."""
    source: str
    """Table and row, figure, or sentence of the paper."""
    comment: str = ""
    """How the published statement was turned into this comparison."""

    @model_validator(mode="after")
    def _level_or_versus(self) -> Self:
        if (self.versus is None) == (self.level is None):
            raise ValueError("a claim needs exactly one of 'versus' (an arm) and 'level' (a range)")
        sign = {Direction.GREATER: 1, Direction.LESS: -1, Direction.EQUAL: 0}[self.direction]
        published = self.published if self.versus is not None and sign else None
        if published is not None and published * sign <= 0:
            raise ValueError(
                f"published {published} goes against direction {self.direction.value!r}"
            )
        return self


class ArmKind(StrEnum):
    """What an arm is in the comparison."""

    PAPER = "paper"
    """The paper's model, done right."""
    AS_PUBLISHED = "as-published"
    """The paper's model with the faults of its public code."""
    BASELINE = "baseline"
    """A classical model."""
    CONTROL = "control"
    """A model that could explain a gain away."""


class Arm(Spec):
    """One model with its parameters: a row of the comparison."""

    name: str = Field(pattern=NAME)
    """Short name, unique in the study."""
    label: str = ""
    """The name in tables and figures; default the short name."""
    kind: ArmKind
    """Its part in the comparison."""
    model: str
    """``module:Class``; a module without a dot is looked up in the study's own folder first."""
    params: dict[str, Value] = {}
    """Constructor arguments."""
    tune: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = {}
    """Values to choose from on validation, by argument; the grid is their product."""
    shuffle_labels: bool = False
    """Train on shuffled labels: a model that beats chance then sees the test labels."""
    group: str = ""
    """Arms of one group are drawn together (for example every number of photons)."""
    tests: str = ""
    """For a control: the explanation that it tests, in one line."""

    @property
    def title(self) -> str:
        """The name that people read."""
        return self.label or self.name

    @property
    def n_configurations(self) -> int:
        """Number of configurations tried on validation."""
        n = 1
        for values in self.tune.values():
            n *= len(values)
        return n


class Selection(Spec):
    """Which rows of which part of a dataset, for one role (train, validation, test)."""

    part: str = "train"
    """Part of the dataset: train, validation, test, or ``all`` for the parts pooled."""
    per_class: int | None = Field(default=None, gt=0)
    """Draw this many rows of each class."""
    count: int | None = Field(default=None, gt=0)
    """Draw this many rows."""
    balanced: bool = False
    """With ``count``: as equal class counts as possible."""
    rows: tuple[int, int] | None = None
    """Take the rows from the first (included) to the second (excluded), as they stand."""
    rest: bool = False
    """Take every row of the part that no other role has taken."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = [self.per_class is not None, self.count is not None, self.rows is not None]
        if sum([*rules, self.rest]) != 1:
            raise ValueError("give exactly one of per_class, count, rows and rest")
        if self.balanced and self.count is None:
            raise ValueError("'balanced' goes with 'count'")
        return self


class Split(Spec):
    """How a repetition draws its rows; drawn rows never share a text across roles."""

    train: Selection
    """Rows a model is fitted on."""
    validation: Selection
    """Rows that early stopping and tuning may look at."""
    test: Selection
    """Rows that are scored once."""


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
    repetitions: int | None = Field(default=None, gt=0)
    """Number of paired repetitions."""
    arms: list[str] = []
    """Arms that are run, by name or pattern; default all."""
    overrides: dict[str, Value] = {}
    """Arguments set on every arm that names them (for example fewer epochs)."""
    tune: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = {}
    """Values to choose from on validation, in place of those of the arms that tune the argument."""
    evaluate: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = {}
    """Conditions that trained models are also scored under, one at a time, those that they know."""
    curve: str = ""
    """Settings that share this word are points of one curve over the number of training rows."""
    task: Task = "classification"
    """What is predicted."""
    choose_by: Literal["accuracy", "loss"] | None = None
    """What on validation decides among the configurations of a tuned arm; ties go to the other.
    Default accuracy, and loss for language models."""
    metric: str = ""
    """Metric of its tables and figures; default that of the study's first claim."""
    alone: bool = False
    """Train each repetition by itself, so that seconds are those of one training."""
    compare: list[str] = []
    """Arms, by name, whose training curves are drawn in one figure."""
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
    repetitions: int = Field(gt=0)
    """Number of paired repetitions."""
    arms: list[str] = []
    """Arms of this profile, by name or pattern; default all."""
    settings: dict[str, Setting] = {}
    """Settings that it runs, by name, each with what it changes in them; default one, ``main``."""
    overrides: dict[str, Value] = {}
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
    compare: list[str]
    threshold: float | None

    def runs(self, arm: str) -> bool:
        """Whether an arm of this name is run."""
        return matches(arm, self.arms)


class Deviation(Spec):
    """Where the study departs from the paper, or fills in what the paper leaves open."""

    what: str
    """The departure or the choice."""
    why: str
    """The reason."""


class Quoted(Spec):
    """A published number, quoted as it stands and labelled so."""

    method: str
    """The method as the publication calls it."""
    arm: str = ""
    """The arm of ours that it belongs beside, where there is one."""
    setting: str = ""
    """The setting of ours that it belongs to; default the first one of the profile."""
    metric: str = "test_accuracy"
    """The metric it is a value of."""
    value: float
    """The value as printed."""
    parameters: int | None = None
    """Published number of parameters, where given."""
    source: str
    """Where it stands."""


class Study(Spec):
    """A paper, and everything that its reproduction runs and judges."""

    name: str = Field(pattern=NAME)
    """Short name: the folder and the word on the command line."""
    version: int = Field(ge=1)
    """Raised when the meaning of a record changes; old records then no longer count."""
    summary: str
    """One sentence."""
    paper: Paper
    claims: list[Claim] = []
    arms: list[Arm] = Field(min_length=1)
    settings: dict[str, Setting] = {}
    """Protocols by name, for profiles to run."""
    profiles: dict[str, Profile]
    deviations: list[Deviation] = []
    reference: str = ""
    """The baseline that differences are taken to; default the best one on validation."""
    notebook: str = ""
    """File name of the notebook that tells the study's story, below ``notebooks/``."""
    quoted: list[Quoted] = []
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Family-wise error level over the study's claims."""

    @field_validator("arms", mode="before")
    @classmethod
    def _expand(cls, arms: object) -> object:
        return [e for a in arms for e in expand_cases(a)] if isinstance(arms, list) else arms

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two arms are called {name!r}")
        ids = [claim.id for claim in self.claims]
        for claim_id in ids:
            if ids.count(claim_id) > 1:
                raise ValueError(f"two claims are called {claim_id!r}")
        for claim in self.claims:
            for arm in filter(None, (claim.arm, claim.versus)):
                _must_be_known(arm, names, f"claim {claim.id!r}: arm")
        if self.reference:
            _must_be_known(self.reference, names, "reference")
        for quoted in self.quoted:
            if quoted.arm:
                _must_be_known(quoted.arm, names, f"quoted {quoted.method!r}: arm")
        return self

    @model_validator(mode="after")
    def _settings_are_known(self) -> Self:
        names = list(self.settings) or [MAIN]
        named = [
            *((c.setting, f"claim {c.id!r}") for c in self.claims),
            *((c.versus_setting, f"claim {c.id!r}") for c in self.claims),
            *((q.setting, f"quoted {q.method!r}") for q in self.quoted),
            *((s, f"profile {name!r}") for name, p in self.profiles.items() for s in p.settings),
        ]
        for setting, where in named:
            if setting and setting not in names:
                raise ValueError(
                    f"{where}: {setting!r} is not a setting of this study{nearest(setting, names)}"
                )
        for name in self.profiles:
            self.protocols(name)
        return self

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> Self:
        for profile in self.profiles:
            for protocol in self.protocols(profile).values():
                self._check_options(protocol)
        for claim in self.claims:
            for setting in filter(None, (self._setting_of(claim), claim.versus_setting)):
                _must_measure(claim.metric, self._declared(setting), f"claim {claim.id!r}")
        return self

    def _setting_of(self, claim: Claim) -> str:
        """Return the setting that decides a claim: its own, or the first of the first profile."""
        return claim.setting or next(iter(self.protocols(next(iter(self.profiles)))))

    def _declared(self, setting: str) -> Setting:
        return self.settings.get(setting, Setting())

    def _check_options(self, protocol: Protocol) -> None:
        """Refuse what a setting asks for and no arm of it would follow."""
        where = f"profile {protocol.profile!r}, setting {protocol.setting!r}"
        if protocol.metric:
            _must_measure(protocol.metric, protocol, where)
        names = [arm.name for arm in self.arms]
        for name in protocol.compare:
            _must_be_known(name, names, f"{where}: compare")
        for pattern in protocol.arms:
            if not fnmatch.filter(names, pattern):
                raise ValueError(f"{where}: no arm is called {pattern!r}{nearest(pattern, names)}")
        arms = [arm for arm in self.arms if protocol.runs(arm.name)]
        tuned = {key for arm in arms for key in arm.tune}
        named = {key for arm in arms for key in arm.params} | (
            tuned if not protocol.tune else set()
        )
        for key in protocol.overrides:
            if key not in named:
                raise ValueError(
                    f"{where}: none of its arms has the argument {key!r} to override"
                    f"{nearest(key, sorted(named))}"
                )
        if protocol.alone:
            self._check_alone(protocol, arms, where)
        for key in protocol.grid:
            if key not in tuned:
                raise ValueError(
                    f"{where}: none of its arms tunes the argument {key!r}"
                    f"{nearest(key, sorted(tuned))}"
                )

    @staticmethod
    def _check_alone(protocol: Protocol, arms: list[Arm], where: str) -> None:
        """Refuse a search: its trainings would share their seconds."""
        for arm in arms:
            tried = math.prod(len(protocol.grid.get(k, v)) for k, v in arm.tune.items())
            if protocol.tune and tried > 1:
                raise ValueError(
                    f"{where}: arm {arm.name!r} tries {tried} configurations, and 'alone = true' "
                    "measures one training; set 'tune' to one value each"
                )

    def arm(self, name: str) -> Arm:
        """Return the arm of this name.

        Raises
        ------
        UserError
            If the study has no such arm.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise unknown("arm", name, [a.name for a in self.arms], f"study {self.name!r}")

    def protocols(self, profile: str) -> dict[str, Protocol]:
        """Return the settings that a profile runs, written out, in its order.

        Raises
        ------
        UserError
            If the study has no such profile.
        """
        chosen = self.profile(profile).settings or {MAIN: Setting()}
        return {name: self._protocol(profile, name, changed) for name, changed in chosen.items()}

    def protocol(self, profile: str, setting: str) -> Protocol:
        """Return one setting of a profile, written out.

        Raises
        ------
        UserError
            If the study has no such profile, or the profile does not run this setting.
        """
        known = self.protocols(profile)
        if setting in known:
            return known[setting]
        where = f"profile {profile!r} of study {self.name!r}"
        raise unknown("setting", setting, list(known), where)

    def _protocol(self, profile_name: str, name: str, changed: Setting) -> Protocol:
        """Fill a setting: what the profile changes in it, then its own, then the profile's."""
        profile = self.profiles[profile_name]
        own = self.settings.get(name, Setting())
        given = own.model_copy(update={k: getattr(changed, k) for k in changed.model_fields_set})
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
            compare=given.compare,
            threshold=given.threshold,
        )

    def profile(self, name: str) -> Profile:
        """Return the profile of this name.

        Raises
        ------
        UserError
            If the study has no such profile.
        """
        if name in self.profiles:
            return self.profiles[name]
        raise unknown("profile", name, list(self.profiles), f"study {self.name!r}")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of some shell patterns; without patterns, every name does."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _usual_choice(task: Task) -> Literal["accuracy", "loss"]:
    return "loss" if task == "language-model" else "accuracy"


def _must_measure(metric: str, setting: Setting | Protocol, where: str) -> None:
    """Refuse a metric that no record of a setting would have."""
    known = metrics_of(setting.task)
    if metric not in known:
        task = "" if setting.task == "classification" else f" of a {setting.task}"
        raise ValueError(f"{where}: unknown metric {metric!r}{task}{nearest(metric, list(known))}")
    if metric == SECONDS_PER_EPOCH and not setting.alone:
        raise ValueError(
            f"{where}: {metric!r} is measured where the setting has 'alone = true': trainings in a "
            "stack share their seconds"
        )


def _must_be_known(name: str, names: list[str], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where} {name!r} is not an arm of this study{nearest(name, names)}")


OverwritePolicy = Literal["always", "never", "only-missing", "only-cache"]
