"""What only several settings together can show: learning curves, and what tuning the encoder does.

Settings that share the word ``curve`` are points of one learning curve. Settings with the same
rows, of which one tunes the encoder, are two regimes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlmbench.report import plots
from qlmbench.report import sentences as say
from qlmbench.report.claims import Judged, settings_of
from qlmbench.report.learning import learning_curves
from qlmbench.report.load import RunResults
from qlmbench.report.regimes import regimes
from qlmbench.report.shown import Plot, Spanning
from qlmbench.spec import Direction


def forest_frame(run: RunResults, judged: list[Judged]) -> pd.DataFrame:
    """Lay out the claims about differences for a forest plot, one row a claim.

    Returns
    -------
    DataFrame
        statement, setting, metric, effect, low, high, rows_low, rows_high, margin, published,
        verdict, n, equal.
    """
    rows = [
        {
            "statement": j.claim.statement,
            "setting": settings_of(run, j.claim),
            "metric": j.claim.metric,
            "effect": j.verdict.effect,
            "low": j.verdict.interval.low if j.verdict.interval else np.nan,
            "high": j.verdict.interval.high if j.verdict.interval else np.nan,
            "rows_low": j.rows.interval.low if j.rows and j.rows.interval else np.nan,
            "rows_high": j.rows.interval.high if j.rows and j.rows.interval else np.nan,
            "margin": j.claim.margin,
            "published": np.nan if j.claim.published is None else j.claim.published,
            "verdict": j.verdict.verdict.value,
            "n": j.verdict.n,
            "equal": j.claim.direction is Direction.EQUAL,
        }
        for j in judged
        if j.claim.versus is not None
    ]
    return pd.DataFrame(rows)


def forest(run: RunResults, judged: list[Judged]) -> Plot | None:
    """Return the figure of the claims about differences; None where there are none."""
    frame = forest_frame(run, judged)
    if frame.empty:
        return None
    key = (
        "Dot: mean paired difference; thick line: 95 % interval over repetitions; thin line: over "
        "repetitions and test rows; band: the margin within which two arms count as equal; "
        "hollow diamond: the published effect."
    )
    sentence = say.forest_sentence(judged)
    return Plot("claims", "The claims", sentence, key, lambda: plots.forest_plot(frame))


def spanning_of(run: RunResults, arms: dict[str, pd.DataFrame]) -> list[Spanning]:
    """List the comparisons across settings that a run has the records for.

    Parameters
    ----------
    run : RunResults
        One run.
    arms : dict
        By setting, its comparison as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    list of Spanning
        Learning curves first.
    """
    return [*learning_curves(run, arms), *regimes(run, arms)]
