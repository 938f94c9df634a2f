"""What everything that a study declares is built from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
Values = Annotated[list[Scalar], Field(min_length=1)]

NAME = r"^[a-z0-9][a-z0-9._-]*$"

OverwritePolicy = Literal["always", "never", "only-missing", "only-cache"]


class Spec(BaseModel):
    """Base of everything a study declares: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
