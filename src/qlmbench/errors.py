"""The one error that a user can cause, and that the command line shows as one line."""

import difflib
from collections.abc import Sequence


class UserError(Exception):
    """Something the user gave is wrong, and the user can mend it.

    Parameters
    ----------
    what : str
        What is wrong and where: the file, the key, the value.
    expected : str, optional
        What was expected there.
    do : str, optional
        What to do about it.
    """

    def __init__(self, what: str, *, expected: str = "", do: str = "") -> None:
        parts = [what]
        if expected:
            parts.append(f"expected {expected}")
        if do:
            parts.append(do)
        super().__init__("; ".join(parts))
        self.what = what
        self.expected = expected
        self.do = do


class CorruptFileError(UserError):
    """A file on disk does not hold what its hash or its format says it should."""


def nearest(name: str, names: Sequence[str]) -> str:
    """Say which known name a mistyped one is nearest to; empty where none is near."""
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def unknown(kind: str, name: str, names: Sequence[str], where: str) -> UserError:
    """Build the error for a name that is not known, with the nearest one that is."""
    return UserError(
        f"unknown {kind} {name!r} of {where}{nearest(name, names)}",
        expected="one of " + ", ".join(sorted(names)),
    )
