"""What was published: the paper, its claims, its numbers, and where a study departs from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from qlmbench.spec.base import NAME, Spec


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
