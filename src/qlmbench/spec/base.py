"""What everything that a study declares is built from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
Values = Annotated[list[Scalar], Field(min_length=1)]

NAME = r"^[a-z0-9][a-z0-9._-]*$"

MOST_REPETITIONS = 10_000
"""More would take a memory of trials, and is a slip of the keyboard."""

OverwritePolicy = Literal["always", "never", "only-missing", "only-cache"]


class Spec(BaseModel):
    """Base of everything a study declares: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
