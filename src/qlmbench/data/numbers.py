"""Texts that are numbers already: the encoder ``numbers-32`` reads 32 of them, as they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qlmbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERS_FORM = "numbers-WIDTH"


def numbers_width(name: str) -> int | None:
    """Return the width of the encoder of this name; None if it is another one."""
    found = re.fullmatch(r"numbers-([1-9]\d*)", name)
    return int(found[1]) if found else None


def read_numbers(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Read texts of finite numbers with blanks between.

    Parameters
    ----------
    texts : sequence of str, length n
        Each with ``width`` numbers.
    width : int
        How many numbers a text has.

    Returns
    -------
    ndarray of float32, shape (n, width)

    Raises
    ------
    UserError
        If a text holds anything else; it is shown.
    """
    import numpy as np

    return np.array([_numbers(text, width) for text in texts], dtype=np.float32)


def _numbers(text: str, width: int) -> list[float]:
    words = text.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != width or not all(map(math.isfinite, numbers)):
        shown = text if len(text) <= 60 else f"{text[:60]}..."
        raise UserError(
            f"encoder 'numbers-{width}': got the text {shown!r} of {len(words)} words",
            expected=f"{width} finite numbers with blanks between",
        )
    return numbers
