"""The one error that a user can cause, and that the command line shows as one line."""


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
