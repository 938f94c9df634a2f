"""What an error message or a path may tell of a user, taken out before it is written down."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_SHORTEST = 6
"""A shorter value is no secret, and stands in too many words."""


def without_private(text: str) -> str:
    """Replace secrets of the environment, the home folder and the user's name in paths.

    Parameters
    ----------
    text : str
        Anything that is to be written to a record or a page.

    Returns
    -------
    str
        A value of a variable whose name speaks of a secret becomes ``$NAME``, the home folder
        ``~``, and a folder elsewhere that has the user's name ``~`` as well; an address on the web
        loses the user and password in it.

    Examples
    --------
    >>> import os
    >>> os.environ["MY_TOKEN"] = "sesame-open"
    >>> without_private("refused: sesame-open")
    'refused: $MY_TOKEN'
    >>> del os.environ["MY_TOKEN"]
    """
    secrets = {
        value: name
        for name, value in os.environ.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST
    }
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, f"${secrets[value]}")
    text = re.sub(r"(?<=://)[^/\s@]+@", "", text)
    home = Path.home()
    if home.name:
        text = re.sub(rf"{re.escape(str(home))}(?![\w.-])", "~", text)
        # Absolute paths alone: a relative link or an address on the web may hold the same word.
        own = rf"(?<![\w.~:/-])(/(?:[^/\s'\"]+/)*?){re.escape(home.name)}(?=[/\s'\"]|$)"
        text = re.sub(own, r"\1~", text)
    return text
