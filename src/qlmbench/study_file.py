"""Reads a ``study.toml``; a fault in it is one line: file, key, what was expected."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError

from qlmbench.errors import UserError, nearest
from qlmbench.spec import Scalar, Study


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
        near = nearest(str(first["loc"][-1]), known)
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
        if isinstance(annotation, UnionType):  # X | None
            annotation = annotation.__args__[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []
