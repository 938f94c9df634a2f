"""Correction for testing several claims at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlmbench.stats.intervals import as_vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlmbench.stats.intervals import Floats


def holm(p_values: Floats) -> NDArray[np.float64]:
    """Holm's step-down correction, controlling the chance of any false positive.

    NaN means "could not be tested": it stays NaN and does not count in the family.

    Parameters
    ----------
    p_values : array of shape (m,)
        One p value a claim, or NaN.

    Returns
    -------
    array of shape (m,)
        Corrected p values in the same order.

    Raises
    ------
    ValueError
        If a p value lies outside 0 to 1.
    """
    p = as_vector(p_values, "p_values")
    tested = ~np.isnan(p)
    if ((p[tested] < 0.0) | (p[tested] > 1.0)).any():
        msg = f"p values must lie between 0 and 1; got {p.tolist()}"
        raise ValueError(msg)
    corrected = np.full(p.shape, np.nan)
    if tested.any():
        from statsmodels.stats.multitest import multipletests  # a second to import

        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected
