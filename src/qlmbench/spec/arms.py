"""The rows of a comparison: models with their parameters."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from qlmbench.spec.base import NAME, Spec, Value, Values


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
    params: dict[str, Value] = Field(default_factory=dict)
    """Constructor arguments."""
    tune: dict[str, Values] = Field(default_factory=dict)
    """Values to choose from on validation, by argument; the grid is their product."""
    shuffle_labels: bool = False
    """Train on shuffled labels: a model that beats chance then sees the test labels."""
    group: str = ""
    """Arms of one group are drawn together (for example every number of photons)."""
    tests: str = ""
    """For a control: the explanation that it tests, in one line."""
    of: str = ""
    """For a control: the arm that it is set against; default the paper's arm of the setting."""

    @property
    def title(self) -> str:
        """The name that people read."""
        return self.label or self.name


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of some shell patterns; without patterns, every name does."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
