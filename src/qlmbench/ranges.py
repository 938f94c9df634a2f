"""Checks of arguments: what was given, and what was expected, in the same words everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def check_whole(name: str, value: Any, least: int = 1, *, or_none: bool = False) -> None:
    """Raise ValueError unless a value is a whole number, at least so large."""
    whole = _is_kind(value, Integral) and value >= least
    _check(name, value, whole, f"a whole number, at least {least}", or_none=or_none)


def check_positive(name: str, value: object, *, or_none: bool = False) -> None:
    """Raise ValueError unless a value is a finite number above 0."""
    _check(name, value, 0 < _number(value) < math.inf, "a finite number above 0", or_none=or_none)


def check_not_negative(name: str, value: object, *, or_none: bool = False) -> None:
    """Raise ValueError unless a value is a finite number, 0 or more."""
    fits = 0 <= _number(value) < math.inf
    _check(name, value, fits, "a finite number, 0 or more", or_none=or_none)


def check_share(name: str, value: object, *, below_one: bool = False) -> None:
    """Raise ValueError unless a value is a number from 0 to 1, or to below 1."""
    fits = 0 <= _number(value) <= 1 and not (below_one and value == 1)
    _check(name, value, fits, f"a number from 0 to {'below ' if below_one else ''}1")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless a value is one of the choices."""
    _check(name, value, value in choices, f"one of {', '.join(map(str, choices))}")


def _is_kind(value: object, kind: type) -> bool:
    """Say whether a value is a number of a kind; True and False are none to a reader."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """Return a value as a number; what is none becomes NaN, which no range holds."""
    return float(value) if _is_kind(value, Real) else math.nan


def _check(name: str, value: object, fits: bool, expected: str, *, or_none: bool = False) -> None:
    if not fits and not (or_none and value is None):
        raise ValueError(f"{name}={value!r}; expected {expected}{', or None' if or_none else ''}")
