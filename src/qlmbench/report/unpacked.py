"""Stored classes and rows, read so that what is damaged or of an older form is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qlmbench import packing
from qlmbench.errors import UserError

T = TypeVar("T")


def classes(text: str, where: str) -> NDArray[np.int64]:
    """Read class indices; ``where`` names the run and the trial.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_classes` writes.
    """
    return _read(packing.unpack_classes, text, where)


def numbers(text: str, where: str) -> NDArray[np.float64]:
    """Read a number a row; ``where`` names the run and the trial.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_numbers` writes.
    """
    return _read(packing.unpack_numbers, text, where)


def texts(text: str, where: str) -> list[str]:
    """Read written texts; ``where`` names the run and the trial.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_texts` writes.
    """
    return _read(packing.unpack_texts, text, where)


def rows(text: str, where: str) -> NDArray[np.int64]:
    """Read row numbers; ``where`` names the run and the repetition.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_rows` writes.
    """
    return _read(packing.unpack_rows, text, where)


def count(text: str, where: str) -> int:
    """Return how many class indices there are, without reading them.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_classes` writes.
    """
    return _read(packing.count_classes, text, where)


def total(text: str, where: str) -> int:
    """Return among how many rows of the dataset these were drawn, without reading them.

    Raises
    ------
    UserError
        If the text is not what `qlmbench.packing.pack_rows` writes.
    """
    return _read(lambda packed: int(packed.split(":")[0]), text, where)


def _read(unpack: Callable[[str], T], text: str, where: str) -> T:
    try:
        return unpack(text)
    except (ValueError, IndexError):
        raise UserError(
            f"{where}: predictions or labels in a form that this version does not read",
            expected="<bits>:<n>:<base64> for classes, f2:<n>:<base64> for numbers, "
            "<total>:<base64> for rows, <n>:<base64> for texts",
            do="run it again with 'qlmbench run ... --overwrite always'",
        ) from None
