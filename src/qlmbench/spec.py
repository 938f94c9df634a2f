"""What a study declares: the paper, its claims, the arms, the profiles, the deviations.

Every object is frozen and refuses keys it does not know, so that a typo in a ``study.toml`` is an
error and never a silently ignored setting.
"""

from __future__ import annotations

import difflib
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qlmbench.errors import UserError

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]

METRICS = tuple(
    f"{role}_{metric}"
    for role in ("train", "validation", "test")
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
)
"""Metrics of a classifier that every record has."""

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
    """Shown on the overview as the study's main claim."""
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


class Profile(Spec):
    """One scale to run a study at."""

    dataset: str
    """Name of a dataset."""
    encoder: str
    """Name of an encoder."""
    split: Split
    """Rows of each role."""
    repetitions: int = Field(gt=0)
    """Number of paired repetitions."""
    arms: list[str] = []
    """Arms of this profile, by name or pattern; default all."""
    overrides: dict[str, Value] = {}
    """Arguments set on every model that has them (for example fewer epochs in the smoke run)."""
    tune: bool = True
    """Whether tuned arms search their grid; without, they keep the first value of each argument."""
    note: str = ""
    """One line for the page."""


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
    profiles: dict[str, Profile]
    deviations: list[Deviation] = []
    quoted: list[Quoted] = []
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Family-wise error level over the study's claims."""

    @field_validator("arms", mode="before")
    @classmethod
    def _expand(cls, arms: object) -> object:
        return [e for a in arms for e in _expand_cases(a)] if isinstance(arms, list) else arms

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
        for quoted in self.quoted:
            if quoted.arm:
                _must_be_known(quoted.arm, names, f"quoted {quoted.method!r}: arm")
        return self

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        known = sorted({key for arm in self.arms for key in (*arm.params, *arm.tune)})
        for name, profile in self.profiles.items():
            for key in profile.overrides:
                if key not in known:
                    where = f"profile {name!r}: no arm has the argument {key!r} to override"
                    raise ValueError(where + _nearest(key, known))
        for claim in self.claims:
            if claim.metric not in METRICS:
                where = f"claim {claim.id!r}: unknown metric {claim.metric!r}"
                raise ValueError(where + _nearest(claim.metric, list(METRICS)))
        return self

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


def _expand_cases(arm: object) -> list[object]:
    """Write out an arm with ``cases``: one arm a case, ``{key}`` filled in, the case in params."""
    if not isinstance(arm, dict) or "cases" not in arm:
        return [arm]
    template = {k: v for k, v in arm.items() if k != "cases"}
    cases = arm["cases"]
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError(f"cases of arm {arm.get('name')!r} must be a list of tables")
    try:
        return _written_out(template, cases)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"arm {arm.get('name')!r}: no case gives {error}") from None


def _written_out(template: dict[str, Any], cases: list[dict[str, Any]]) -> list[object]:
    return [
        {k: v.format(**case) if isinstance(v, str) else v for k, v in template.items()}
        | {"params": {**template.get("params", {}), **case}}
        for case in cases
    ]


def _must_be_known(name: str, names: list[str], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where} {name!r} is not an arm of this study{_nearest(name, names)}")


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def unknown(kind: str, name: str, names: list[str], where: str) -> UserError:
    """Build the error for a name that is not known, with the nearest one that is."""
    return UserError(
        f"unknown {kind} {name!r} of {where}{_nearest(name, names)}",
        expected="one of " + ", ".join(sorted(names)),
    )


def load_study(path: Path) -> Study:
    """Read and check a ``study.toml``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Study

    Raises
    ------
    UserError
        One line that names the file, the key, and what was expected there.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", expected="a study.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, Study)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Turn the first fault that pydantic found into one line: the key and what was expected."""
    # An unknown key often makes another one missing: the unknown one is what the user wrote.
    first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "top level"
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1])
        near = _nearest(str(first["loc"][-1]), known)
        return f"key {key!r} is not known{near}; expected one of {', '.join(sorted(known))}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    shown = f", got {given!r}" if isinstance(given, Scalar) else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"key {key!r}: {message}{shown}{more}"


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """List the keys that are allowed at a place of the document."""
    annotation: Any = model
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:  # list[X] and dict[str, X]: the element type stands last
            annotation = annotation.__args__[-1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []


OverwritePolicy = Literal["always", "never", "only-missing", "only-cache"]
