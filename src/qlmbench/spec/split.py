"""Which rows of a dataset a repetition draws."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from qlmbench.spec.base import Spec


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
